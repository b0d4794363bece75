//! The text form of a bcrypt hash, `$2b$12$` + 22 characters of salt + 31 of digest, parsed as
//! passlib parses it.

use base64::Engine;
use base64::alphabet::BCRYPT;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

use crate::bcrypt_job::{DIGEST_BYTES, SALT_BYTES};
use crate::{Cost, PasswordError};

/// bcrypt's base64. Unused bits of the last character are ignored, as in passlib.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&BCRYPT, NO_PAD.with_decode_allow_trailing_bits(true));

/// Characters of [`SALT_BYTES`] bytes; four bits of the last one are unused.
const SALT_LENGTH: usize = 22;

/// Characters of [`DIGEST_BYTES`] bytes; two bits of the last one are unused.
const DIGEST_LENGTH: usize = 31;

/// The variant of bcrypt that a hash names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ident {
    /// `$2$`: without the NUL byte after the password.
    Two,
    /// `$2a$`
    TwoA,
    /// `$2b$`
    TwoB,
    /// `$2x$`: the output of an old bug; recognised and refused.
    TwoX,
    /// `$2y$`
    TwoY,
}

impl Ident {
    const PREFIXES: [(&'static str, Self); 5] = [
        ("$2$", Self::Two),
        ("$2a$", Self::TwoA),
        ("$2b$", Self::TwoB),
        ("$2x$", Self::TwoX),
        ("$2y$", Self::TwoY),
    ];

    /// Splits off the prefix. The prefix alone decides whether a text is a bcrypt hash.
    pub(crate) fn split(hash: &str) -> Result<(Self, &str), PasswordError> {
        Self::PREFIXES
            .iter()
            .find_map(|&(prefix, ident)| Some((ident, hash.strip_prefix(prefix)?)))
            .ok_or(PasswordError::UnknownHash)
    }
}

/// The parsed text after the prefix.
#[derive(Clone, Copy)]
pub(crate) struct EncodedHash {
    pub(crate) cost: Cost,
    pub(crate) salt: [u8; SALT_BYTES],
    /// Missing in what passlib calls a config string.
    pub(crate) digest: Option<[u8; DIGEST_BYTES]>,
}

impl EncodedHash {
    /// Parses the text that [`Ident::split`] returns.
    pub(crate) fn parse(ident: Ident, rest: &str) -> Result<Self, PasswordError> {
        if ident == Ident::TwoX {
            return Err(PasswordError::MalformedHash);
        }
        Self::parse_fields(rest).ok_or(PasswordError::MalformedHash)
    }

    fn parse_fields(rest: &str) -> Option<Self> {
        let (cost, data) = rest.split_once('$')?;
        let (salt, digest) = data.split_at_checked(SALT_LENGTH)?;
        let digest = match digest.len() {
            0 => None,
            DIGEST_LENGTH => Some(decode(digest)?),
            _ => return None,
        };
        Some(Self {
            cost: parse_cost(cost)?,
            salt: decode(salt)?,
            digest,
        })
    }
}

/// Writes a new hash.
pub(crate) fn encode(cost: Cost, salt: &[u8; SALT_BYTES], digest: &[u8; DIGEST_BYTES]) -> String {
    let mut hash = format!("$2b${:02}$", u32::from(cost));
    BASE64.encode_string(salt, &mut hash);
    BASE64.encode_string(digest, &mut hash);
    hash
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE64.decode(text).ok()?.try_into().ok()
}

/// Accepts exactly two ASCII digits, as passlib does. `str::parse` alone would accept `+4`.
fn parse_cost(text: &str) -> Option<Cost> {
    if text.len() != 2 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse::<u32>().ok()?.try_into().ok()
}

/// Whether the character can end a salt whose unused bits are zero.
pub(crate) fn is_clean_salt_end(character: char) -> bool {
    matches!(character, '.' | 'O' | 'e' | 'u')
}

//! The text form of a bcrypt hash, `$2b$12$` + 22 characters of salt + 31 of digest, read as
//! passlib reads it.

use base64::Engine;
use base64::alphabet::BCRYPT;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

use super::computation::{DIGEST_BYTES, SALT_BYTES};
use super::{Cost, PasswordError};

/// bcrypt's base64. Bits to spare at the end count for nothing, as in passlib.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&BCRYPT, NO_PAD.with_decode_allow_trailing_bits(true));

/// Characters of [`SALT_BYTES`] bytes; the last one has four bits to spare.
const SALT_LENGTH: usize = 22;

/// Characters of [`DIGEST_BYTES`] bytes; the last one has two bits to spare.
const DIGEST_LENGTH: usize = 31;

/// The variant of bcrypt that made a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ident {
    /// `$2$`: without the zero byte that ends the password.
    Two,
    /// `$2a$`
    TwoA,
    /// `$2b$`
    TwoB,
    /// `$2x$`: an old bug; recognised and refused.
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

    /// Splits the prefix from what follows. This alone is what makes a text a bcrypt hash.
    pub(super) fn split(hash: &str) -> Result<(Self, &str), PasswordError> {
        Self::PREFIXES
            .iter()
            .find_map(|&(prefix, ident)| Some((ident, hash.strip_prefix(prefix)?)))
            .ok_or(PasswordError::UnknownHash)
    }
}

/// What follows the prefix, taken apart.
#[derive(Clone, Copy)]
pub(super) struct EncodedHash {
    pub(super) cost: Cost,
    pub(super) salt: [u8; SALT_BYTES],
    /// Absent from what passlib calls a config string.
    pub(super) digest: Option<[u8; DIGEST_BYTES]>,
}

impl EncodedHash {
    /// Reads what [`Ident::split`] left.
    pub(super) fn parse(ident: Ident, rest: &str) -> Result<Self, PasswordError> {
        if ident == Ident::TwoX {
            return Err(PasswordError::MalformedHash);
        }
        Self::read(rest).ok_or(PasswordError::MalformedHash)
    }

    fn read(rest: &str) -> Option<Self> {
        let (cost, data) = rest.split_once('$')?;
        let (salt, digest) = data.split_at_checked(SALT_LENGTH)?;
        let digest = match digest.len() {
            0 => None,
            DIGEST_LENGTH => Some(decode(digest)?),
            _ => return None,
        };
        Some(Self {
            cost: read_cost(cost)?,
            salt: decode(salt)?,
            digest,
        })
    }
}

/// A hash as new ones are written.
pub(super) fn encode(cost: Cost, salt: &[u8; SALT_BYTES], digest: &[u8; DIGEST_BYTES]) -> String {
    let mut hash = format!("$2b${:02}$", u32::from(cost));
    BASE64.encode_string(salt, &mut hash);
    BASE64.encode_string(digest, &mut hash);
    hash
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE64.decode(text).ok()?.try_into().ok()
}

/// Exactly two ASCII digits: `parse` alone would take `+4`, and passlib takes no other spelling.
fn read_cost(text: &str) -> Option<Cost> {
    if text.len() != 2 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse::<u32>().ok()?.try_into().ok()
}

/// Whether the character can end a salt whose spare bits are clear.
pub(super) fn is_clean_salt_end(character: char) -> bool {
    matches!(character, '.' | 'O' | 'e' | 'u')
}

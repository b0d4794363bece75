//! The text form of a bcrypt hash, `$2b$12$` + 22 characters of salt + 31 of digest, read as
//! passlib reads it.

use super::{Cost, PasswordError};

/// bcrypt's base64 alphabet, in the order of the values.
const ALPHABET: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// 16 bytes, so that the last character has four bits to spare.
const SALT_LENGTH: usize = 22;
/// 23 bytes, so that the last character has two bits to spare.
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
pub(super) struct EncodedHash<'a> {
    pub(super) cost: Cost,
    salt: &'a str,
    /// Absent from what passlib calls a config string.
    digest: Option<&'a str>,
}

impl<'a> EncodedHash<'a> {
    /// Reads what [`Ident::split`] left.
    pub(super) fn parse(ident: Ident, rest: &'a str) -> Result<Self, PasswordError> {
        if ident == Ident::TwoX {
            return Err(PasswordError::MalformedHash);
        }
        Self::read(rest).ok_or(PasswordError::MalformedHash)
    }

    fn read(rest: &'a str) -> Option<Self> {
        let (cost, data) = rest.split_once('$')?;
        if !data.bytes().all(|byte| ALPHABET.contains(&byte)) {
            return None;
        }
        let (salt, digest) = data.split_at_checked(SALT_LENGTH)?;
        let digest = match digest.len() {
            0 => None,
            DIGEST_LENGTH => Some(digest),
            _ => return None,
        };
        Some(Self {
            cost: read_cost(cost)?,
            salt,
            digest,
        })
    }

    /// The hash as `$2b$` with the spare bits cleared, the only form that bcrypt crates take.
    /// passlib clears them too. Nothing for a config string.
    pub(super) fn canonical(&self) -> Option<String> {
        let mut hash = format!("$2b${:02}$", u32::from(self.cost));
        push_cleared(&mut hash, self.salt, 0b00_1111)?;
        push_cleared(&mut hash, self.digest?, 0b00_0011)?;
        Some(hash)
    }
}

/// Exactly two ASCII digits: `parse` alone would take `+4`, and passlib takes no other spelling.
fn read_cost(text: &str) -> Option<Cost> {
    if text.len() != 2 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse::<u32>().ok()?.try_into().ok()
}

/// Appends the text with the spare bits of its last character cleared.
fn push_cleared(hash: &mut String, text: &str, spare_bits: usize) -> Option<()> {
    let (head, last) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let value = ALPHABET
        .iter()
        .position(|&byte| last.as_bytes() == [byte])?;
    hash.push_str(head);
    hash.push(char::from(*ALPHABET.get(value & !spare_bits)?));
    Some(())
}

/// Whether the character can end a salt whose spare bits are clear.
pub(super) fn is_clean_salt_end(character: char) -> bool {
    matches!(character, '.' | 'O' | 'e' | 'u')
}

//! Personal API keys as secrets: generated here, shown once, stored only as a digest.
//!
//! A key is `tkh_`, 43 random characters like those of a login token, and six characters that
//! encode the CRC-32 of the 43. A secret scanner recognises a leaked key by its form, and a
//! mistyped key is refused without a database query.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::credential::token::{NoRandomness, TokenDigest, generate_token, is_token_shaped};

/// The prefix of every key.
pub const PREFIX: &str = "tkh_";

/// Random characters in a key.
const RANDOM_CHARACTERS: usize = 43;

/// Characters of the checksum: 62^6 exceeds 2^32.
const CHECKSUM_CHARACTERS: usize = 6;

/// Characters in a key.
const KEY_CHARACTERS: usize = PREFIX.len() + RANDOM_CHARACTERS + CHECKSUM_CHARACTERS;

/// Characters of the hint by which an owner recognises a key in a list.
const HINT_CHARACTERS: usize = 8;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key in plain text, on its way to its owner. Its `Debug` output does not reveal it.
pub struct PlainKey(SecretString);

impl PlainKey {
    /// The key itself: 53 characters of `[A-Za-z0-9_-]`.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The digest that is stored instead of the key.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::new(self.expose().as_bytes())
    }

    /// The first characters: enough to distinguish keys, useless for guessing one.
    pub fn hint(&self) -> &str {
        &self.expose()[..HINT_CHARACTERS]
    }
}

impl fmt::Debug for PlainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainKey(..)")
    }
}

/// Generates a key.
///
/// # Errors
/// [`NoRandomness`] when the system's generator fails.
pub fn generate_api_key() -> Result<PlainKey, NoRandomness> {
    let random = generate_token()?;
    Ok(PlainKey(with_checksum(random.expose()).into()))
}

/// Builds the key from its 43 random characters.
pub(crate) fn with_checksum(random: &str) -> String {
    let mut key = String::with_capacity(KEY_CHARACTERS);
    key.push_str(PREFIX);
    key.push_str(random);
    key.extend(checksum(random.as_bytes()).map(char::from));
    key
}

/// Whether these bytes have the form and the checksum of a key. Only the database knows whether the
/// key exists.
pub fn is_well_formed(presented: &[u8]) -> bool {
    let Some(rest) = presented.strip_prefix(PREFIX.as_bytes()) else {
        return false;
    };
    let Some((random, rest)) = rest.split_at_checked(RANDOM_CHARACTERS) else {
        return false;
    };
    is_token_shaped(random) && rest == checksum(random)
}

/// The CRC-32 of these bytes in base 62, the most significant digit first.
fn checksum(random: &[u8]) -> [u8; CHECKSUM_CHARACTERS] {
    let mut rest = crc32fast::hash(random) as usize;
    let mut digits = [b'0'; CHECKSUM_CHARACTERS];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[rest % BASE62.len()];
        rest /= BASE62.len();
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_crc_32_in_base_62() {
        // The check value of CRC-32 (ISO-HDLC) is 0xCBF43926 for "123456789".
        let digits = checksum(b"123456789");
        let value = digits.iter().fold(0_u64, |value, digit| {
            let place = BASE62.iter().position(|d| d == digit).unwrap() as u64;
            value * 62 + place
        });
        assert_eq!(value, 0xCBF4_3926);
        // Zlib's CRC-32 of nothing is 0.
        assert_eq!(&checksum(b""), b"000000");
    }

    #[test]
    fn changing_or_truncating_a_key_breaks_its_checksum() {
        for _ in 0..200 {
            let key = generate_api_key().unwrap();
            let text = key.expose();
            assert_eq!(text.len(), 53);
            assert!(text.starts_with(key.hint()) && key.hint().len() == 8);
            assert!(is_well_formed(text.as_bytes()));
            for index in 0..text.len() {
                let mut changed = text.as_bytes().to_vec();
                changed[index] = if changed[index] == b'x' { b'y' } else { b'x' };
                assert!(!is_well_formed(&changed), "{index}");
                assert!(!is_well_formed(&text.as_bytes()[..index]), "{index}");
            }
            assert!(!is_well_formed(format!("{text}0").as_bytes()));
        }
    }

    #[test]
    fn debug_output_hides_the_key() {
        assert_eq!(format!("{:?}", generate_api_key().unwrap()), "PlainKey(..)");
    }
}

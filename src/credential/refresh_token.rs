//! Refresh tokens as secrets. Each one but the first is derived from the one before, with a key and a
//! salt, so the same refresh gets the same answer from every process, and nothing secret is stored: a
//! copy of the database has no refresh token to derive the next one from.
//!
//! A token is `tkr_` and, in URL-safe base64, the id of the session (8 bytes), the number of the token
//! in it (4), a secret (32), and a checksum under the key (16), by which a made-up token is refused
//! without a query.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng;
use rand::rngs::SysRng;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::credential::hex;
use crate::credential::keyed_digest::DigestKey;
use crate::credential::token::{NoRandomness, PlainToken, TokenDigest};

/// The prefix of every refresh token.
pub(crate) const PREFIX: &str = "tkr_";

/// Bytes before the base64: id, number, secret and checksum.
const BYTES: usize = 8 + 4 + 32 + 16;

/// The secret that distinguishes the first token of a session.
#[derive(Clone)]
pub(crate) struct Seed(SecretString);

/// A refresh token, generated here or presented with the right checksum. Its `Debug` output does not
/// reveal it.
#[derive(Clone)]
pub struct RefreshToken {
    /// The id of the session.
    pub(crate) session_id: i64,
    /// The number of the token in its session; the first one is 0.
    pub(crate) counter: i64,
    text: SecretString,
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshToken")
            .field("session_id", &self.session_id)
            .field("counter", &self.counter)
            .finish_non_exhaustive()
    }
}

impl Seed {
    /// Random.
    ///
    /// # Errors
    /// [`NoRandomness`] when the system's generator fails.
    pub(crate) fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = [0_u8; 32];
        SysRng
            .try_fill_bytes(&mut bytes)
            .map_err(|_error| NoRandomness)?;
        let mut digits = [0_u8; 64];
        hex::write(&bytes, &mut digits);
        Ok(Self(String::from_utf8_lossy(&digits).into_owned().into()))
    }

    /// As stored, if this is a salt: 64 hexadecimal digits.
    pub(crate) fn as_salt(&self) -> &str {
        self.0.expose_secret()
    }
}

impl RefreshToken {
    /// The first token of a session.
    pub(crate) fn first(key: &DigestKey, session_id: i64, seed: &Seed) -> Self {
        Self::new(key, session_id, 0, &key.digest(&["seed", seed.as_salt()]))
    }

    /// The token after this one.
    pub(crate) fn next(&self, key: &DigestKey, salt: &str) -> Self {
        let secret = key.digest(&self.fields("refresh", salt));
        Self::new(key, self.session_id, self.counter + 1, &secret)
    }

    /// The login token that is issued together with the token after this one.
    pub(crate) fn next_access_token(&self, key: &DigestKey, salt: &str) -> PlainToken {
        let digits = key.digest(&self.fields("access", salt));
        PlainToken::from_bytes(&bytes_of(&digits))
    }

    fn fields<'a>(&'a self, purpose: &'a str, salt: &'a str) -> [&'a str; 3] {
        // The text has the id of the session and the number in it.
        [purpose, self.expose(), salt]
    }

    fn new(key: &DigestKey, session_id: i64, counter: i64, secret_digits: &str) -> Self {
        let number = u32::try_from(counter).unwrap_or(u32::MAX);
        let mut bytes = [0_u8; BYTES];
        bytes[..8].copy_from_slice(&session_id.to_be_bytes());
        bytes[8..12].copy_from_slice(&number.to_be_bytes());
        bytes[12..44].copy_from_slice(&bytes_of(secret_digits));
        let checksum = checksum(key, &bytes);
        bytes[44..].copy_from_slice(&checksum);
        let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        Self {
            session_id,
            counter: i64::from(number),
            text: text.into(),
        }
    }

    /// Reads a presented token; `None` if it is none, or if the key has made no such checksum.
    pub(crate) fn parse(key: &DigestKey, presented: &[u8]) -> Option<Self> {
        let encoded = presented.strip_prefix(PREFIX.as_bytes())?;
        let bytes: [u8; BYTES] = URL_SAFE_NO_PAD.decode(encoded).ok()?.try_into().ok()?;
        let is_ours: bool = checksum(key, &bytes).ct_eq(&bytes[44..]).into();
        let text = std::str::from_utf8(presented).ok()?;
        is_ours.then_some(())?;
        Some(Self {
            session_id: i64::from_be_bytes(bytes[..8].try_into().ok()?),
            counter: i64::from(u32::from_be_bytes(bytes[8..12].try_into().ok()?)),
            text: text.to_owned().into(),
        })
    }

    /// The token itself: 84 characters.
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// The digest that is stored instead of the token.
    pub(crate) fn digest(&self) -> TokenDigest {
        TokenDigest::new(self.expose().as_bytes())
    }
}

/// Whether these bytes have the form of a refresh token.
pub(crate) fn is_refresh_token_shaped(presented: &[u8]) -> bool {
    presented.starts_with(PREFIX.as_bytes()) && presented.len() == PREFIX.len() + BYTES * 4 / 3
}

fn checksum(key: &DigestKey, bytes: &[u8; BYTES]) -> [u8; 16] {
    let mut digits = [0_u8; 88];
    hex::write(&bytes[..44], &mut digits);
    let digest = key.digest(&["checksum", &String::from_utf8_lossy(&digits)]);
    let mut checksum = [0_u8; 16];
    checksum.copy_from_slice(&bytes_of(&digest)[..16]);
    checksum
}

/// The bytes of 64 hexadecimal digits.
fn bytes_of(digits: &str) -> [u8; 32] {
    let mut bytes = [0_u8; 32];
    hex::read(digits.as_bytes(), &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> DigestKey {
        DigestKey::new("a key".to_owned().into())
    }

    #[test]
    fn token_is_read_as_it_was_made() {
        let first = RefreshToken::first(&key(), 12, &Seed::generate().unwrap());
        assert_eq!(first.expose().len(), 84);
        assert!(is_refresh_token_shaped(first.expose().as_bytes()));
        let read = RefreshToken::parse(&key(), first.expose().as_bytes()).unwrap();
        assert_eq!((read.session_id, read.counter), (12, 0));
        let (salt, other) = (Seed::generate().unwrap(), Seed::generate().unwrap());
        let next = read.next(&key(), salt.as_salt());
        assert_eq!((next.session_id, next.counter), (12, 1));
        // From what was shown and stored, and from nothing else.
        assert_eq!(next.expose(), first.next(&key(), salt.as_salt()).expose());
        assert_ne!(next.expose(), first.next(&key(), other.as_salt()).expose());
        let access = first.next_access_token(&key(), salt.as_salt());
        assert_eq!(access.expose().len(), 43);
        let with_other_salt = first.next_access_token(&key(), other.as_salt());
        assert_ne!(access.expose(), with_other_salt.expose());
    }

    #[test]
    fn altered_token_is_refused() {
        let first = RefreshToken::first(&key(), 12, &Seed::generate().unwrap());
        let text = first.expose().to_owned();
        for position in 0..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[position] = if altered[position] == b'A' {
                b'B'
            } else {
                b'A'
            };
            assert!(
                RefreshToken::parse(&key(), &altered).is_none(),
                "{position}"
            );
        }
        let other_key = DigestKey::new("another".to_owned().into());
        assert!(RefreshToken::parse(&other_key, text.as_bytes()).is_none());
        for bad in [&text[..83], "tkr_", "", &format!("{text}A")] {
            assert!(
                RefreshToken::parse(&key(), bad.as_bytes()).is_none(),
                "{bad}"
            );
        }
    }

    #[test]
    fn debug_output_hides_the_token() {
        let first = RefreshToken::first(&key(), 12, &Seed::generate().unwrap());
        assert!(!format!("{first:?}").contains(first.expose()));
    }
}

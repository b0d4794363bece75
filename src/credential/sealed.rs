//! Sealing of secrets that the service has to read again, such as the seeds of authenticator apps: with
//! ChaCha20-Poly1305 (RFC 8439), under a key that is not in the database.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rand::TryRng;
use rand::rngs::SysRng;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::credential::hex;
use crate::credential::keyed_digest::DigestKey;
use crate::credential::token::NoRandomness;

/// Characters of the id of a key.
const ID_CHARACTERS: usize = 16;

/// A key, derived from the text of an operator. Its `Debug` output does not reveal it.
#[derive(Clone)]
pub struct SealingKey {
    /// Names the key beside what it has sealed.
    id: String,
    key: Zeroizing<[u8; 32]>,
}

impl SealingKey {
    /// Derives a key from a text of any length.
    pub fn new(secret: SecretString) -> Self {
        let secret = DigestKey::new(secret);
        let mut key = Zeroizing::new([0; 32]);
        let digits = Zeroizing::new(secret.digest(&["seal", "key"]));
        hex::read(digits.as_bytes(), key.as_mut_slice());
        let mut id = secret.digest(&["seal", "id"]);
        id.truncate(ID_CHARACTERS);
        Self { id, key }
    }

    /// The id of the key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Seals a secret for a place: nowhere else can it be opened.
    ///
    /// # Errors
    /// [`NoRandomness`] when the system's generator fails.
    pub(crate) fn seal(&self, place: &str, secret: &[u8]) -> Result<String, NoRandomness> {
        let mut nonce = [0; NONCE_LEN];
        SysRng
            .try_fill_bytes(&mut nonce)
            .map_err(|_error| NoRandomness)?;
        let mut sealed = secret.to_vec();
        let cipher = self.cipher().ok_or(NoRandomness)?;
        cipher
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place),
                &mut sealed,
            )
            .map_err(|_unspecified| NoRandomness)?;
        Ok(STANDARD_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    /// Opens what [`Self::seal`] has returned for this place; `None` if this key has not sealed it, or
    /// another place.
    pub(crate) fn open(&self, place: &str, sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        let bytes = STANDARD_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let mut opened = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self
            .cipher()?
            .open_in_place(nonce, Aad::from(place), &mut opened)
            .ok()?
            .len();
        opened.truncate(length);
        Some(opened)
    }

    fn cipher(&self) -> Option<LessSafeKey> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, self.key.as_slice()).ok()?;
        Some(LessSafeKey::new(key))
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.id)
    }
}

/// The key that seals, and an earlier one, with which some secrets may still be sealed.
#[derive(Clone, Debug)]
pub struct SealingKeys {
    current: SealingKey,
    previous: Option<SealingKey>,
}

impl SealingKeys {
    /// The key that seals from now on, and the one before it during a rotation.
    pub fn new(current: SecretString, previous: Option<SecretString>) -> Self {
        Self {
            current: SealingKey::new(current),
            previous: previous.map(SealingKey::new),
        }
    }

    /// The key that seals.
    pub(crate) fn current(&self) -> &SealingKey {
        &self.current
    }

    /// Opens what the key with this id has sealed for a place; `None` without that key, or if it is not
    /// intact.
    pub(crate) fn open(
        &self,
        key_id: &str,
        place: &str,
        sealed: &str,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let mut keys = [Some(&self.current), self.previous.as_ref()]
            .into_iter()
            .flatten();
        keys.find(|key| key.id == key_id)?.open(place, sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        text.into()
    }

    #[test]
    fn only_the_same_key_and_place_open() {
        let keys = SealingKeys::new(secret("one"), None);
        let sealed = keys.current().seal("factor 1", b"seed").unwrap();
        let id = keys.current().id().to_owned();
        assert_eq!(*keys.open(&id, "factor 1", &sealed).unwrap(), b"seed");
        assert!(keys.open(&id, "factor 2", &sealed).is_none());
        assert!(keys.open("other", "factor 1", &sealed).is_none());
        for other in [&sealed[1..], "", "AAAA", &format!("{sealed}A")] {
            assert!(keys.open(&id, "factor 1", other).is_none(), "{other}");
        }
        assert_ne!(
            sealed,
            keys.current().seal("factor 1", b"seed").unwrap(),
            "a nonce is used once"
        );
        let rotated = SealingKeys::new(secret("two"), Some(secret("one")));
        assert_eq!(*rotated.open(&id, "factor 1", &sealed).unwrap(), b"seed");
        assert!(
            SealingKeys::new(secret("two"), None)
                .open(&id, "factor 1", &sealed)
                .is_none()
        );
    }

    #[test]
    fn debug_output_hides_the_key() {
        let printed = format!("{:?}", SealingKey::new(secret("hush")));
        assert!(
            !printed.contains("hush") && printed.len() == 28,
            "{printed}"
        );
    }
}

//! Digests that cannot be computed without the key: HMAC-SHA-256 (RFC 2104) over a list of fields.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::credential::hex;

/// Bytes in a block of SHA-256.
const BLOCK_BYTES: usize = 64;

/// The key. Its `Debug` output does not reveal it.
#[derive(Clone, Debug)]
pub struct DigestKey(SecretString);

impl DigestKey {
    /// Takes a key of any length.
    pub fn new(secret: SecretString) -> Self {
        Self(secret)
    }

    /// The digest of these fields, as 64 hexadecimal digits. Each field is
    /// preceded by its length, so no text can move from one field to the next.
    pub fn digest(&self, fields: &[&str]) -> String {
        let mut mac = Hmac::<Sha256>::new(&self.block().into());
        for field in fields {
            mac.update(&(field.len() as u64).to_be_bytes());
            mac.update(field.as_bytes());
        }
        let mut digest = [0_u8; 64];
        hex::write(&mac.finalize().into_bytes(), &mut digest);
        String::from_utf8_lossy(&digest).into_owned()
    }

    /// The key as HMAC uses it: padded with zeros, or hashed when it is longer than a block
    /// (RFC 2104 section 2).
    fn block(&self) -> [u8; BLOCK_BYTES] {
        let secret = self.0.expose_secret().as_bytes();
        let mut block = [0; BLOCK_BYTES];
        match block.get_mut(..secret.len()) {
            Some(start) => start.copy_from_slice(secret),
            None => block[..32].copy_from_slice(&Sha256::digest(secret)),
        }
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_hmac_sha_256_over_lengths_and_fields() {
        // Python: hmac.new(b"key", b"\0\0\0\0\0\0\0\1a" + b"\0\0\0\0\0\0\0\2bc", "sha256").hexdigest()
        let key = DigestKey::new("key".to_owned().into());
        assert_eq!(key.digest(&["a", "bc"]), HMAC_OF_A_BC);
        assert_ne!(key.digest(&["ab", "c"]), HMAC_OF_A_BC);
    }

    #[test]
    fn debug_output_hides_the_key() {
        let printed = format!("{:?}", DigestKey::new("hush".to_owned().into()));
        assert!(!printed.contains("hush"), "{printed}");
    }

    const HMAC_OF_A_BC: &str = "ba41d3aaace0b4bb31fb49a559ae1df182e1fd8add9b6b3b5603e6cb342dce22";
}

//! What makes the trail a chain: every row's digest is an HMAC-SHA-256 over the row and the digest
//! before it, and the head's over where the trail begins and ends.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::hex;
use crate::store::{AuditEvent, AuditHead};

/// Bytes of a block of SHA-256.
const BLOCK: usize = 64;

/// Without this key no digest can be made. Does not print.
#[derive(Clone, Debug)]
pub struct ChainKey(SecretString);

impl ChainKey {
    /// A key of any length.
    pub fn new(secret: SecretString) -> Self {
        Self(secret)
    }

    /// The digest that an event has to have.
    pub(super) fn digest_of_event(&self, event: &AuditEvent) -> String {
        self.digest(&[
            "event",
            &event.previous_digest,
            &event.id.to_string(),
            &event.at.and_utc().timestamp_micros().to_string(),
            &event.actor,
            &event.credential,
            &event.level,
            &event.action,
            &event.target,
            &event.result,
            &event.ip,
            &event.user_agent,
            &event.request_id,
            &event.detail,
        ])
    }

    /// The digest that a head has to have.
    pub(super) fn digest_of_head(&self, head: &AuditHead) -> String {
        self.digest(&[
            "head",
            &head.last_id.to_string(),
            &head.last_digest,
            &head.pruned_id.to_string(),
            &head.pruned_digest,
        ])
    }

    /// The key as HMAC takes it: filled up with zeros, or hashed when it is longer than a block
    /// (RFC 2104 section 2).
    fn block(&self) -> [u8; BLOCK] {
        let secret = self.0.expose_secret().as_bytes();
        let mut block = [0; BLOCK];
        match block.get_mut(..secret.len()) {
            Some(start) => start.copy_from_slice(secret),
            None => block[..32].copy_from_slice(&Sha256::digest(secret)),
        }
        block
    }

    /// The length goes before each field, so that no text can move from one field to the next.
    fn digest(&self, fields: &[&str]) -> String {
        let mut mac = Hmac::<Sha256>::new(&self.block().into());
        for field in fields {
            mac.update(&(field.len() as u64).to_be_bytes());
            mac.update(field.as_bytes());
        }
        let mut digest = [0_u8; 64];
        hex::write(&mac.finalize().into_bytes(), &mut digest);
        String::from_utf8_lossy(&digest).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_hmac_sha_256_over_lengths_and_fields() {
        // Python: hmac.new(b"key", b"\0\0\0\0\0\0\0\1a" + b"\0\0\0\0\0\0\0\2bc", "sha256").hexdigest()
        let key = ChainKey::new("key".to_owned().into());
        assert_eq!(key.digest(&["a", "bc"]), HMAC_OF_A_BC);
        assert_ne!(key.digest(&["ab", "c"]), HMAC_OF_A_BC);
    }

    #[test]
    fn a_key_does_not_print_itself() {
        let printed = format!("{:?}", ChainKey::new("hush".to_owned().into()));
        assert!(!printed.contains("hush"), "{printed}");
    }

    const HMAC_OF_A_BC: &str = "ba41d3aaace0b4bb31fb49a559ae1df182e1fd8add9b6b3b5603e6cb342dce22";
}

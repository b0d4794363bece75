//! PBKDF2 with HMAC-SHA-256, as passlib and as Django write it.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use pbkdf2::pbkdf2_hmac_array;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::password::PasswordError;

/// Rounds that are computed at most, about a second. Django 6 makes 1.2 million.
pub(super) const MAX_ROUNDS: u32 = 4_000_000;

/// Bytes of salt that passlib takes at most.
const MAX_SALT: usize = 1_024;

const DIGEST_BYTES: usize = 32;

/// A hash, taken apart.
pub(super) struct Pbkdf2Hash {
    rounds: u32,
    salt: Vec<u8>,
    digest: [u8; DIGEST_BYTES],
}

impl Pbkdf2Hash {
    /// passlib's `pbkdf2_sha256`: `rounds$salt$digest` in base64 with `.` for `+`.
    pub(super) fn passlib(rest: &str) -> Result<Self, PasswordError> {
        let decode = |text: &str| {
            if text.contains('+') {
                return None;
            }
            STANDARD_NO_PAD.decode(text.replace('.', "+")).ok()
        };
        Self::read(rest, decode, decode)
    }

    /// Django's `PBKDF2PasswordHasher`: `rounds$salt$digest`, where the salt is text.
    pub(super) fn django(rest: &str) -> Result<Self, PasswordError> {
        let salt = |text: &str| Some(text.as_bytes().to_vec());
        Self::read(rest, salt, |text| STANDARD.decode(text).ok())
    }

    fn read(
        rest: &str,
        salt_of: impl Fn(&str) -> Option<Vec<u8>>,
        digest_of: impl Fn(&str) -> Option<Vec<u8>>,
    ) -> Result<Self, PasswordError> {
        let fields: Vec<&str> = rest.split('$').collect();
        let [rounds, salt, digest] = fields.as_slice() else {
            return Err(PasswordError::MalformedHash);
        };
        let salt = salt_of(salt).filter(|salt| salt.len() <= MAX_SALT);
        let digest = digest_of(digest).and_then(|digest| digest.try_into().ok());
        Ok(Self {
            rounds: read_rounds(rounds)?,
            salt: salt.ok_or(PasswordError::MalformedHash)?,
            digest: digest.ok_or(PasswordError::MalformedHash)?,
        })
    }

    /// Computes and compares, in constant time.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        let digest: [u8; DIGEST_BYTES] =
            pbkdf2_hmac_array::<Sha256, DIGEST_BYTES>(password, &self.salt, self.rounds);
        digest.ct_eq(&self.digest).into()
    }
}

/// Computes so many rounds, for their time alone.
pub(super) fn spend(rounds: u32) {
    let digest = pbkdf2_hmac_array::<Sha256, DIGEST_BYTES>(b"", &[0; 16], rounds);
    std::hint::black_box(digest);
}

/// Digits alone, the first of them no zero: `parse` alone would take `+4`.
fn read_rounds(text: &str) -> Result<u32, PasswordError> {
    let is_plain = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(rounds) if is_plain => u32::try_from(rounds)
            .ok()
            .filter(|rounds| *rounds <= MAX_ROUNDS)
            .ok_or(PasswordError::TooCostly),
        _ => Err(PasswordError::MalformedHash),
    }
}

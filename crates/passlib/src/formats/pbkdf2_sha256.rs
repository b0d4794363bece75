//! PBKDF2 with HMAC-SHA-256, in the formats of passlib and Django.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use pbkdf2::pbkdf2_hmac_array;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::PasswordError;

/// As many take about a second. Django 6 writes hashes of 1.2 million.
pub(super) const MAX_ROUNDS: u32 = 4_000_000;

/// passlib's limit.
const MAX_SALT_BYTES: usize = 1_024;

const DIGEST_BYTES: usize = 32;

/// A parsed hash.
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
        Self::parse(rest, decode, decode)
    }

    /// Django's `PBKDF2PasswordHasher`: `rounds$salt$digest`, where the salt is plain text.
    pub(super) fn django(rest: &str) -> Result<Self, PasswordError> {
        let salt = |text: &str| Some(text.as_bytes().to_vec());
        Self::parse(rest, salt, |text| STANDARD.decode(text).ok())
    }

    fn parse(
        rest: &str,
        parse_salt: impl Fn(&str) -> Option<Vec<u8>>,
        parse_digest: impl Fn(&str) -> Option<Vec<u8>>,
    ) -> Result<Self, PasswordError> {
        let fields: Vec<&str> = rest.split('$').collect();
        let [rounds, salt, digest] = fields.as_slice() else {
            return Err(PasswordError::MalformedHash);
        };
        let salt = parse_salt(salt).filter(|salt| salt.len() <= MAX_SALT_BYTES);
        let digest = parse_digest(digest).and_then(|digest| digest.try_into().ok());
        Ok(Self {
            rounds: parse_rounds(rounds)?,
            salt: salt.ok_or(PasswordError::MalformedHash)?,
            digest: digest.ok_or(PasswordError::MalformedHash)?,
        })
    }

    /// Computes and compares in constant time.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        let digest: [u8; DIGEST_BYTES] =
            pbkdf2_hmac_array::<Sha256, DIGEST_BYTES>(password, &self.salt, self.rounds);
        digest.ct_eq(&self.digest).into()
    }
}

/// Computes this many rounds and discards the result.
pub(super) fn compute_and_discard(rounds: u32) {
    let digest = pbkdf2_hmac_array::<Sha256, DIGEST_BYTES>(b"", &[0; 16], rounds);
    std::hint::black_box(digest);
}

/// Accepts digits only, the first of them not a zero. `str::parse` alone would accept `+4`.
fn parse_rounds(text: &str) -> Result<u32, PasswordError> {
    let is_plain = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(rounds) if is_plain => u32::try_from(rounds)
            .ok()
            .filter(|rounds| *rounds <= MAX_ROUNDS)
            .ok_or(PasswordError::TooCostly),
        _ => Err(PasswordError::MalformedHash),
    }
}

//! bcrypt of a SHA-256 of the password, which avoids bcrypt's limit of 72 bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::malformed;
use crate::encoded::is_clean_salt_end;
use crate::{Cost, PasswordError, PendingVerification, prepare_verification};

/// passlib's `bcrypt_sha256`, after the prefix: `v=2,t=2b,r=12$salt$digest` or, before passlib 1.7.3,
/// `2a,12$salt$digest`.
pub(super) fn passlib(
    password: &[u8],
    rest: &str,
    max_cost: Cost,
) -> Result<PendingVerification, PasswordError> {
    let (parameters, data) = rest.split_once('$').ok_or(PasswordError::MalformedHash)?;
    let (salt, digest) = data.split_once('$').ok_or(PasswordError::MalformedHash)?;
    let fields: Vec<&str> = parameters.split(',').collect();
    let (ident, rounds, key) = match fields.as_slice() {
        ["v=2", "t=2b", rounds] => {
            let rounds = rounds.strip_prefix("r=");
            let rounds = rounds.ok_or(PasswordError::MalformedHash)?;
            ("2b", rounds, keyed_digest(password, salt)?)
        }
        [ident @ ("2a" | "2b"), rounds] => (*ident, *rounds, Sha256::digest(password).into()),
        _ => return Err(PasswordError::MalformedHash),
    };
    if rounds.starts_with('0') {
        return Err(PasswordError::MalformedHash);
    }
    let key = Zeroizing::new(STANDARD.encode(key));
    let hash = format!("${ident}${rounds:0>2}${salt}{digest}");
    prepare_verification(key.as_bytes(), &hash, max_cost)
}

/// The encoded salt is the HMAC key, so that leaked SHA-256 digests of passwords cannot be tried
/// against the hash.
fn keyed_digest(password: &[u8], salt: &str) -> Result<[u8; 32], PasswordError> {
    if !salt.chars().next_back().is_some_and(is_clean_salt_end) {
        return Err(PasswordError::MalformedHash);
    }
    let mac = Hmac::<Sha256>::new_from_slice(salt.as_bytes());
    let mut mac = mac.map_err(|_length| PasswordError::MalformedHash)?;
    mac.update(password);
    Ok(mac.finalize().into_bytes().into())
}

/// Django's `BCryptSHA256PasswordHasher`: after the prefix, a whole hash of the library `bcrypt`.
pub(super) fn django(
    password: &[u8],
    rest: &str,
    max_cost: Cost,
) -> Result<PendingVerification, PasswordError> {
    let key = Zeroizing::new(hex(&Sha256::digest(password)));
    prepare_verification(&key, rest, max_cost).map_err(malformed)
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = |byte: &u8| [byte >> 4, byte & 0xF].map(|digit| DIGITS[usize::from(digit)]);
    bytes.iter().flat_map(digits).collect()
}

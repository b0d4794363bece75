//! bcrypt over a SHA-256 of the password, which takes away bcrypt's limit of 72 bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::malformed;
use crate::credential::hex;
use crate::password::encoded::is_clean_salt_end;
use crate::password::{Computation, Cost, PasswordError, Verification, prepare_verification};

type Prepared = (Computation, Verification);

/// passlib's `bcrypt_sha256`: `v=2,t=2b,r=12$salt$digest` or, until passlib 1.7.3,
/// `2a,12$salt$digest`, after the prefix.
pub(super) fn passlib(
    password: &[u8],
    rest: &str,
    max_cost: Cost,
) -> Result<Prepared, PasswordError> {
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
    let key = SecretString::from(STANDARD.encode(key));
    let hash = format!("${ident}${rounds:0>2}${salt}{digest}");
    prepare_verification(key.expose_secret().as_bytes(), &hash, max_cost)
}

/// The salt is the key, as it stands in the hash, so that nobody can use a table of SHA-256
/// digests that were leaked elsewhere.
fn keyed_digest(password: &[u8], salt: &str) -> Result<[u8; 32], PasswordError> {
    if !salt.chars().next_back().is_some_and(is_clean_salt_end) {
        return Err(PasswordError::MalformedHash);
    }
    let mac = Hmac::<Sha256>::new_from_slice(salt.as_bytes());
    let mut mac = mac.map_err(|_length| PasswordError::MalformedHash)?;
    mac.update(password);
    Ok(mac.finalize().into_bytes().into())
}

/// Django's `BCryptSHA256PasswordHasher`: a whole hash of the library `bcrypt` after the prefix.
pub(super) fn django(
    password: &[u8],
    rest: &str,
    max_cost: Cost,
) -> Result<Prepared, PasswordError> {
    let mut key = [0; 64];
    hex::write(&Sha256::digest(password), &mut key);
    prepare_verification(&key, rest, max_cost).map_err(malformed)
}

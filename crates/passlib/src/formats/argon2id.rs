//! argon2id in the PHC string format, as argon2-cffi, pwdlib and passlib write it.

use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params};

use crate::PasswordError;

/// Every thread that verifies such a hash allocates as much.
pub(super) const MAX_MEMORY_KIB: u32 = 256 * 1_024;

/// With the maximum of memory, ten passes take about two seconds.
pub(super) const MAX_PASSES: u32 = 10;

/// Lanes are computed one after the other, so their number does not change the run time.
const MAX_LANES: u32 = 16;

/// A parsed hash whose cost is within the limits.
pub(super) struct Argon2idHash(PasswordHash);

impl Argon2idHash {
    /// Parses a hash that starts with its first dollar sign.
    pub(super) fn parse(hash: &str) -> Result<Self, PasswordError> {
        let hash = PasswordHash::new(hash).map_err(|_error| PasswordError::MalformedHash)?;
        if hash.algorithm.as_str() != "argon2id" || hash.salt.is_none() || hash.hash.is_none() {
            return Err(PasswordError::MalformedHash);
        }
        let params = Params::try_from(&hash).map_err(|_error| PasswordError::MalformedHash)?;
        let is_within_limits = params.m_cost() <= MAX_MEMORY_KIB
            && params.t_cost() <= MAX_PASSES
            && params.p_cost() <= MAX_LANES;
        if is_within_limits {
            Ok(Self(hash))
        } else {
            Err(PasswordError::TooCostly)
        }
    }

    /// Computes and compares in constant time.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        Argon2::default().verify_password(password, &self.0).is_ok()
    }
}

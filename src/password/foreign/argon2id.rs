//! argon2id in the form of the PHC string format, as argon2-cffi, pwdlib and passlib write it.

use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params};

use crate::password::PasswordError;

/// KiB of memory that a hash may take: each hash thread may need as much at once.
pub(super) const MAX_MEMORY_KIB: u32 = 256 * 1_024;

/// Passes over the memory at most; with all the memory some two seconds.
pub(super) const MAX_PASSES: u32 = 10;

/// Lanes at most. They are computed one after the other, so they cost nothing by themselves.
const MAX_LANES: u32 = 16;

/// A hash whose parameters were found bearable.
pub(super) struct Argon2idHash(PasswordHash);

impl Argon2idHash {
    /// Reads a hash from its first dollar sign on.
    pub(super) fn parse(hash: &str) -> Result<Self, PasswordError> {
        let hash = PasswordHash::new(hash).map_err(|_error| PasswordError::MalformedHash)?;
        if hash.algorithm.as_str() != "argon2id" || hash.salt.is_none() || hash.hash.is_none() {
            return Err(PasswordError::MalformedHash);
        }
        let params = Params::try_from(&hash).map_err(|_error| PasswordError::MalformedHash)?;
        let is_bearable = params.m_cost() <= MAX_MEMORY_KIB
            && params.t_cost() <= MAX_PASSES
            && params.p_cost() <= MAX_LANES;
        if is_bearable {
            Ok(Self(hash))
        } else {
            Err(PasswordError::TooCostly)
        }
    }

    /// Computes and compares, in constant time.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        Argon2::default().verify_password(password, &self.0).is_ok()
    }
}

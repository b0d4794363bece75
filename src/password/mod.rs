//! Passwords: the threads that hash and verify them, and the policy for new ones.
//!
//! The crate [`passlib`] implements the formats of hashes. [`hash_password`] and
//! [`verify_password`] block; the service uses a [`PasswordHasher`].

mod hasher;
mod policy;

use std::fmt;

pub use hasher::{Busy, HashError, HasherConfig, MAX_BATCH, PasswordHasher, Priority, run_batch};
pub use passlib::{Cost, HashClass, PasswordError, check_hash, hash_password, verify_password};
pub use policy::{PasswordPolicy, PolicyViolation};

/// A password hash as stored. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredHash(String);

impl StoredHash {
    /// The hash itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for StoredHash {
    fn from(hash: String) -> Self {
        Self(hash)
    }
}

impl fmt::Debug for StoredHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredHash(..)")
    }
}

//! Passwords: hashed and verified as passlib 1.7.4 does it, and the rules for new ones.
//!
//! passlib's `CryptContext(schemes=["bcrypt"])` is what the tutorial uses, so a hash made here
//! verifies there and the reverse, and what one refuses the other refuses for the same reason.
//! `tests/passlib_vectors.rs` holds this module to it.

mod cost;
mod encoded;
mod error;
mod hasher;
mod passlib;
mod policy;
mod python;

pub use cost::{Cost, InvalidCost};
pub use error::PasswordError;
pub use hasher::{Busy, PasswordHasher};
pub use passlib::{
    dummy_hash, dummy_verify, hash_password, needs_rehash, needs_update, verify_password,
    verify_password_below,
};
pub use policy::{PasswordPolicy, PolicyViolation};

//! Passwords: hashed and verified as passlib 1.7.4 does it, and the rules for new ones.
//!
//! passlib's `CryptContext(schemes=["bcrypt"])` is what the tutorial uses, so a hash made here
//! verifies there and the reverse, and what one refuses the other refuses for the same reason.
//! `tests/passlib_vectors.rs` holds this module to it.

mod computation;
mod cost;
mod encoded;
mod error;
mod filler;
mod foreign;
mod hasher;
mod passlib;
mod policy;
mod python;

pub use computation::{Computation, Digest};
pub use cost::{Cost, InvalidCost};
pub use error::PasswordError;
pub use foreign::{
    HashClass, OtherVerification, PreparedVerification, check_hash, is_to_be_replaced,
    prepare_any_verification, verify_any_password,
};
pub use hasher::{Busy, PasswordHasher, Priority};
pub use passlib::{
    NewHash, Verification, hash_password, needs_rehash, needs_update, prepare_dummy_verification,
    prepare_hash, prepare_verification, verify_password, verify_password_below,
};
pub use policy::{PasswordPolicy, PolicyViolation};

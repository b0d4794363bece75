//! Password hashes with the results of passlib 1.7.4, errors and their order included.
//!
//! [`hash_password`] and [`verify_password`] are `CryptContext(schemes=["bcrypt"])`: a hash made here
//! verifies there and the reverse, and what one refuses the other refuses for the same reason.
//!
//! ```
//! use passlib::{Cost, PasswordError, hash_password, verify_password};
//!
//! let hash = hash_password(b"correct horse", Cost::try_from(10)?)?;
//! assert!(hash.starts_with("$2b$10$"));
//! assert!(verify_password(b"correct horse", &hash)?);
//! assert_eq!(verify_password(b"correct\0horse", &hash), Err(PasswordError::PasswordNul));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`verify_any_password`] also verifies hashes in [other formats](HashClass::PREFIXES): passlib's
//! `bcrypt_sha256` and `pbkdf2_sha256`, Django's `pbkdf2_sha256`, `bcrypt`, `bcrypt_sha256` and
//! `argon2`, and argon2id in the PHC string format. They are never written:
//! [`needs_migration`] says whether to replace a hash that just verified by one of bcrypt.
//!
//! # Passwords are bytes
//!
//! A password is used as it is: not trimmed, folded or normalised. In Python it is a `str` or a
//! `bytes`, and passlib treats the two differently. Here the bytes decide: UTF-8 is a `str`, UTF-8
//! with surrogates is a `str` that cannot be encoded, and anything else is a `bytes`.
//!
//! # Long operations
//!
//! bcrypt takes a quarter of a second at cost 12. A server computes hashes on separate threads, perhaps
//! several of them at once. For that, [`prepare_hash`] and
//! [`prepare_verification`] check everything that is quick to check and return a [`BcryptJob`]. The
//! caller computes its [`Digest`], by [`BcryptJob::run`] or by other means, and passes it to
//! [`PendingHash::finish`] or [`PendingVerification::finish`].

#![forbid(unsafe_code)]

mod bcrypt_job;
mod context;
mod encoded;
mod error;
mod formats;
mod python_text;

pub use bcrypt_job::{BCRYPT_MAX_BYTES, BcryptJob, Cost, Digest, InvalidCost};
pub use context::{
    PendingHash, PendingVerification, hash_password, needs_rehash, needs_update,
    prepare_dummy_verification, prepare_hash, prepare_verification, verify_password,
    verify_password_limited,
};
pub use error::PasswordError;
pub use formats::{
    AnyVerification, HashClass, OtherVerification, check_hash, needs_migration,
    prepare_any_verification, verify_any_password,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;

//! Why a password or a hash is refused.

/// Why a question about a password has no answer. Holds neither the password nor the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// The hash is not one of bcrypt; passlib's `UnknownHashError`.
    #[error("the hash is not one of bcrypt")]
    UnknownHash,
    /// The hash begins like one of bcrypt and is broken or unsupported; passlib's `ValueError`.
    #[error("the bcrypt hash is malformed")]
    MalformedHash,
    /// The password is longer than 4096 characters or bytes; passlib's `PasswordSizeError`.
    #[error("the password is longer than 4096 characters or bytes")]
    PasswordSize,
    /// U+0000 is in the password, which bcrypt would take for its end; passlib's
    /// `PasswordValueError`.
    #[error("the password contains the NUL character")]
    PasswordNul,
    /// The password holds surrogates, which UTF-8 has no place for; Python's `UnicodeEncodeError`.
    #[error("the password cannot be encoded as UTF-8")]
    NotUtf8,
    /// The hash costs more than the caller is ready to spend. Not an error of passlib's.
    #[error("the hash costs more than is allowed")]
    TooCostly,
    /// The system's random generator failed, so there is no salt.
    #[error("the system's random generator failed")]
    NoRandomness,
}

impl PasswordError {
    /// A name for programs, as `tokenhouse verify` prints it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownHash => "unknown-hash",
            Self::MalformedHash => "malformed-hash",
            Self::PasswordSize => "password-size",
            Self::PasswordNul => "password-nul",
            Self::NotUtf8 => "not-utf8",
            Self::TooCostly => "too-costly",
            Self::NoRandomness => "no-randomness",
        }
    }
}

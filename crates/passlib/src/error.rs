//! Why a password or a hash is refused.

/// Why a password cannot be hashed or verified. Contains neither the password nor the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// The format of the hash is unknown; passlib's `UnknownHashError`.
    #[error("the format of the hash is unknown")]
    UnknownHash,
    /// The format is known and the hash is broken or unsupported; passlib's `ValueError`.
    #[error("the hash is malformed")]
    MalformedHash,
    /// The password is longer than 4096 characters or bytes; passlib's `PasswordSizeError`.
    #[error("the password is longer than 4096 characters or bytes")]
    PasswordSize,
    /// The password contains U+0000, which ends a password in bcrypt; passlib's
    /// `PasswordValueError`.
    #[error("the password contains the NUL character")]
    PasswordNul,
    /// The password contains surrogates, which UTF-8 cannot encode; Python's `UnicodeEncodeError`.
    #[error("the password cannot be encoded as UTF-8")]
    NotUtf8,
    /// The hash is more expensive than the caller allows. passlib has no such error.
    #[error("the hash is more expensive than allowed")]
    TooCostly,
    /// The system's random generator failed, so there is no salt.
    #[error("the system's random generator failed")]
    NoRandomness,
}

impl PasswordError {
    /// A name for programs.
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

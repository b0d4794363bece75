//! Hashes in the formats of other programs, which are verified and never written.

mod argon2id;
mod bcrypt_sha256;
mod class;
mod pbkdf2_sha256;

use std::fmt;

use argon2id::Argon2idHash;
pub use class::HashClass;
use pbkdf2_sha256::Pbkdf2Hash;

use crate::{BCRYPT_MAX_BYTES, Cost, PasswordError, PendingVerification, prepare_verification};

/// A comparison with a hash in any known format, whose cost is within the limits.
#[derive(Debug)]
pub enum AnyVerification {
    /// With bcrypt.
    Bcrypt(PendingVerification),
    /// With another algorithm.
    Other(OtherVerification),
}

/// A comparison with a hash of an algorithm other than bcrypt.
pub struct OtherVerification(Algorithm);

enum Algorithm {
    Pbkdf2(Pbkdf2Hash),
    Argon2id(Box<Argon2idHash>),
}

/// The program whose format a hash has, if it is not plain bcrypt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    PasslibBcryptSha256,
    PasslibPbkdf2,
    DjangoBcrypt,
    DjangoBcryptSha256,
    DjangoPbkdf2,
    DjangoArgon2,
    Argon2id,
}

impl Format {
    const PREFIXES: [(&'static str, Self); 7] = [
        ("$bcrypt-sha256$", Self::PasslibBcryptSha256),
        ("$pbkdf2-sha256$", Self::PasslibPbkdf2),
        ("bcrypt$", Self::DjangoBcrypt),
        ("bcrypt_sha256$", Self::DjangoBcryptSha256),
        ("pbkdf2_sha256$", Self::DjangoPbkdf2),
        ("argon2$", Self::DjangoArgon2),
        ("$argon2id$", Self::Argon2id),
    ];

    /// Splits off the prefix.
    fn split(hash: &str) -> Option<(Self, &str)> {
        Self::PREFIXES
            .iter()
            .find_map(|&(prefix, format)| Some((format, hash.strip_prefix(prefix)?)))
    }
}

/// [`verify_any_password`] without the computation.
///
/// # Errors
/// [`PasswordError::UnknownHash`], [`PasswordError::MalformedHash`], [`PasswordError::TooCostly`],
/// and for the formats that use bcrypt those of [`prepare_verification`].
pub fn prepare_any_verification(
    password: &[u8],
    hash: &str,
    max_cost: Cost,
) -> Result<AnyVerification, PasswordError> {
    let bcrypt = |pending| Ok(AnyVerification::Bcrypt(pending));
    let other = |algorithm| Ok(AnyVerification::Other(OtherVerification(algorithm)));
    let Some((format, rest)) = Format::split(hash) else {
        return bcrypt(prepare_verification(password, hash, max_cost)?);
    };
    match format {
        Format::PasslibBcryptSha256 => bcrypt(bcrypt_sha256::passlib(password, rest, max_cost)?),
        Format::DjangoBcryptSha256 => bcrypt(bcrypt_sha256::django(password, rest, max_cost)?),
        // Django stores the whole hash of the library `bcrypt` after its own prefix.
        Format::DjangoBcrypt => {
            bcrypt(prepare_verification(password, rest, max_cost).map_err(malformed)?)
        }
        Format::PasslibPbkdf2 => other(Algorithm::Pbkdf2(Pbkdf2Hash::passlib(rest)?)),
        Format::DjangoPbkdf2 => other(Algorithm::Pbkdf2(Pbkdf2Hash::django(rest)?)),
        Format::Argon2id => other(parse_argon2id(hash)?),
        // Django stores the whole hash without its first dollar sign.
        Format::DjangoArgon2 => other(parse_argon2id(&format!("${rest}"))?),
    }
}

impl OtherVerification {
    /// Computes the hash of the password and compares in constant time. Blocks for up to a few seconds.
    pub fn run(&self, password: &[u8]) -> bool {
        match &self.0 {
            Algorithm::Pbkdf2(hash) => hash.verify(password),
            Algorithm::Argon2id(hash) => hash.verify(password),
        }
    }
}

impl fmt::Debug for OtherVerification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OtherVerification(..)")
    }
}

/// Verifies a password against a hash in any known format. Hashes that are too expensive are refused:
/// bcrypt above `max_cost`, and the other algorithms above fixed limits.
///
/// # Errors
/// Those of [`prepare_any_verification`].
pub fn verify_any_password(
    password: &[u8],
    hash: &str,
    max_cost: Cost,
) -> Result<bool, PasswordError> {
    match prepare_any_verification(password, hash, max_cost)? {
        AnyVerification::Bcrypt(pending) => pending.finish(&pending.job().run()),
        AnyVerification::Other(verification) => Ok(verification.run(password)),
    }
}

/// Checks that a password can be verified against this hash: the format is known, the hash is well
/// formed, and its cost is within the limits. Computes nothing.
///
/// # Errors
/// Those of [`prepare_any_verification`].
pub fn check_hash(hash: &str, max_cost: Cost) -> Result<(), PasswordError> {
    prepare_any_verification(b"", hash, max_cost).map(drop)
}

/// Whether to replace a hash that just verified by one of bcrypt: if it is in another program's format.
/// Not if bcrypt would ignore a part of the password, because then other passwords with the same
/// beginning would match too.
pub fn needs_migration(hash: &str, password: &[u8]) -> bool {
    Format::split(hash).is_some() && password.len() <= BCRYPT_MAX_BYTES && !password.contains(&0)
}

fn parse_argon2id(hash: &str) -> Result<Algorithm, PasswordError> {
    Ok(Algorithm::Argon2id(Box::new(Argon2idHash::parse(hash)?)))
}

/// After the prefix of a known format, an unknown hash is a malformed one.
fn malformed(error: PasswordError) -> PasswordError {
    match error {
        PasswordError::UnknownHash => PasswordError::MalformedHash,
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DJANGO: &str = "pbkdf2_sha256$1$salt$Eg+2z/z4syxD5yJSVsT4N6hlSMksz1w4VUxMGzwZr0M=";

    fn check(hash: &str) -> Result<(), PasswordError> {
        check_hash(hash, Cost::MIN)
    }

    #[test]
    fn hashes_above_the_cost_limits_are_refused_without_hashing() {
        let expensive = [
            format!("bcrypt$$2b$31${}", ".".repeat(53)),
            format!("bcrypt_sha256$$2b$31${}", ".".repeat(53)),
            format!(
                "$bcrypt-sha256$v=2,t=2b,r=31${}${}",
                ".".repeat(22),
                ".".repeat(31)
            ),
            DJANGO.replace("$1$", "$4000000000$"),
            "$pbkdf2-sha256$4000000000$c2FsdA$Eg.2z/z4syxD5yJSVsT4N6hlSMksz1w4VUxMGzwZr0M"
                .to_owned(),
            "$argon2id$v=19$m=2097152,t=1,p=4$c29tZXNhbHQ$cmFuZG9tcmFuZG9t".to_owned(),
            "$argon2id$v=19$m=65536,t=4000000000,p=4$c29tZXNhbHQ$cmFuZG9tcmFuZG9t".to_owned(),
            "argon2$argon2id$v=19$m=65536,t=3,p=1000$c29tZXNhbHQ$cmFuZG9tcmFuZG9t".to_owned(),
        ];
        for hash in expensive {
            assert_eq!(check(&hash), Err(PasswordError::TooCostly), "{hash}");
        }
    }

    #[test]
    fn broken_hashes_are_malformed_and_unknown_formats_are_unknown() {
        assert_eq!(check(DJANGO), Ok(()));
        let malformed = [
            "pbkdf2_sha256$1$salt",
            "pbkdf2_sha256$0$salt$Eg+2z/z4syxD5yJSVsT4N6hlSMksz1w4VUxMGzwZr0M=",
            "pbkdf2_sha256$+1$salt$Eg+2z/z4syxD5yJSVsT4N6hlSMksz1w4VUxMGzwZr0M=",
            "pbkdf2_sha256$1$salt$Eg+2",
            "$pbkdf2-sha256$1$c2F+dA$Eg.2z/z4syxD5yJSVsT4N6hlSMksz1w4VUxMGzwZr0M",
            "bcrypt$sha1$x$y",
            "bcrypt_sha256$2b$04$",
            "$bcrypt-sha256$v=2,t=2a,r=4$......................$...............................",
            "$bcrypt-sha256$v=2,t=2b,r=04$......................$...............................",
            "$bcrypt-sha256$2y,4$......................$...............................",
            "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ",
            "argon2$argon2i$v=19$m=512,t=2,p=2$c29tZXNhbHQ$cmFuZG9tcmFuZG9t",
        ];
        for hash in malformed {
            assert_eq!(check(hash), Err(PasswordError::MalformedHash), "{hash}");
        }
        for unknown in [
            "",
            "!",
            "sha1$salt$digest",
            "$argon2i$v=19$m=8,t=1,p=1$c29t$cmFu",
            "plain",
        ] {
            assert_eq!(check(unknown), Err(PasswordError::UnknownHash), "{unknown}");
        }
    }

    #[test]
    fn only_passwords_that_bcrypt_reads_entirely_are_migrated() {
        assert!(needs_migration(DJANGO, &[b'a'; 72]));
        assert!(!needs_migration(DJANGO, &[b'a'; 73]));
        assert!(!needs_migration(DJANGO, b"a\0"));
        assert!(!needs_migration("$2b$04$", b"a"));
    }
}

//! Hashes that other programs have made: verified at a sign-in, never written.
//!
//! A database that was imported holds them until their owners come by, when they are replaced by a
//! bcrypt of ours. [`verify_password`](super::verify_password) does not know them: it is passlib's
//! `CryptContext(schemes=["bcrypt"])` and nothing else. `tests/foreign_hashes.rs` holds this module
//! to hashes that the Python libraries made.

mod argon2id;
mod bcrypt_sha256;
mod class;
mod pbkdf2_sha256;

use super::passlib::KEY_LENGTH;
use super::{Computation, Cost, PasswordError, Verification, prepare_verification};
use argon2id::Argon2idHash;
pub use class::HashClass;
use pbkdf2_sha256::Pbkdf2Hash;

/// A comparison that is ready to be made, its cost found bearable.
pub enum PreparedVerification {
    /// By bcrypt.
    Bcrypt(Computation, Verification),
    /// By another algorithm.
    Other(OtherVerification),
}

/// A comparison that takes no bcrypt.
pub struct OtherVerification(Other);

enum Other {
    Pbkdf2(Pbkdf2Hash),
    Argon2id(Box<Argon2idHash>),
}

/// What made a hash that is not one of ours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Maker {
    PasslibBcryptSha256,
    PasslibPbkdf2,
    DjangoBcrypt,
    DjangoBcryptSha256,
    DjangoPbkdf2,
    DjangoArgon2,
    Argon2id,
}

impl Maker {
    const PREFIXES: [(&'static str, Self); 7] = [
        ("$bcrypt-sha256$", Self::PasslibBcryptSha256),
        ("$pbkdf2-sha256$", Self::PasslibPbkdf2),
        ("bcrypt$", Self::DjangoBcrypt),
        ("bcrypt_sha256$", Self::DjangoBcryptSha256),
        ("pbkdf2_sha256$", Self::DjangoPbkdf2),
        ("argon2$", Self::DjangoArgon2),
        ("$argon2id$", Self::Argon2id),
    ];

    /// Splits the prefix from what follows.
    fn split(hash: &str) -> Option<(Self, &str)> {
        Self::PREFIXES
            .iter()
            .find_map(|&(prefix, maker)| Some((maker, hash.strip_prefix(prefix)?)))
    }
}

/// Prepares to verify a password against a hash of any kind that we know, those of
/// [`prepare_verification`] included. Hashes that cost too much are refused: bcrypt above
/// `max_cost`, and the others above ceilings of their own.
///
/// # Errors
/// [`PasswordError::UnknownHash`], [`PasswordError::MalformedHash`], [`PasswordError::TooCostly`],
/// and for the kinds that are bcrypt those of [`prepare_verification`].
pub fn prepare_any_verification(
    password: &[u8],
    hash: &str,
    max_cost: Cost,
) -> Result<PreparedVerification, PasswordError> {
    let Some((maker, rest)) = Maker::split(hash) else {
        let (computation, verification) = prepare_verification(password, hash, max_cost)?;
        return Ok(PreparedVerification::Bcrypt(computation, verification));
    };
    let bcrypt =
        |(computation, verification)| Ok(PreparedVerification::Bcrypt(computation, verification));
    let other = |other| Ok(PreparedVerification::Other(OtherVerification(other)));
    match maker {
        Maker::PasslibBcryptSha256 => bcrypt(bcrypt_sha256::passlib(password, rest, max_cost)?),
        Maker::DjangoBcryptSha256 => bcrypt(bcrypt_sha256::django(password, rest, max_cost)?),
        // Django keeps the whole hash of the library `bcrypt` after its own name for it.
        Maker::DjangoBcrypt => {
            bcrypt(prepare_verification(password, rest, max_cost).map_err(malformed)?)
        }
        Maker::PasslibPbkdf2 => other(Other::Pbkdf2(Pbkdf2Hash::passlib(rest)?)),
        Maker::DjangoPbkdf2 => other(Other::Pbkdf2(Pbkdf2Hash::django(rest)?)),
        Maker::Argon2id => other(read_argon2id(hash)?),
        // Django keeps the whole hash but for its first dollar sign.
        Maker::DjangoArgon2 => other(read_argon2id(&format!("${rest}"))?),
    }
}

impl OtherVerification {
    /// Computes and compares. Takes up to a few seconds: for a hash thread.
    pub fn run(&self, password: &[u8]) -> bool {
        match &self.0 {
            Other::Pbkdf2(hash) => hash.verify(password),
            Other::Argon2id(hash) => hash.verify(password),
        }
    }
}

/// [`verify_password`](super::verify_password) for hashes of any kind that we know, and within
/// bounds of cost. For sign-ins there is the same in steps: [`prepare_any_verification`].
///
/// # Errors
/// Those of [`prepare_any_verification`].
pub fn verify_any_password(
    password: &[u8],
    hash: &str,
    max_cost: Cost,
) -> Result<bool, PasswordError> {
    match prepare_any_verification(password, hash, max_cost)? {
        PreparedVerification::Bcrypt(computation, verification) => {
            verification.finish(&computation.run())
        }
        PreparedVerification::Other(verification) => Ok(verification.run(password)),
    }
}

/// Whether a sign-in with this hash would be decided by it: the kind is known, the hash whole, and
/// its cost within bounds.
///
/// # Errors
/// Why not, as of [`prepare_any_verification`].
pub fn check_hash(hash: &str, max_cost: Cost) -> Result<(), PasswordError> {
    prepare_any_verification(b"", hash, max_cost).map(drop)
}

/// Whether a password that was found to match should be hashed anew by bcrypt: the hash is another
/// program's. Not when bcrypt would read less of the password than that program does, for then
/// others that begin like it would match too.
pub fn is_to_be_replaced(hash: &str, password: &[u8]) -> bool {
    Maker::split(hash).is_some() && password.len() <= KEY_LENGTH && !password.contains(&0)
}

fn read_argon2id(hash: &str) -> Result<Other, PasswordError> {
    Ok(Other::Argon2id(Box::new(Argon2idHash::parse(hash)?)))
}

/// What comes after the prefix of a foreign hash is never a hash of unknown kind.
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
    fn hashes_above_the_ceilings_are_refused_without_hashing() {
        let day_long = [
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
        for hash in day_long {
            assert_eq!(check(&hash), Err(PasswordError::TooCostly), "{hash}");
        }
    }

    #[test]
    fn broken_hashes_are_malformed_and_others_unknown() {
        assert_eq!(check(DJANGO), Ok(()));
        let broken = [
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
        for hash in broken {
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
    fn only_what_bcrypt_reads_whole_is_replaced() {
        assert!(is_to_be_replaced(DJANGO, &[b'a'; 72]));
        assert!(!is_to_be_replaced(DJANGO, &[b'a'; 73]));
        assert!(!is_to_be_replaced(DJANGO, b"a\0"));
        assert!(!is_to_be_replaced("$2b$04$", b"a"));
    }
}

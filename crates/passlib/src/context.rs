//! Hashing and verifying bcrypt with the results of passlib's `CryptContext`.

use std::ops::RangeBounds;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::bcrypt_job::{BCRYPT_MAX_BYTES, BcryptJob, DIGEST_BYTES, Digest, SALT_BYTES};
use crate::encoded::{self, EncodedHash, Ident, is_clean_salt_end};
use crate::python_text::PythonType;
use crate::{Cost, PasswordError};

/// A new hash whose digest is not computed yet.
#[derive(Debug)]
pub struct PendingHash {
    job: BcryptJob,
}

/// A comparison with a hash whose digest is not computed yet.
#[derive(Debug)]
pub struct PendingVerification {
    job: BcryptJob,
    /// No password matches without one.
    expected: Option<[u8; DIGEST_BYTES]>,
    /// The result for a password that does not match.
    mismatch: Result<bool, PasswordError>,
}

/// Hashes a password with a new random salt, as passlib's `hash`: 60 characters that start with
/// `$2b$`. Blocks: the time doubles with each step of the cost.
///
/// The password is used as it is: not trimmed, folded or normalised. As in passlib, bytes after the
/// 72nd ([`BCRYPT_MAX_BYTES`]) have no effect; refuse such passwords before. Bytes that are not UTF-8
/// are hashed too, as passlib hashes `bytes`.
///
/// # Errors
/// [`PasswordError::PasswordSize`] for more than 4096 characters or bytes,
/// [`PasswordError::NotUtf8`] for surrogates, [`PasswordError::PasswordNul`], and
/// [`PasswordError::NoRandomness`].
pub fn hash_password(password: &[u8], cost: Cost) -> Result<String, PasswordError> {
    let pending = prepare_hash(password, cost)?;
    Ok(pending.finish(&pending.job.run()))
}

/// [`hash_password`] without the computation of bcrypt.
///
/// # Errors
/// Those of [`hash_password`].
pub fn prepare_hash(password: &[u8], cost: Cost) -> Result<PendingHash, PasswordError> {
    let python_type = PythonType::infer(password);
    python_type.check_length(password)?;
    python_type.check_encoded(password)?;
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|_error| PasswordError::NoRandomness)?;
    let job = BcryptJob::new(cost, password, salt);
    Ok(PendingHash { job })
}

impl PendingHash {
    /// The bcrypt to compute.
    pub fn job(&self) -> &BcryptJob {
        &self.job
    }

    /// The hash, given the digest of [`Self::job`].
    pub fn finish(&self, digest: &Digest) -> String {
        encoded::encode(self.job.cost(), &self.job.salt(), digest.bytes())
    }
}

/// Verifies a password against a hash, as passlib's `verify`. Blocks: at cost 31 it
/// takes more than a day, see [`verify_password_limited`].
///
/// `$2a$`, `$2b$` and `$2y$` are three names of one algorithm. `$2$` lacks the NUL byte after the
/// password, so that `ab` and `abab` have the same hash.
///
/// # Errors
/// In this order: [`PasswordError::UnknownHash`]; [`PasswordError::PasswordSize`] for more than
/// 4096 characters (bytes, if the password is not UTF-8); [`PasswordError::MalformedHash`];
/// [`PasswordError::NotUtf8`] for surrogates; [`PasswordError::PasswordSize`] for more than 4096
/// bytes; [`PasswordError::PasswordNul`].
pub fn verify_password(password: &[u8], hash: &str) -> Result<bool, PasswordError> {
    verify_password_limited(password, hash, Cost::MAX)
}

/// [`verify_password`] that refuses a hash of a higher cost than `max_cost` without computing it.
///
/// # Errors
/// Those of [`verify_password`], and [`PasswordError::TooCostly`] after
/// [`PasswordError::MalformedHash`].
pub fn verify_password_limited(
    password: &[u8],
    hash: &str,
    max_cost: Cost,
) -> Result<bool, PasswordError> {
    let pending = prepare_verification(password, hash, max_cost)?;
    pending.finish(&pending.job.run())
}

/// [`verify_password_limited`] without the computation of bcrypt.
///
/// # Errors
/// Those of [`verify_password_limited`], except for [`PasswordError::NotUtf8`], which depends on the
/// digest and comes from [`PendingVerification::finish`].
pub fn prepare_verification(
    password: &[u8],
    hash: &str,
    max_cost: Cost,
) -> Result<PendingVerification, PasswordError> {
    let (ident, rest) = Ident::split(hash)?;
    let python_type = PythonType::infer(password);
    python_type.check_length(password)?;
    let encoded = EncodedHash::parse(ident, rest)?;
    let expected = encoded.digest.ok_or(PasswordError::MalformedHash)?;
    if encoded.cost > max_cost {
        return Err(PasswordError::TooCostly);
    }
    let mismatch = match python_type.check_encoded(password) {
        Ok(()) => Ok(false),
        // A `str` with surrogates is never hashed, so a hash that matches was made from a `bytes`.
        Err(PasswordError::NotUtf8) => Err(PasswordError::NotUtf8),
        Err(error) => return Err(error),
    };
    let job = if ident == Ident::Two {
        // Without the NUL byte after it, the password repeats until the key is full.
        let repeated = password.iter().copied().cycle().take(BCRYPT_MAX_BYTES);
        let key = Zeroizing::new(repeated.collect::<Vec<u8>>());
        BcryptJob::new(encoded.cost, &key, encoded.salt)
    } else {
        BcryptJob::new(encoded.cost, password, encoded.salt)
    };
    Ok(PendingVerification {
        job,
        expected: Some(expected),
        mismatch,
    })
}

/// A verification that never matches, as passlib's `dummy_verify`. It takes the time of a real one with a
/// hash of this cost, so that response times do not reveal whether there is a hash. It needs no
/// password, because the run time of bcrypt does not depend on it.
pub fn prepare_dummy_verification(cost: Cost) -> PendingVerification {
    PendingVerification {
        job: BcryptJob::new(cost, b"", [0; SALT_BYTES]),
        expected: None,
        mismatch: Ok(false),
    }
}

impl PendingVerification {
    /// The bcrypt to compute.
    pub fn job(&self) -> &BcryptJob {
        &self.job
    }

    /// Whether the password matches, given the digest of [`Self::job`]. Compares in constant time.
    ///
    /// # Errors
    /// [`PasswordError::NotUtf8`] for surrogates, unless the bytes themselves match.
    pub fn finish(&self, digest: &Digest) -> Result<bool, PasswordError> {
        match self.expected {
            Some(expected) if expected.ct_eq(digest.bytes()).into() => Ok(true),
            _ => self.mismatch,
        }
    }
}

/// Whether a hash should be renewed at the next sign-in, as passlib's `needs_update` with
/// `min_rounds` and `max_rounds`: if its cost is outside `costs`, or if it is one of the `$2a$` hashes
/// that an old passlib wrote with unused bits of the salt set.
///
/// # Errors
/// [`PasswordError::UnknownHash`] and [`PasswordError::MalformedHash`]; the latter also for a
/// `$2a$` hash of less than 29 characters, where passlib fails with `IndexError`.
pub fn needs_update(hash: &str, costs: impl RangeBounds<Cost>) -> Result<bool, PasswordError> {
    let (ident, rest) = Ident::split(hash)?;
    if ident == Ident::TwoA {
        // passlib checks the salt's last character before it parses anything.
        let salt_end = hash.chars().nth(28).ok_or(PasswordError::MalformedHash)?;
        if !is_clean_salt_end(salt_end) {
            return Ok(true);
        }
    }
    Ok(!costs.contains(&EncodedHash::parse(ident, rest)?.cost))
}

/// [`needs_update`] with `cost` as the only accepted cost. `false` for a hash that cannot be parsed.
pub fn needs_rehash(hash: &str, cost: Cost) -> bool {
    needs_update(hash, cost..=cost) == Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(number: u32) -> Cost {
        number.try_into().unwrap()
    }

    /// A hash that no known password matches.
    fn some_hash(cost: u32) -> String {
        format!("$2b${cost:02}${}", ".".repeat(53))
    }

    #[test]
    fn new_hashes_have_passlibs_form_and_differ() {
        let [one, two] = [(); 2].map(|()| hash_password(b"pencil", Cost::MIN).unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), 60);
        assert!(one.starts_with("$2b$04$"));
        assert_eq!(verify_password(b"pencil", &one), Ok(true));
        assert_eq!(verify_password(b"pencil ", &one), Ok(false));
    }

    #[test]
    fn hash_above_max_cost_is_refused_unless_malformed() {
        let hash = hash_password(b"pencil", cost(5)).unwrap();
        assert_eq!(verify_password_limited(b"pencil", &hash, cost(5)), Ok(true));
        assert_eq!(
            verify_password_limited(b"pencil", &hash, cost(4)),
            Err(PasswordError::TooCostly)
        );
        let day_long = some_hash(31);
        assert_eq!(
            verify_password_limited(b"\0", &day_long, cost(15)),
            Err(PasswordError::TooCostly)
        );
        assert_eq!(
            verify_password_limited(b"", &day_long[..59], cost(15)),
            Err(PasswordError::MalformedHash)
        );
    }

    #[test]
    fn hashes_of_other_costs_or_with_stray_bits_need_a_rehash() {
        let hash = some_hash(12);
        assert!(needs_rehash(&hash, cost(13)));
        assert!(!needs_rehash(&hash, cost(12)));
        assert!(needs_rehash(&hash, cost(4)));
        let stray_bits = format!("$2a$12${}/{}", ".".repeat(21), ".".repeat(31));
        assert!(needs_rehash(&stray_bits, cost(12)));
        assert!(!needs_rehash(
            "$argon2id$v=19$m=65536,t=3,p=4$c29tZQ$cmFuZG9t",
            cost(12)
        ));
    }

    #[test]
    fn dummy_verification_never_matches() {
        let pending = prepare_dummy_verification(Cost::MIN);
        assert_eq!(pending.job().cost(), Cost::MIN);
        assert_eq!(pending.finish(&pending.job().run()), Ok(false));
    }

    /// RUSTSEC-2026-0199: a hash with non-ASCII characters caused a panic.
    #[test]
    fn mutated_hash_neither_matches_nor_panics() {
        let good = hash_password(b"pencil", Cost::MIN).unwrap();
        let strange = ['\u{e9}', '\u{1f600}', '\0', '$', '.', '9', 'z', ' '];
        let any = |below: usize| rand::random_range(0..below);
        for _ in 0..20_000 {
            let mut hash: Vec<char> = good.chars().collect();
            for _ in 0..=any(3) {
                let at = any(hash.len());
                match any(3) {
                    0 => hash[at] = strange[any(strange.len())],
                    1 => hash.insert(at, strange[any(strange.len())]),
                    _ => hash.truncate(at.max(1)),
                }
            }
            let hash: String = hash.into_iter().collect();
            let verified = verify_password_limited(b"pencil ", &hash, Cost::MIN);
            assert_ne!(verified, Ok(true), "{hash:?}");
        }
    }

    #[test]
    fn surrogates_are_refused_unless_the_bytes_match() {
        let of_bytes = bcrypt::hash(b"\xed\xa0\x80", 4).unwrap();
        assert_eq!(verify_password(b"\xed\xa0\x80", &of_bytes), Ok(true));
        assert_eq!(
            verify_password(b"\xed\xa0\x81", &of_bytes),
            Err(PasswordError::NotUtf8)
        );
        assert_eq!(
            hash_password(b"\xed\xa0\x80", Cost::MIN),
            Err(PasswordError::NotUtf8)
        );
    }
}

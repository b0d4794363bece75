//! Hashing and verifying with the outcomes of passlib 1.7.4, errors and their order included.

use std::ops::RangeBounds;

use rand::TryRng;
use rand::rngs::SysRng;
use secrecy::{ExposeSecret, SecretSlice};
use subtle::ConstantTimeEq;

use super::computation::{Computation, DIGEST_BYTES, Digest, SALT_BYTES};
use super::encoded::{self, EncodedHash, Ident, is_clean_salt_end};
use super::python::PythonType;
use super::{Cost, PasswordError};

/// What bcrypt reads of a password, in bytes.
pub(super) const KEY_LENGTH: usize = 72;

/// A hash but for its digest.
pub struct NewHash {
    cost: Cost,
    salt: [u8; SALT_BYTES],
}

/// A comparison but for the digest.
pub struct Verification {
    /// Nothing matches without one.
    expected: Option<[u8; DIGEST_BYTES]>,
    /// What is answered to a password that does not match.
    refusal: Result<bool, PasswordError>,
}

/// Hashes a password with a fresh salt, as passlib's `hash`: 60 characters, `$2b$` first.
///
/// The password is used as it is: nothing trimmed, folded or normalised. As in passlib, bytes past
/// the 72nd change nothing; [`PasswordPolicy`](super::PasswordPolicy) refuses such passwords
/// before they come here. Bytes that are not UTF-8 are hashed too, as passlib hashes `bytes`.
///
/// # Errors
/// [`PasswordError::PasswordSize`] for more than 4096 characters or bytes,
/// [`PasswordError::NotUtf8`] for surrogates, [`PasswordError::PasswordNul`], and
/// [`PasswordError::NoRandomness`].
pub fn hash_password(password: &[u8], cost: Cost) -> Result<String, PasswordError> {
    let (computation, hash) = prepare_hash(password, cost)?;
    Ok(hash.finish(&computation.run()))
}

/// [`hash_password`] without its long part, which is to be run elsewhere.
///
/// # Errors
/// Those of [`hash_password`].
pub fn prepare_hash(password: &[u8], cost: Cost) -> Result<(Computation, NewHash), PasswordError> {
    let python_type = PythonType::of(password);
    python_type.check_length(password)?;
    python_type.check_encoded(password)?;
    let mut salt = [0; SALT_BYTES];
    SysRng
        .try_fill_bytes(&mut salt)
        .map_err(|_error| PasswordError::NoRandomness)?;
    let computation = Computation::new(cost, password, salt);
    Ok((computation, NewHash { cost, salt }))
}

impl NewHash {
    /// The hash, with the digest of the computation that it was prepared with.
    pub fn finish(&self, digest: &Digest) -> String {
        encoded::encode(self.cost, &self.salt, digest.bytes())
    }
}

/// Verifies a password against a hash, as passlib's `verify`. Takes as long as the hash is costly,
/// which at cost 31 is more than a day: see [`verify_password_below`].
///
/// `$2a$`, `$2b$` and `$2y$` are one algorithm under three names; `$2$` lacks the byte that ends
/// the password, so that there `ab` and `abab` are the same.
///
/// # Errors
/// In this order: [`PasswordError::UnknownHash`]; [`PasswordError::PasswordSize`] for more than
/// 4096 characters (bytes, if it is not UTF-8); [`PasswordError::MalformedHash`];
/// [`PasswordError::NotUtf8`] for surrogates; [`PasswordError::PasswordSize`] for more than 4096
/// bytes; [`PasswordError::PasswordNul`].
pub fn verify_password(password: &[u8], hash: &str) -> Result<bool, PasswordError> {
    verify_password_below(password, hash, Cost::MAX)
}

/// [`verify_password`] that does not begin on a hash costlier than `max_cost`.
///
/// # Errors
/// Those of [`verify_password`], and [`PasswordError::TooCostly`] after
/// [`PasswordError::MalformedHash`].
pub fn verify_password_below(
    password: &[u8],
    hash: &str,
    max_cost: Cost,
) -> Result<bool, PasswordError> {
    let (computation, verification) = prepare_verification(password, hash, max_cost)?;
    verification.finish(&computation.run())
}

/// [`verify_password_below`] without its long part, which is to be run elsewhere.
///
/// # Errors
/// Those of [`verify_password_below`], but for [`PasswordError::NotUtf8`], which may depend on
/// the digest.
pub fn prepare_verification(
    password: &[u8],
    hash: &str,
    max_cost: Cost,
) -> Result<(Computation, Verification), PasswordError> {
    let (ident, rest) = Ident::split(hash)?;
    let python_type = PythonType::of(password);
    python_type.check_length(password)?;
    let encoded = EncodedHash::parse(ident, rest)?;
    let expected = encoded.digest.ok_or(PasswordError::MalformedHash)?;
    if encoded.cost > max_cost {
        return Err(PasswordError::TooCostly);
    }
    let refusal = match python_type.check_encoded(password) {
        Ok(()) => Ok(false),
        // No hash is made of a `str` with surrogates. One that matches was made of a `bytes`.
        Err(PasswordError::NotUtf8) => Err(PasswordError::NotUtf8),
        Err(error) => return Err(error),
    };
    let computation = if ident == Ident::Two {
        // Without the byte that ends it, the password runs on until the key is full.
        let repeated = password.iter().copied().cycle().take(KEY_LENGTH);
        let key = SecretSlice::from(repeated.collect::<Vec<u8>>());
        Computation::new(encoded.cost, key.expose_secret(), encoded.salt)
    } else {
        Computation::new(encoded.cost, password, encoded.salt)
    };
    let verification = Verification {
        expected: Some(expected),
        refusal,
    };
    Ok((computation, verification))
}

/// The work of one verification, as passlib's `dummy_verify`, for where there is no hash: it takes
/// as long as one against a hash of this cost, and refuses whatever its digest is. bcrypt takes as
/// long for any password, so it takes none.
pub fn prepare_dummy_verification(cost: Cost) -> (Computation, Verification) {
    let computation = Computation::new(cost, b"", [0; SALT_BYTES]);
    let verification = Verification {
        expected: None,
        refusal: Ok(false),
    };
    (computation, verification)
}

impl Verification {
    /// Compares, in constant time, with the digest of the computation that it was prepared with.
    ///
    /// # Errors
    /// [`PasswordError::NotUtf8`] for surrogates, unless the bytes themselves match.
    pub fn finish(&self, digest: &Digest) -> Result<bool, PasswordError> {
        match self.expected {
            Some(expected) if bool::from(expected.ct_eq(digest.bytes())) => Ok(true),
            _ => self.refusal,
        }
    }
}

/// Whether a hash should be made anew at the next sign-in, as passlib's `needs_update` with
/// `min_rounds` and `max_rounds`: when its cost is not among `costs`, or when it is one of those
/// `$2a$` hashes that an old passlib made with stray bits in the salt.
///
/// # Errors
/// [`PasswordError::UnknownHash`] and [`PasswordError::MalformedHash`]; the latter also for a
/// `$2a$` hash of less than 29 characters, where passlib fails with `IndexError`.
pub fn needs_update(hash: &str, costs: impl RangeBounds<Cost>) -> Result<bool, PasswordError> {
    let (ident, rest) = Ident::split(hash)?;
    if ident == Ident::TwoA {
        // passlib looks at the salt's last character before it parses anything.
        let salt_end = hash.chars().nth(28).ok_or(PasswordError::MalformedHash)?;
        if !is_clean_salt_end(salt_end) {
            return Ok(true);
        }
    }
    Ok(!costs.contains(&EncodedHash::parse(ident, rest)?.cost))
}

/// Whether the hash is cheaper or dearer than `cost`, or otherwise in need of [`needs_update`]. Not for
/// one that cannot be read.
pub fn needs_rehash(hash: &str, cost: Cost) -> bool {
    needs_update(hash, cost..=cost) == Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(number: u32) -> Cost {
        number.try_into().unwrap()
    }

    /// A hash that no password is known to have.
    fn some_hash(cost: u32) -> String {
        format!("$2b${cost:02}${}", ".".repeat(53))
    }

    #[test]
    fn a_hash_looks_like_passlibs_and_no_two_are_alike() {
        let [one, two] = [(); 2].map(|()| hash_password(b"pencil", Cost::MIN).unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), 60);
        assert!(one.starts_with("$2b$04$"));
        assert_eq!(verify_password(b"pencil", &one), Ok(true));
        assert_eq!(verify_password(b"pencil ", &one), Ok(false));
    }

    #[test]
    fn a_hash_above_the_ceiling_is_refused_unless_it_is_malformed() {
        let hash = hash_password(b"pencil", cost(5)).unwrap();
        assert_eq!(verify_password_below(b"pencil", &hash, cost(5)), Ok(true));
        assert_eq!(
            verify_password_below(b"pencil", &hash, cost(4)),
            Err(PasswordError::TooCostly)
        );
        let day_long = some_hash(31);
        assert_eq!(
            verify_password_below(b"\0", &day_long, cost(15)),
            Err(PasswordError::TooCostly)
        );
        assert_eq!(
            verify_password_below(b"", &day_long[..59], cost(15)),
            Err(PasswordError::MalformedHash)
        );
    }

    #[test]
    fn hashes_of_other_costs_and_passlibs_own_slip_are_renewed() {
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
    fn a_dummy_verification_never_passes() {
        let (computation, verification) = prepare_dummy_verification(Cost::MIN);
        assert_eq!(computation.cost(), Cost::MIN);
        assert_eq!(verification.finish(&computation.run()), Ok(false));
    }

    /// RUSTSEC-2026-0199: a hash with characters outside of ASCII ended the process.
    #[test]
    fn whatever_is_stored_as_a_hash_it_neither_matches_nor_panics() {
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
            let verified = verify_password_below(b"pencil ", &hash, Cost::MIN);
            assert_ne!(verified, Ok(true), "{hash:?}");
        }
    }

    #[test]
    fn surrogates_are_refused_except_where_the_bytes_themselves_match() {
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

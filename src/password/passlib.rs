//! Hashing and verifying with the outcomes of passlib 1.7.4, errors and their order included.

use std::ops::RangeBounds;

use secrecy::{ExposeSecret, SecretSlice};

use super::encoded::{EncodedHash, Ident, is_clean_salt_end};
use super::python::PythonType;
use super::{Cost, PasswordError};

/// What bcrypt reads of a password, in bytes.
const KEY_LENGTH: usize = 72;

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
    let python_type = PythonType::of(password);
    python_type.check_length(password)?;
    python_type.check_encoded(password)?;
    // The cost is one that bcrypt takes, so only the salt can fail.
    bcrypt::hash(password, cost.into()).map_err(|_error| PasswordError::NoRandomness)
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
    let (ident, rest) = Ident::split(hash)?;
    let python_type = PythonType::of(password);
    python_type.check_length(password)?;
    let encoded = EncodedHash::parse(ident, rest)?;
    let canonical = encoded.canonical().ok_or(PasswordError::MalformedHash)?;
    if encoded.cost > max_cost {
        return Err(PasswordError::TooCostly);
    }
    match python_type.check_encoded(password) {
        // No hash is made of a `str` with surrogates. One that matches was made of a `bytes`.
        Err(PasswordError::NotUtf8) if matches(ident, password, &canonical)? => Ok(true),
        Err(error) => Err(error),
        Ok(()) => matches(ident, password, &canonical),
    }
}

/// Compares, in constant time, the digest of the password with that of a canonical hash.
fn matches(ident: Ident, password: &[u8], canonical: &str) -> Result<bool, PasswordError> {
    let outcome = if ident == Ident::Two {
        // Without the byte that ends it, the password runs on until the key is full.
        let repeated = password.iter().copied().cycle().take(KEY_LENGTH);
        let key = SecretSlice::from(repeated.collect::<Vec<u8>>());
        bcrypt::verify(key.expose_secret(), canonical)
    } else {
        bcrypt::verify(password, canonical)
    };
    outcome.map_err(|_error| PasswordError::MalformedHash)
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

/// Whether the hash is cheaper than `cost`, or otherwise in need of [`needs_update`]. Not for one
/// that is costlier, nor for one that cannot be read.
pub fn needs_rehash(hash: &str, cost: Cost) -> bool {
    needs_update(hash, cost..) == Ok(true)
}

/// A hash to verify against where there is none, so that the answer takes as long.
///
/// It is well-formed, so bcrypt does all of its work, and no password is known to have it: salt
/// and digest are zeros, and to find a password with a given digest of 184 bits takes some 2^184
/// tries. Nothing in it is secret, so it needs no randomness.
pub fn dummy_hash(cost: Cost) -> String {
    format!("$2b${:02}${}", u32::from(cost), ".".repeat(53))
}

/// Does the work of one verification against a [`dummy_hash`] and answers false, as passlib's
/// `dummy_verify`. bcrypt takes as long for any password, so it takes none.
pub fn dummy_verify(dummy_hash: &str) -> bool {
    // Work whose result nobody looks at could be optimised away.
    std::hint::black_box(verify_password(b"", dummy_hash).is_ok());
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(number: u32) -> Cost {
        number.try_into().unwrap()
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
        let day_long = dummy_hash(Cost::MAX);
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
    fn only_cheaper_hashes_and_passlibs_own_slip_are_renewed() {
        let hash = dummy_hash(cost(12));
        assert!(needs_rehash(&hash, cost(13)));
        assert!(!needs_rehash(&hash, cost(12)));
        assert!(!needs_rehash(&hash, cost(4)));
        let stray_bits = format!("$2a$12${}/{}", ".".repeat(21), ".".repeat(31));
        assert!(needs_rehash(&stray_bits, cost(12)));
        assert!(!needs_rehash(
            "$argon2id$v=19$m=65536,t=3,p=4$c29tZQ$cmFuZG9t",
            cost(12)
        ));
    }

    #[test]
    fn a_dummy_hash_is_worked_on_in_full_and_never_matches() {
        let dummy = dummy_hash(Cost::MIN);
        assert_eq!(verify_password(b"", &dummy), Ok(false));
        assert_eq!(verify_password("\u{1f600}".as_bytes(), &dummy), Ok(false));
        assert!(!dummy_verify(&dummy));
        assert_eq!(
            needs_update(&dummy_hash(cost(13)), cost(13)..=cost(13)),
            Ok(false)
        );
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

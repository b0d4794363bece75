//! bcrypt for several passwords at once on one core.
//!
//! A bcrypt hash is a long chain of table lookups, each of which depends on the previous one, so a
//! core spends most of the time waiting. [`hash`] and [`hash_many`] compute up to [`MAX_LANES`]
//! independent hashes of equal cost, interleaved step by step, so that they fill each other's gaps. The
//! results are those of bcrypt and do not depend on the other hashes.
//!
//! ```
//! use bcrypt_lanes::{Input, hash};
//!
//! let inputs = [
//!     Input { password: b"correct horse", salt: [1; 16] },
//!     Input { password: b"battery staple", salt: [2; 16] },
//! ];
//! let together = hash(10, inputs)?;
//!
//! let [alone] = hash(10, [inputs[1]])?;
//! assert_eq!(together[1], alone);
//! # Ok::<(), bcrypt_lanes::Error>(())
//! ```
//!
//! # What exactly is computed
//!
//! The key is the first 72 bytes of the password and a NUL byte after it. So a password of 72 bytes or
//! more is truncated and has no NUL, and the key of the empty password is one NUL. With that key, each [`Digest`] is what `bcrypt::bcrypt(cost, salt, key)` of
//! crate [`bcrypt`](https://docs.rs/bcrypt) 0.19 returns, and its first 23 bytes are what
//! `bcrypt::hash_with_salt(password, cost, salt)` encodes.
//!
//! A NUL inside the password has no special meaning, as in that crate. Implementations in C stop at
//! it. bcrypt also repeats the key until it has 72 bytes, so that `a` and `a\0a` have the same key.
//! Callers should refuse passwords with a NUL.
//!
//! # What it does not do
//!
//! It generates no salts, parses and writes no `$2b$` strings and compares no digests. As in every
//! bcrypt, the addresses of table lookups depend on the password, which other programs on the same
//! core may observe through its cache.
//!
//! # Memory
//!
//! The state takes 4168 bytes of stack per lane. State and keys are overwritten with zeros afterwards;
//! the digests belong to the caller.

#![no_std]
#![forbid(unsafe_code)]

mod lanes;
mod pi;
mod schedule;

use core::fmt;

use lanes::Lanes;

/// The maximum number of hashes that are computed side by side. More would need more registers than a
/// core has.
pub const MAX_LANES: usize = 4;

/// The lowest cost of bcrypt.
pub const MIN_COST: u32 = 4;

/// The highest cost of bcrypt.
pub const MAX_COST: u32 = 31;

/// The result of bcrypt for a password and a salt. Encoded hashes omit the last byte.
pub type Digest = [u8; 24];

/// A password and the salt to hash it with.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The password as the user entered it: of any length, without a NUL at the end.
    pub password: &'a [u8],
    /// The decoded salt.
    pub salt: [u8; 16],
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Input").finish_non_exhaustive()
    }
}

/// Why nothing was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The cost is not a bcrypt cost.
    CostNotAllowed(u32),
    /// The slices of digests and of inputs have different lengths.
    LengthsDiffer {
        /// The number of inputs.
        inputs: usize,
        /// The number of digests.
        digests: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CostNotAllowed(cost) => {
                write!(
                    formatter,
                    "expected a cost of {MIN_COST} to {MAX_COST}, not {cost}"
                )
            }
            Self::LengthsDiffer { inputs, digests } => {
                write!(formatter, "{inputs} inputs, but {digests} digests")
            }
        }
    }
}

impl core::error::Error for Error {}

/// Hashes `N` passwords and returns their digests in the same order.
///
/// `cost` is the binary logarithm of the number of rounds. Up to [`MAX_LANES`] hashes are computed side
/// by side, and more of them as in [`hash_many`]. All digests are ready at the same time.
///
/// # Errors
/// [`Error::CostNotAllowed`] for a cost outside of [`MIN_COST`] to [`MAX_COST`].
pub fn hash<const N: usize>(cost: u32, inputs: [Input<'_>; N]) -> Result<[Digest; N], Error> {
    let mut digests = [[0; 24]; N];
    hash_many(cost, &inputs, &mut digests)?;
    Ok(digests)
}

/// Hashes any number of passwords and writes the digest of each to the same position in `digests`.
///
/// The passwords are hashed in the smallest number of groups that [`MAX_LANES`] allows, of nearly equal
/// size: five passwords are three and two, which is faster than four and one.
///
/// # Errors
/// [`Error::CostNotAllowed`] for a cost outside of [`MIN_COST`] to [`MAX_COST`], and
/// [`Error::LengthsDiffer`] if the numbers of digests and inputs differ. Then nothing is written.
pub fn hash_many(cost: u32, inputs: &[Input<'_>], digests: &mut [Digest]) -> Result<(), Error> {
    if !(MIN_COST..=MAX_COST).contains(&cost) {
        return Err(Error::CostNotAllowed(cost));
    }
    if inputs.len() != digests.len() {
        return Err(Error::LengthsDiffer {
            inputs: inputs.len(),
            digests: digests.len(),
        });
    }
    let (mut inputs, mut digests) = (inputs, digests);
    while !inputs.is_empty() {
        let size = next_group(inputs.len());
        let (group, later_inputs) = inputs.split_at(size);
        let (group_digests, later_digests) = digests.split_at_mut(size);
        hash_group(cost, group, group_digests);
        (inputs, digests) = (later_inputs, later_digests);
    }
    Ok(())
}

/// Computes `count` rounds of one hash and discards the result. A hash of cost `n` has 2^`n` rounds, and
/// other work that takes less than one round: a hash of cost 10 and then 2^12 - 2^10 rounds take the
/// time of a hash of cost 12, to within a microsecond or so.
pub fn spend_rounds(count: u32) {
    lanes::spend_rounds(count);
}

/// The size of the next group of the `remaining` passwords. `remaining` is not 0.
fn next_group(remaining: usize) -> usize {
    let groups = remaining.div_ceil(MAX_LANES);
    remaining.div_ceil(groups)
}

/// Hashes a group of at most [`MAX_LANES`].
fn hash_group(cost: u32, inputs: &[Input<'_>], digests: &mut [Digest]) {
    match *inputs {
        [] => {}
        [a] => digests.copy_from_slice(&Lanes::bcrypt(cost, [a])),
        [a, b] => digests.copy_from_slice(&Lanes::bcrypt(cost, [a, b])),
        [a, b, c] => digests.copy_from_slice(&Lanes::bcrypt(cost, [a, b, c])),
        [a, b, c, d, ..] => digests.copy_from_slice(&Lanes::bcrypt(cost, [a, b, c, d])),
    }
}

#[cfg(test)]
mod tests {
    use super::next_group;

    #[test]
    fn groups_have_nearly_equal_sizes() {
        let groups: [&[usize]; 12] = [
            &[1],
            &[2],
            &[3],
            &[4],
            &[3, 2],
            &[3, 3],
            &[4, 3],
            &[4, 4],
            &[3, 3, 3],
            &[4, 3, 3],
            &[4, 4, 3],
            &[4, 4, 4],
        ];
        for (count, sizes) in (1..).zip(groups) {
            let mut remaining = count;
            for &size in sizes {
                assert_eq!(next_group(remaining), size, "{remaining} of {count}");
                remaining -= size;
            }
            assert_eq!(remaining, 0);
        }
    }
}

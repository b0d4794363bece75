//! bcrypt for several passwords at once, on one core.
//!
//! A bcrypt hash is one long chain of table look-ups, each of which has to wait for the one before
//! it, and most of what a core could do in the meantime is left undone. [`hash`] and [`hash_many`]
//! compute up to [`MAX_LANES`] independent hashes of equal cost side by side, a step of each in
//! turn, so that they fill each other's gaps. The results are those of bcrypt, whatever the
//! neighbours are.
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
//! The key is the password, a NUL byte after it, and of both together the first 72 bytes. So a
//! password of 72 bytes or more is cut there and has no NUL after it, and the empty password is
//! the key of one NUL. With that key, each [`Digest`] is what `bcrypt::bcrypt(cost, salt, key)` of
//! crate [`bcrypt`](https://docs.rs/bcrypt) 0.19 returns, and its first 23 bytes are what
//! `bcrypt::hash_with_salt(password, cost, salt)` encodes.
//!
//! A NUL inside the password is a byte like any other here, as it is in that crate. Implementations
//! in C stop at it. Besides, bcrypt repeats the key until it has 72 bytes, so that `a` and `a\0a`
//! are one key. Whoever takes passwords from outside refuses those with a NUL.
//!
//! # What it does not do
//!
//! It makes no salts, reads and writes no `$2b$` strings and compares no digests. Like every
//! bcrypt, it looks up tables at places that depend on the password, which other programs on the
//! same core may observe through its cache.
//!
//! # Memory
//!
//! The state is 4168 bytes a lane and lives on the stack. It is overwritten with zeros afterwards,
//! and so are the keys; the digests are the caller's.

#![no_std]
#![forbid(unsafe_code)]

mod error;
mod key;
mod lanes;
mod pi;
mod schedule;

use core::fmt;

pub use error::Error;

use lanes::Lanes;

/// How many hashes are computed side by side at most. More of them need more registers than a
/// core has.
pub const MAX_LANES: usize = 4;

/// The lowest cost that bcrypt knows.
pub const MIN_COST: u32 = 4;

/// The highest cost that bcrypt knows.
pub const MAX_COST: u32 = 31;

/// What bcrypt makes of a password and a salt. Encoded hashes leave out the last byte.
pub type Digest = [u8; 24];

/// A password and the salt to hash it with.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The password as the user gave it: without a NUL at its end, and of any length.
    pub password: &'a [u8],
    /// The decoded salt.
    pub salt: [u8; 16],
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Input").finish_non_exhaustive()
    }
}

/// Hashes `N` passwords and returns their digests in the same order.
///
/// `cost` is the binary logarithm of the number of rounds, for all of them. Up to [`MAX_LANES`]
/// are computed side by side, and more as [`hash_many`] does it. All digests are there at the same
/// time, when the last one is.
///
/// # Errors
/// [`Error::CostNotAllowed`] for a cost outside of [`MIN_COST`] to [`MAX_COST`].
pub fn hash<const N: usize>(cost: u32, inputs: [Input<'_>; N]) -> Result<[Digest; N], Error> {
    let mut digests = [[0; 24]; N];
    hash_many(cost, &inputs, &mut digests)?;
    Ok(digests)
}

/// Hashes any number of passwords and writes the digest of each to the same place in `digests`.
///
/// They are computed one group after the other. The groups are as few as [`MAX_LANES`] allows and
/// as equal as can be: five passwords are three and two, which is quicker than four and one.
///
/// # Errors
/// [`Error::CostNotAllowed`] for a cost outside of [`MIN_COST`] to [`MAX_COST`], and
/// [`Error::LengthsDiffer`] if there are not as many digests as inputs. Nothing is written then.
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

/// Takes as long as `count` rounds of one hash, and makes nothing of it. A hash of cost `n` has 2^`n`
/// rounds, and besides them work that is less than one: who computes a hash of cost 10 and then
/// spends 2^12 - 2^10 rounds takes as long as for one of cost 12, to less than a microsecond or so.
pub fn spend_rounds(count: u32) {
    lanes::spend_rounds(count);
}

/// How many of the `remaining` passwords to hash next; `remaining` is not 0.
fn next_group(remaining: usize) -> usize {
    let groups = remaining.div_ceil(MAX_LANES);
    remaining.div_ceil(groups)
}

/// Hashes one group, of at most [`MAX_LANES`].
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
    fn groups_are_as_equal_as_can_be() {
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

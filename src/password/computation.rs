//! bcrypt itself, apart from the text forms of its input and output.

use bcrypt_lanes::{Input, MAX_LANES, hash_many};
use secrecy::{ExposeSecret, SecretSlice};

use super::Cost;

/// Bytes of salt.
pub(super) const SALT_BYTES: usize = 16;

/// Bytes of a digest that stand in a hash; bcrypt's 24th is left out.
pub(super) const DIGEST_BYTES: usize = 23;

/// One bcrypt to be computed: the part of hashing and verifying that takes long.
pub struct Computation {
    cost: Cost,
    password: SecretSlice<u8>,
    salt: [u8; SALT_BYTES],
}

/// What a [`Computation`] comes to.
#[derive(Clone, Copy)]
pub struct Digest([u8; DIGEST_BYTES]);

impl Computation {
    /// How many are computed side by side in little more time than one.
    pub const TOGETHER: usize = MAX_LANES;

    pub(super) fn new(cost: Cost, password: &[u8], salt: [u8; SALT_BYTES]) -> Self {
        Self {
            cost,
            password: SecretSlice::from(password.to_vec()),
            salt,
        }
    }

    /// The cost; only those of equal cost can be computed together.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    #[cfg(test)]
    pub(super) fn password(&self) -> &[u8] {
        self.password.expose_secret()
    }

    /// Computes one.
    pub fn run(&self) -> Digest {
        let [digest] = Self::run_together([self]);
        digest
    }

    /// Computes several of equal cost side by side, and returns the digests in their order.
    pub fn run_together<const N: usize>(those: [&Self; N]) -> [Digest; N] {
        let mut digests = [[0; DIGEST_BYTES + 1]; N];
        let inputs = those.map(|one| Input {
            password: one.password.expose_secret(),
            salt: one.salt,
        });
        if let Some(first) = those.first() {
            // A cost that bcrypt takes, and as many digests as inputs: nothing to refuse.
            let computed = hash_many(first.cost.into(), &inputs, &mut digests);
            debug_assert_eq!(computed, Ok(()));
        }
        digests.map(|digest| {
            let mut kept = [0; DIGEST_BYTES];
            kept.copy_from_slice(&digest[..DIGEST_BYTES]);
            Digest(kept)
        })
    }
}

impl Digest {
    pub(super) fn bytes(&self) -> &[u8; DIGEST_BYTES] {
        &self.0
    }
}

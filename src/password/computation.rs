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

    /// Computes one.
    pub fn run(&self) -> Digest {
        let [digest] = Self::run_together([self]);
        digest
    }

    /// Works as much longer as one of `cost` would have taken, if that is dearer. Each cost doubles
    /// the work, so what is missing is one of every cost from its own up to the one below `cost`.
    pub fn make_up_for(&self, cost: Cost) {
        let missing = (self.cost.into()..cost.into()).filter_map(|n: u32| Cost::try_from(n).ok());
        for cost in missing {
            // The digest is of no use, and the compiler is not to find that out.
            std::hint::black_box(Self::new(cost, b"", self.salt).run());
        }
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// The shortest of three times: the machine has other things to do.
    fn time(work: impl Fn()) -> Duration {
        let times = (0..3).map(|_| {
            let begun = Instant::now();
            work();
            begun.elapsed()
        });
        times.min().unwrap()
    }

    #[test]
    fn what_a_cheap_one_lacks_is_made_up_for() {
        let [cheap, dear] =
            [4, 10].map(|cost| Computation::new(cost.try_into().unwrap(), b"", [0; SALT_BYTES]));
        let wanted = time(|| _ = dear.run());
        let made_up = time(|| cheap.make_up_for(dear.cost()));
        let ratio = made_up.as_secs_f64() / wanted.as_secs_f64();
        assert!((0.7..1.4).contains(&ratio), "{ratio}");
        assert!(time(|| dear.make_up_for(cheap.cost())) < wanted / 2);
    }
}

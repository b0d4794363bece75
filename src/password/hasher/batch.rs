//! Several bcrypts of equal cost, computed side by side in little more time than one.

use bcrypt_lanes::{Input, MAX_LANES, hash_many};
use passlib::{BcryptJob, Digest};

/// How many jobs a thread computes side by side.
pub const MAX_BATCH: usize = MAX_LANES;

/// Computes jobs of equal cost on this thread and returns their digests in the same order. The results
/// are those of [`BcryptJob::run`].
pub fn run_batch(jobs: &[&BcryptJob]) -> Vec<Digest> {
    let Some(first) = jobs.first() else {
        return Vec::new();
    };
    debug_assert!(jobs.iter().all(|job| job.cost() == first.cost()));
    let inputs: Vec<Input<'_>> = jobs
        .iter()
        .map(|job| Input {
            password: job.password(),
            salt: job.salt(),
        })
        .collect();
    let mut digests = vec![[0; 24]; jobs.len()];
    // Cannot fail: every `Cost` is valid, and there are as many digests as inputs.
    let computed = hash_many(first.cost().into(), &inputs, &mut digests);
    debug_assert_eq!(computed, Ok(()));
    digests.into_iter().map(Digest::from).collect()
}

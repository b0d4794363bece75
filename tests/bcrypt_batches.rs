//! Compares the two ways in which the product computes bcrypt: crate `bcrypt` for one password, and
//! crate `bcrypt-lanes` on the hash threads for several.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use passlib::{BcryptJob, Cost, PendingVerification, prepare_verification};
use serde::Deserialize;
use tokenhouse::password::{MAX_BATCH, run_batch};

#[derive(Deserialize)]
struct Vector {
    password_b64: Option<String>,
    hash: Option<String>,
}

/// The verifications of cost 4 to 6 in passlib's vectors.
fn verifications() -> Vec<PendingVerification> {
    let vectors = include_str!("../crates/passlib/tests/data/vectors.json");
    let vectors: Vec<Vector> = serde_json::from_str(vectors).unwrap();
    vectors
        .iter()
        .filter_map(|vector| {
            let password = STANDARD.decode(vector.password_b64.as_ref()?).unwrap();
            let max_cost = Cost::try_from(6).unwrap();
            prepare_verification(&password, vector.hash.as_ref()?, max_cost).ok()
        })
        .collect()
}

#[test]
fn batches_of_every_size_equal_single_computations() {
    let mut pending = verifications();
    assert!(pending.len() > 500, "{}", pending.len());
    pending.sort_by_key(|verification| verification.job().cost());
    let jobs: Vec<&BcryptJob> = pending.iter().map(PendingVerification::job).collect();
    for jobs in jobs.chunk_by(|one, other| one.cost() == other.cost()) {
        let alone: Vec<_> = jobs.iter().map(|job| *job.run().bytes()).collect();
        for size in 1..=MAX_BATCH {
            let batches = jobs.chunks(size).flat_map(run_batch);
            let together: Vec<_> = batches.map(|digest| *digest.bytes()).collect();
            assert_eq!(together, alone, "batches of {size}");
        }
    }
}

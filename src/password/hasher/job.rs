//! Jobs of the queue. The thread that starts a job and the caller that cancels it compete for its
//! state. Several bcrypts of equal cost are computed side by side, in little more time than one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use bcrypt_lanes::{Input, MAX_LANES, hash_many};
use passlib::{BcryptJob, Digest};

/// Whether a job is waiting, started or cancelled. The first change wins.
#[derive(Clone, Default)]
pub(super) struct JobState {
    state: Arc<AtomicU8>,
    /// Since when a caller waits; `None` for a job without one.
    since: Option<Instant>,
}

impl JobState {
    const WAITING: u8 = 0;
    const STARTED: u8 = 1;
    const CANCELLED: u8 = 2;

    /// The state of a job for which a caller waits from now on.
    pub(super) fn awaited() -> Self {
        Self {
            since: Some(Instant::now()),
            ..Self::default()
        }
    }

    /// Marks the job as started. Returns `false` if it was cancelled before.
    pub(super) fn start(&self) -> bool {
        self.leave_waiting(Self::STARTED)
    }

    /// Marks the job as cancelled. Returns `false` if it was started before.
    pub(super) fn cancel(&self) -> bool {
        self.leave_waiting(Self::CANCELLED)
    }

    /// How long the caller has waited; `None` without one.
    pub(super) fn wait(&self) -> Option<Duration> {
        Some(self.since?.elapsed())
    }

    fn leave_waiting(&self, next: u8) -> bool {
        self.state
            .compare_exchange(Self::WAITING, next, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }
}

/// Cancels a job when the caller stops waiting for it, for example because the client disconnects.
pub(super) struct CancelOnDrop(pub(super) JobState);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// The maximum number of jobs that a thread computes side by side.
pub const MAX_BATCH: usize = MAX_LANES;

/// Computes jobs of equal cost on this thread and returns their digests in the same order. The
/// results are the same as with [`BcryptJob::run`].
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

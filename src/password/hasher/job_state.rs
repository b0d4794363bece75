//! Who decides what becomes of a job: the thread that begins it, or the caller who gives it up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Whether a job waits, was begun, or was given up: whoever changes it first decides.
#[derive(Clone, Default)]
pub(super) struct JobState(Arc<AtomicU8>);

impl JobState {
    const WAITING: u8 = 0;
    const BEGUN: u8 = 1;
    const GIVEN_UP: u8 = 2;

    /// Says that it is begun; false when it was given up before.
    pub(super) fn begin(&self) -> bool {
        self.settle(Self::BEGUN)
    }

    /// Says that it is not wanted any more; false when it was begun before.
    pub(super) fn give_up(&self) -> bool {
        self.settle(Self::GIVEN_UP)
    }

    fn settle(&self, next: u8) -> bool {
        self.0
            .compare_exchange(Self::WAITING, next, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }
}

/// Tells the threads that nobody waits any more, as when a client hangs up.
pub(super) struct GiveUpOnDrop(pub(super) JobState);

impl Drop for GiveUpOnDrop {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

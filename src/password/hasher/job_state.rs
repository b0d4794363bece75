//! Who decides what happens to a job: the thread that starts it, or the caller that cancels it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Whether a job is waiting, started or cancelled. The first change wins.
#[derive(Clone, Default)]
pub(super) struct JobState(Arc<AtomicU8>);

impl JobState {
    const WAITING: u8 = 0;
    const STARTED: u8 = 1;
    const CANCELLED: u8 = 2;

    /// Marks the job as started. Returns `false` if it was cancelled before.
    pub(super) fn start(&self) -> bool {
        self.leave_waiting(Self::STARTED)
    }

    /// Marks the job as cancelled. Returns `false` if it was started before.
    pub(super) fn cancel(&self) -> bool {
        self.leave_waiting(Self::CANCELLED)
    }

    fn leave_waiting(&self, next: u8) -> bool {
        self.0
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

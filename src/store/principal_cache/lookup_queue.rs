//! The queue of pending look-ups, and the thread's sleep between them.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::NaiveDateTime;
use tokio::sync::oneshot;

use crate::credential::CredentialDigest;
use crate::store::{Principal, StoreError};

/// A look-up and the channel for its answer.
pub(super) struct Lookup {
    pub(super) credential: CredentialDigest,
    /// By the caller's clock.
    pub(super) requested_at: NaiveDateTime,
    pub(super) reply: oneshot::Sender<Result<Option<Arc<Principal>>, StoreError>>,
}

impl Lookup {
    pub(super) fn answer(self, outcome: Result<Option<Arc<Principal>>, StoreError>) {
        // Fails only if the caller has stopped waiting.
        let _ = self.reply.send(outcome);
    }
}

/// Why the thread woke up.
pub(super) enum Wake {
    /// To answer these look-ups; empty after a wake-up without one, or after the timeout.
    Work(Vec<Lookup>),
    /// Because its cache was dropped.
    Closed,
}

/// Pending look-ups.
#[derive(Default)]
pub(super) struct LookupQueue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    lookups: Vec<Lookup>,
    is_woken: bool,
    is_closed: bool,
    is_asleep: bool,
}

impl LookupQueue {
    /// Adds a look-up. The caller must call [`Self::wake_if_pending`] afterwards.
    pub(super) fn push(&self, lookup: Lookup) {
        self.lock().lookups.push(lookup);
    }

    /// Wakes the thread if there is anything to look up.
    pub(super) fn wake_if_pending(&self) {
        let state = self.lock();
        if !state.lookups.is_empty() {
            self.notify(state);
        }
    }

    /// Wakes the thread even if there is nothing to look up.
    pub(super) fn wake(&self) {
        let mut state = self.lock();
        state.is_woken = true;
        self.notify(state);
    }

    /// Ends the thread after its current work.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        self.notify(state);
    }

    /// Waits until there is something to do, at most for `timeout`.
    pub(super) fn wait(&self, timeout: Duration) -> Wake {
        let mut state = self.lock();
        if state.is_quiet() {
            state.is_asleep = true;
            (state, _) = self
                .wake
                .wait_timeout_while(state, timeout, |state| state.is_quiet())
                .unwrap_or_else(PoisonError::into_inner);
            state.is_asleep = false;
        }
        state.is_woken = false;
        if state.is_closed {
            return Wake::Closed;
        }
        Wake::Work(std::mem::take(&mut state.lookups))
    }

    /// Notifies only a sleeping thread: a notification is a system call even if no thread waits.
    fn notify(&self, state: MutexGuard<'_, State>) {
        let is_asleep = state.is_asleep;
        drop(state);
        if is_asleep {
            self.wake.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Consistent between any two statements, so a panic elsewhere does not corrupt it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_quiet(&self) -> bool {
        self.lookups.is_empty() && !self.is_woken && !self.is_closed
    }
}

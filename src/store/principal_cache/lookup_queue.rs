//! The look-ups that wait for the thread, and its sleep between them.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::NaiveDateTime;
use tokio::sync::oneshot;

use crate::credential::CredentialDigest;
use crate::store::Principal;
use crate::store::StoreError;

/// A look-up, and where its answer goes.
pub(super) struct Job {
    pub(super) credential: CredentialDigest,
    /// When the caller asked, by its clock.
    pub(super) asked_at: NaiveDateTime,
    pub(super) reply: oneshot::Sender<Result<Option<Arc<Principal>>, StoreError>>,
}

impl Job {
    /// Answers. Nobody listening any more is no error.
    pub(super) fn answer(self, outcome: Result<Option<Arc<Principal>>, StoreError>) {
        drop(self.reply.send(outcome));
    }
}

/// Why the thread woke up.
pub(super) enum Wake {
    /// For these look-ups; none when it was nudged or has slept long enough.
    Work(Vec<Job>),
    /// Because nobody needs it any more.
    Closed,
}

/// Where look-ups wait.
#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    jobs: Vec<Job>,
    nudged: bool,
    closed: bool,
    asleep: bool,
}

impl Inbox {
    /// Adds a look-up, for which [`Self::call`] has to follow.
    pub(super) fn put(&self, job: Job) {
        self.lock().jobs.push(job);
    }

    /// Wakes the thread if it sleeps though there is something to look up.
    pub(super) fn call(&self) {
        let state = self.lock();
        if !state.jobs.is_empty() {
            self.wake(state);
        }
    }

    /// Wakes the thread though there is nothing to look up.
    pub(super) fn nudge(&self) {
        let mut state = self.lock();
        state.nudged = true;
        self.wake(state);
    }

    /// Ends the thread after what it is doing.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.wake(state);
    }

    /// Waits until there is something to do, but no longer than `longest`.
    pub(super) fn wait(&self, longest: Duration) -> Wake {
        let mut state = self.lock();
        if state.is_quiet() {
            state.asleep = true;
            (state, _) = self
                .wake
                .wait_timeout_while(state, longest, |state| state.is_quiet())
                .unwrap_or_else(PoisonError::into_inner);
            state.asleep = false;
        }
        state.nudged = false;
        if state.closed {
            return Wake::Closed;
        }
        Wake::Work(std::mem::take(&mut state.jobs))
    }

    /// A wake-up is a system call whether or not somebody sleeps, so it is spared a busy thread.
    fn wake(&self, state: MutexGuard<'_, State>) {
        let asleep = state.asleep;
        drop(state);
        if asleep {
            self.wake.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole between any two statements, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_quiet(&self) -> bool {
        self.jobs.is_empty() && !self.nudged && !self.closed
    }
}

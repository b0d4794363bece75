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
    /// Whether a [`Waker`] exists that the thread has not noticed yet.
    has_waker: bool,
}

/// Wakes the thread when it is dropped, in whatever way that happens.
pub(super) struct Waker(Arc<LookupQueue>);

impl Drop for Waker {
    fn drop(&mut self) {
        self.0.notify(self.0.lock());
    }
}

impl LookupQueue {
    /// Adds a look-up. The first one for a sleeping thread returns what wakes the thread; a thread
    /// that is awake sees the look-up before it sleeps.
    pub(super) fn push(queue: &Arc<Self>, lookup: Lookup) -> Option<Waker> {
        let mut state = queue.lock();
        state.lookups.push(lookup);
        let needs_waker = state.is_asleep && !state.has_waker;
        state.has_waker |= needs_waker;
        drop(state);
        needs_waker.then(|| Waker(Arc::clone(queue)))
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
            state.has_waker = false;
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

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::credential::CredentialDigest;

    fn lookup() -> Lookup {
        Lookup {
            credential: CredentialDigest::parse(b"some credential").unwrap(),
            requested_at: NaiveDateTime::default(),
            reply: oneshot::channel().0,
        }
    }

    #[test]
    fn sleeping_thread_is_woken_once_for_several_lookups() {
        const MINUTE: Duration = Duration::from_secs(60);
        let queue = Arc::new(LookupQueue::default());
        for _ in 0..100 {
            let thread_queue = Arc::clone(&queue);
            let thread = thread::spawn(move || match thread_queue.wait(MINUTE) {
                Wake::Work(lookups) => lookups.len(),
                Wake::Closed => 0,
            });
            while !queue.lock().is_asleep {
                thread::yield_now();
            }
            let waker = LookupQueue::push(&queue, lookup());
            assert!(waker.is_some());
            assert!(LookupQueue::push(&queue, lookup()).is_none());
            // As when the task that has it is dropped before it runs.
            drop(waker);
            assert_eq!(thread.join().unwrap(), 2);
        }
        // A thread that is awake does not sleep before it has seen the look-up.
        assert!(LookupQueue::push(&queue, lookup()).is_none());
        assert!(matches!(queue.wait(MINUTE), Wake::Work(lookups) if lookups.len() == 1));
    }
}

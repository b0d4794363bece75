//! The threads that commit groups of operations. While one commits a group, the next one gathers.
//! While several clients wait, it also pauses between two groups: larger groups cost each client less
//! than the pause.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use std::{mem, thread};

use tokio::runtime::{Builder, Runtime};

use super::group::{Group, GroupError, Operation};
use super::{AuditTrail, Inner};

/// Maximum number of operations in a group: none should wait long for the others.
const MAX_GROUP: usize = 64;

/// The longest pause before a group. A sign-in waits for it twice, beside a hash of 200 ms.
const MAX_PAUSE: Duration = Duration::from_millis(20);

/// How long the pause after a shared group is, as a multiple of the time that the group took. What a
/// group costs hardly depends on its size, and the machine has other work: checks.
const PAUSE_FACTOR: u32 = 4;

/// Gives operations to the threads. Dropping it stops them.
pub(super) struct Writer {
    changes: Arc<Queue>,
    /// Counted attempts and the accounts that they read. On Postgres they have a thread of their own:
    /// changes wait for the fence, and for the head of the trail, which all processes share.
    counting: Arc<Queue>,
}

impl Writer {
    /// With a single thread if the database has one writer.
    pub(super) fn new(has_one_writer: bool) -> Self {
        let changes = Arc::<Queue>::default();
        let counting = match has_one_writer {
            true => Arc::clone(&changes),
            false => Arc::default(),
        };
        Self { changes, counting }
    }

    fn queue_for(&self, operation: &dyn Operation) -> &Arc<Queue> {
        match operation.is_change() {
            true => &self.changes,
            false => &self.counting,
        }
    }
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Box<dyn Operation>>,
    is_running: bool,
    is_closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for operations, and then for this long for more. `None` if there will be none.
    fn next(&self, pause: Duration) -> Option<Group> {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.is_closed {
                return None;
            }
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        if !pause.is_zero() {
            let is_too_small = |state: &mut State| state.waiting.len() < MAX_GROUP;
            let waited = self.changed.wait_timeout_while(state, pause, is_too_small);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        let count = state.waiting.len().min(MAX_GROUP);
        Some(state.waiting.drain(..count).collect())
    }

    /// Refuses all that wait: dropping an operation does. Without the lock, because what an
    /// operation holds may submit another one.
    fn refuse_all(&self) {
        let mut state = self.lock();
        state.is_running = false;
        let waiting = mem::take(&mut state.waiting);
        drop(state);
        drop(waiting);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        for queue in [&self.changes, &self.counting] {
            queue.lock().is_closed = true;
            queue.changed.notify_one();
        }
    }
}

/// Leaves no caller waiting when the thread ends, for whatever reason.
struct Stopping<'a>(&'a Queue);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.refuse_all();
    }
}

impl AuditTrail {
    /// Gives an operation to its thread, and starts the thread if it is not running.
    pub(super) fn submit(&self, operation: Box<dyn Operation>) {
        let queue = self.0.writer.queue_for(operation.as_ref());
        let mut state = queue.lock();
        state.waiting.push_back(operation);
        let is_worth_waking = matches!(state.waiting.len(), 1 | MAX_GROUP);
        let is_running = mem::replace(&mut state.is_running, true);
        drop(state);
        if is_running {
            if is_worth_waking {
                queue.changed.notify_one();
            }
            return;
        }
        let (shared, trail) = (Arc::clone(queue), Arc::downgrade(&self.0));
        let started = thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || run(&shared, &trail));
        if let Err(error) = started {
            log::error!("database: no thread for changes: {error}");
            queue.refuse_all();
        }
    }

    /// Commits a group and answers its callers.
    fn commit_and_answer(&self, runtime: &Runtime, group: Group) {
        let mut group = group;
        group.retain(|operation| !operation.is_abandoned());
        if group.is_empty() {
            return;
        }
        match runtime.block_on(self.commit(group)) {
            Ok(group) | Err(GroupError::Refused(group)) => {
                group.into_iter().for_each(|operation| operation.answer());
            }
            Err(GroupError::Locked(group)) => group
                .into_iter()
                .for_each(|operation| self.commit_and_answer(runtime, vec![operation])),
            Err(GroupError::Failed(error)) => log::debug!("database: a group failed: {error}"),
        }
    }
}

fn run(queue: &Queue, trail: &Weak<Inner>) {
    let _stopping = Stopping(queue);
    let runtime = match Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            log::error!("database: no runtime for changes: {error}");
            return;
        }
    };
    let mut pause = Duration::ZERO;
    while let Some(group) = queue.next(pause) {
        let Some(trail) = trail.upgrade() else {
            return;
        };
        let (begun, is_shared) = (Instant::now(), group.len() > 1);
        AuditTrail(trail).commit_and_answer(&runtime, group);
        pause = match is_shared {
            true => (begun.elapsed() * PAUSE_FACTOR).min(MAX_PAUSE),
            // A single client that waits for each answer never pauses.
            false => pause / 2,
        };
    }
}

//! Threads that hash passwords and do nothing else, behind a bounded queue.
//!
//! One bcrypt takes a quarter of a second of a core. Done where requests are served it would stop
//! them all, and on the runtime's blocking pool it would fill that pool and stop every query. Here
//! a flood of sign-ins meets a queue that admits what can be done in time and refuses the rest at
//! once, and threads that run when nobody else wants the core.

mod job_state;
mod priority;
mod queue;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;

use self::job_state::{GiveUpOnDrop, JobState};
pub use self::priority::Priority;
use self::queue::{Batch, Queue, Work};
use super::Cost;
use super::computation::{Computation, Digest};
use super::filler;

/// There is more to hash than can be hashed in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are waiting to be hashed")]
pub struct Busy {
    /// After how long it is worth asking again.
    pub retry_after: Duration,
}

/// A queue of work and the threads that do it. Cheap to clone; the threads end with the last clone.
#[derive(Clone)]
pub struct PasswordHasher(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    threads: usize,
    longest_wait: Duration,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Microseconds that a batch takes, as a moving average.
    usual_micros: AtomicU64,
    /// Those refused since that was last logged, and when it was.
    refused: Mutex<(u64, Option<Instant>)>,
}

/// What one of the 2^cost rounds of a bcrypt takes on a usual core.
const MICROS_A_ROUND: u64 = 50;

/// How often it is logged that work is refused.
const LOG_EVERY: Duration = Duration::from_secs(10);

impl PasswordHasher {
    /// Starts `threads` threads. Work waits for one of them no longer than `longest_wait`. Most of
    /// it is bcrypt of this `cost`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        threads: usize,
        longest_wait: Duration,
        cost: Cost,
        priority: Priority,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            // A guess, or the first to come would all be let in.
            usual_micros: AtomicU64::new(MICROS_A_ROUND << u32::from(cost)),
            refused: Mutex::default(),
        });
        let hasher = Self(Arc::new(Handle {
            shared: Arc::clone(&shared),
            threads,
            longest_wait,
        }));
        for number in 0..threads {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("hash-{number}"))
                .spawn(move || {
                    priority.apply();
                    shared.work();
                })?;
        }
        Ok(hasher)
    }

    /// Whether a bcrypt of this cost would be admitted now: to be asked before anything that costs.
    ///
    /// # Errors
    /// [`Busy`] when it would not.
    pub fn check_room(&self, cost: Cost) -> Result<(), Busy> {
        self.check_wait(&self.0.shared.lock(), Some(cost))
    }

    /// How much waits for a thread.
    pub fn waiting(&self) -> usize {
        self.0.shared.lock().len()
    }

    /// Computes a bcrypt on a hash thread, together with others of equal cost if they wait too.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn compute(&self, computation: Computation) -> Result<Digest, Busy> {
        let cost = computation.cost();
        let (reply, answer) = oneshot::channel();
        self.submit(Work::Compute(computation, reply), Some(cost), answer)
            .await
    }

    /// Runs `work` on a hash thread.
    ///
    /// Work whose caller has gone away before it began is not done.
    ///
    /// # Errors
    /// [`Busy`], at once when the queue is longer than can be worked off in time, and otherwise
    /// when no thread got to it in time.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let (reply, answer) = oneshot::channel();
        let work = Box::new(move || {
            // Nobody listening any more is no error.
            drop(reply.send(work()));
        });
        self.submit(Work::Call(work), None, answer).await
    }

    /// As [`Self::run`], and keeps the thread for as long as a bcrypt of this `cost` usually takes,
    /// so that the time does not tell the one from the other. Work that takes longer is not hidden.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn run_like_bcrypt<T: Send + 'static>(
        &self,
        cost: Cost,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let shared = Arc::clone(&self.0.shared);
        self.run(move || {
            let begun = Instant::now();
            let value = work();
            filler::fill(begun, shared.usual(), cost);
            value
        })
        .await
    }

    async fn submit<T>(
        &self,
        work: Work,
        cost: Option<Cost>,
        mut answer: oneshot::Receiver<T>,
    ) -> Result<T, Busy> {
        let state = JobState::default();
        self.admit(work, cost, state.clone())?;
        let abandoned = GiveUpOnDrop(state.clone());
        let outcome = match timeout(self.0.longest_wait, &mut answer).await {
            Ok(outcome) => outcome,
            Err(_elapsed) if state.give_up() => return Err(self.busy()),
            Err(_elapsed) => answer.await,
        };
        drop(abandoned);
        // The sender is gone without an answer when the work panicked.
        outcome.map_err(|_closed| self.busy())
    }

    fn admit(&self, work: Work, cost: Option<Cost>, state: JobState) -> Result<(), Busy> {
        let mut queue = self.0.shared.lock();
        self.check_wait(&queue, cost)?;
        queue.push(work, state);
        drop(queue);
        self.0.shared.wake.notify_one();
        Ok(())
    }

    /// How long a newcomer would wait: the batches before it, spread over the threads.
    fn check_wait(&self, queue: &Queue, cost: Option<Cost>) -> Result<(), Busy> {
        let rounds = queue.batches_before(cost) / self.0.threads;
        let wait = self
            .0
            .shared
            .usual()
            .saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX));
        if wait > self.0.longest_wait {
            Err(self.busy())
        } else {
            Ok(())
        }
    }

    fn busy(&self) -> Busy {
        self.0.shared.note_refusal();
        Busy {
            retry_after: self.0.longest_wait,
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_all();
    }
}

impl Shared {
    /// The life of a hash thread.
    fn work(&self) {
        while let Some(batch) = self.next() {
            // A panic in one piece of work must not take the thread from all the others.
            let work = std::panic::AssertUnwindSafe(|| match batch {
                Batch::Compute(together) => {
                    let begun = Instant::now();
                    compute(together);
                    self.learn(begun.elapsed());
                }
                Batch::Call(call) => call(),
            });
            if std::panic::catch_unwind(work).is_err() {
                log::error!("a password could not be hashed: the code panicked");
            }
            self.lock().running -= 1;
        }
    }

    /// Waits for work; `None` when the service ends.
    fn next(&self) -> Option<Batch> {
        let mut queue = self.lock();
        loop {
            if let Some(batch) = queue.take() {
                queue.running += 1;
                return Some(batch);
            }
            if queue.closed {
                return None;
            }
            queue = self
                .wake
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What a batch takes.
    fn usual(&self) -> Duration {
        Duration::from_micros(self.usual_micros.load(Ordering::Relaxed))
    }

    /// Moves the average an eighth of the way to what was just seen.
    fn learn(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let usual = self.usual_micros.load(Ordering::Relaxed);
        let moved = usual - usual / 8 + took / 8;
        self.usual_micros.store(moved, Ordering::Relaxed);
    }

    /// Logs refusals, but not each of them.
    fn note_refusal(&self) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, logged) = &mut *refused;
        *count += 1;
        if logged.is_none_or(|logged| logged.elapsed() > LOG_EVERY) {
            log::warn!("{count} password(s) refused: more wait than can be hashed in time");
            (*count, *logged) = (0, Some(Instant::now()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // The queue is whole between any two statements, so a panic elsewhere does not spoil it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Computes a batch, which holds no more than go together, and answers.
fn compute(together: Vec<(Computation, oneshot::Sender<Digest>)>) {
    let (computations, replies): (Vec<_>, Vec<_>) = together.into_iter().unzip();
    let digests = match computations.as_slice() {
        [a, b, c, d] => Computation::run_together([a, b, c, d]).to_vec(),
        [a, b, c] => Computation::run_together([a, b, c]).to_vec(),
        [a, b] => Computation::run_together([a, b]).to_vec(),
        alone => alone.iter().map(Computation::run).collect(),
    };
    for (reply, digest) in replies.into_iter().zip(digests) {
        let _nobody_listens = reply.send(digest).is_err();
    }
}

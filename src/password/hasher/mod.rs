//! Threads that hash passwords and do nothing else, behind a bounded queue.
//!
//! One bcrypt takes a quarter of a second of a core. Done where requests are served it would stop
//! them all, and on the runtime's blocking pool it would fill that pool and stop every query. Here
//! a flood of sign-ins meets a queue that admits what can be done in time and refuses the rest at
//! once. Networks take turns in it, so that one that floods it waits for itself.

mod job_state;
mod pace;
mod priority;
mod queue;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;
use tokio::time::timeout;

use self::job_state::{GiveUpOnDrop, JobState};
use self::pace::Pace;
pub use self::priority::Priority;
use self::queue::{Batch, Queue, Reply, Work};
use super::computation::{Computation, Digest};
use super::filler::{fill, thread_time};
use super::{Cost, HashClass, PreparedVerification};
use crate::network::Network;

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
    /// Of new hashes.
    cost: Cost,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    pace: Arc<Pace>,
    /// Those refused since that was last logged, and when it was.
    refused: Mutex<(u64, Option<Instant>)>,
}

/// How often it is logged that work is refused.
const LOG_EVERY: Duration = Duration::from_secs(10);

impl PasswordHasher {
    /// Starts `threads` threads. Work waits for one of them no longer than `longest_wait`. New hashes,
    /// and so most of what is computed, have this `cost`.
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
            pace: Arc::new(Pace::new(cost)),
            refused: Mutex::default(),
        });
        let hasher = Self(Arc::new(Handle {
            shared: Arc::clone(&shared),
            threads,
            longest_wait,
            cost,
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

    /// Whether a bcrypt of the cost of new hashes would be admitted now, for a client of this
    /// network: to be asked before anything that costs.
    ///
    /// # Errors
    /// [`Busy`] when it would not.
    pub fn check_room(&self, network: Network) -> Result<(), Busy> {
        let queue = self.0.shared.lock();
        if self.is_full(&queue, Some(self.0.cost)) && !queue.may_displace(network) {
            return Err(self.busy());
        }
        Ok(())
    }

    /// How much waits for a thread.
    pub fn waiting(&self) -> usize {
        self.0.shared.lock().len()
    }

    /// The rounds of bcrypt that take as long as a hash of this class: measured here, and roughly
    /// until it is.
    pub fn rounds_of(&self, class: HashClass) -> u32 {
        let HashClass::Bcrypt(cost) = class else {
            let measured = match self.0.shared.pace.measured(class) {
                Ok(measured) => measured,
                Err(measurement) => {
                    let work = Work::Call(Box::new(move || measurement.make()));
                    // Without room it is dropped, and asked for again the next time.
                    let _later = self.admit(Network::default(), work, JobState::default());
                    None
                }
            };
            return measured.unwrap_or(class.rough_rounds());
        };
        cost.rounds()
    }

    /// Has every refusal by [`Self::verify`] take as long as this many rounds of bcrypt, and never less
    /// than a new hash takes.
    pub fn pad_refusals_to(&self, rounds: u32) {
        self.0.shared.pace.pad_refusals_to(rounds);
    }

    /// Verifies a password on a hash thread, a bcrypt together with others of equal cost if they wait
    /// too. Every refusal takes as long, by work and not by sleep, whatever was compared.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn verify(
        &self,
        network: Network,
        prepared: PreparedVerification,
        password: &SecretString,
    ) -> Result<bool, Busy> {
        let (reply, answer) = oneshot::channel();
        let work = match prepared {
            PreparedVerification::Bcrypt(computation, verification) => {
                Work::Bcrypt(computation, Reply::Verdict(verification, reply))
            }
            PreparedVerification::Other(verification) => {
                let (password, pace) = (password.clone(), Arc::clone(&self.0.shared.pace));
                Work::Call(Box::new(move || {
                    let begun = thread_time();
                    let matches = verification.run(password.expose_secret().as_bytes());
                    if !matches {
                        fill(begun, pace.thread_round(), pace.refusal_rounds());
                    }
                    let _unheard = reply.send(matches);
                }))
            }
        };
        self.submit(network, work, answer).await
    }

    /// Computes a bcrypt on a hash thread, together with others of equal cost if they wait too.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn compute(
        &self,
        network: Network,
        computation: Computation,
    ) -> Result<Digest, Busy> {
        let (reply, answer) = oneshot::channel();
        let work = Work::Bcrypt(computation, Reply::Digest(reply));
        self.submit(network, work, answer).await
    }

    /// Runs `work` on a hash thread.
    ///
    /// Work whose caller has gone away before it began is not done.
    ///
    /// # Errors
    /// [`Busy`], at once when the queue is longer than can be worked off in time and the network has
    /// its share of it, and otherwise when no thread got to the work in time, or when it gave way to
    /// other networks.
    pub async fn run<T: Send + 'static>(
        &self,
        network: Network,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let (reply, answer) = oneshot::channel();
        let work = Box::new(move || {
            // It is no error that the caller has gone away.
            drop(reply.send(work()));
        });
        self.submit(network, Work::Call(work), answer).await
    }

    async fn submit<T>(
        &self,
        network: Network,
        work: Work,
        mut answer: oneshot::Receiver<T>,
    ) -> Result<T, Busy> {
        let state = JobState::default();
        self.admit(network, work, state.clone())?;
        let abandoned = GiveUpOnDrop(state.clone());
        let outcome = match timeout(self.0.longest_wait, &mut answer).await {
            Ok(outcome) => outcome,
            Err(_elapsed) if state.give_up() => return Err(self.busy()),
            Err(_elapsed) => answer.await,
        };
        drop(abandoned);
        // The sender is gone without an answer when the work panicked, or gave way to others.
        outcome.map_err(|_closed| self.busy())
    }

    /// Puts work into the queue. When that is full, work of a network with less than its share takes
    /// the place of work of the one with most.
    fn admit(&self, network: Network, work: Work, state: JobState) -> Result<(), Busy> {
        let mut queue = self.0.shared.lock();
        if self.is_full(&queue, work.cost()) && !queue.displace_for(network) {
            return Err(self.busy());
        }
        queue.push(network, work, state);
        drop(queue);
        self.0.shared.wake.notify_one();
        Ok(())
    }

    /// Whether a newcomer would wait for too long: the batches before it, spread over the threads.
    fn is_full(&self, queue: &Queue, cost: Option<Cost>) -> bool {
        let rounds = queue.batches_before(cost) / self.0.threads;
        let batch = self.0.shared.pace.batch();
        let wait = batch.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX));
        wait > self.0.longest_wait
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
                Batch::Bcrypt(together) => self.compute(together),
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

    /// Computes a batch, which holds no more than go together, and answers: what is refused once it has
    /// taken as long as any refusal, all of them at the same time.
    fn compute(&self, together: Vec<(Computation, Reply)>) {
        let (computations, replies): (Vec<_>, Vec<_>) = together.into_iter().unzip();
        let rounds = computations.first().map_or(0, |one| one.cost().rounds());
        let digests = self.pace.observe(rounds, || match computations.as_slice() {
            [a, b, c, d] => Computation::run_together([a, b, c, d]).to_vec(),
            [a, b, c] => Computation::run_together([a, b, c]).to_vec(),
            [a, b] => Computation::run_together([a, b]).to_vec(),
            alone => alone.iter().map(Computation::run).collect(),
        });
        let mut refused = Vec::new();
        for (reply, digest) in replies.into_iter().zip(digests) {
            // It is no error that a caller has gone away.
            match reply {
                Reply::Digest(reply) => _ = reply.send(digest),
                Reply::Verdict(verification, reply) => match verification.finish(&digest) {
                    Ok(true) => _ = reply.send(true),
                    _ => refused.push(reply),
                },
            }
        }
        if !refused.is_empty() {
            let missing = self.pace.refusal_rounds().saturating_sub(rounds);
            self.pace.spend(missing);
        }
        for reply in refused {
            _ = reply.send(false);
        }
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

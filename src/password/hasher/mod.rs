//! Threads that only hash passwords, behind a bounded queue.
//!
//! One bcrypt takes a quarter of a second of CPU time. On the threads that serve requests it would block
//! all of them, and on the runtime's blocking pool it would fill the pool and block every query. Here
//! a flood of sign-ins meets a queue that admits what can be hashed in time and refuses the rest
//! immediately. Networks take turns in it, so that one that floods the queue delays only itself.

mod job;
mod pace;
mod priority;
mod queue;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use passlib::{
    AnyVerification, BcryptJob, Cost, HashClass, PasswordError, needs_migration, needs_rehash,
    prepare_any_verification, prepare_dummy_verification, prepare_hash,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;
use tokio::time::timeout;

use self::job::{CancelOnDrop, JobState};
pub use self::job::{MAX_BATCH, run_batch};
use self::pace::{Pace, pad_to_rounds, thread_time};
pub use self::priority::Priority;
use self::queue::{Batch, BcryptTask, Queue, Work};
use super::StoredHash;
use crate::metrics::Metrics;
use crate::network::Network;

/// More passwords are waiting than can be hashed in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are waiting to be hashed")]
pub struct Busy {
    /// How long to wait before another attempt.
    pub retry_after: Duration,
}

/// Why a password was not hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// The queue is full.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The password cannot be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
}

/// How passwords are hashed.
#[derive(Clone, Copy, Debug)]
pub struct HasherConfig {
    /// The number of hash threads.
    pub threads: usize,
    /// The maximum time that work waits for a thread.
    pub max_wait: Duration,
    /// The cost of new hashes.
    pub cost: Cost,
    /// Stored bcrypt hashes of a higher cost are not verified.
    pub max_cost: Cost,
    /// The priority of the threads.
    pub priority: Priority,
}

/// A queue of work and the threads that do it. Cheap to clone; the threads end with the last clone.
#[derive(Clone)]
pub struct PasswordHasher(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    config: HasherConfig,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    pace: Arc<Pace>,
    /// The amount of work refused since the last log message, and the time of that message.
    refused: Mutex<(u64, Option<Instant>)>,
}

/// Refusals are logged at most this often.
const REFUSAL_LOG_INTERVAL: Duration = Duration::from_secs(10);

impl PasswordHasher {
    /// Starts the threads. The waits of what they hash are counted in the metrics.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    pub fn start(config: HasherConfig, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::new(metrics)),
            wake: Condvar::new(),
            pace: Arc::new(Pace::new(config.cost)),
            refused: Mutex::default(),
        });
        let hasher = Self(Arc::new(Handle {
            shared: Arc::clone(&shared),
            config,
        }));
        for number in 0..config.threads {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("hash-{number}"))
                .spawn(move || {
                    config.priority.apply();
                    shared.run_thread();
                })?;
        }
        Ok(hasher)
    }

    /// Whether the queue has room for a password of a client in this network. Call this before any
    /// expensive work.
    ///
    /// # Errors
    /// [`Busy`] if the queue is full.
    pub fn check_capacity(&self, network: Network) -> Result<(), Busy> {
        self.check_room(&self.0.shared.lock(), network)
    }

    /// Keeps a place in the queue while a client in this network is looked up. Without places, all
    /// clients that arrive before the first work is queued would be looked up, and refused then. Drop
    /// the place before the work is sent.
    ///
    /// # Errors
    /// [`Busy`] if the queue is full.
    pub fn reserve(&self, network: Network) -> Result<Place, Busy> {
        let mut queue = self.0.shared.lock();
        self.check_room(&queue, network)?;
        queue.add_place(network);
        let shared = Arc::clone(&self.0.shared);
        Ok(Place { shared, network })
    }

    /// Whether there is room beside the places that are kept.
    fn check_room(&self, queue: &Queue, network: Network) -> Result<(), Busy> {
        let cost = Some(self.0.config.cost);
        let batches = queue.batches_before(cost) + queue.places() / MAX_BATCH;
        if self.is_too_long(batches) && !queue.can_displace(network) {
            return Err(self.busy());
        }
        Ok(())
    }

    /// How many jobs are waiting for a thread.
    pub fn queue_depth(&self) -> usize {
        self.0.shared.lock().len()
    }

    /// Whether the password matches the hash. Without a hash, it never does.
    ///
    /// Every mismatch takes equally long, by computation and not by sleeping, even without a hash,
    /// or with one that cannot be verified: the time of the most expensive stored hash, see
    /// [`Self::pad_refusals`].
    ///
    /// # Errors
    /// Same as [`Self::run`].
    pub async fn verify(
        &self,
        network: Network,
        password: &SecretString,
        hash: Option<&StoredHash>,
    ) -> Result<bool, Busy> {
        match self.prepare_verification(password, hash) {
            AnyVerification::Bcrypt(pending) => {
                let (reply, result) = oneshot::channel();
                let work = Work::Bcrypt(BcryptTask::Verify(pending, reply));
                self.submit(network, work, result).await
            }
            AnyVerification::Other(verification) => {
                let (password, pace) = (password.clone(), Arc::clone(&self.0.shared.pace));
                let work = move || {
                    let started = thread_time();
                    let matches = verification.run(password.expose_secret().as_bytes());
                    if !matches {
                        pad_to_rounds(started, pace.thread_round(), pace.refusal_rounds());
                    }
                    matches
                };
                self.run(network, work).await
            }
        }
    }

    /// A comparison with the hash, or one that never matches.
    fn prepare_verification(
        &self,
        password: &SecretString,
        hash: Option<&StoredHash>,
    ) -> AnyVerification {
        let HasherConfig { cost, max_cost, .. } = self.0.config;
        let password = password.expose_secret().as_bytes();
        let prepared = hash.map(|hash| prepare_any_verification(password, hash.as_str(), max_cost));
        match prepared {
            Some(Ok(verification)) => return verification,
            // passlib raises an exception here. To the client it must look like any mismatch.
            Some(Err(error)) => log::debug!("a stored hash was not verified: {}", error.code()),
            None => {}
        }
        AnyVerification::Bcrypt(prepare_dummy_verification(cost))
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// [`HashError::Password`] if the password cannot be hashed, and [`HashError::Busy`] as
    /// [`Self::run`].
    pub async fn hash(
        &self,
        network: Network,
        password: &SecretString,
    ) -> Result<String, HashError> {
        let password = password.expose_secret().as_bytes();
        let pending = prepare_hash(password, self.0.config.cost)?;
        let (reply, result) = oneshot::channel();
        let work = Work::Bcrypt(BcryptTask::Hash(pending, reply));
        Ok(self.submit(network, work, result).await?)
    }

    /// Whether to replace a hash that this password matches: if its cost differs from that of new
    /// hashes, or it is in another program's format.
    pub fn needs_rehash(&self, hash: &StoredHash, password: &SecretString) -> bool {
        needs_rehash(hash.as_str(), self.0.config.cost)
            || needs_migration(hash.as_str(), password.expose_secret().as_bytes())
    }

    /// Pads every mismatch to the run time of the most expensive of these classes of stored hashes,
    /// but at least to that of a new hash.
    pub fn pad_refusals(&self, stored: impl IntoIterator<Item = HashClass>) {
        let max_cost = self.0.config.max_cost;
        let verified = stored
            .into_iter()
            .filter(|class| class.is_allowed(max_cost));
        let rounds = HashClass::most_expensive_per_algorithm(verified)
            .into_iter()
            .map(|class| self.rounds_of(class))
            .max();
        let pace = &self.0.shared.pace;
        pace.set_refusal_rounds(rounds.unwrap_or(0));
    }

    /// The rounds of bcrypt that take the time of a hash of this class: an estimate until the class is
    /// measured on a hash thread.
    fn rounds_of(&self, class: HashClass) -> u32 {
        if let HashClass::Bcrypt(cost) = class {
            return cost.rounds();
        }
        let measured = match self.0.shared.pace.measured(class) {
            Ok(measured) => measured,
            Err(measurement) => {
                let work = Work::Call(Box::new(move || measurement.run()));
                // A full queue drops the measurement; the next call makes another one.
                let _ = self.admit(Network::default(), work, JobState::default());
                None
            }
        };
        measured.unwrap_or(class.estimated_rounds())
    }

    /// Runs `work` on a hash thread, unless the caller stops waiting before it starts.
    ///
    /// # Errors
    /// [`Busy`]: immediately if the queue is full and the network has its share of it; later if no
    /// thread becomes free in time, or if work of another network displaces this work.
    pub async fn run<T: Send + 'static>(
        &self,
        network: Network,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let (reply, result) = oneshot::channel();
        let work = Box::new(move || {
            // Fails if the caller has stopped waiting.
            drop(reply.send(work()));
        });
        self.submit(network, Work::Call(work), result).await
    }

    async fn submit<T>(
        &self,
        network: Network,
        work: Work,
        mut result: oneshot::Receiver<T>,
    ) -> Result<T, Busy> {
        let state = JobState::awaited();
        self.admit(network, work, state.clone())?;
        let cancel_on_drop = CancelOnDrop(state.clone());
        let outcome = match timeout(self.0.config.max_wait, &mut result).await {
            Ok(outcome) => outcome,
            Err(_elapsed) if state.cancel() => return Err(self.busy()),
            Err(_elapsed) => result.await,
        };
        drop(cancel_on_drop);
        // The sender is dropped without a result if the work panicked or was displaced.
        outcome.map_err(|_closed| self.busy())
    }

    /// Queues work. If the queue is full, work of a network with less than its share displaces work
    /// of the network with the most.
    fn admit(&self, network: Network, work: Work, state: JobState) -> Result<(), Busy> {
        let mut queue = self.0.shared.lock();
        let batches = queue.batches_before(work.cost());
        if self.is_too_long(batches) && !queue.displace_for(network) {
            return Err(self.busy());
        }
        queue.push(network, work, state);
        drop(queue);
        self.0.shared.wake.notify_one();
        Ok(())
    }

    /// Whether new work would wait too long for the batches before it, spread over the threads.
    fn is_too_long(&self, batches: usize) -> bool {
        let batches = batches / self.0.config.threads;
        let batch = self.0.shared.pace.batch();
        let wait = batch.saturating_mul(u32::try_from(batches).unwrap_or(u32::MAX));
        wait > self.0.config.max_wait
    }

    fn busy(&self) -> Busy {
        self.0.shared.log_refusal();
        Busy {
            retry_after: self.0.config.max_wait,
        }
    }
}

/// A place in the queue for a password that is not sent yet.
#[must_use]
pub struct Place {
    shared: Arc<Shared>,
    network: Network,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.lock().remove_place(self.network);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_all();
    }
}

impl Shared {
    /// The main loop of a hash thread.
    fn run_thread(&self) {
        while let Some(batch) = self.next() {
            // A panic in one job must not end the thread, which all others need.
            let work = std::panic::AssertUnwindSafe(|| match batch {
                Batch::Bcrypt(tasks) => self.compute(tasks),
                Batch::Call(call) => call(),
            });
            if std::panic::catch_unwind(work).is_err() {
                log::error!("a password could not be hashed: the code panicked");
            }
            self.lock().running -= 1;
        }
    }

    /// Waits for work. Returns `None` when the hasher is dropped.
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

    /// Computes a batch and sends the results. Mismatches are sent together, after the padding.
    fn compute(&self, tasks: Vec<BcryptTask>) {
        let jobs: Vec<&BcryptJob> = tasks.iter().map(BcryptTask::job).collect();
        let rounds = jobs.first().map_or(0, |job| job.cost().rounds());
        let digests = self.pace.observe(rounds, || run_batch(&jobs));
        let mut mismatches = Vec::new();
        for (task, digest) in tasks.into_iter().zip(digests) {
            // Sending fails if the caller has stopped waiting.
            match task {
                BcryptTask::Hash(pending, reply) => _ = reply.send(pending.finish(&digest)),
                BcryptTask::Verify(pending, reply) => match pending.finish(&digest) {
                    Ok(true) => _ = reply.send(true),
                    _ => mismatches.push(reply),
                },
            }
        }
        if !mismatches.is_empty() {
            let missing = self.pace.refusal_rounds().saturating_sub(rounds);
            self.pace.spend(missing);
        }
        for reply in mismatches {
            _ = reply.send(false);
        }
    }

    /// Logs refusals, at most one message per [`REFUSAL_LOG_INTERVAL`].
    fn log_refusal(&self) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, logged) = &mut *refused;
        *count += 1;
        if logged.is_none_or(|logged| logged.elapsed() > REFUSAL_LOG_INTERVAL) {
            log::warn!("{count} password(s) refused: hash queue full");
            (*count, *logged) = (0, Some(Instant::now()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // The queue is consistent between any two statements, so a panic does not corrupt it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

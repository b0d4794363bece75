//! Threads that hash passwords and do nothing else, behind a bounded queue.
//!
//! One bcrypt takes a quarter of a second of a core. Done where requests are served it would stop
//! them all, and on the runtime's blocking pool it would fill that pool and stop every query. Here
//! a flood of sign-ins meets a queue that admits what can be done in time and refuses the rest at
//! once, and threads that run when nobody else wants the core.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Cost;
use super::computation::{Computation, Digest};
use super::filler;
use super::queue::{Batch, Queue, Work};

/// There is more to hash than can be hashed in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are waiting to be hashed")]
pub struct Busy {
    /// After how long it is worth asking again.
    pub retry_after: Duration,
}

/// What the hash threads give way to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Priority {
    /// To everything else on the machine: they get the time that the cores have left. A flood of
    /// sign-ins is felt by nobody, and on a machine that is kept busy by others sign-ins wait.
    Last,
    /// To nothing: they have a share of the cores like any thread.
    Normal,
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
                    if priority == Priority::Last {
                        step_back();
                    }
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

/// Lets everyone else on the machine go first: hashing gets the time that the cores have left. A
/// system that does not know how to runs the threads like others.
fn step_back() {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    if set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle).is_err() {
        log::debug!("the hash threads cannot be scheduled behind the others");
    }
}

/// Tells the threads that nobody waits any more, as when a client hangs up.
struct GiveUpOnDrop(JobState);

impl Drop for GiveUpOnDrop {
    fn drop(&mut self) {
        self.0.give_up();
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn on_runtime<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(future)
    }

    /// Keeps the only thread busy until the returned sender is used or dropped.
    async fn occupy(hasher: &PasswordHasher) -> mpsc::Sender<()> {
        let (release, held) = mpsc::channel();
        let (begun, has_begun) = oneshot::channel();
        let hasher = hasher.clone();
        tokio::task::spawn_local(async move {
            hasher
                .run(move || {
                    begun.send(()).unwrap();
                    let _released_or_gone = held.recv();
                })
                .await
                .unwrap();
        });
        has_begun.await.unwrap();
        release
    }

    #[test]
    fn work_is_done_and_answered() {
        let hasher =
            PasswordHasher::start(2, Duration::from_secs(5), Cost::MIN, Priority::Last).unwrap();
        assert_eq!(on_runtime(hasher.run(|| 6 * 7)), Ok(42));
    }

    #[test]
    fn a_wait_past_the_limit_is_refused_and_the_work_not_done() {
        // Long enough for a thread that the scheduler runs last to begin while other tests run.
        const LIMIT: Duration = Duration::from_secs(5);
        let local = tokio::task::LocalSet::new();
        on_runtime(local.run_until(async {
            let hasher = PasswordHasher::start(1, LIMIT, Cost::MIN, Priority::Last).unwrap();
            let release = occupy(&hasher).await;
            let (sender, done) = mpsc::channel();
            let refused = hasher.run(move || sender.send(()).unwrap()).await;
            assert_eq!(refused, Err(Busy { retry_after: LIMIT }));
            release.send(()).unwrap();
            let mut tries = 0;
            while hasher.run(|| 1).await != Ok(1) {
                tries += 1;
                assert!(tries < 10, "the thread does not go on");
            }
            assert!(done.recv().is_err(), "given-up work is dropped, not done");
        }));
    }

    #[test]
    fn a_queue_that_is_too_long_refuses_at_once() {
        let local = tokio::task::LocalSet::new();
        on_runtime(local.run_until(async {
            let hasher =
                PasswordHasher::start(1, Duration::from_secs(3_600), Cost::MIN, Priority::Last)
                    .unwrap();
            hasher.0.shared.learn(Duration::from_secs(8 * 3_601));
            let release = occupy(&hasher).await;
            let asked = Instant::now();
            assert!(hasher.run(|| ()).await.is_err());
            assert!(
                asked.elapsed() < Duration::from_secs(60),
                "did not wait in line"
            );
            drop(release);
        }));
    }

    #[test]
    fn work_of_a_caller_that_went_away_is_not_done() {
        let local = tokio::task::LocalSet::new();
        on_runtime(local.run_until(async {
            let hasher =
                PasswordHasher::start(1, Duration::from_secs(60), Cost::MIN, Priority::Last)
                    .unwrap();
            let release = occupy(&hasher).await;
            let (sender, done) = mpsc::channel::<()>();
            let waiting = hasher.run(move || sender.send(()).unwrap());
            assert!(timeout(Duration::from_millis(20), waiting).await.is_err());
            release.send(()).unwrap();
            hasher.run(|| ()).await.unwrap();
            assert!(done.recv().is_err());
        }));
    }

    #[test]
    fn a_panic_costs_one_answer_and_no_thread() {
        let hasher =
            PasswordHasher::start(1, Duration::from_secs(5), Cost::MIN, Priority::Last).unwrap();
        let panicking = || {
            assert!(std::thread::current().name().is_none(), "on a hash thread");
        };
        assert!(on_runtime(hasher.run(panicking)).is_err());
        assert_eq!(on_runtime(hasher.run(|| 1)), Ok(1));
    }

    #[test]
    fn computed_together_or_alone_the_digest_is_the_same() {
        let local = tokio::task::LocalSet::new();
        on_runtime(local.run_until(async {
            let hasher =
                PasswordHasher::start(1, Duration::from_secs(60), Cost::MIN, Priority::Last)
                    .unwrap();
            let release = occupy(&hasher).await;
            let computation = |number: u8| Computation::new(Cost::MIN, &[number], [number; 16]);
            let waiting: Vec<_> = (1..=9)
                .map(|number| {
                    let (hasher, computation) = (hasher.clone(), computation(number));
                    tokio::task::spawn_local(async move { hasher.compute(computation).await })
                })
                .collect();
            // Until all of them are in the queue.
            while hasher.0.shared.lock().batches_before(Some(Cost::MIN)) < 3 {
                tokio::task::yield_now().await;
            }
            release.send(()).unwrap();
            for (number, digest) in (1..=9).zip(waiting) {
                let digest = digest.await.unwrap().unwrap();
                assert_eq!(digest.bytes(), computation(number).run().bytes());
            }
        }));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_threads_run_when_nobody_else_wants_the_core() {
        for (priority, policy) in [
            (Priority::Last, NormalThreadSchedulePolicy::Idle),
            (Priority::Normal, NormalThreadSchedulePolicy::Other),
        ] {
            let hasher = PasswordHasher::start(1, Duration::from_secs(5), Cost::MIN, priority);
            let found = on_runtime(hasher.unwrap().run(thread_priority::thread_schedule_policy));
            assert_eq!(
                found.unwrap().unwrap(),
                ThreadSchedulePolicy::Normal(policy)
            );
        }
    }
}

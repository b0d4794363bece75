//! Measures how long hashing takes on this machine, and pads refusals with a computation whose
//! result is discarded, so that all of them take equally long.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bcrypt_lanes::spend_rounds;
use nix::time::{ClockId, clock_gettime};

use crate::password::{Cost, HashClass};

/// How long one of the 2^cost rounds of bcrypt takes on a common core.
const INITIAL_ROUND: Duration = Duration::from_micros(50);

/// The number of measurements per class. The fastest one counts.
const MEASUREMENTS: usize = 3;

/// The number of bcrypt rounds that a measurement is compared with.
const REFERENCE_ROUNDS: u32 = 256;

/// The speed of this machine, and the length of a refusal in rounds of bcrypt.
pub(super) struct Pace {
    /// Wall-clock nanoseconds per round of a batch, as a moving average.
    round_nanos: AtomicU64,
    /// CPU nanoseconds per round of a batch, as a moving average.
    thread_nanos: AtomicU64,
    /// The rounds of a new hash.
    new_hash_rounds: u32,
    /// The rounds that every refusal takes.
    refusal_rounds: AtomicU32,
    /// The measured rounds of classes other than bcrypt; `None` during the measurement.
    classes: Mutex<HashMap<HashClass, Option<u32>>>,
}

impl Pace {
    /// `cost` is the cost of new hashes.
    pub(super) fn new(cost: Cost) -> Self {
        let nanos = u64::try_from(INITIAL_ROUND.as_nanos()).unwrap_or(u64::MAX);
        Self {
            // Without an estimate the queue would admit everything until the first measurement.
            round_nanos: AtomicU64::new(nanos),
            thread_nanos: AtomicU64::new(nanos),
            new_hash_rounds: cost.rounds(),
            refusal_rounds: AtomicU32::new(cost.rounds()),
            classes: Mutex::default(),
        }
    }

    /// The CPU time of a round.
    pub(super) fn thread_round(&self) -> Duration {
        Duration::from_nanos(self.thread_nanos.load(Ordering::Relaxed))
    }

    /// The wall-clock time of a batch, padding included.
    pub(super) fn batch(&self) -> Duration {
        let round = Duration::from_nanos(self.round_nanos.load(Ordering::Relaxed));
        round.saturating_mul(self.refusal_rounds())
    }

    /// The rounds that every refusal takes.
    pub(super) fn refusal_rounds(&self) -> u32 {
        self.refusal_rounds.load(Ordering::Relaxed)
    }

    /// Sets the length of a refusal to this many rounds, but at least to the rounds of a new hash.
    pub(super) fn set_refusal_rounds(&self, rounds: u32) {
        let rounds = rounds.max(self.new_hash_rounds);
        self.refusal_rounds.store(rounds, Ordering::Relaxed);
    }

    /// Does work of this many rounds, and updates the averages.
    pub(super) fn observe<T>(&self, rounds: u32, work: impl FnOnce() -> T) -> T {
        let (started, thread_started) = (Instant::now(), thread_time());
        let result = work();
        let cpu_time = thread_time().saturating_sub(thread_started);
        update_average(&self.thread_nanos, cpu_time, rounds);
        update_average(&self.round_nanos, started.elapsed(), rounds);
        result
    }

    /// Computes rounds and discards the result.
    pub(super) fn spend(&self, rounds: u32) {
        if rounds > 0 {
            self.observe(rounds, || spend_rounds(rounds));
        }
    }

    /// Sets the average as if all batches had taken this long.
    #[cfg(test)]
    pub(super) fn set_batch_duration(&self, batch: Duration) {
        let round = batch / self.refusal_rounds();
        let nanos = u64::try_from(round.as_nanos()).unwrap_or(u64::MAX);
        self.round_nanos.store(nanos, Ordering::Relaxed);
    }

    /// The measured rounds of a class, or `None` during the measurement. The first caller gets a
    /// [`Measurement`] to run on a hash thread.
    pub(super) fn measured(self: &Arc<Self>, class: HashClass) -> Result<Option<u32>, Measurement> {
        let mut classes = self.classes();
        match classes.get(&class) {
            Some(rounds) => Ok(*rounds),
            None => {
                classes.insert(class, None);
                let pace = Arc::clone(self);
                Err(Measurement { pace, class })
            }
        }
    }

    fn classes(&self) -> MutexGuard<'_, HashMap<HashClass, Option<u32>>> {
        self.classes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Updates an exponential moving average with weight 1/8.
fn update_average(nanos: &AtomicU64, duration: Duration, rounds: u32) {
    let latest = duration.as_nanos() / u128::from(rounds.max(1));
    let latest = u64::try_from(latest).unwrap_or(u64::MAX);
    let average = nanos.load(Ordering::Relaxed);
    let updated = (average - average / 8).saturating_add(latest / 8).max(1);
    nanos.store(updated, Ordering::Relaxed);
}

/// A measurement that is due. If it is dropped before it runs, the next caller gets another one.
pub(super) struct Measurement {
    pace: Arc<Pace>,
    class: HashClass,
}

impl Measurement {
    /// Measures how many rounds of bcrypt take the time of a hash of the class, and adds a quarter: a
    /// refusal that computed such a hash is padded by the remaining rounds.
    pub(super) fn run(&self) {
        let (mut fastest, mut reference) = (Duration::MAX, Duration::MAX);
        for _ in 0..MEASUREMENTS {
            let started = thread_time();
            if let Err(error) = self.class.compute_and_discard() {
                log::warn!(
                    "stored hashes with unsupported parameters: {}",
                    error.code()
                );
                return;
            }
            let computed = thread_time();
            spend_rounds(REFERENCE_ROUNDS);
            fastest = fastest.min(computed.saturating_sub(started));
            reference = reference.min(thread_time().saturating_sub(computed));
        }
        let rounds = fastest.as_nanos() * u128::from(REFERENCE_ROUNDS) * 5 / 4;
        let rounds = rounds / reference.as_nanos().max(1);
        let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
        self.pace.classes().insert(self.class, Some(rounds));
    }
}

impl Drop for Measurement {
    fn drop(&mut self) {
        let mut classes = self.pace.classes();
        if classes.get(&self.class) == Some(&None) {
            classes.remove(&self.class);
        }
    }
}

/// The CPU time that the calling thread has used. It measures work independent of other threads that
/// share the cores.
pub(super) fn thread_time() -> Duration {
    // Every supported system has this clock.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// Pads work that started at the thread time `started` to `rounds` rounds of bcrypt, where one round
/// takes `round`.
///
/// It computes instead of sleeping: sleeping would free the core for other requests, which would show
/// in their response times.
pub(super) fn pad_to_rounds(started: Duration, round: Duration, rounds: u32) {
    let used = thread_time().saturating_sub(started);
    spend_rounds(remaining_rounds(used, round, rounds));
}

/// How many of `rounds` remain after this much CPU time.
fn remaining_rounds(used: Duration, round: Duration, rounds: u32) -> u32 {
    let done = used.as_nanos() / round.as_nanos().max(1);
    rounds.saturating_sub(u32::try_from(done).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_take_at_least_as_long_as_a_new_hash() {
        let pace = Pace::new(10.try_into().unwrap());
        assert_eq!(pace.refusal_rounds(), 1_024);
        pace.set_refusal_rounds(4_096);
        assert_eq!(pace.refusal_rounds(), 4_096);
        assert_eq!(pace.batch(), INITIAL_ROUND * 4_096);
        pace.set_refusal_rounds(16);
        assert_eq!(pace.refusal_rounds(), 1_024);
    }

    #[test]
    fn class_is_measured_once_and_again_after_a_dropped_measurement() {
        let pace = Arc::new(Pace::new(Cost::MIN));
        let class = HashClass::Pbkdf2 { rounds: 1_000 };
        let dropped = pace.measured(class).err().unwrap();
        assert_eq!(pace.measured(class).ok(), Some(None));
        drop(dropped);
        let measurement = pace.measured(class).err().unwrap();
        measurement.run();
        drop(measurement);
        let rounds = pace.measured(class).ok().flatten().unwrap();
        assert!((1..1_000).contains(&rounds), "{rounds}");
    }

    #[test]
    fn padding_covers_exactly_the_remaining_rounds() {
        const ROUND: Duration = Duration::from_micros(50);
        let remaining = |used: Duration| remaining_rounds(used, ROUND, 4_096);
        assert_eq!(remaining(Duration::ZERO), 4_096);
        assert_eq!(remaining(ROUND * 1_024), 3_072);
        assert_eq!(remaining(ROUND * 4_095), 1);
        assert_eq!(remaining(ROUND * 4_096), 0);
        assert_eq!(remaining(Duration::from_secs(86_400)), 0);
        assert_eq!(remaining_rounds(ROUND, Duration::ZERO, 4_096), 0);
    }

    #[test]
    fn thread_time_does_not_advance_while_the_thread_sleeps() {
        let started = thread_time();
        std::thread::sleep(Duration::from_millis(50));
        let asleep = thread_time() - started;
        assert!(asleep < Duration::from_millis(25), "{asleep:?}");
        spend_rounds(64);
        assert!(thread_time() - started > asleep);
    }
}

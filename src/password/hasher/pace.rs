//! How long hashing takes here, and how long a refusal has to take.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bcrypt_lanes::spend_rounds;

use crate::password::filler::thread_time;
use crate::password::{Cost, HashClass};

/// What one of the 2^cost rounds of a bcrypt takes on a usual core.
const USUAL_ROUND: Duration = Duration::from_micros(50);

/// How often a class is measured; the fastest one counts.
const MEASUREMENTS: usize = 3;

/// The rounds of bcrypt that a measurement is compared with.
const COMPARED_ROUNDS: u32 = 256;

/// The speed of this machine, and what refusals are padded to, in rounds of bcrypt.
pub(super) struct Pace {
    /// Nanoseconds until a round of a batch is over, as a moving average.
    round_nanos: AtomicU64,
    /// Nanoseconds that a round of a batch has of a core, likewise.
    thread_nanos: AtomicU64,
    /// Rounds that new hashes have.
    own_rounds: u32,
    /// Rounds that every refusal takes.
    refusal_rounds: AtomicU32,
    /// What classes other than bcrypt take; `None` while it is being measured.
    classes: Mutex<HashMap<HashClass, Option<u32>>>,
}

impl Pace {
    /// Where new hashes have this cost.
    pub(super) fn new(cost: Cost) -> Self {
        let nanos = u64::try_from(USUAL_ROUND.as_nanos()).unwrap_or(u64::MAX);
        Self {
            // A guess, or the first to come would all be let in.
            round_nanos: AtomicU64::new(nanos),
            thread_nanos: AtomicU64::new(nanos),
            own_rounds: cost.rounds(),
            refusal_rounds: AtomicU32::new(cost.rounds()),
            classes: Mutex::default(),
        }
    }

    /// What a round has of a core.
    pub(super) fn thread_round(&self) -> Duration {
        Duration::from_nanos(self.thread_nanos.load(Ordering::Relaxed))
    }

    /// How long a batch takes, padding included.
    pub(super) fn batch(&self) -> Duration {
        let round = Duration::from_nanos(self.round_nanos.load(Ordering::Relaxed));
        round.saturating_mul(self.refusal_rounds())
    }

    /// The rounds that every refusal takes.
    pub(super) fn refusal_rounds(&self) -> u32 {
        self.refusal_rounds.load(Ordering::Relaxed)
    }

    /// Has refusals take this many rounds, or as many as a new hash if that is more.
    pub(super) fn pad_refusals_to(&self, rounds: u32) {
        let rounds = rounds.max(self.own_rounds);
        self.refusal_rounds.store(rounds, Ordering::Relaxed);
    }

    /// Does work of so many rounds, and learns from how long that takes.
    pub(super) fn observe<T>(&self, rounds: u32, work: impl FnOnce() -> T) -> T {
        let (begun, thread_begun) = (Instant::now(), thread_time());
        let done = work();
        let thread_took = thread_time().saturating_sub(thread_begun);
        learn(&self.thread_nanos, thread_took, rounds);
        learn(&self.round_nanos, begun.elapsed(), rounds);
        done
    }

    /// Computes rounds for their time alone.
    pub(super) fn spend(&self, rounds: u32) {
        if rounds > 0 {
            self.observe(rounds, || spend_rounds(rounds));
        }
    }

    /// As if batches had always taken so long.
    #[cfg(test)]
    pub(super) fn pretend(&self, batch: Duration) {
        let round = batch / self.refusal_rounds();
        let nanos = u64::try_from(round.as_nanos()).unwrap_or(u64::MAX);
        self.round_nanos.store(nanos, Ordering::Relaxed);
    }

    /// The rounds that a class was measured to take; at first the caller gets the measurement to make,
    /// on a hash thread.
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

/// Moves a moving average an eighth of the way to what was just seen.
fn learn(nanos: &AtomicU64, took: Duration, rounds: u32) {
    let seen = took.as_nanos() / u128::from(rounds.max(1));
    let seen = u64::try_from(seen).unwrap_or(u64::MAX);
    let usual = nanos.load(Ordering::Relaxed);
    let moved = (usual - usual / 8).saturating_add(seen / 8).max(1);
    nanos.store(moved, Ordering::Relaxed);
}

/// A measurement to be made. One that is dropped before is asked for again.
pub(super) struct Measurement {
    pace: Arc<Pace>,
    class: HashClass,
}

impl Measurement {
    /// Measures how many rounds of bcrypt take as long as a hash of the class, and a quarter more: a
    /// refusal that compared such a hash is padded too, by what is left.
    pub(super) fn make(&self) {
        let (mut fastest, mut compared) = (Duration::MAX, Duration::MAX);
        for _ in 0..MEASUREMENTS {
            let begun = thread_time();
            if let Err(error) = self.class.spend() {
                log::warn!(
                    "hashes of a stored class cannot be computed: {}",
                    error.code()
                );
                return;
            }
            let spent = thread_time();
            spend_rounds(COMPARED_ROUNDS);
            fastest = fastest.min(spent.saturating_sub(begun));
            compared = compared.min(thread_time().saturating_sub(spent));
        }
        let rounds = fastest.as_nanos() * u128::from(COMPARED_ROUNDS) * 5 / 4;
        let rounds = rounds / compared.as_nanos().max(1);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_take_no_less_than_a_new_hash() {
        let pace = Pace::new(10.try_into().unwrap());
        assert_eq!(pace.refusal_rounds(), 1_024);
        pace.pad_refusals_to(4_096);
        assert_eq!(pace.refusal_rounds(), 4_096);
        assert_eq!(pace.batch(), USUAL_ROUND * 4_096);
        pace.pad_refusals_to(16);
        assert_eq!(pace.refusal_rounds(), 1_024);
    }

    #[test]
    fn a_class_is_measured_once_and_again_when_that_failed() {
        let pace = Arc::new(Pace::new(Cost::MIN));
        let class = HashClass::Pbkdf2 { rounds: 1_000 };
        let given_up = pace.measured(class).err().unwrap();
        assert_eq!(pace.measured(class).ok(), Some(None));
        drop(given_up);
        let measurement = pace.measured(class).err().unwrap();
        measurement.make();
        drop(measurement);
        let rounds = pace.measured(class).ok().flatten().unwrap();
        assert!((1..1_000).contains(&rounds), "{rounds}");
    }
}

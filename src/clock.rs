//! The only source of time: UTC, in microseconds, passed to every component that needs it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

/// The longest step forward that is accepted as elapsed time. After a longer one the clock may be
/// wrong, and an operator has to confirm it.
pub const MAX_STEP: TimeDelta = TimeDelta::days(7);

/// How far the clock moves before the latest time is updated, which all readers share.
const OBSERVE_INTERVAL_MICROS: i64 = 100_000;

/// No time was observed yet.
const NONE: i64 = i64::MIN;

/// The clock. Cheap to clone; clones of a manual clock move together.
///
/// After it has observed the latest time that any process has seen ([`Clock::observe`]), it does
/// not go back before that time, so that what has expired stays expired when the machine's clock is
/// set back.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    /// The latest trusted time, in microseconds since 1970, or [`NONE`].
    latest: Arc<AtomicI64>,
}

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<Mutex<Hands>>),
}

/// The state of a manual clock.
#[derive(Debug)]
struct Hands {
    /// Microseconds since 1970, at the moment when the clock was set.
    set_to: i64,
    /// That moment, if the clock ticks.
    ticks_since: Option<Instant>,
}

impl Hands {
    fn now(&self) -> i64 {
        let elapsed = self.ticks_since.map_or(Duration::ZERO, |set| set.elapsed());
        let elapsed = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
        self.set_to.saturating_add(elapsed)
    }
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self::new(Source::System)
    }

    /// A clock for tests, which stands at `start` until [`Clock::advance`] or [`Clock::set`] moves it.
    pub fn manual(start: DateTime<Utc>) -> Self {
        let hands = Hands {
            set_to: start.timestamp_micros(),
            ticks_since: None,
        };
        Self::new(Source::Manual(Arc::new(Mutex::new(hands))))
    }

    fn new(source: Source) -> Self {
        let latest = Arc::new(AtomicI64::new(NONE));
        Self { source, latest }
    }

    /// The current time in UTC, truncated to whole microseconds: Postgres stores no more, and a
    /// time must be equal to itself after a round trip through either database. Never before the
    /// latest observed time, unless the clock has made a step of more than [`MAX_STEP`].
    pub fn now(&self) -> NaiveDateTime {
        let (now, latest) = (self.micros(), self.latest.load(Ordering::Relaxed));
        if latest == NONE {
            return from_micros(now);
        }
        let ahead = now.saturating_sub(latest);
        if ahead > OBSERVE_INTERVAL_MICROS && is_trusted(ahead) {
            self.latest.fetch_max(now, Ordering::Relaxed);
        }
        from_micros(now.max(latest))
    }

    /// Records a time that was seen by this or another process: the clock does not go back before
    /// it.
    pub fn observe(&self, seen: NaiveDateTime) {
        let micros = seen.and_utc().timestamp_micros();
        self.latest.fetch_max(micros, Ordering::Relaxed);
    }

    /// Whether the clock has made no step of more than [`MAX_STEP`] from the latest observed time.
    pub fn is_trusted(&self) -> bool {
        let latest = self.latest.load(Ordering::Relaxed);
        latest == NONE || is_trusted(self.micros().saturating_sub(latest))
    }

    /// Adds elapsed time while the machine's clock is behind the latest observed time because it
    /// was set back.
    pub(crate) fn add_elapsed(&self, elapsed: Duration) {
        let latest = self.latest.load(Ordering::Relaxed);
        if matches!(self.source, Source::System) && self.micros() < latest {
            let elapsed = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
            let passed = latest.saturating_add(elapsed);
            self.latest.fetch_max(passed, Ordering::Relaxed);
        }
    }

    fn micros(&self) -> i64 {
        match &self.source {
            Source::System => match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
                Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
                Err(_before_1970) => 0,
            },
            Source::Manual(hands) => lock(hands).now(),
        }
    }

    /// Replaces the latest observed time unconditionally.
    pub(crate) fn reset(&self, latest: NaiveDateTime) {
        let micros = latest.and_utc().timestamp_micros();
        self.latest.store(micros, Ordering::Relaxed);
    }

    /// The time of the machine's clock, regardless of observed times.
    pub(crate) fn machine_time(&self) -> NaiveDateTime {
        from_micros(self.micros())
    }

    /// Moves a manual clock, backwards for a negative `step`. The system's clock is not moved.
    pub fn advance(&self, step: TimeDelta) {
        if let Source::Manual(hands) = &self.source {
            let mut hands = lock(hands);
            let step = step.num_microseconds().unwrap_or(0);
            hands.set_to = hands.set_to.saturating_add(step);
        }
    }

    /// Sets a manual clock to a time, where it stands, or from where it ticks. The system's clock is
    /// not set.
    pub fn set(&self, at: DateTime<Utc>, ticks: bool) {
        if let Source::Manual(hands) = &self.source {
            *lock(hands) = Hands {
                set_to: at.timestamp_micros(),
                ticks_since: ticks.then(Instant::now),
            };
        }
    }

    /// Whether time passes on this clock by itself.
    pub fn ticks(&self) -> bool {
        match &self.source {
            Source::System => true,
            Source::Manual(hands) => lock(hands).ticks_since.is_some(),
        }
    }
}

/// No code panics while it holds this lock, so the state is whole in any case.
fn lock(hands: &Mutex<Hands>) -> MutexGuard<'_, Hands> {
    hands.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_trusted(ahead_micros: i64) -> bool {
    TimeDelta::microseconds(ahead_micros) <= MAX_STEP
}

fn from_micros(micros: i64) -> NaiveDateTime {
    DateTime::from_timestamp_micros(micros)
        .unwrap_or_default()
        .naive_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_clock_moves_only_when_advanced() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let same = clock.clone();
        assert_eq!(clock.now(), DateTime::UNIX_EPOCH.naive_utc());
        clock.advance(TimeDelta::seconds(90));
        assert_eq!(same.now().and_utc().timestamp(), 90);
    }

    #[test]
    fn manual_clock_stands_or_ticks_from_the_time_it_is_set_to() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let day = TimeDelta::days(1);
        clock.set(DateTime::UNIX_EPOCH + day, false);
        std::thread::sleep(Duration::from_millis(2));
        assert!(!clock.ticks());
        assert_eq!(clock.now(), from_micros(0) + day);
        clock.set(DateTime::UNIX_EPOCH, true);
        std::thread::sleep(Duration::from_millis(2));
        let passed = clock.now() - from_micros(0);
        assert!(clock.ticks());
        assert!(
            passed >= TimeDelta::milliseconds(2) && passed < day,
            "{passed}"
        );
        clock.advance(day);
        assert!(clock.ticks());
        assert!(clock.now() >= from_micros(0) + day + passed);
    }

    #[test]
    fn system_clock_returns_whole_microseconds() {
        let now = Clock::system().now();
        assert_eq!(now.and_utc().timestamp_subsec_nanos() % 1_000, 0);
        assert!((Utc::now().naive_utc() - now).abs() < TimeDelta::minutes(1));
    }

    #[test]
    fn clock_set_back_stands_still_until_it_catches_up() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        clock.advance(TimeDelta::hours(2));
        clock.advance(TimeDelta::hours(-1));
        assert_eq!(
            clock.now().and_utc().timestamp(),
            3_600,
            "nothing was observed"
        );
        clock.observe(clock.now());
        for (step, seconds) in [(1, 7_200), (-2, 7_200), (1, 7_200), (1, 7_200), (1, 10_800)] {
            clock.advance(TimeDelta::hours(step));
            assert_eq!(clock.now().and_utc().timestamp(), seconds, "{step}");
            assert!(clock.is_trusted());
        }
        // Times that another process has seen count too.
        clock.observe(from_micros(20_000_000_000));
        assert_eq!(clock.now().and_utc().timestamp(), 20_000);
    }

    #[test]
    fn too_long_step_is_not_observed() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        clock.observe(clock.now());
        clock.advance(MAX_STEP);
        assert_eq!(clock.now(), from_micros(0) + MAX_STEP);
        assert!(clock.is_trusted());
        clock.advance(TimeDelta::days(400));
        assert_eq!(
            clock.now(),
            from_micros(0) + MAX_STEP + TimeDelta::days(400)
        );
        assert!(!clock.is_trusted());
        clock.advance(TimeDelta::days(-401));
        assert_eq!(clock.now(), from_micros(0) + MAX_STEP);
        assert!(clock.is_trusted());
    }

    #[test]
    fn time_passes_while_machine_clock_is_behind() {
        let clock = Clock::system();
        let ahead = clock.now() + TimeDelta::days(1);
        clock.observe(ahead);
        clock.add_elapsed(Duration::from_secs(5));
        assert_eq!(clock.now(), ahead + TimeDelta::seconds(5));
        let right = Clock::system();
        right.observe(right.now());
        right.add_elapsed(Duration::from_secs(5));
        assert!(right.now() < ahead);
    }
}

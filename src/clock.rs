//! The one source of time: UTC, to the microsecond, handed to whoever needs it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

/// The longest step forward that is taken for time that has passed. After a longer one, the clock
/// may be wrong: an operator has to say that it is not.
pub const MAX_STEP: TimeDelta = TimeDelta::days(7);

/// How far the clock moves before that is recorded: all readers share the record.
const NOTE_INTERVAL_MICROS: i64 = 100_000;

/// No time was noted yet.
const NONE: i64 = i64::MIN;

/// Tells the time. Cheap to clone; clones of a manual clock move together.
///
/// Once it was told the latest time that anyone has seen ([`Clock::note`]), it does not go back
/// behind it, so that what has expired stays expired when the machine's clock is set back.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    /// The latest time that is trusted, in microseconds since 1970, or [`NONE`].
    latest: Arc<AtomicI64>,
}

#[derive(Clone, Debug)]
enum Source {
    System,
    /// Microseconds since 1970.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The clock of the machine.
    pub fn system() -> Self {
        Self::of(Source::System)
    }

    /// A clock for tests: stands at `start` until [`Clock::advance`] moves it.
    pub fn manual(start: DateTime<Utc>) -> Self {
        let micros = AtomicI64::new(start.timestamp_micros());
        Self::of(Source::Manual(Arc::new(micros)))
    }

    fn of(source: Source) -> Self {
        let latest = Arc::new(AtomicI64::new(NONE));
        Self { source, latest }
    }

    /// Now, in UTC, cut to whole microseconds: Postgres keeps no more, and a time has to be equal
    /// to itself after a trip through either database. Never before the latest time that was noted,
    /// as long as the clock has made no step of more than [`MAX_STEP`].
    pub fn now(&self) -> NaiveDateTime {
        let (now, latest) = (self.micros(), self.latest.load(Ordering::Relaxed));
        if latest == NONE {
            return from_micros(now);
        }
        let ahead = now.saturating_sub(latest);
        if ahead > NOTE_INTERVAL_MICROS && is_trusted(ahead) {
            self.latest.fetch_max(now, Ordering::Relaxed);
        }
        from_micros(now.max(latest))
    }

    /// Notes a time that was seen, here or by another process: the clock does not go back behind it.
    pub fn note(&self, seen: NaiveDateTime) {
        let micros = seen.and_utc().timestamp_micros();
        self.latest.fetch_max(micros, Ordering::Relaxed);
    }

    /// Whether the clock has made no step of more than [`MAX_STEP`] from the latest time that was
    /// noted.
    pub fn is_trusted(&self) -> bool {
        let latest = self.latest.load(Ordering::Relaxed);
        latest == NONE || is_trusted(self.micros().saturating_sub(latest))
    }

    /// Lets time pass that the machine's clock does not tell because it was set back.
    pub(crate) fn pass(&self, elapsed: Duration) {
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
            Source::Manual(micros) => micros.load(Ordering::SeqCst),
        }
    }

    /// Takes this for the latest time that was seen, whatever was noted before.
    pub(crate) fn reset(&self, latest: NaiveDateTime) {
        let micros = latest.and_utc().timestamp_micros();
        self.latest.store(micros, Ordering::Relaxed);
    }

    /// What the machine's clock says, whatever was noted.
    pub(crate) fn machine(&self) -> NaiveDateTime {
        from_micros(self.micros())
    }

    /// Moves a manual clock, back for a negative `step`. The system's clock is not moved.
    pub fn advance(&self, step: TimeDelta) {
        if let Source::Manual(micros) = &self.source {
            micros.fetch_add(step.num_microseconds().unwrap_or(0), Ordering::SeqCst);
        }
    }
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
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let same = clock.clone();
        assert_eq!(clock.now(), DateTime::UNIX_EPOCH.naive_utc());
        clock.advance(TimeDelta::seconds(90));
        assert_eq!(same.now().and_utc().timestamp(), 90);
    }

    #[test]
    fn the_system_clock_gives_whole_microseconds() {
        let now = Clock::system().now();
        assert_eq!(now.and_utc().timestamp_subsec_nanos() % 1_000, 0);
        assert!((Utc::now().naive_utc() - now).abs() < TimeDelta::minutes(1));
    }

    #[test]
    fn a_clock_that_was_set_back_stands_until_it_is_right_again() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        clock.advance(TimeDelta::hours(2));
        clock.advance(TimeDelta::hours(-1));
        assert_eq!(
            clock.now().and_utc().timestamp(),
            3_600,
            "nothing was noted"
        );
        clock.note(clock.now());
        for (step, seconds) in [(1, 7_200), (-2, 7_200), (1, 7_200), (1, 7_200), (1, 10_800)] {
            clock.advance(TimeDelta::hours(step));
            assert_eq!(clock.now().and_utc().timestamp(), seconds, "{step}");
            assert!(clock.is_trusted());
        }
        // What another process has seen counts too.
        clock.note(from_micros(20_000_000_000));
        assert_eq!(clock.now().and_utc().timestamp(), 20_000);
    }

    #[test]
    fn a_step_that_is_too_long_is_not_noted() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        clock.note(clock.now());
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
    fn time_passes_while_the_machine_is_behind() {
        let clock = Clock::system();
        let ahead = clock.now() + TimeDelta::days(1);
        clock.note(ahead);
        clock.pass(Duration::from_secs(5));
        assert_eq!(clock.now(), ahead + TimeDelta::seconds(5));
        let right = Clock::system();
        right.note(right.now());
        right.pass(Duration::from_secs(5));
        assert!(right.now() < ahead);
    }
}

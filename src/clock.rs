//! The one source of time: UTC, to the microsecond, handed to whoever needs it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, NaiveDateTime, TimeDelta, Timelike, Utc};

/// Tells the time. Cheap to clone; clones of a manual clock move together.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    /// Microseconds since 1970.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The clock of the machine.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock for tests: stands at `start` until [`Clock::advance`] moves it.
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(
            start.timestamp_micros(),
        ))))
    }

    /// Now, in UTC, cut to whole microseconds: Postgres keeps no more, and a time has to be equal
    /// to itself after a trip through either database.
    pub fn now(&self) -> NaiveDateTime {
        match &self.0 {
            Source::System => {
                let now = Utc::now().naive_utc();
                let whole = now.nanosecond() / 1_000 * 1_000;
                now.with_nanosecond(whole).unwrap_or(now)
            }
            Source::Manual(micros) => {
                let micros = micros.load(Ordering::SeqCst);
                DateTime::from_timestamp_micros(micros)
                    .unwrap_or_default()
                    .naive_utc()
            }
        }
    }

    /// Moves a manual clock, back for a negative `step`. The system's clock is not moved.
    pub fn advance(&self, step: TimeDelta) {
        if let Source::Manual(micros) = &self.0 {
            micros.fetch_add(step.num_microseconds().unwrap_or(0), Ordering::SeqCst);
        }
    }
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
    }
}

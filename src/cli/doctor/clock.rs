//! The clock of the machine: by itself, and beside the times that stand in the database.

use chrono::{NaiveDateTime, TimeDelta, Utc};

use super::{Finding, Level, finding};
use crate::auth::TimeSeen;
use crate::clock::MAX_STEP;

/// The earliest time that a clock can show, in seconds since 1970: this program is not older.
const BUILT_AFTER: i64 = 1_790_000_000;

/// How long after that the program can still be in use.
const MAX_AGE: TimeDelta = TimeDelta::days(20 * 365);

/// How far the clocks of several machines may be apart.
const TOLERANCE: TimeDelta = TimeDelta::minutes(1);

/// Whether it is the time of this program at all.
pub(super) fn machine() -> Finding {
    let now = Utc::now();
    let age = TimeDelta::seconds(now.timestamp() - BUILT_AFTER);
    if age < TimeDelta::zero() || age > MAX_AGE {
        let says = format!("the clock says {now}: set it, or tokens end at the wrong time");
        return finding(Level::Problem, "clock", says);
    }
    let says = now.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    finding(Level::Ok, "clock", says)
}

/// Whether it fits the latest time that a process has seen, and the last event.
pub(super) fn compare(seen: TimeSeen) -> Finding {
    judge(Utc::now().naive_utc(), seen)
}

fn judge(now: NaiveDateTime, seen: TimeSeen) -> Finding {
    let about = "clock and database";
    let Some(latest) = seen.latest.max(seen.last_event) else {
        return finding(Level::Ok, about, "nothing has happened yet");
    };
    if now + TOLERANCE < latest {
        let says = format!(
            "the clock is behind the latest time in the database, {latest} UTC: set it; if it is \
             right, stop every process and run tokenhouse audit prune --confirm"
        );
        return finding(Level::Problem, about, says);
    }
    // The time of the last event is no measure here: it may be from when the clock was wrong.
    match seen.latest {
        Some(latest) if now - latest > MAX_STEP => {
            let says = format!(
                "the clock is {} days ahead of the latest time seen, {latest} UTC, so nothing is \
                 deleted for its age: set it; if it is right, tokenhouse audit prune --confirm",
                (now - latest).num_days()
            );
            finding(Level::Problem, about, says)
        }
        _ => finding(
            Level::Ok,
            about,
            format!("the latest time seen is {latest} UTC"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_far_from_what_was_seen_is_a_problem() {
        let at = |days| NaiveDateTime::default() + TimeDelta::days(days);
        let level = |now, latest: Option<i64>, last_event: Option<i64>| {
            let seen = TimeSeen {
                latest: latest.map(at),
                last_event: last_event.map(at),
            };
            judge(at(now), seen).level
        };
        assert_eq!(level(100, None, None), Level::Ok);
        assert_eq!(level(100, Some(100), Some(90)), Level::Ok);
        assert_eq!(level(100, Some(94), None), Level::Ok);
        assert_eq!(level(100, Some(92), None), Level::Problem);
        assert_eq!(level(100, Some(92), Some(100)), Level::Problem);
        assert_eq!(level(100, Some(101), None), Level::Problem);
        assert_eq!(level(100, Some(99), Some(500)), Level::Problem);
    }
}

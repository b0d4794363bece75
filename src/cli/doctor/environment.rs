//! Checks of the service's environment: the machine's clock and the proxies in front of the
//! service.

use chrono::{NaiveDateTime, TimeDelta, Utc};

use super::{Finding, Level, finding};
use crate::audit::is_near;
use crate::auth::{Auth, TimeSeen};
use crate::clock::MAX_STEP;
use crate::config::Config;

/// The earliest plausible time, in seconds since 1970: the program did not exist before.
const MIN_TIME: i64 = 1_790_000_000;

/// How long after that time the program may be in use.
const MAX_AGE: TimeDelta = TimeDelta::days(20 * 365);

/// The maximum difference between the clocks of several machines.
const MAX_SKEW: TimeDelta = TimeDelta::minutes(1);

/// How far back unnamed proxies are reported.
const MAX_PROXY_AGE: TimeDelta = TimeDelta::days(7);

/// Whether the time of the clock is plausible.
pub(super) fn check_clock() -> Finding {
    let now = Utc::now();
    let age = TimeDelta::seconds(now.timestamp() - MIN_TIME);
    if age < TimeDelta::zero() || age > MAX_AGE {
        let message = format!("the clock is at {now}: set it, or tokens expire at the wrong time");
        return finding(Level::Problem, "clock", message);
    }
    let message = now.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    finding(Level::Ok, "clock", message)
}

/// Whether the clock matches the latest time that a process has recorded, and the last event.
pub(super) fn compare_clock(seen: TimeSeen) -> Finding {
    judge(Utc::now().naive_utc(), seen)
}

fn judge(now: NaiveDateTime, seen: TimeSeen) -> Finding {
    let subject = "clock and database";
    let Some(latest) = seen.latest.max(seen.last_event) else {
        return finding(Level::Ok, subject, "the database has no times yet");
    };
    if now + MAX_SKEW < latest {
        let message = format!(
            "the clock is behind the latest time in the database, {latest} UTC: set it; if it is \
             right, stop every process and run tokenhouse audit prune --confirm"
        );
        return finding(Level::Problem, subject, message);
    }
    // Does not compare with the last event, which may have been recorded while the clock was wrong.
    match seen.latest {
        Some(latest) if now - latest > MAX_STEP => {
            let message = format!(
                "the clock is {} days ahead of the latest time seen, {latest} UTC, so nothing \
                 is pruned: set it; if it is right, run tokenhouse audit prune --confirm",
                (now - latest).num_days()
            );
            finding(Level::Problem, subject, message)
        }
        _ => finding(
            Level::Ok,
            subject,
            format!("the latest time seen is {latest} UTC"),
        ),
    }
}

/// Whether the clock fits the codes that users have entered: how many seconds away they would have been right.
pub(super) fn judge_codes(seconds_away: &[i64]) -> Option<Finding> {
    let mut seconds = seconds_away.to_vec();
    seconds.sort_unstable();
    let median = *seconds.get(seconds.len() / 2)?;
    let is_one_way = seconds.iter().all(|away| away.signum() == median.signum());
    let (direction, state) = match median > 0 {
        true => ("later", "slow"),
        false => ("earlier", "fast"),
    };
    let fit = format!("fit {} seconds {direction}", median.abs());
    let message = match seconds.len() {
        1 => format!(
            "the last code of a user would {fit}: the clock of the app is wrong, or that of this machine is \
             {state}"
        ),
        users if is_one_way => format!(
            "the last codes of {users} users would {fit}: the clock of this machine is {state}; set it, or no \
             code signs anybody in"
        ),
        _ => return None,
    };
    Some(finding(Level::Warning, "clock and codes", message))
}

/// Whether requests came through a proxy that is not trusted, as services have recorded.
pub(super) fn check_proxies(config: &Config) -> Option<Finding> {
    let auth = Auth::open_existing(config).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .ok()?;
    let recorded = auth.audit().list_unnamed_proxies(MAX_PROXY_AGE);
    let peers = runtime.block_on(recorded).ok()?;
    let trusted = &config.server.trusted_proxies;
    // If proxies are configured, a distant peer is more likely a client that forged the header.
    let unnamed = peers
        .into_iter()
        .filter(|peer| !trusted.contains(*peer))
        .find(|peer| trusted.is_empty() || is_near(*peer))?;
    let message = format!(
        "{unnamed} forwards requests but is not trusted, so limits and the audit trail use its \
         address for all clients behind it: set TOKENHOUSE_TRUSTED_PROXIES={unnamed} if it is your \
         proxy"
    );
    Some(finding(Level::Warning, "proxies", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_agree_name_the_clock() {
        let message = |seconds: &[i64]| judge_codes(seconds).map(|finding| finding.message);
        assert_eq!(message(&[]), None);
        let one = message(&[-90]).unwrap();
        assert!(one.contains("a user would fit 90 seconds earlier"), "{one}");
        let slow = message(&[450, 390, 420]).unwrap();
        assert!(
            slow.contains("3 users would fit 420 seconds later"),
            "{slow}"
        );
        assert!(slow.contains("this machine is slow"), "{slow}");
        let fast = message(&[-420, -450]).unwrap();
        assert!(fast.contains("this machine is fast"), "{fast}");
        assert_eq!(message(&[-420, 450]), None, "these are clocks of apps");
    }

    #[test]
    fn clock_far_from_recorded_times_is_a_problem() {
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

//! How many attempts are allowed, and when.

use chrono::{NaiveDateTime, TimeDelta};

use crate::store::ThrottleCounter;

/// The first wait; each further failure doubles it.
const FIRST_WAIT: TimeDelta = TimeDelta::seconds(30);

/// The longest wait: a guessing client cannot lock an account for longer.
const MAX_WAIT: TimeDelta = TimeDelta::hours(1);

/// What is recorded about an account that must wait: each alert once until the failures are
/// cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alert {
    /// An attempt was refused.
    FirstRefusal = 1,
    /// An attempt was refused, and the wait is the longest possible.
    LongestWait = 2,
}

/// Takes an attempt on an account from its budget: `limit` attempts without a wait, then one after
/// each wait, which doubles.
///
/// # Errors
/// When the attempt must not be made; with the alert to record, unless it is already recorded.
pub(super) fn take_from_account(
    row: &mut ThrottleCounter,
    limit: i64,
    now: NaiveDateTime,
) -> Result<(), Option<Alert>> {
    // A longer wait means that the clock was set back, which must not lock an account.
    let longest = now + MAX_WAIT;
    let is_waiting = row
        .next_at
        .is_some_and(|next| now < next && next <= longest);
    if !is_waiting {
        row.failures += 1;
        row.next_at = wait_after(row.failures, limit).and_then(|wait| now.checked_add_signed(wait));
        return Ok(());
    }
    let is_longest = wait_after(row.failures, limit) == Some(MAX_WAIT);
    let alert = if is_longest {
        Alert::LongestWait
    } else {
        Alert::FirstRefusal
    };
    if row.alerts >= alert as i64 {
        return Err(None);
    }
    row.alerts = alert as i64;
    Err(Some(alert))
}

/// Clears the failures of an account.
pub(super) fn clear(row: &mut ThrottleCounter) {
    row.failures = 0;
    row.next_at = None;
    row.alerts = 0;
}

/// The wait after this many failures in a row; `None` within the limit.
fn wait_after(failures: i64, limit: i64) -> Option<TimeDelta> {
    let beyond = failures.checked_sub(limit).filter(|beyond| *beyond >= 0)?;
    let doublings = u32::try_from(beyond).unwrap_or(u32::MAX).min(16);
    Some((FIRST_WAIT * 2_i32.pow(doublings)).min(MAX_WAIT))
}

/// A budget that refills evenly (the generic cell rate algorithm of ITU-T I.371): `most` within
/// `period` in the long run, and at most `burst` at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) most: u32,
    pub(super) burst: u32,
    pub(super) period: TimeDelta,
}

impl Rate {
    /// Takes an attempt from the budget of a row. `Err` is the same as in [`Self::spend`].
    pub(super) fn take(
        self,
        row: &mut ThrottleCounter,
        now: NaiveDateTime,
    ) -> Result<(), TimeDelta> {
        self.spend(&mut row.next_at, now)
    }

    /// Takes an attempt from a budget that is used until `next_at`. `Err` is the time until the
    /// next attempt is possible.
    pub(super) fn spend(
        self,
        next_at: &mut Option<NaiveDateTime>,
        now: NaiveDateTime,
    ) -> Result<(), TimeDelta> {
        // A later time means that the clock was set back: then earlier use no longer counts.
        let furthest = now + self.period;
        let used_until = next_at.filter(|next| *next <= furthest);
        let used_until = used_until.unwrap_or(now).max(now);
        let next = used_until + self.interval();
        let too_much = next - now - self.interval() * self.burst();
        if too_much > TimeDelta::zero() {
            return Err(too_much);
        }
        *next_at = Some(next);
        Ok(())
    }

    /// Puts an attempt back.
    pub(super) fn release(self, row: &mut ThrottleCounter) {
        row.next_at = row.next_at.map(|next| next - self.interval());
    }

    /// Returns a multiple of the budget.
    pub(super) fn times(self, share: u32) -> Self {
        Self {
            most: self.most.saturating_mul(share),
            burst: self.burst.saturating_mul(share),
            ..self
        }
    }

    fn burst(self) -> i32 {
        i32::try_from(self.most.min(self.burst)).unwrap_or(i32::MAX)
    }

    fn interval(self) -> TimeDelta {
        self.period / i32::try_from(self.most).unwrap_or(i32::MAX).max(1)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::throttle) fn row() -> ThrottleCounter {
        ThrottleCounter {
            subject: String::new(),
            account: None,
            failures: 0,
            next_at: None,
            expires_at: NaiveDateTime::default(),
            alerts: 0,
            under_way: 0,
            under_way_until: None,
            signed_in_until: None,
        }
    }

    #[test]
    fn waits_double_after_the_first_attempts() {
        let (mut row, mut now) = (row(), NaiveDateTime::default());
        for attempt in 0..10 {
            assert_eq!(take_from_account(&mut row, 10, now), Ok(()), "{attempt}");
        }
        for wait in [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600] {
            now += TimeDelta::seconds(wait) - TimeDelta::microseconds(1);
            let refused = take_from_account(&mut row, 10, now);
            assert!(refused.is_err(), "before {wait}");
            now += TimeDelta::microseconds(1);
            assert_eq!(take_from_account(&mut row, 10, now), Ok(()), "after {wait}");
        }
    }

    #[test]
    fn refused_attempts_never_extend_a_wait_beyond_an_hour() {
        let (mut row, mut now) = (row(), NaiveDateTime::default());
        let mut last_allowed = now;
        for _ in 0..10_000 {
            if take_from_account(&mut row, 10, now).is_ok() {
                assert!(now - last_allowed <= MAX_WAIT);
                last_allowed = now;
            }
            now += TimeDelta::minutes(10);
        }
        assert!(row.failures > 1_000, "{}", row.failures);
    }

    #[test]
    fn first_refusal_and_longest_wait_are_reported_once() {
        let (mut row, mut now) = (row(), NaiveDateTime::default());
        let mut alerts = Vec::new();
        for _ in 0..10_000 {
            let refused = take_from_account(&mut row, 10, now).err();
            alerts.extend(refused.flatten());
            now += TimeDelta::seconds(10);
        }
        assert_eq!(alerts, [Alert::FirstRefusal, Alert::LongestWait]);
        clear(&mut row);
        for _ in 0..10 {
            assert_eq!(take_from_account(&mut row, 10, now), Ok(()));
        }
        let refused = take_from_account(&mut row, 10, now);
        assert_eq!(refused, Err(Some(Alert::FirstRefusal)));
        assert_eq!(take_from_account(&mut row, 10, now), Err(None));
    }

    #[test]
    fn clock_set_back_locks_no_account() {
        let rate = Rate {
            most: 1,
            burst: 1,
            period: TimeDelta::minutes(1),
        };
        let (mut address, mut account, now) = (row(), row(), NaiveDateTime::default());
        let tomorrow = now + TimeDelta::days(1);
        assert_eq!(rate.take(&mut address, tomorrow), Ok(()));
        assert!(take_from_account(&mut account, 1, tomorrow).is_ok());
        assert!(take_from_account(&mut account, 1, tomorrow).is_err());
        assert_eq!(rate.take(&mut address, now), Ok(()));
        assert_eq!(rate.take(&mut address, now), Err(rate.period));
        assert!(take_from_account(&mut account, 1, now).is_ok());
        assert!(take_from_account(&mut account, 1, now).is_err());
    }

    #[test]
    fn rate_allows_a_burst_and_then_refills_evenly() {
        let rate = Rate {
            most: 60,
            burst: 60,
            period: TimeDelta::minutes(1),
        };
        let (mut row, now) = (row(), NaiveDateTime::default());
        for _ in 0..60 {
            assert_eq!(rate.take(&mut row, now), Ok(()));
        }
        assert_eq!(rate.take(&mut row, now), Err(TimeDelta::seconds(1)));
        rate.release(&mut row);
        assert_eq!(rate.take(&mut row, now), Ok(()));
        let later = now + TimeDelta::seconds(10);
        assert_eq!(
            (0..30)
                .filter(|_| rate.take(&mut row, later).is_ok())
                .count(),
            10
        );
        let much_later = now + TimeDelta::hours(1);
        assert_eq!(
            (0..99)
                .filter(|_| rate.take(&mut row, much_later).is_ok())
                .count(),
            60
        );
    }
}

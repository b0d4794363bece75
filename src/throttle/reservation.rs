//! An attempt that is under way: counted as a failure in the database, so that no guess is free, and
//! marked as undecided there, so that a concurrent right password waits for it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{NaiveDateTime, TimeDelta};
use diesel::QueryResult;

use super::Throttle;
use super::rate::{Alert, take_from_account};
use crate::store::{CounterKey, LockedCounters, ThrottleCounter};

/// How long an attempt may take in addition to its wait for a hash thread.
const DECISION_TIMEOUT: TimeDelta = TimeDelta::seconds(5);

/// The longest reservation, whatever the settings of its process: one that reaches further was made
/// before the clock was set back.
const MAX_RESERVATION: TimeDelta = TimeDelta::minutes(15);

/// Whether an attempt may be made.
pub(super) enum Admission {
    /// The attempt may be made, and is now under way.
    Allowed,
    /// The attempt must not be made; with the alert to record, if any.
    Refused(Option<Alert>),
    /// The answer depends on attempts under way.
    Undecided,
}

/// Takes an attempt, which is decided before `until`, from the budget of an account.
pub(super) fn reserve(
    row: &mut ThrottleCounter,
    limit: i64,
    now: NaiveDateTime,
    until: NaiveDateTime,
) -> Admission {
    let lapses = row.under_way_until;
    if lapses.is_none_or(|lapses| lapses <= now || lapses > now + MAX_RESERVATION) {
        // The attempts of a killed process are failures.
        row.under_way = 0;
    }
    match take_from_account(row, limit, now) {
        Ok(()) => {
            row.under_way += 1;
            row.under_way_until = Some(until);
            Admission::Allowed
        }
        Err(_) if row.under_way > 0 => Admission::Undecided,
        Err(alert) => Admission::Refused(alert),
    }
}

/// The budget of an account that an attempt counts against.
#[derive(Clone, Debug)]
pub(super) struct AccountBudget {
    /// The account.
    pub(super) account: String,
    /// The account itself, or the account from an address or network.
    pub(super) subject: String,
}

impl AccountBudget {
    /// The counters to lock before this one changes.
    pub(super) fn counters(&self) -> Vec<CounterKey> {
        let mut counters = vec![CounterKey::of_account(&self.account)];
        if self.subject != self.account {
            counters.push(CounterKey::of_pair(&self.subject, &self.account));
        }
        counters
    }

    /// Marks an attempt as decided; it stays counted as a failure. `held` is 1 for an attempt that
    /// was undecided, and 0 for a refused one, so that both take equally long.
    pub(super) fn decide(&self, counters: &mut LockedCounters, held: i64) -> QueryResult<()> {
        if let Some(mut row) = counters.find(&self.subject)? {
            row.under_way = (row.under_way - held).max(0);
            counters.put(row);
        }
        Ok(())
    }

    /// Removes an undecided attempt for which no password was compared.
    pub(super) fn withdraw(
        &self,
        counters: &mut LockedCounters,
        now: NaiveDateTime,
    ) -> QueryResult<()> {
        let row = counters.find(&self.subject)?;
        let is_counted = |row: &ThrottleCounter| {
            row.under_way > 0
                && row.failures > 0
                && row.under_way_until.is_some_and(|lapses| lapses > now)
        };
        if let Some(mut row) = row.filter(is_counted) {
            row.failures -= 1;
            row.under_way -= 1;
            // Without this attempt there is no wait: the count is within the limit, or the previous
            // wait has passed.
            row.next_at = None;
            counters.put(row);
        }
        Ok(())
    }
}

/// Holds an attempt that is under way. If it is dropped before the attempt is decided, as when a client
/// disconnects, the attempt is a failure.
pub(super) struct Reservation {
    throttle: Throttle,
    budget: AccountBudget,
    is_decided: AtomicBool,
}

impl Reservation {
    /// A reservation in this budget.
    pub(super) fn new(throttle: Throttle, budget: AccountBudget) -> Self {
        Self {
            throttle,
            budget,
            is_decided: AtomicBool::new(false),
        }
    }

    /// Marks the attempt as decided. Returns 1 if it was undecided before, otherwise 0.
    pub(super) fn decide(&self) -> i64 {
        i64::from(!self.is_decided.swap(true, Ordering::SeqCst))
    }

    /// Marks the attempt as under way again, because its outcome was not stored.
    pub(super) fn reopen(&self) {
        self.is_decided.store(false, Ordering::SeqCst);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.decide() == 1 {
            // On an error the reservation lapses.
            let budget = self.budget.clone();
            let decide = move |counters: &mut LockedCounters| budget.decide(counters, 1);
            let counters = self.budget.counters();
            self.throttle.0.audit.count_later(counters, decide);
        }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation").finish_non_exhaustive()
    }
}

/// Returns when the reservation of an attempt that begins now lapses, if passwords wait at most
/// `queue` for a hash thread.
pub(super) fn lapses_at(now: NaiveDateTime, queue: std::time::Duration) -> NaiveDateTime {
    let queue = TimeDelta::from_std(queue).unwrap_or(MAX_RESERVATION);
    now + (queue + DECISION_TIMEOUT).min(MAX_RESERVATION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::throttle::rate::tests::row;

    fn is_undecided(admission: &Admission) -> bool {
        matches!(admission, Admission::Undecided)
    }

    fn is_refused(admission: &Admission) -> bool {
        matches!(admission, Admission::Refused(_))
    }

    #[test]
    fn attempts_beyond_limit_are_undecided_until_reservations_lapse() {
        let (mut row, now) = (row(), NaiveDateTime::default());
        let until = now + TimeDelta::seconds(10);
        for _ in 0..3 {
            assert!(matches!(
                reserve(&mut row, 3, now, until),
                Admission::Allowed
            ));
        }
        assert!(is_undecided(&reserve(&mut row, 3, now, until)));
        assert_eq!((row.failures, row.under_way), (3, 3));
        // A reservation lapses at its time and no earlier, unless the clock was set far back.
        let mut set_back = row.clone();
        let before = now - TimeDelta::hours(1);
        set_back.next_at = Some(before + TimeDelta::seconds(1));
        assert!(is_refused(&reserve(&mut set_back, 3, before, until)));
        let just_before = until - TimeDelta::microseconds(1);
        assert!(is_undecided(&reserve(&mut row, 3, just_before, until)));
        assert!(is_refused(&reserve(&mut row, 3, until, until)));
        assert_eq!((row.failures, row.under_way), (3, 0));
    }
}

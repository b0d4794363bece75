//! An attempt that is under way: counted as a failure in the database, so that no guess is free, and
//! marked as undecided there, so that a concurrent right password waits for it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{NaiveDateTime, TimeDelta};
use tokio::runtime::Handle;

use super::rate::{Alert, take_from_account};
use crate::store::{Store, StoreError, ThrottleCounter, Writing};

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

/// Holds an attempt that is under way. If it is dropped before the attempt is decided, as when a client
/// disconnects, the attempt is a failure.
pub(super) struct Reservation {
    store: Store,
    subject: String,
    is_decided: AtomicBool,
}

impl Reservation {
    /// A reservation in the budget of `subject`.
    pub(super) fn new(store: Store, subject: String) -> Self {
        Self {
            store,
            subject,
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
        // Without a runtime, or when it stops, the reservation lapses.
        if self.decide() == 1
            && let Ok(runtime) = Handle::try_current()
        {
            let (store, subject) = (self.store.clone(), std::mem::take(&mut self.subject));
            runtime.spawn(async move {
                let decide = move |tx: &mut Writing<'_>| {
                    Ok::<_, StoreError>(ThrottleCounter::decide(tx, &subject, 1)?)
                };
                // On an error the reservation lapses.
                let _ = store.writing(decide).await;
            });
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

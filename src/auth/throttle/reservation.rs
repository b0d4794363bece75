//! An attempt that is under way: counted as a failure in the database, so that no guess is free, and
//! known there as not decided yet, so that a right password that comes at the same time waits for it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{NaiveDateTime, TimeDelta};
use tokio::runtime::Handle;

use super::budget::{Alert, take_from_account};
use crate::auth::Auth;
use crate::store::{LoginFailures, StoreError, Writing};

/// What an attempt may take besides its wait for a hash thread.
const DECIDED_WITHIN: TimeDelta = TimeDelta::seconds(5);

/// No reservation holds longer, whatever its process was set to: the clock was set back.
const LONGEST: TimeDelta = TimeDelta::minutes(15);

/// Whether an attempt may be made.
pub(super) enum Admission {
    /// It may, and is under way now.
    Allowed,
    /// It may not; with what the trail has to be told of that.
    Refused(Option<Alert>),
    /// That depends on attempts that are under way.
    Undecided,
}

/// Takes an attempt out of the budget of an account, as one that is decided before `until`.
pub(super) fn reserve(
    row: &mut LoginFailures,
    limit: i64,
    now: NaiveDateTime,
    until: NaiveDateTime,
) -> Admission {
    let lapses = row.under_way_until;
    if lapses.is_none_or(|lapses| lapses <= now || lapses > now + LONGEST) {
        // What a killed process had under way is a failure.
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

/// Holds an attempt that is under way. When it is dropped before the attempt was decided, as when a
/// client hangs up, the attempt is a failure.
pub(super) struct Reservation {
    auth: Auth,
    subject: String,
    is_decided: AtomicBool,
}

impl Reservation {
    /// One of the budget that is counted under `subject`.
    pub(super) fn new(auth: Auth, subject: String) -> Self {
        Self {
            auth,
            subject,
            is_decided: AtomicBool::new(false),
        }
    }

    /// Says that the attempt is decided. Returns 1 if it was not before, and otherwise 0.
    pub(super) fn decide(&self) -> i64 {
        i64::from(!self.is_decided.swap(true, Ordering::SeqCst))
    }

    /// Says that the attempt is under way still: what decided it was not stored.
    pub(super) fn reopen(&self) {
        self.is_decided.store(false, Ordering::SeqCst);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // Without a runtime, or when it ends, the reservation lapses.
        if self.decide() == 1
            && let Ok(runtime) = Handle::try_current()
        {
            let (auth, subject) = (self.auth.clone(), std::mem::take(&mut self.subject));
            let store = auth.0.store.clone();
            runtime.spawn(async move {
                let decide = move |tx: &mut Writing<'_>| {
                    Ok::<_, StoreError>(LoginFailures::decide(tx, &subject, 1)?)
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

/// Until when an attempt that begins now is decided, where passwords wait for a hash thread for as
/// long as `queue` at most.
pub(super) fn lapses_at(now: NaiveDateTime, queue: std::time::Duration) -> NaiveDateTime {
    let queue = TimeDelta::from_std(queue).unwrap_or(LONGEST);
    now + (queue + DECIDED_WITHIN).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::throttle::budget::tests::row;

    fn is_undecided(admission: &Admission) -> bool {
        matches!(admission, Admission::Undecided)
    }

    fn is_refused(admission: &Admission) -> bool {
        matches!(admission, Admission::Refused(_))
    }

    #[test]
    fn beyond_the_limit_it_depends_on_those_under_way_until_they_lapse() {
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
        // Not before its time, and when the clock was set back far, at once.
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

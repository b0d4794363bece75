//! An attempt at a password, and the budgets that it counts against.

use std::sync::Arc;

use chrono::{NaiveDateTime, TimeDelta};
use diesel::QueryResult;

use super::Throttle;
use super::rate::{Alert, Rate, clear};
use super::reservation::{Admission, Reservation, lapses_at, reserve};
use crate::store::{ThrottleCounter, Writing};

/// How long an address stays known after a success.
const KNOWN_ADDRESS_LIFETIME: TimeDelta = TimeDelta::days(90);

/// How long failures and attempts are counted. An account without attempts for this long starts over.
const COUNT_LIFETIME: TimeDelta = TimeDelta::days(1);

/// An attempt that was counted.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// Whether the password may be compared.
    pub(crate) is_allowed: bool,
    /// What must be recorded about the account.
    pub(crate) alert: Option<Alert>,
    subjects: Option<Subjects>,
    used: Used,
    /// Held while the attempt is under way; `None` for an attempt that is refused or not counted.
    reservation: Option<Arc<Reservation>>,
}

/// The outcome of counting an attempt.
pub(super) enum Counted {
    /// The attempt was counted, whether allowed or refused.
    Yes(Attempt),
    /// Whether the attempt is allowed depends on attempts under way; nothing was counted.
    Undecided,
    /// The address must wait.
    UsedUp(UsedUp),
}

/// The keyed digests under which an attempt is counted.
#[derive(Clone, Debug)]
pub(super) struct Subjects {
    pub(super) account: String,
    /// The account from this address, if the address is the client's own.
    pub(super) exact: Option<String>,
    /// The account from the network around the address.
    pub(super) nearby: Option<String>,
    /// The budgets of the address.
    pub(super) addresses: Vec<(String, Rate)>,
    /// The budget of the account for sign-ins.
    pub(super) sign_ins: Rate,
}

/// The budget of the account that an attempt counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Used {
    /// The budget of an address from which the owner has signed in.
    Exact,
    /// The budget of the network around such an address.
    Nearby,
    /// The budget of all other clients.
    Strangers,
}

/// Which of the budgets of an address is used up, and for how long.
pub(super) type UsedUp = (usize, TimeDelta);

impl Attempt {
    /// An attempt that is not counted.
    pub(super) const fn uncounted() -> Self {
        Self {
            is_allowed: true,
            alert: None,
            subjects: None,
            used: Used::Strangers,
            reservation: None,
        }
    }

    /// Returns the subject of the budget that the attempt counts against; `None` when it is not
    /// counted.
    pub(super) fn budget(&self) -> Option<&str> {
        self.subjects
            .as_ref()
            .map(|subjects| subjects.of(self.used))
    }

    /// Whether the attempt is counted.
    pub(super) fn is_counted(&self) -> bool {
        self.subjects.is_some()
    }

    /// Marks the attempt as under way again, because its outcome was not stored.
    pub(super) fn reopen(&self) {
        if let Some(reservation) = &self.reservation {
            reservation.reopen();
        }
    }

    /// Marks the attempt as decided. Returns 1 if it was under way until now, otherwise 0.
    pub(super) fn decide(&self) -> i64 {
        self.reservation.as_ref().map_or(0, |held| held.decide())
    }

    /// Whether the attempt comes from an address, or a network, from which the owner has signed in.
    pub(super) fn is_from_known_address(&self) -> bool {
        self.used != Used::Strangers
    }

    /// Decides an attempt with the right password: earlier failures no longer count, and the
    /// address is known from now on. Runs in the transaction of the operation that required the
    /// password.
    pub(crate) fn succeed(&self, tx: &mut Writing<'_>, now: NaiveDateTime) -> QueryResult<()> {
        self.succeed_as(tx, false, now).map(drop)
    }

    /// Like [`Self::succeed`], and takes a sign-in from the account's budget. If the budget is used
    /// up, returns the time until the next sign-in is possible.
    pub(crate) fn sign_in(
        &self,
        tx: &mut Writing<'_>,
        now: NaiveDateTime,
    ) -> QueryResult<Option<TimeDelta>> {
        self.succeed_as(tx, true, now)
    }

    fn succeed_as(
        &self,
        tx: &mut Writing<'_>,
        is_sign_in: bool,
        now: NaiveDateTime,
    ) -> QueryResult<Option<TimeDelta>> {
        let Some(subjects) = &self.subjects else {
            return Ok(None);
        };
        let held = self.decide();
        let own = Some(subjects.account.as_str());
        let mut account = ThrottleCounter::lock(tx, &subjects.account, own, now)?;
        if self.used == Used::Strangers {
            decide(&mut account, held);
            account.expires_at = now + COUNT_LIFETIME;
        }
        let wait = match is_sign_in {
            true => {
                let spent = subjects.sign_ins.spend(&mut account.signed_in_until, now);
                spent.err()
            }
            false => None,
        };
        account.expires_at = account
            .expires_at
            .max(account.signed_in_until.unwrap_or(now));
        account.update(tx)?;
        let known = [
            (&subjects.exact, Used::Exact),
            (&subjects.nearby, Used::Nearby),
        ];
        for (subject, budget) in known {
            let Some(subject) = subject else { continue };
            let mut row = ThrottleCounter::lock(tx, subject, own, now)?;
            // A budget that the owner has not used stays unchanged: otherwise each success of the
            // owner would refill it for an attacker in the same network.
            if self.used == budget {
                decide(&mut row, held);
            } else if row.expires_at <= now {
                clear(&mut row);
            }
            row.expires_at = now + KNOWN_ADDRESS_LIFETIME;
            row.update(tx)?;
        }
        release(tx, &subjects.addresses, now)?;
        Ok(wait)
    }
}

impl Subjects {
    /// The subject of this budget of the account.
    fn of(&self, used: Used) -> &str {
        let own = match used {
            Used::Exact => self.exact.as_deref(),
            Used::Nearby => self.nearby.as_deref(),
            Used::Strangers => None,
        };
        own.unwrap_or(&self.account)
    }
}

/// Clears the failures of an account, except other attempts that are still under way.
fn decide(row: &mut ThrottleCounter, held: i64) {
    row.under_way = (row.under_way - held).max(0);
    let still = row.under_way.min(row.failures);
    clear(row);
    row.failures = still;
}

/// Takes the attempt from the budgets.
pub(super) fn count(
    throttle: &Throttle,
    tx: &mut Writing<'_>,
    subjects: Subjects,
    now: NaiveDateTime,
) -> QueryResult<Counted> {
    let own = Some(subjects.account.as_str());
    let mut account = ThrottleCounter::lock(tx, &subjects.account, own, now)?;
    let exact = find_known(tx, subjects.exact.as_deref(), now)?;
    let nearby = find_known(tx, subjects.nearby.as_deref(), now)?;
    if account.expires_at <= now {
        clear(&mut account);
    }
    let (mut row, used) = match (exact, nearby) {
        (Some(exact), _) => (exact, Used::Exact),
        (None, Some(nearby)) => (nearby, Used::Nearby),
        (None, None) => (account, Used::Strangers),
    };
    let until = lapses_at(now, throttle.0.hash_queue);
    let limit = throttle.0.limits.account.into();
    let (is_allowed, alert) = match reserve(&mut row, limit, now, until) {
        Admission::Allowed => (true, None),
        Admission::Refused(alert) => (false, alert),
        Admission::Undecided => return Ok(Counted::Undecided),
    };
    if let Some(used_up) = take(tx, &subjects.addresses, now)? {
        return Ok(Counted::UsedUp(used_up));
    }
    if used == Used::Strangers && is_allowed {
        row.expires_at = now + COUNT_LIFETIME;
    }
    row.update(tx)?;
    let reserved = || Reservation::new(throttle.0.store.clone(), subjects.of(used).to_owned());
    Ok(Counted::Yes(Attempt {
        is_allowed,
        alert,
        reservation: is_allowed.then(|| Arc::new(reserved())),
        subjects: Some(subjects),
        used,
    }))
}

/// Locks and returns the budget of an address or network from which the owner has signed in.
fn find_known(
    tx: &mut Writing<'_>,
    subject: Option<&str>,
    now: NaiveDateTime,
) -> QueryResult<Option<ThrottleCounter>> {
    let found = match subject {
        Some(subject) => ThrottleCounter::lock_existing(tx, subject)?,
        None => None,
    };
    Ok(found.filter(|row| row.expires_at > now))
}

/// Takes an attempt from all of these budgets of an address, or from none. Returns the budget that
/// is used up, if any.
pub(super) fn take(
    tx: &mut Writing<'_>,
    budgets: &[(String, Rate)],
    now: NaiveDateTime,
) -> QueryResult<Option<UsedUp>> {
    let mut rows = Vec::new();
    for (number, (subject, rate)) in budgets.iter().enumerate() {
        let mut row = ThrottleCounter::lock(tx, subject, None, now)?;
        if let Err(wait) = rate.take(&mut row, now) {
            return Ok(Some((number, wait)));
        }
        row.expires_at = now + COUNT_LIFETIME;
        rows.push(row);
    }
    for row in rows {
        row.update(tx)?;
    }
    Ok(None)
}

/// Puts an attempt back into the budgets of its address.
pub(super) fn release(
    tx: &mut Writing<'_>,
    budgets: &[(String, Rate)],
    now: NaiveDateTime,
) -> QueryResult<()> {
    for (subject, rate) in budgets {
        let mut row = ThrottleCounter::lock(tx, subject, None, now)?;
        rate.release(&mut row);
        row.update(tx)?;
    }
    Ok(())
}

//! An attempt at a password, and the budgets that it counts against.

use std::sync::Arc;

use chrono::{NaiveDateTime, TimeDelta};
use diesel::QueryResult;

use super::Throttle;
use super::rate::{Alert, Rate, clear};
use super::reservation::{AccountBudget, Admission, Reservation, lapses_at, reserve};
use crate::store::{CounterKey, LockedCounters, ThrottleCounter, Writing};

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

    /// Returns the budget that the attempt counts against; `None` when it is not counted.
    pub(super) fn budget(&self) -> Option<AccountBudget> {
        let subjects = self.subjects.as_ref()?;
        Some(subjects.budget(self.used))
    }

    /// The counters that deciding an attempt with the right password changes.
    pub(crate) fn counters(&self) -> Vec<CounterKey> {
        self.subjects
            .as_ref()
            .map_or_else(Vec::new, Subjects::counters)
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
        let mut counters = LockedCounters::lock(tx, &self.counters(), now)?;
        self.succeed_in(&mut counters, now)?;
        counters.store(tx)
    }

    /// Like [`Self::succeed`], on counters that the transaction has locked.
    pub(super) fn succeed_in(
        &self,
        counters: &mut LockedCounters,
        now: NaiveDateTime,
    ) -> QueryResult<()> {
        self.succeed_as(counters, false, now).map(drop)
    }

    /// Like [`Self::succeed`], on the locked [`Self::counters`], and takes a sign-in from the account's
    /// budget. If the budget is used up, returns the time until the next sign-in is possible.
    pub(crate) fn sign_in(
        &self,
        counters: &mut LockedCounters,
        now: NaiveDateTime,
    ) -> QueryResult<Option<TimeDelta>> {
        self.succeed_as(counters, true, now)
    }

    fn succeed_as(
        &self,
        counters: &mut LockedCounters,
        is_sign_in: bool,
        now: NaiveDateTime,
    ) -> QueryResult<Option<TimeDelta>> {
        let Some(subjects) = &self.subjects else {
            return Ok(None);
        };
        let mut account = counters.get(&subjects.account)?;
        let held = self.decide();
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
        counters.put(account);
        let known = [
            (&subjects.exact, Used::Exact),
            (&subjects.nearby, Used::Nearby),
        ];
        for (subject, budget) in known {
            let Some(subject) = subject else { continue };
            let mut row = counters.find_or_new(subject, now)?;
            // A budget that the owner has not used stays unchanged: otherwise each success of the
            // owner would refill it for an attacker in the same network.
            if self.used == budget {
                decide(&mut row, held);
            } else if row.expires_at <= now {
                clear(&mut row);
            }
            row.expires_at = now + KNOWN_ADDRESS_LIFETIME;
            counters.put(row);
        }
        release(counters, &subjects.addresses)?;
        Ok(wait)
    }
}

impl Subjects {
    /// This budget of the account.
    fn budget(&self, used: Used) -> AccountBudget {
        let own = match used {
            Used::Exact => self.exact.as_deref(),
            Used::Nearby => self.nearby.as_deref(),
            Used::Strangers => None,
        };
        AccountBudget {
            account: self.account.clone(),
            subject: own.unwrap_or(&self.account).to_owned(),
        }
    }

    /// The counters of all budgets.
    pub(super) fn counters(&self) -> Vec<CounterKey> {
        let pairs = [&self.exact, &self.nearby].into_iter().flatten();
        let pairs = pairs.map(|pair| CounterKey::of_pair(pair, &self.account));
        let account = CounterKey::of_account(&self.account);
        let own = std::iter::once(account).chain(pairs);
        own.chain(counters_of(&self.addresses)).collect()
    }
}

/// The counters of the budgets of an address.
pub(super) fn counters_of(budgets: &[(String, Rate)]) -> Vec<CounterKey> {
    let budgets = budgets.iter().enumerate();
    budgets
        .map(|(number, (subject, _))| CounterKey::of_address(number, subject))
        .collect()
}

/// Clears the failures of an account, except other attempts that are still under way.
fn decide(row: &mut ThrottleCounter, held: i64) {
    row.under_way = (row.under_way - held).max(0);
    let still = row.under_way.min(row.failures);
    clear(row);
    row.failures = still;
}

/// Takes the attempt from the budgets, whose counters are locked.
pub(super) fn count(
    throttle: &Throttle,
    counters: &mut LockedCounters,
    subjects: Subjects,
    now: NaiveDateTime,
) -> QueryResult<Counted> {
    let mut account = counters.get(&subjects.account)?;
    let exact = find_known(counters, subjects.exact.as_deref(), now)?;
    let nearby = find_known(counters, subjects.nearby.as_deref(), now)?;
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
    if let Some(used_up) = take(counters, &subjects.addresses, now)? {
        return Ok(Counted::UsedUp(used_up));
    }
    if used == Used::Strangers && is_allowed {
        row.expires_at = now + COUNT_LIFETIME;
    }
    counters.put(row);
    let reserved = || Reservation::new(throttle.clone(), subjects.budget(used));
    Ok(Counted::Yes(Attempt {
        is_allowed,
        alert,
        reservation: is_allowed.then(|| Arc::new(reserved())),
        subjects: Some(subjects),
        used,
    }))
}

/// The attempt of a sign-in whose password was right in an earlier request. It was counted then, in the
/// budget that is found here.
pub(super) fn resume(
    counters: &LockedCounters,
    subjects: Subjects,
    now: NaiveDateTime,
) -> QueryResult<Attempt> {
    let exact = find_known(counters, subjects.exact.as_deref(), now)?;
    let nearby = find_known(counters, subjects.nearby.as_deref(), now)?;
    let used = match (exact, nearby) {
        (Some(_), _) => Used::Exact,
        (None, Some(_)) => Used::Nearby,
        (None, None) => Used::Strangers,
    };
    Ok(Attempt {
        subjects: Some(subjects),
        used,
        ..Attempt::uncounted()
    })
}

/// The budget of an address or network from which the owner has signed in.
fn find_known(
    counters: &LockedCounters,
    subject: Option<&str>,
    now: NaiveDateTime,
) -> QueryResult<Option<ThrottleCounter>> {
    let found = match subject {
        Some(subject) => counters.find(subject)?,
        None => None,
    };
    Ok(found.filter(|row| row.expires_at > now))
}

/// Takes an attempt from all of these budgets of an address, or from none. Returns the budget that
/// is used up, if any.
pub(super) fn take(
    counters: &mut LockedCounters,
    budgets: &[(String, Rate)],
    now: NaiveDateTime,
) -> QueryResult<Option<UsedUp>> {
    let mut rows = Vec::new();
    for (number, (subject, rate)) in budgets.iter().enumerate() {
        let mut row = counters.get(subject)?;
        if let Err(wait) = rate.take(&mut row, now) {
            return Ok(Some((number, wait)));
        }
        row.expires_at = now + COUNT_LIFETIME;
        rows.push(row);
    }
    rows.into_iter().for_each(|row| counters.put(row));
    Ok(None)
}

/// Puts an attempt back into the budgets of its address.
pub(super) fn release(
    counters: &mut LockedCounters,
    budgets: &[(String, Rate)],
) -> QueryResult<()> {
    for (subject, rate) in budgets {
        let mut row = counters.get(subject)?;
        rate.release(&mut row);
        counters.put(row);
    }
    Ok(())
}

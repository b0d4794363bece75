//! One attempt at a password, and the budgets it is taken out of.

use chrono::{NaiveDateTime, TimeDelta};
use diesel::QueryResult;

use super::budget::{Alert, Rate, forget, take_from_account};
use crate::store::{LoginFailures, StoreConnection};

/// How long an address stays known after a success.
const KNOWN_FOR: TimeDelta = TimeDelta::days(90);

/// How long failures and attempts are counted. An account that is left alone for so long starts over.
const COUNTED_FOR: TimeDelta = TimeDelta::days(1);

/// An attempt that was counted.
#[derive(Clone, Debug)]
pub(in crate::auth) struct Attempt {
    /// Whether the password may be looked at.
    pub(in crate::auth) is_allowed: bool,
    /// What the trail has to be told of the account.
    pub(in crate::auth) alert: Option<Alert>,
    pub(super) subjects: Option<Subjects>,
    used: Used,
}

/// What an attempt is counted for, as keyed digests.
#[derive(Clone, Debug)]
pub(super) struct Subjects {
    pub(super) account: String,
    /// The account from this address, if the address is the client's own.
    pub(super) exact: Option<String>,
    /// The account from the network around the address.
    pub(super) nearby: Option<String>,
    /// The budgets of the address.
    pub(super) addresses: Vec<(String, Rate)>,
}

/// The budget of the account that an attempt was taken out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Used {
    /// That of an address from which the owner signed in.
    Exact,
    /// That of the network around such an address.
    Nearby,
    /// That of all others.
    Strangers,
}

/// Which of the budgets of an address is used up, and for how long.
pub(super) type UsedUp = (usize, TimeDelta);

impl Attempt {
    /// One that nothing is counted for.
    pub(super) const fn uncounted() -> Self {
        Self {
            is_allowed: true,
            alert: None,
            subjects: None,
            used: Used::Strangers,
        }
    }

    /// Whether it comes from an address, or from near one, from which the owner signed in.
    pub(super) fn is_from_known_address(&self) -> bool {
        self.used != Used::Strangers
    }

    /// The password was right: the failures before it count no more, and the address is known from
    /// now on. In the transaction of what the password was for.
    pub(in crate::auth) fn succeed(
        &self,
        conn: &mut StoreConnection,
        now: NaiveDateTime,
    ) -> QueryResult<()> {
        let Some(subjects) = &self.subjects else {
            return Ok(());
        };
        let own = Some(subjects.account.as_str());
        let mut account = LoginFailures::lock(conn, &subjects.account, own, now)?;
        if self.used == Used::Strangers {
            forget(&mut account);
            account.expires_at = now + COUNTED_FOR;
            account.update(conn)?;
        }
        let known = [
            (&subjects.exact, Used::Exact),
            (&subjects.nearby, Used::Nearby),
        ];
        for (subject, budget) in known {
            let Some(subject) = subject else { continue };
            let mut row = LoginFailures::lock(conn, subject, own, now)?;
            // A budget that the owner has not used stays as it is, or each success of theirs would
            // give whoever guesses from nearby a new one.
            if self.used == budget || row.expires_at <= now {
                forget(&mut row);
            }
            row.expires_at = now + KNOWN_FOR;
            row.update(conn)?;
        }
        put_back(conn, &subjects.addresses, now)
    }
}

/// Takes the attempt out of the budgets. The inner error is that of an address that has to wait.
pub(super) fn count(
    conn: &mut StoreConnection,
    subjects: Subjects,
    account_limit: i64,
    now: NaiveDateTime,
) -> QueryResult<Result<Attempt, UsedUp>> {
    let own = Some(subjects.account.as_str());
    let mut account = LoginFailures::lock(conn, &subjects.account, own, now)?;
    let exact = find_known(conn, subjects.exact.as_deref(), now)?;
    let nearby = find_known(conn, subjects.nearby.as_deref(), now)?;
    if let Err(used_up) = take(conn, &subjects.addresses, now)? {
        return Ok(Err(used_up));
    }
    if account.expires_at <= now {
        forget(&mut account);
    }
    let (mut row, used) = match (exact, nearby) {
        (Some(exact), _) => (exact, Used::Exact),
        (None, Some(nearby)) => (nearby, Used::Nearby),
        (None, None) => (account, Used::Strangers),
    };
    let taken = take_from_account(&mut row, account_limit, now);
    if used == Used::Strangers && taken.is_ok() {
        row.expires_at = now + COUNTED_FOR;
    }
    row.update(conn)?;
    Ok(Ok(Attempt {
        is_allowed: taken.is_ok(),
        alert: taken.err().flatten(),
        subjects: Some(subjects),
        used,
    }))
}

/// The budget of an address or network from which the owner signed in, held against changes.
fn find_known(
    conn: &mut StoreConnection,
    subject: Option<&str>,
    now: NaiveDateTime,
) -> QueryResult<Option<LoginFailures>> {
    let found = match subject {
        Some(subject) => LoginFailures::lock_existing(conn, subject)?,
        None => None,
    };
    Ok(found.filter(|row| row.expires_at > now))
}

/// Takes an attempt out of all of these budgets of an address, or out of none.
pub(super) fn take(
    conn: &mut StoreConnection,
    budgets: &[(String, Rate)],
    now: NaiveDateTime,
) -> QueryResult<Result<(), UsedUp>> {
    let mut rows = Vec::new();
    for (number, (subject, rate)) in budgets.iter().enumerate() {
        let mut row = LoginFailures::lock(conn, subject, None, now)?;
        if let Err(wait) = rate.take(&mut row, now) {
            return Ok(Err((number, wait)));
        }
        row.expires_at = now + COUNTED_FOR;
        rows.push(row);
    }
    for row in rows {
        row.update(conn)?;
    }
    Ok(Ok(()))
}

/// Puts an attempt back into the budgets of its address: it was none that counts.
pub(super) fn put_back(
    conn: &mut StoreConnection,
    budgets: &[(String, Rate)],
    now: NaiveDateTime,
) -> QueryResult<()> {
    for (subject, rate) in budgets {
        let mut row = LoginFailures::lock(conn, subject, None, now)?;
        rate.put_back(&mut row);
        row.update(conn)?;
    }
    Ok(())
}

//! One attempt at a password, and the budgets it is taken out of.

use chrono::{NaiveDateTime, TimeDelta};
use diesel::QueryResult;

use super::budget::{Rate, take_from_account};
use crate::store::{LoginFailures, StoreConnection};

/// How long an address stays known after a success.
const KNOWN_FOR: TimeDelta = TimeDelta::days(90);

/// How long a few failures are held against an account, and attempts against an address.
pub(super) const FEW_COUNT_FOR: TimeDelta = TimeDelta::days(1);

/// How long many failures are held against an account.
const MANY_COUNT_FOR: TimeDelta = TimeDelta::days(365);

/// An attempt that was counted.
#[derive(Clone, Debug)]
pub(in crate::auth) struct Attempt {
    /// Whether the password may be looked at.
    pub(in crate::auth) is_allowed: bool,
    pub(super) subjects: Option<Subjects>,
    is_known: bool,
}

/// What an attempt is counted for, as keyed digests.
#[derive(Clone, Debug)]
pub(super) struct Subjects {
    pub(super) account: String,
    /// The account from this address.
    pub(super) pair: String,
    pub(super) address: String,
    /// The budget of the address.
    pub(super) rate: Rate,
}

impl Attempt {
    /// One that nothing is counted for.
    pub(super) const fn uncounted() -> Self {
        Self {
            is_allowed: true,
            subjects: None,
            is_known: false,
        }
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
        for subject in subjects.in_order() {
            if *subject == subjects.address {
                let mut row = LoginFailures::lock(conn, subject, None, now)?;
                subjects.rate.put_back(&mut row);
                row.update(conn)?;
            } else if *subject == subjects.pair || !self.is_known {
                // Who is known has used none of the account's own budget, so it stays as it is.
                let mut row = LoginFailures::lock(conn, subject, Some(&subjects.account), now)?;
                row.failures = 0;
                row.next_at = None;
                row.expires_at = now + KNOWN_FOR;
                row.update(conn)?;
            }
        }
        Ok(())
    }
}

impl Subjects {
    fn in_order(&self) -> [&String; 3] {
        let mut all = [&self.account, &self.pair, &self.address];
        all.sort();
        all
    }
}

/// Takes the attempt out of the budgets. The inner error is how long the address has to wait.
pub(super) fn count(
    conn: &mut StoreConnection,
    subjects: Subjects,
    account_limit: i64,
    now: NaiveDateTime,
) -> QueryResult<Result<Attempt, TimeDelta>> {
    let (mut account, mut pair, mut address) = (None, None, None);
    for subject in subjects.in_order() {
        if *subject == subjects.address {
            address = Some(LoginFailures::lock(conn, subject, None, now)?);
        } else if *subject == subjects.pair {
            pair = LoginFailures::lock_existing(conn, subject)?;
        } else {
            let own = Some(subjects.account.as_str());
            account = Some(LoginFailures::lock(conn, subject, own, now)?);
        }
    }
    let (Some(mut account), Some(mut address)) = (account, address) else {
        return Err(diesel::result::Error::NotFound);
    };
    if let Err(wait) = subjects.rate.take(&mut address, now) {
        return Ok(Err(wait));
    }
    address.expires_at = now + FEW_COUNT_FOR;
    address.update(conn)?;
    let known = pair.filter(|pair| pair.expires_at > now);
    let is_known = known.is_some();
    let is_allowed = match known {
        Some(mut pair) => {
            let is_allowed = take_from_account(&mut pair, account_limit, now);
            pair.update(conn)?;
            is_allowed
        }
        None => {
            if account.expires_at <= now {
                account.failures = 0;
                account.next_at = None;
            }
            let is_allowed = take_from_account(&mut account, account_limit, now);
            let are_few = account.failures < account_limit;
            let count_for = if are_few {
                FEW_COUNT_FOR
            } else {
                MANY_COUNT_FOR
            };
            account.expires_at = now + count_for;
            account.update(conn)?;
            is_allowed
        }
    };
    Ok(Ok(Attempt {
        is_allowed,
        subjects: Some(subjects),
        is_known,
    }))
}

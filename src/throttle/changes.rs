//! Limits the changes of authenticated users: each change adds at least one row to the trail, and
//! takes a turn to write. The budgets are in memory, separate for each process; the budget for new
//! keys is computed from the keys in the database.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{NaiveDateTime, TimeDelta};

use super::rate::Rate;
use super::{Throttle, too_many};
use crate::audit::{AuditContext, Spender};
use crate::error::Error;
use crate::metrics::Budget;
use crate::store::{ApiKey, StoreConnection};

/// The budget of an administrator for changes to other users, as a multiple of a user's budget.
const ADMINISTRATOR_SHARE: u32 = 10;

/// Number of changes that each credential may make when the budget of its user is used up: an
/// attacker who uses it up with a stolen credential must not keep the owner, who signs in again,
/// from changing the password.
const RESERVE: u32 = 5;

/// Maximum number of users whose budgets are kept. A budget is full again after a minute, and can
/// then be dropped.
const MAX_USERS: usize = 100_000;

/// What users have used of their budgets, separately for their own and for other accounts.
#[derive(Default)]
pub(super) struct ChangeBudgets(Mutex<HashMap<(i64, bool), Spent>>);

#[derive(Default)]
struct Spent {
    used_until: Option<NaiveDateTime>,
    /// What each credential has used of its reserve.
    reserves: HashMap<Spender, u32>,
}

impl ChangeBudgets {
    /// Takes a change from the budget of its user, or from the reserve of its credential. Without
    /// `is_taken`, only checks whether there is room.
    fn take(
        &self,
        spender: Spender,
        rate: Rate,
        now: NaiveDateTime,
        is_taken: bool,
    ) -> Result<(), TimeDelta> {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let user = (spender.user_id, spender.is_administration);
        if users.len() >= MAX_USERS && !users.contains_key(&user) {
            let is_in_use = |spent: &Spent| spent.used_until.is_some_and(|until| now < until);
            users.retain(|_, spent| is_in_use(spent));
            if users.len() >= MAX_USERS {
                return Err(rate.period);
            }
        }
        let spent = users.entry(user).or_default();
        if spent.used_until.is_none_or(|until| until <= now) {
            spent.reserves.clear();
        }
        let mut used_until = spent.used_until;
        match rate.spend(&mut used_until, now) {
            Ok(()) if is_taken => spent.used_until = used_until,
            Ok(()) => {}
            Err(wait) => {
                let reserve = spent.reserves.entry(spender).or_default();
                if *reserve >= RESERVE {
                    return Err(wait);
                }
                *reserve += u32::from(is_taken);
            }
        }
        Ok(())
    }
}

impl Throttle {
    /// Takes a change from the budget of the user whose principal requests it. Other actors, such
    /// as the operator, have no budget.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] when it is used up.
    pub(crate) fn take_change(&self, context: &AuditContext) -> Result<(), Error> {
        self.spend_change(context, true)
    }

    /// Like [`Self::take_change`], but takes nothing: for a change that computes a hash first.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`]
    pub(crate) fn check_changes(&self, context: &AuditContext) -> Result<(), Error> {
        self.spend_change(context, false)
    }

    fn spend_change(&self, context: &AuditContext, is_taken: bool) -> Result<(), Error> {
        let limits = self.0.limits;
        let Some(spender) = context.spender().filter(|_| limits.on) else {
            return Ok(());
        };
        let own = Rate {
            most: limits.changes,
            burst: (limits.changes / 2).max(1),
            period: TimeDelta::minutes(1),
        };
        let rate = if spender.is_administration {
            own.times(ADMINISTRATOR_SHARE)
        } else {
            own
        };
        let now = self.0.clock.now();
        let taken = self.0.changes.take(spender, rate, now, is_taken);
        taken.map_err(|wait| {
            self.0.metrics.throttled(Budget::Changes);
            too_many(wait)
        })
    }

    /// Checks that the user may create another key today. The user's row must be locked.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] when the user has created too many; [`Error::Unavailable`].
    pub(crate) fn check_keys_of_day(
        &self,
        conn: &mut StoreConnection,
        user_id: i64,
        now: NaiveDateTime,
    ) -> Result<(), Error> {
        let limits = self.0.limits;
        let day = TimeDelta::days(1);
        let Some(since) = now.checked_sub_signed(day).filter(|_| limits.on) else {
            return Ok(());
        };
        let made = ApiKey::created_since(conn, user_id, since, limits.keys.into())?;
        match made.last() {
            Some(oldest) if made.len() >= limits.keys as usize => {
                self.0.metrics.throttled(Budget::Keys);
                Err(too_many(*oldest + day - now))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::CredentialId;

    const RATE: Rate = Rate {
        most: 60,
        burst: 30,
        period: TimeDelta::minutes(1),
    };

    fn spender(user_id: i64, key: i64) -> Spender {
        Spender {
            user_id,
            credential: CredentialId::Key(key),
            is_administration: false,
        }
    }

    fn taken(changes: &ChangeBudgets, spender: Spender, now: NaiveDateTime) -> usize {
        let take = |_: &u32| changes.take(spender, RATE, now, true).is_ok();
        (0..100).filter(take).count()
    }

    #[test]
    fn users_have_a_budget_and_credentials_a_reserve() {
        let (changes, now) = (ChangeBudgets::default(), NaiveDateTime::default());
        assert_eq!(taken(&changes, spender(1, 1), now), 30 + 5);
        assert_eq!(taken(&changes, spender(1, 2), now), 5);
        assert_eq!(taken(&changes, spender(2, 3), now), 30 + 5);
        let wait = changes.take(spender(1, 1), RATE, now, true);
        assert_eq!(wait, Err(TimeDelta::seconds(1)));
        let later = now + TimeDelta::seconds(10);
        assert_eq!(taken(&changes, spender(1, 1), later), 10);
        let much_later = now + TimeDelta::hours(1);
        assert_eq!(taken(&changes, spender(1, 1), much_later), 30 + 5);
    }

    #[test]
    fn checks_take_nothing() {
        let (changes, now) = (ChangeBudgets::default(), NaiveDateTime::default());
        for _ in 0..100 {
            assert_eq!(changes.take(spender(1, 1), RATE, now, false), Ok(()));
        }
        assert_eq!(taken(&changes, spender(1, 1), now), 30 + 5);
        assert!(changes.take(spender(1, 1), RATE, now, false).is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let (changes, now) = (ChangeBudgets::default(), NaiveDateTime::default());
        let users = i64::try_from(MAX_USERS).unwrap();
        for user_id in 0..users {
            assert!(changes.take(spender(user_id, 1), RATE, now, true).is_ok());
        }
        assert!(changes.take(spender(users, 1), RATE, now, true).is_err());
        let later = now + TimeDelta::seconds(1);
        assert!(changes.take(spender(users, 1), RATE, later, true).is_ok());
        assert_eq!(changes.0.lock().unwrap().len(), 1);
    }
}

//! Tries at the second factors of a user: one budget for all factors and sign-ins, wherever they come from.
//! Only a client with the password, or a session, can use it up, so others cannot lock the owner out with it.

use chrono::{NaiveDateTime, TimeDelta};

use super::rate::{clear, take_from_account};
use super::{Throttle, too_many};
use crate::audit::{Action, AuditContext, Event};
use crate::error::Error;
use crate::metrics::Budget;
use crate::store::{CounterKey, LockedCounters, Writing};

/// Wrong codes in a row without a wait.
const FREE_TRIES: i64 = 10;

/// Wrong codes in a row after which only an administrator or operator opens the account: a stranger with the
/// password guesses a code of six digits, of which three count, with a probability of 3 in 10,000.
const MAX_TRIES: i64 = 100;

/// Longer than any guessing: the count ends with a right code, or when the account is unlocked.
const COUNT_LIFETIME: TimeDelta = TimeDelta::days(3_650);

/// What `alerts` of a counter is once the block is recorded; the waits before it have lower numbers.
const BLOCKED_ALERT: i64 = 3;

/// What clients learn about the end of a block that has none.
const BLOCKED_RETRY_AFTER: TimeDelta = TimeDelta::hours(1);

enum Counted {
    Allowed,
    Refused { wait: TimeDelta, is_new: bool },
}

impl Throttle {
    /// Counts a try at a second factor of this user, in the database and before any comparison.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] when there were too many wrong ones; [`Error::Unavailable`].
    pub(crate) async fn take_factor_try(
        &self,
        context: &AuditContext,
        user_id: i64,
    ) -> Result<(), Error> {
        let subject = self.key().await?.digest(&["factors", &user_id.to_string()]);
        let now = self.0.clock.now();
        let keys = vec![CounterKey::of_account(&subject)];
        let counted = self
            .0
            .audit
            .count(keys, move |counters| count(counters, &subject, now));
        match counted.await? {
            Counted::Allowed => Ok(()),
            Counted::Refused { wait, is_new } => {
                self.0.metrics.throttled(Budget::Account);
                if is_new {
                    let event = Event::refused(Action::AccountThrottled).on_user(user_id);
                    let event = event.with("factors", true);
                    self.0.audit.record(context, event).await?;
                }
                Err(too_many(wait))
            }
        }
    }

    /// Forgets the wrong codes of a user. Returns whether there were any.
    pub(crate) fn clear_factor_tries(
        &self,
        tx: &mut Writing<'_>,
        user_id: i64,
    ) -> diesel::QueryResult<bool> {
        let key = self.0.key.get(tx)?;
        let subject = key.digest(&["factors", &user_id.to_string()]);
        let now = self.0.clock.now();
        LockedCounters::reset_account(tx, &subject, now).map(|rows| rows > 0)
    }
}

fn count(
    counters: &mut LockedCounters,
    subject: &str,
    now: NaiveDateTime,
) -> diesel::QueryResult<Counted> {
    let mut row = counters.get(subject)?;
    if row.expires_at <= now {
        clear(&mut row);
    }
    row.expires_at = now + COUNT_LIFETIME;
    let known = row.alerts;
    let is_blocked = row.failures >= MAX_TRIES;
    let counted = match is_blocked {
        true => Err(BLOCKED_RETRY_AFTER),
        false => take_from_account(&mut row, FREE_TRIES, now)
            .map_err(|_alert| row.next_at.map_or(TimeDelta::zero(), |next| next - now)),
    };
    let counted = match counted {
        Ok(()) => Counted::Allowed,
        Err(wait) => {
            row.alerts = row.alerts.max(if is_blocked { BLOCKED_ALERT } else { 1 });
            Counted::Refused {
                wait,
                is_new: row.alerts > known,
            }
        }
    };
    counters.put(row);
    Ok(counted)
}

//! The budgets of mails, and of the codes in them. What is counted does not depend on whether a user has the
//! address, and neither does the time that it takes.

use chrono::{NaiveDateTime, TimeDelta};
use diesel::QueryResult;

use super::Throttle;
use super::addresses::{AddressBudget, per_minute, subjects_of};
use super::attempt::{counters_of, release, take};
use super::rate::Rate;
use crate::audit::{Action, AuditContext, Event};
use crate::credential::keyed_digest::DigestKey;
use crate::credential::mail_token::MailPurpose;
use crate::error::Error;
use crate::metrics::{Budget, SignInOutcome};
use crate::store::{CounterKey, LockedCounters, Writing};

/// Mails to an address.
const TO_ADDRESS: [Rate; 2] = [
    Rate {
        most: 1,
        burst: 1,
        period: TimeDelta::minutes(1),
    },
    Rate {
        most: 5,
        burst: 5,
        period: TimeDelta::hours(1),
    },
];

/// Mails that clients in a network ask for.
const FROM_NETWORK: Rate = Rate {
    most: 30,
    burst: 30,
    period: TimeDelta::hours(1),
};

/// The most tries of a code; from then on it is dead.
const MAX_CODE_TRIES: i64 = 5;

/// How long tries are counted, unless a new code begins sooner: longer than any code is good.
const CODE_COUNT_LIFETIME: TimeDelta = TimeDelta::hours(2);

/// The numbers of the budgets that are not those of an address, for the order of the locks.
const ADDRESSEE_NUMBER: usize = 10;
const CODE_NUMBER: usize = 20;
const TOTAL_NUMBER: usize = 30;

/// A try of a code that was counted.
pub(crate) struct CodeTry {
    /// Whether the code may be compared.
    pub(crate) is_allowed: bool,
    budgets: Vec<(String, Rate)>,
}

impl Throttle {
    /// Takes a mail from the budgets of the addressee and of the client. Returns whether there was room;
    /// if not, records that.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(crate) async fn take_mail(
        &self,
        context: &AuditContext,
        address_key: &str,
    ) -> Result<bool, Error> {
        if !self.0.limits.on {
            return Ok(true);
        }
        let key = self.key().await?;
        // Many clients share the address of a proxy that the settings do not name.
        let networks = match context.is_shared() {
            true => Vec::new(),
            false => AddressBudget::all("mail", context.address(), FROM_NETWORK),
        };
        let mut budgets = subjects_of(&key, &networks);
        let mut counters = counters_of(&budgets);
        for (number, rate) in TO_ADDRESS.into_iter().enumerate() {
            let subject = key.digest(&["mail", &number.to_string(), address_key]);
            counters.push(CounterKey::of_address(ADDRESSEE_NUMBER + number, &subject));
            budgets.push((subject, rate));
        }
        let now = self.0.clock.now();
        let counted = self
            .0
            .audit
            .count(counters, move |counters| take(counters, &budgets, now));
        let is_taken = counted.await?.is_none();
        if !is_taken {
            self.0.metrics.throttled(Budget::Mails);
            let event = Event::refused(Action::MailRequest);
            let event = event.with("reason", SignInOutcome::Throttled.reason());
            self.0.audit.record_denial(context, event).await?;
        }
        Ok(is_taken)
    }

    /// Takes a mail from the budget of the whole service, which is `per_hour`. Returns the time until there
    /// is room again, if there is none.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(crate) async fn take_sending(&self, per_hour: u32) -> Result<Option<TimeDelta>, Error> {
        let (counter, budget) = self.total(per_hour).await?;
        let now = self.0.clock.now();
        let counted = self
            .0
            .audit
            .count(vec![counter], move |counters| take(counters, &budget, now));
        let used_up = counted.await?.map(|(_, wait)| wait);
        if used_up.is_some() {
            self.0.metrics.throttled(Budget::Mails);
        }
        Ok(used_up)
    }

    /// Puts a mail back that is not sent after all.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(crate) async fn release_sending(&self, per_hour: u32) -> Result<(), Error> {
        let (counter, budget) = self.total(per_hour).await?;
        let released = self
            .0
            .audit
            .count(vec![counter], move |counters| release(counters, &budget));
        Ok(released.await?)
    }

    /// The budget of the whole service.
    async fn total(&self, per_hour: u32) -> Result<(CounterKey, [(String, Rate); 1]), Error> {
        let rate = Rate {
            most: per_hour,
            burst: per_hour,
            period: TimeDelta::hours(1),
        };
        let subject = self.key().await?.digest(&["mail", "total"]);
        let counter = CounterKey::of_address(TOTAL_NUMBER, &subject);
        Ok((counter, [(subject, rate)]))
    }

    /// Counts a try of the code that was sent to an address, as one of the few that the code has, and as a
    /// wrong password from the client's network.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] when the network has made too many; [`Error::Unavailable`].
    pub(crate) async fn count_code(
        &self,
        context: &AuditContext,
        purpose: MailPurpose,
        address_key: &str,
    ) -> Result<CodeTry, Error> {
        let key = self.key().await?;
        let networks = match context.is_shared() || !self.0.limits.on {
            true => Vec::new(),
            false => {
                let rate = per_minute(self.0.limits.address);
                AddressBudget::all("sign-in", context.address(), rate)
            }
        };
        let now = self.0.clock.now();
        self.check_blocked(&networks, now, Budget::Address)?;
        let budgets = subjects_of(&key, &networks);
        let subject = code_subject(&key, purpose, address_key);
        let mut counters = counters_of(&budgets);
        counters.push(CounterKey::of_address(CODE_NUMBER, &subject));
        let of_networks = budgets.clone();
        let counted = self.0.audit.count(counters, move |counters| {
            if let Some(used_up) = take(counters, &of_networks, now)? {
                return Ok(Err(used_up));
            }
            Ok(Ok(count_try(counters, &subject, now)?))
        });
        match counted.await? {
            Ok(is_allowed) => Ok(CodeTry {
                is_allowed,
                budgets,
            }),
            Err(used_up) => Err(self
                .block(context, networks, now, used_up, Action::Login)
                .await?),
        }
    }

    /// Puts a try back whose code was right: for the network it counts as none.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(crate) async fn release_code(&self, tried: CodeTry) -> Result<(), Error> {
        let budgets = tried.budgets;
        let counters = counters_of(&budgets);
        let released = self
            .0
            .audit
            .count(counters, move |counters| release(counters, &budgets));
        Ok(released.await?)
    }

    /// Begins to count the tries of a new code, which replaces the one before.
    pub(crate) fn begin_code(
        &self,
        tx: &mut Writing<'_>,
        purpose: MailPurpose,
        address_key: &str,
    ) -> QueryResult<()> {
        let subject = code_subject(&self.0.key.get(tx)?, purpose, address_key);
        let key = CounterKey::of_address(CODE_NUMBER, &subject);
        let mut counters = LockedCounters::lock(tx, &[key], self.0.clock.now())?;
        let mut row = counters.get(&subject)?;
        row.failures = 0;
        counters.put(row);
        counters.store(tx)
    }
}

fn code_subject(key: &DigestKey, purpose: MailPurpose, address_key: &str) -> String {
    key.digest(&["code", purpose.name(), address_key])
}

/// Takes a try of a code. Returns whether there was one left.
fn count_try(
    counters: &mut LockedCounters,
    subject: &str,
    now: NaiveDateTime,
) -> QueryResult<bool> {
    let mut row = counters.get(subject)?;
    row.failures = row.failures.saturating_add(1);
    row.expires_at = now + CODE_COUNT_LIFETIME;
    let is_left = row.failures <= MAX_CODE_TRIES;
    counters.put(row);
    Ok(is_left)
}

//! Attempts at passwords: each is counted before the comparison, and decided after it. Sign-ins to
//! an account with the right password are limited too.

use chrono::TimeDelta;
use pydantic_email::fold;

use super::addresses::{AddressBudget, per_minute, subjects_of};
use super::attempt::{Attempt, Counted, Subjects, count, resume};
use super::rate::{Alert, Rate};
use super::{Throttle, too_many};
use crate::audit::{Action, AuditContext, Event};
use crate::error::Error;
use crate::metrics::{Budget, SignInOutcome};
use crate::network::neighbourhood;
use crate::store::{Account, Claims, Shared, User};

impl Throttle {
    /// Counts an attempt to authenticate as the user with this canonical name. When attempts under
    /// way have used up the account's budget, waits for them.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] when the address has made too many; [`Error::Busy`] when too many
    /// attempts wait, or this one waits too long; [`Error::Unavailable`].
    pub(crate) async fn count_attempt(
        &self,
        context: &AuditContext,
        name: &str,
    ) -> Result<Attempt, Error> {
        self.count_sign_in(context, name, None)
            .await
            .map(|(attempt, _no_account)| attempt)
    }

    /// Like [`Self::count_attempt`], and also reads the account with this address, in the form of
    /// `NewUser::email_key`.
    ///
    /// # Errors
    /// The same.
    pub(crate) async fn count_sign_in(
        &self,
        context: &AuditContext,
        name: &str,
        email_key: Option<String>,
    ) -> Result<(Attempt, Option<Account>), Error> {
        let limits = self.0.limits;
        let mut claims = Claims {
            account: email_key.clone(),
            ..Claims::default()
        };
        let find = move |shared: &Shared| shared.account(email_key.as_deref()?);
        if !limits.on {
            let found = match claims.account {
                Some(_) => {
                    self.0
                        .audit
                        .share(claims, move |shared| Ok(find(shared)))
                        .await?
                }
                None => None,
            };
            return Ok((Attempt::uncounted(), found));
        }
        let budgets = self.address_budgets(context);
        self.check_blocked(&budgets, self.0.clock.now(), Budget::Address)?;
        let subjects = self.subjects(context, name, &budgets).await?;
        claims.counters = subjects.counters();
        let mut turn = self.0.waiting.wait(name, context.network()).await?;
        loop {
            let now = self.0.clock.now();
            let (throttle, subjects, find) = (self.clone(), subjects.clone(), find.clone());
            let counted = self.0.audit.share(claims.clone(), move |shared| {
                let counted = count(&throttle, &mut shared.counters, subjects, now)?;
                Ok((counted, find(shared)))
            });
            let (counted, found) = counted.await?;
            match counted {
                Counted::Yes(attempt) => {
                    if !attempt.is_allowed {
                        self.0.metrics.throttled(Budget::Account);
                    }
                    return Ok((attempt, found));
                }
                Counted::Undecided => turn.pause().await?,
                Counted::UsedUp(used_up) => {
                    return Err(self
                        .block(context, budgets, now, used_up, Action::Login)
                        .await?);
                }
            }
        }
    }

    /// The budgets of the address of a client.
    fn address_budgets(&self, context: &AuditContext) -> Vec<AddressBudget> {
        // Many clients share the address: it identifies none of them, and has no budget.
        match context.is_shared() {
            true => Vec::new(),
            false => AddressBudget::all(
                "sign-in",
                context.address(),
                per_minute(self.0.limits.address),
            ),
        }
    }

    /// What an attempt of a client at this account is counted under.
    async fn subjects(
        &self,
        context: &AuditContext,
        name: &str,
        budgets: &[AddressBudget],
    ) -> Result<Subjects, Error> {
        let key = self.key().await?;
        let is_shared = context.is_shared();
        let from = |network: String| key.digest(&["pair", name, &network]);
        Ok(Subjects {
            account: key.digest(&["account", name]),
            exact: (!is_shared).then(|| from(context.network().to_string())),
            nearby: neighbourhood(context.address())
                .filter(|_| !is_shared)
                .map(from),
            addresses: subjects_of(&key, budgets),
            sign_ins: sign_ins_per_minute(self.0.limits.sign_ins),
        })
    }

    /// The attempt of a sign-in to this account whose password was right in an earlier request, which
    /// counted it, and whose second factor has passed now.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(crate) async fn resume_attempt(
        &self,
        context: &AuditContext,
        name: &str,
    ) -> Result<Attempt, Error> {
        if !self.0.limits.on {
            return Ok(Attempt::uncounted());
        }
        let budgets = self.address_budgets(context);
        let subjects = self.subjects(context, name, &budgets).await?;
        let now = self.0.clock.now();
        let resumed = self.0.audit.count(subjects.counters(), move |counters| {
            resume(counters, subjects, now)
        });
        Ok(resumed.await?)
    }

    /// Decides an attempt whose password was wrong, or not compared, and records whether the
    /// account must wait because of it. Takes equally long when there is no such user (`None`).
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(crate) async fn fail(
        &self,
        context: &AuditContext,
        attempt: &Attempt,
        user_id: Option<i64>,
    ) -> Result<(), Error> {
        if let Some(budget) = attempt.budget() {
            let held = attempt.decide();
            let decided = self.0.audit.count(budget.counters(), move |counters| {
                budget.decide(counters, held)
            });
            decided.await?;
        }
        self.record_wait(context, attempt, user_id).await
    }

    /// Returns the outcome of an attempt's next step unchanged. On an error, no password was
    /// compared, so this withdraws the attempt.
    pub(crate) async fn or_withdraw<T>(
        &self,
        attempt: &Attempt,
        outcome: Result<T, Error>,
    ) -> Result<T, Error> {
        if outcome.is_err() {
            self.withdraw(attempt).await;
        }
        outcome
    }

    /// Removes an attempt that is under way from the count. If the database does not answer, the
    /// attempt counts as a failure.
    pub(crate) async fn withdraw(&self, attempt: &Attempt) {
        let Some(budget) = attempt.budget() else {
            return;
        };
        if attempt.decide() == 1 {
            let now = self.0.clock.now();
            let withdrawn = self.0.audit.count(budget.counters(), move |counters| {
                budget.withdraw(counters, now)
            });
            if withdrawn.await.is_err() {
                log::warn!("an attempt without a comparison is counted as a failure");
            }
        }
    }

    /// Like [`Self::withdraw`], for an attempt with the right password whose success was not
    /// stored.
    pub(crate) async fn take_back(&self, attempt: &Attempt) {
        attempt.reopen();
        self.withdraw(attempt).await;
    }

    /// Decides an attempt with the right password whose operation was refused: it does not count
    /// against the account.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(crate) async fn release(&self, attempt: Attempt) -> Result<(), Error> {
        if !attempt.is_counted() {
            return Ok(());
        }
        attempt.reopen();
        let now = self.0.clock.now();
        let succeeded = self.0.audit.count(attempt.counters(), move |counters| {
            attempt.succeed_in(counters, now)
        });
        Ok(succeeded.await?)
    }

    /// Returns the outcome of a transaction that called [`Attempt::succeed`] unchanged. If the
    /// transaction was rolled back, decides the attempt: a refused operation does not count against
    /// the account, but the attempt of a caller who has lost access in the meantime does.
    pub(crate) async fn or_release<T>(
        &self,
        attempt: Attempt,
        outcome: Result<T, Error>,
    ) -> Result<T, Error> {
        match &outcome {
            Ok(_) | Err(Error::InvalidToken) => {}
            Err(Error::Unavailable) => self.take_back(&attempt).await,
            Err(_) => self.release(attempt).await?,
        }
        outcome
    }

    /// Refuses a client that must wait before it signs in to this account again. Refuses only
    /// clients in a network that has presented the right password: others learn nothing about the
    /// limit.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`]
    pub(crate) fn check_sign_ins(&self, context: &AuditContext, name: &str) -> Result<(), Error> {
        let key = blocked_name(context, name);
        match self.0.blocked.wait(&key, self.0.clock.now()) {
            Some(wait) => {
                self.0.metrics.throttled(Budget::SignIns);
                Err(too_many(wait))
            }
            None => Ok(()),
        }
    }

    /// Records that a right password was refused because the account has used up its
    /// sign-ins, and blocks the client for this long. Returns the error for the client.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(crate) async fn refuse_sign_in(
        &self,
        context: &AuditContext,
        user: &User,
        wait: TimeDelta,
    ) -> Result<Error, Error> {
        if !context.is_shared() {
            let key = blocked_name(context, &fold(&user.email));
            self.0.blocked.block(key, self.0.clock.now(), wait);
        }
        self.0.metrics.throttled(Budget::SignIns);
        self.0.metrics.sign_in(SignInOutcome::Throttled);
        let event = Event::refused(Action::Login).on_user(user.id);
        let event = event.with("reason", SignInOutcome::Throttled.reason());
        self.0.audit.record_denial(context, event).await?;
        Ok(too_many(wait))
    }

    /// Records that an account must wait, if this attempt is the one to report it. Also does so
    /// when there is no such user (`None`), because the duration would reveal that otherwise.
    async fn record_wait(
        &self,
        context: &AuditContext,
        attempt: &Attempt,
        user_id: Option<i64>,
    ) -> Result<(), Error> {
        let Some(alert) = attempt.alert else {
            return Ok(());
        };
        self.0.metrics.account_waits(alert == Alert::LongestWait);
        let event = Event::refused(Action::AccountThrottled)
            .with("longest", alert == Alert::LongestWait)
            .with("known", attempt.is_from_known_address());
        let event = match user_id {
            Some(id) => event.on_user(id),
            None => event,
        };
        self.0.audit.record(context, event).await
    }
}

/// The name under which sign-ins to an account from a network are blocked.
fn blocked_name(context: &AuditContext, name: &str) -> String {
    format!("to {} {name}", context.network())
}

/// Allows this many sign-ins a minute, and a third more in a burst.
fn sign_ins_per_minute(number: u32) -> Rate {
    let most = number.saturating_add(number / 3);
    let interval = TimeDelta::minutes(1) / i32::try_from(number).unwrap_or(i32::MAX).max(1);
    Rate {
        most,
        burst: most,
        period: interval * i32::try_from(most).unwrap_or(i32::MAX),
    }
}

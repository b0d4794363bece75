//! Attempts at passwords: each is counted before the comparison, and decided after it.

use super::addresses::{per_minute, subjects_of};
use super::attempt::{Attempt, Counted, Subjects, count};
use super::budget::Alert;
use super::network::{AddressBudget, neighbourhood, network};
use super::sign_ins::sign_ins_per_minute;
use crate::auth::Auth;
use crate::auth::audit::{Action, Event, Origin};
use crate::error::Error;
use crate::metrics::Budget;
use crate::store::{LoginFailures, Writing};

impl Auth {
    /// Counts an attempt to prove to be the user of this canonical name.
    ///
    /// When the account's budget is used up by attempts that are under way, it waits for those.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] when the address has made too many; [`Error::Busy`] when too many
    /// wait, or for too long; [`Error::Unavailable`].
    pub(in crate::auth) async fn count_attempt(
        &self,
        origin: &Origin,
        name: &str,
    ) -> Result<Attempt, Error> {
        let limits = self.0.config.limits;
        if !limits.on {
            return Ok(Attempt::uncounted());
        }
        let address = origin.address();
        // Many have a shared address, so none of them is known by it, and it has no budget.
        let is_shared = origin.is_shared();
        let budgets = if is_shared {
            Vec::new()
        } else {
            AddressBudget::all("sign-in", address, per_minute(limits.address))
        };
        self.check_turned_away(&budgets, self.0.clock.now(), Budget::Address)?;
        let mut turn = self.0.lines.wait(name, origin.network()).await?;
        loop {
            let now = self.0.clock.now();
            let (auth, name, addresses) = (self.clone(), name.to_owned(), budgets.clone());
            let counted = self.0.store.writing(move |tx| {
                let key = auth.0.throttle_key.get(tx)?;
                let from = |network: String| key.digest(&["pair", &name, &network]);
                let subjects = Subjects {
                    account: key.digest(&["account", &name]),
                    exact: (!is_shared).then(|| from(network(address))),
                    nearby: neighbourhood(address).filter(|_| !is_shared).map(from),
                    addresses: subjects_of(&key, &addresses),
                    sign_ins: sign_ins_per_minute(limits.sign_ins),
                };
                Ok::<_, Error>(count(&auth, tx, subjects, now)?)
            });
            match counted.await? {
                Counted::Yes(attempt) => {
                    if !attempt.is_allowed {
                        self.0.metrics.throttled(Budget::Account);
                    }
                    return Ok(attempt);
                }
                Counted::Undecided => turn.pause().await?,
                Counted::UsedUp(used_up) => {
                    return Err(self
                        .turn_away(origin, budgets, now, used_up, Action::Login)
                        .await?);
                }
            }
        }
    }

    /// The password of an attempt was wrong, or not looked at: it is under way no more, and what it
    /// changes about the account goes into the trail. It takes as long whether there is such a user or
    /// not, `None`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(in crate::auth) async fn fail(
        &self,
        origin: &Origin,
        attempt: &Attempt,
        user_id: Option<i64>,
    ) -> Result<(), Error> {
        if let Some(subject) = attempt.budget().map(str::to_owned) {
            let held = attempt.decide();
            let decide = move |tx: &mut Writing<'_>| {
                Ok::<_, Error>(LoginFailures::decide(tx, &subject, held)?)
            };
            self.0.store.writing(decide).await?;
        }
        self.report_wait(origin, attempt, user_id).await
    }

    /// What was to be done with an attempt, if it was done. Otherwise no password was compared, and the
    /// attempt does not count.
    pub(in crate::auth) async fn or_withdraw<T>(
        &self,
        attempt: &Attempt,
        outcome: Result<T, Error>,
    ) -> Result<T, Error> {
        if outcome.is_err() {
            self.withdraw(attempt).await;
        }
        outcome
    }

    /// Takes an attempt back that is under way. Where the database does not do that, it becomes a failure.
    pub(in crate::auth) async fn withdraw(&self, attempt: &Attempt) {
        let Some(subject) = attempt.budget().map(str::to_owned) else {
            return;
        };
        if attempt.decide() == 1 {
            let now = self.0.clock.now();
            let withdraw = move |tx: &mut Writing<'_>| {
                Ok::<_, Error>(LoginFailures::withdraw(tx, &subject, now)?)
            };
            if self.0.store.writing(withdraw).await.is_err() {
                log::warn!("an attempt without a comparison is counted as a failure");
            }
        }
    }

    /// As [`Self::withdraw`], for an attempt with the right password whose success was not stored.
    pub(in crate::auth) async fn take_back(&self, attempt: &Attempt) {
        if let Some(reservation) = &attempt.reservation {
            reservation.reopen();
        }
        self.withdraw(attempt).await;
    }

    /// Puts into the trail that an account has to wait, if the attempt is the one to tell it by. So
    /// it does when there is no such user, `None`, or the time would tell that.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    async fn report_wait(
        &self,
        origin: &Origin,
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
        self.note_event(origin, event).await
    }

    /// The password was right, though what it was for is refused: it is not held against the account.
    pub(in crate::auth) async fn excuse(&self, attempt: Attempt) -> Result<(), Error> {
        if attempt.subjects.is_none() {
            return Ok(());
        }
        let now = self.0.clock.now();
        let excuse = move |tx: &mut Writing<'_>| Ok::<_, Error>(attempt.succeed(tx, now)?);
        self.0.store.writing(excuse).await
    }

    /// Decides an attempt with the right password whose transaction may have been rolled back. A
    /// refusal is not held against the account; an attempt of a caller who has lost access meanwhile
    /// is.
    pub(in crate::auth) async fn or_decide<T>(
        &self,
        attempt: Attempt,
        outcome: Result<T, Error>,
    ) -> Result<T, Error> {
        match &outcome {
            Ok(_) | Err(Error::InvalidToken) => {}
            Err(Error::Unavailable) => self.take_back(&attempt).await,
            Err(_) => {
                if let Some(reservation) = &attempt.reservation {
                    reservation.reopen();
                }
                self.excuse(attempt).await?;
            }
        }
        outcome
    }
}

//! Throttling of guesses at passwords, by account and by address.
//!
//! An attempt is counted in the database before the password is looked at, so that the count holds
//! for guesses that come together, for all processes, and for one that is killed. Until it is decided,
//! others wait for it rather than be refused: a right password is not wrong because others came with it.
//! What is held against an account does not keep its owner out: an address from which the account was
//! signed in to has a budget of its own, and so has the network around it.

mod attempt;
mod budget;
mod changes;
mod lines;
mod network;
mod reservation;
mod turned_away;

use chrono::{NaiveDateTime, TimeDelta};
use diesel::QueryResult;

pub(super) use attempt::Attempt;
use attempt::{Counted, Subjects, UsedUp, count, put_back, take};
pub(super) use budget::Alert;
use budget::Rate;
pub(super) use changes::{ChangeError, Changes};
pub(super) use lines::Lines;
use network::{AddressBudget, neighbourhood};
pub(super) use network::{around, client_of, network};
pub(super) use turned_away::TurnedAway;

use super::Auth;
use super::audit::{Action, Event, Origin};
use crate::email::fold;
use crate::error::Error;
use crate::keyed_digest::DigestKey;
use crate::metrics::{Budget, SignIn};
use crate::store::{LoginFailures, StoreConnection, User};

/// Wrong passwords from one address at a time, unless a third of what a minute allows is more: they
/// must not fill the queue of the hash threads, which works off some 40 a second at cost 12 on two
/// cores.
const AT_ONCE: u32 = 100;

/// Rows that are deleted in one transaction.
const PRUNED_AT_ONCE: i64 = 1_000;

impl Auth {
    /// Counts an attempt to prove to be the user of this canonical name.
    ///
    /// When the account's budget is used up by attempts that are under way, it waits for those.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] when the address has made too many; [`Error::Busy`] when too many
    /// wait, or for too long; [`Error::Unavailable`].
    pub(super) async fn count_attempt(
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
            let counted = self.0.store.note(move |conn| {
                let key = auth.0.throttle_key.get(conn)?;
                let from = |network: String| key.digest(&["pair", &name, &network]);
                let subjects = Subjects {
                    account: key.digest(&["account", &name]),
                    exact: (!is_shared).then(|| from(network(address))),
                    nearby: neighbourhood(address).filter(|_| !is_shared).map(from),
                    addresses: subjects_of(&key, &addresses),
                    sign_ins: sign_ins_per_minute(limits.sign_ins),
                };
                count(&auth, conn, subjects, now)
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
    pub(super) async fn fail(
        &self,
        origin: &Origin,
        attempt: &Attempt,
        user_id: Option<i64>,
    ) -> Result<(), Error> {
        if let Some(subject) = attempt.budget().map(str::to_owned) {
            let held = attempt.decide();
            let decide = move |conn: &mut _| LoginFailures::decide(conn, &subject, held);
            self.0.store.note(decide).await?;
        }
        self.report_wait(origin, attempt, user_id).await
    }

    /// What was to be done with an attempt, if it was done. Otherwise no password was compared, and the
    /// attempt does not count.
    pub(super) async fn or_withdraw<T>(
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
    pub(super) async fn withdraw(&self, attempt: &Attempt) {
        let Some(subject) = attempt.budget().map(str::to_owned) else {
            return;
        };
        if attempt.decide() == 1 {
            let now = self.0.clock.now();
            let withdraw = move |conn: &mut _| LoginFailures::withdraw(conn, &subject, now);
            if self.0.store.note(withdraw).await.is_err() {
                log::warn!("an attempt without a comparison is counted as a failure");
            }
        }
    }

    /// As [`Self::withdraw`], for an attempt with the right password whose success was not stored.
    pub(super) async fn take_back(&self, attempt: &Attempt) {
        if let Some(reservation) = &attempt.reservation {
            reservation.reopen();
        }
        self.withdraw(attempt).await;
    }

    /// Turns a client away that was told to wait with its sign-ins to this account. Only those of its
    /// network are, who have shown the password: others learn nothing of it.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`]
    pub(super) fn check_sign_ins(&self, origin: &Origin, name: &str) -> Result<(), Error> {
        let key = sign_ins_of(origin, name);
        match self.0.turned_away.wait(&key, self.0.clock.now()) {
            Some(wait) => {
                self.0.metrics.throttled(Budget::SignIns);
                Err(too_many(wait))
            }
            None => Ok(()),
        }
    }

    /// A right password came when the account had used up its sign-ins: the client is told when to come
    /// back, and the trail that it was.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(super) async fn refuse_sign_in(
        &self,
        origin: &Origin,
        user: &User,
        wait: TimeDelta,
    ) -> Result<Error, Error> {
        if !origin.is_shared() {
            let key = sign_ins_of(origin, &fold(&user.email));
            self.0.turned_away.remember(key, self.0.clock.now(), wait);
        }
        self.0.metrics.throttled(Budget::SignIns);
        self.0.metrics.sign_in(SignIn::Throttled);
        let event = Event::refused(Action::Login).on_user(user.id);
        self.note_refusal(origin, event.with("reason", SignIn::Throttled.reason()))
            .await?;
        Ok(too_many(wait))
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

    /// The password was right, though what it was for is refused: it is held against nobody.
    pub(super) async fn excuse(&self, attempt: Attempt) -> Result<(), Error> {
        if attempt.subjects.is_none() {
            return Ok(());
        }
        let now = self.0.clock.now();
        let excuse = move |conn: &mut _| attempt.succeed(conn, now);
        Ok(self.0.store.note(excuse).await?)
    }

    /// Counts a registration.
    ///
    /// # Errors
    /// As [`Self::count_attempt`].
    pub(super) async fn count_registration(&self, origin: &Origin) -> Result<(), Error> {
        let limits = self.0.config.limits;
        if !limits.on {
            return Ok(());
        }
        let now = self.0.clock.now();
        let rate = Rate {
            most: limits.registrations,
            at_once: limits.registrations,
            period: TimeDelta::hours(1),
        };
        let budgets = AddressBudget::all("register", origin.address(), rate);
        self.check_turned_away(&budgets, now, Budget::Registrations)?;
        let (auth, counted) = (self.clone(), budgets.clone());
        let counted = self.0.store.note(move |conn| {
            let key = auth.0.throttle_key.get(conn)?;
            take(conn, &subjects_of(&key, &counted), now)
        });
        match counted.await? {
            Ok(()) => Ok(()),
            Err(used_up) => Err(self
                .turn_away(origin, budgets, now, used_up, Action::Register)
                .await?),
        }
    }

    /// Counts a static key as an attempt of its address, unless it is right.
    ///
    /// # Errors
    /// As [`Self::count_attempt`].
    pub(super) async fn count_static_key(
        &self,
        origin: &Origin,
        is_right: bool,
    ) -> Result<(), Error> {
        let limits = self.0.config.limits;
        if !limits.on {
            return Ok(());
        }
        let now = self.0.clock.now();
        let rate = per_minute(limits.address);
        let budgets = AddressBudget::all("sign-in", origin.address(), rate);
        self.check_turned_away(&budgets, now, Budget::Address)?;
        let (auth, counted) = (self.clone(), budgets.clone());
        let counted = self.0.store.note(move |conn| {
            let key = auth.0.throttle_key.get(conn)?;
            let subjects = subjects_of(&key, &counted);
            let taken = take(conn, &subjects, now)?;
            if is_right && taken.is_ok() {
                put_back(conn, &subjects, now)?;
            }
            Ok(taken)
        });
        match counted.await? {
            Ok(()) => Ok(()),
            Err(used_up) => Err(self
                .turn_away(origin, budgets, now, used_up, Action::StaticKeyRefused)
                .await?),
        }
    }

    /// Forgets the failures that are held against the account of this canonical name. Returns
    /// whether there were any.
    pub(super) fn forget_failures(
        &self,
        conn: &mut StoreConnection,
        name: &str,
    ) -> QueryResult<bool> {
        let key = self.0.throttle_key.get(conn)?;
        let account = key.digest(&["account", name]);
        let now = self.0.clock.now();
        LoginFailures::forget_account(conn, &account, now).map(|rows| rows > 0)
    }

    /// Deletes what is too old to count, and returns how many rows that were: none while the clock is
    /// not trusted ([`Auth::check_clock`]).
    ///
    /// # Errors
    /// [`Error::Unavailable`]
    pub async fn prune_failures(&self) -> Result<usize, Error> {
        if !self.check_clock().await? {
            return Ok(0);
        }
        let now = self.0.clock.now();
        let mut pruned = 0;
        loop {
            let prune = move |conn: &mut _| LoginFailures::prune(conn, now, PRUNED_AT_ONCE);
            match self.0.store.note(prune).await? {
                0 => return Ok(pruned),
                rows => pruned += rows,
            }
        }
    }

    fn check_turned_away(
        &self,
        budgets: &[AddressBudget],
        now: NaiveDateTime,
        of: Budget,
    ) -> Result<(), Error> {
        let turned_away = &self.0.turned_away;
        let waits = budgets.iter().map(|budget| &budget.name);
        match waits.filter_map(|name| turned_away.wait(name, now)).max() {
            Some(wait) => {
                self.0.metrics.throttled(of);
                Err(too_many(wait))
            }
            None => Ok(()),
        }
    }

    /// Remembers that an address is not to come back yet, and says so in the trail.
    async fn turn_away(
        &self,
        origin: &Origin,
        budgets: Vec<AddressBudget>,
        now: NaiveDateTime,
        (number, wait): UsedUp,
        action: Action,
    ) -> Result<Error, Error> {
        self.0.metrics.throttled(match action {
            Action::Register => Budget::Registrations,
            _ => Budget::Address,
        });
        if let Some(budget) = budgets.into_iter().nth(number) {
            self.0.turned_away.remember(budget.name, now, wait);
        }
        let event = Event::refused(action).with("reason", SignIn::Throttled.reason());
        self.note_refusal(origin, event).await?;
        Ok(too_many(wait))
    }
}

/// What sign-ins to an account from a network are turned away under.
fn sign_ins_of(origin: &Origin, name: &str) -> String {
    format!("to {} {name}", origin.network())
}

/// What the attempts of an address are counted under, as keyed digests.
fn subjects_of(key: &DigestKey, budgets: &[AddressBudget]) -> Vec<(String, Rate)> {
    let subjects = budgets.iter();
    subjects
        .map(|budget| (key.digest(&["address", &budget.name]), budget.rate))
        .collect()
}

/// So many sign-ins a minute, and a third more at once.
fn sign_ins_per_minute(number: u32) -> Rate {
    let most = number.saturating_add(number / 3);
    let interval = TimeDelta::minutes(1) / i32::try_from(number).unwrap_or(i32::MAX).max(1);
    Rate {
        most,
        at_once: most,
        period: interval * i32::try_from(most).unwrap_or(i32::MAX),
    }
}

fn per_minute(most: u32) -> Rate {
    Rate {
        most,
        at_once: AT_ONCE.max(most / 3),
        period: TimeDelta::minutes(1),
    }
}

fn too_many(wait: TimeDelta) -> Error {
    let wait = wait.to_std().unwrap_or_default();
    Error::TooManyAttempts { retry_after: wait }
}

//! Throttling of guesses at passwords, by account and by address.
//!
//! An attempt is counted in the database before the password is looked at, so that the count holds
//! for guesses that come together, for all processes, and for one that is killed. What is held
//! against an account does not keep its owner out: an address from which the account was signed in
//! to has a budget of its own.

mod attempt;
mod budget;
mod turned_away;

use std::net::{IpAddr, Ipv6Addr};

use chrono::{NaiveDateTime, TimeDelta};
use diesel::QueryResult;

pub(super) use attempt::Attempt;
use attempt::{FEW_COUNT_FOR, Subjects, count};
use budget::Rate;
pub(super) use turned_away::TurnedAway;

use super::Auth;
use super::audit::{Action, Event, Origin};
use crate::error::Error;
use crate::metrics::{Budget, SignIn};
use crate::store::{LoginFailures, StoreConnection};

/// Wrong passwords from one address at a time, unless a third of what a minute allows is more: by
/// default they must not fill the queue of the hash threads, which works off some 40 a second at
/// cost 12 on two cores.
const AT_ONCE: u32 = 100;

/// Rows that are deleted in one transaction.
const PRUNED_AT_ONCE: i64 = 1_000;

impl Auth {
    /// Counts an attempt to prove to be the user of this canonical name.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] when the address has made too many; [`Error::Unavailable`].
    pub(super) async fn count_attempt(
        &self,
        origin: &Origin,
        name: &str,
    ) -> Result<Attempt, Error> {
        let limits = self.0.config.limits;
        if !limits.on {
            return Ok(Attempt::uncounted());
        }
        let now = self.0.clock.now();
        let network = network(origin.address());
        self.check_turned_away(&network, now, Budget::Address)?;
        let (auth, name, net) = (self.clone(), name.to_owned(), network.clone());
        let counted = self.0.store.note(move |conn| {
            let key = auth.0.throttle_key.get(conn)?;
            let subjects = Subjects {
                account: key.digest(&["account", &name]),
                pair: key.digest(&["pair", &name, &net]),
                address: key.digest(&["address", &net]),
                rate: per_minute(limits.address),
            };
            count(conn, subjects, limits.account.into(), now)
        });
        match counted.await? {
            Ok(attempt) => {
                if !attempt.is_allowed {
                    self.0.metrics.throttled(Budget::Account);
                }
                Ok(attempt)
            }
            Err(wait) => Err(self
                .turn_away(origin, network, now, wait, Action::Login)
                .await?),
        }
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
        let network = format!("register {}", network(origin.address()));
        self.check_turned_away(&network, now, Budget::Registrations)?;
        let rate = Rate {
            most: limits.registrations,
            at_once: limits.registrations,
            period: TimeDelta::hours(1),
        };
        let (auth, net) = (self.clone(), network.clone());
        let counted = self.0.store.note(move |conn| {
            let subject = auth.0.throttle_key.get(conn)?.digest(&[&net]);
            let mut row = LoginFailures::lock(conn, &subject, None, now)?;
            let taken = rate.take(&mut row, now);
            if taken.is_ok() {
                row.expires_at = now + FEW_COUNT_FOR;
                row.update(conn)?;
            }
            Ok(taken)
        });
        match counted.await? {
            Ok(()) => Ok(()),
            Err(wait) => Err(self
                .turn_away(origin, network, now, wait, Action::Register)
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
        LoginFailures::forget_account(conn, &account).map(|rows| rows > 0)
    }

    /// Deletes what is too old to count, and returns how many rows that were.
    ///
    /// # Errors
    /// [`Error::Unavailable`]
    pub async fn prune_failures(&self) -> Result<usize, Error> {
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
        network: &str,
        now: NaiveDateTime,
        budget: Budget,
    ) -> Result<(), Error> {
        match self.0.turned_away.wait(network, now) {
            Some(wait) => {
                self.0.metrics.throttled(budget);
                Err(too_many(wait))
            }
            None => Ok(()),
        }
    }

    /// Remembers that an address is not to come back yet, and says so in the trail.
    async fn turn_away(
        &self,
        origin: &Origin,
        network: String,
        now: NaiveDateTime,
        wait: TimeDelta,
        action: Action,
    ) -> Result<Error, Error> {
        self.0.metrics.throttled(match action {
            Action::Register => Budget::Registrations,
            _ => Budget::Address,
        });
        self.0.turned_away.remember(network, now, wait);
        let event = Event::refused(action).with("reason", SignIn::Throttled.reason());
        self.note_refusal(origin, event).await?;
        Ok(too_many(wait))
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

/// What one client is taken to have all of: an address, or with IPv6 a network of 64 bits. All
/// without an address, such as the command line, are one.
pub(super) fn network(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        None => String::new(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let network = Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX));
            format!("{network}/64")
        }
    }
}

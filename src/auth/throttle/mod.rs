//! Throttling of guesses at passwords, by account and by address.
//!
//! An attempt is counted in the database before the password is looked at, so that the count holds
//! for guesses that come together, for all processes, and for one that is killed. What is held
//! against an account does not keep its owner out: an address from which the account was signed in
//! to has a budget of its own.

mod budget;
mod turned_away;

use std::net::{IpAddr, Ipv6Addr};

use chrono::{NaiveDateTime, TimeDelta};
use diesel::QueryResult;

use budget::{Rate, take_from_account};
pub(super) use turned_away::TurnedAway;

use super::Auth;
use super::audit::{Action, Event, Origin};
use crate::error::Error;
use crate::metrics::Budget;
use crate::store::{LoginFailures, StoreConnection};

/// How long an address stays known after a success.
const KNOWN_FOR: TimeDelta = TimeDelta::days(90);

/// How long a few failures are held against an account, and attempts against an address.
const FEW_COUNT_FOR: TimeDelta = TimeDelta::days(1);

/// How long many failures are held against an account.
const MANY_COUNT_FOR: TimeDelta = TimeDelta::days(365);

/// Wrong passwords from one address at a time, unless a third of what a minute allows is more: by
/// default they must not fill the queue of the hash threads, which works off some 40 a second at
/// cost 12 on two cores.
const AT_ONCE: u32 = 100;

/// Rows that are deleted in one transaction.
const PRUNED_AT_ONCE: i64 = 1_000;

/// An attempt that was counted.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// Whether the password may be looked at.
    pub(super) is_allowed: bool,
    subjects: Option<Subjects>,
    is_known: bool,
}

/// What an attempt is counted for, as keyed digests.
#[derive(Clone, Debug)]
struct Subjects {
    account: String,
    /// The account from this address.
    pair: String,
    address: String,
}

impl Attempt {
    /// One that nothing is counted for.
    const fn uncounted() -> Self {
        Self {
            is_allowed: true,
            subjects: None,
            is_known: false,
        }
    }
}

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
        let rate = per_minute(limits.address);
        let (auth, name, net) = (self.clone(), name.to_owned(), network.clone());
        let counted = self.0.store.note(move |conn| {
            let key = auth.0.throttle_key.get(conn)?;
            let subjects = Subjects {
                account: key.digest(&["account", &name]),
                pair: key.digest(&["pair", &name, &net]),
                address: key.digest(&["address", &net]),
            };
            count(conn, subjects, rate, limits.account.into(), now)
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
        let (limit, now) = (self.0.config.limits.address, self.0.clock.now());
        let excuse = move |conn: &mut _| attempt.succeed(conn, limit, now);
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
        let event = Event::refused(action).with("reason", "throttled");
        self.note_refusal(origin, event).await?;
        Ok(too_many(wait))
    }
}

impl Attempt {
    /// The password was right: the failures before it count no more, and the address is known from
    /// now on. In the transaction of what the password was for.
    pub(super) fn succeed(
        &self,
        conn: &mut StoreConnection,
        address_limit: u32,
        now: NaiveDateTime,
    ) -> QueryResult<()> {
        let Some(subjects) = &self.subjects else {
            return Ok(());
        };
        let rate = per_minute(address_limit);
        for subject in subjects.in_order() {
            if *subject == subjects.address {
                let mut row = LoginFailures::lock(conn, subject, None, now)?;
                rate.put_back(&mut row);
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
fn count(
    conn: &mut StoreConnection,
    subjects: Subjects,
    rate: Rate,
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
    if let Err(wait) = rate.take(&mut address, now) {
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

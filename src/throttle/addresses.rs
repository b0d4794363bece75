//! The budgets of addresses: for wrong passwords and static keys, and for registrations.

use std::net::IpAddr;

use chrono::{NaiveDateTime, TimeDelta};

use super::attempt::{UsedUp, counters_of, release, take};
use super::rate::Rate;
use super::{Throttle, too_many};
use crate::audit::{Action, AuditContext, Event};
use crate::credential::keyed_digest::DigestKey;
use crate::error::Error;
use crate::metrics::{Budget, SignInOutcome};
use crate::network::{self, Network};

/// Maximum number of concurrent wrong passwords from one address, unless a third of a minute's
/// budget is larger: they must not fill the queue of the hash threads, which compute about 40
/// hashes a second at cost 12 on two cores.
const MAX_BURST: u32 = 100;

/// The budget of a /48 as a multiple of that of a /64: providers assign whole /48 networks to
/// customers, so that one client may own 65,536 /64 networks.
const WIDE_SHARE: u32 = 10;

/// The budget of an address or network for attempts of one kind.
#[derive(Clone, Debug)]
pub(super) struct AddressBudget {
    /// The kind of attempt and the network, under which attempts are counted and blocked.
    pub(super) name: String,
    pub(super) rate: Rate,
}

impl AddressBudget {
    /// Returns the budgets that an attempt from this address counts against: that of the address,
    /// or for IPv6, those of its /64 and its /48, in this order.
    pub(super) fn all(kind: &str, address: Option<IpAddr>, rate: Rate) -> Vec<Self> {
        let own = Self {
            name: format!("{kind} {}", Network::new(address)),
            rate,
        };
        let wide = network::wide_v6(address).map(|network| Self {
            name: format!("{kind} {network}"),
            rate: rate.times(WIDE_SHARE),
        });
        [Some(own), wide].into_iter().flatten().collect()
    }
}

impl Throttle {
    /// Counts a registration.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] when the address has used up its budget; [`Error::Unavailable`].
    pub(crate) async fn count_registration(&self, context: &AuditContext) -> Result<(), Error> {
        let limits = self.0.limits;
        if !limits.on {
            return Ok(());
        }
        let rate = Rate {
            most: limits.registrations,
            burst: limits.registrations,
            period: TimeDelta::hours(1),
        };
        let budgets = AddressBudget::all("register", context.address(), rate);
        self.count_address(context, budgets, Action::Register, false)
            .await
    }

    /// Counts a static key as an attempt from its address, unless the key is right.
    ///
    /// # Errors
    /// The same as [`Self::count_registration`].
    pub(crate) async fn count_static_key(
        &self,
        context: &AuditContext,
        is_right: bool,
    ) -> Result<(), Error> {
        let limits = self.0.limits;
        if !limits.on {
            return Ok(());
        }
        let rate = per_minute(limits.address);
        let budgets = AddressBudget::all("sign-in", context.address(), rate);
        self.count_address(context, budgets, Action::StaticKeyRefused, is_right)
            .await
    }

    /// Counts an attempt to sign in with a passkey, whose user is not known yet, as a wrong password from its
    /// address. The sign-in gives it back ([`Throttle::resume_attempt`]).
    ///
    /// # Errors
    /// The same as [`Self::count_registration`].
    pub(crate) async fn count_passkey(&self, context: &AuditContext) -> Result<(), Error> {
        self.count_from_address(context, "sign-in").await
    }

    /// Counts a question to an authenticator, which is stored until it is answered.
    ///
    /// # Errors
    /// The same as [`Self::count_registration`].
    pub(crate) async fn count_passkey_options(&self, context: &AuditContext) -> Result<(), Error> {
        self.count_from_address(context, "passkey").await
    }

    /// Counts an attempt of a kind that clients at one address may make so often a minute as wrong passwords.
    async fn count_from_address(&self, context: &AuditContext, kind: &str) -> Result<(), Error> {
        let limits = self.0.limits;
        // Many clients share the address: it identifies none of them, and has no budget.
        if !limits.on || context.is_shared() {
            return Ok(());
        }
        let budgets = AddressBudget::all(kind, context.address(), per_minute(limits.address));
        self.count_address(context, budgets, Action::Login, false)
            .await
    }

    /// Takes an attempt from the budgets, and with `is_released` puts it back if there was room.
    async fn count_address(
        &self,
        context: &AuditContext,
        budgets: Vec<AddressBudget>,
        action: Action,
        is_released: bool,
    ) -> Result<(), Error> {
        let now = self.0.clock.now();
        self.check_blocked(&budgets, now, budget_of(action))?;
        let subjects = subjects_of(&self.key().await?, &budgets);
        let counted = self.0.audit.count(counters_of(&subjects), move |counters| {
            let used_up = take(counters, &subjects, now)?;
            if is_released && used_up.is_none() {
                release(counters, &subjects)?;
            }
            Ok(used_up)
        });
        match counted.await? {
            None => Ok(()),
            Some(used_up) => Err(self.block(context, budgets, now, used_up, action).await?),
        }
    }

    /// Refuses a network that is blocked, without querying the database.
    pub(super) fn check_blocked(
        &self,
        budgets: &[AddressBudget],
        now: NaiveDateTime,
        budget: Budget,
    ) -> Result<(), Error> {
        let names = budgets.iter().map(|budget| &budget.name);
        let waits = names.filter_map(|name| self.0.blocked.wait(name, now));
        match waits.max() {
            Some(wait) => {
                self.0.metrics.throttled(budget);
                Err(too_many(wait))
            }
            None => Ok(()),
        }
    }

    /// Blocks an address that has used up a budget, and records it. Returns the error for the client.
    pub(super) async fn block(
        &self,
        context: &AuditContext,
        budgets: Vec<AddressBudget>,
        now: NaiveDateTime,
        (number, wait): UsedUp,
        action: Action,
    ) -> Result<Error, Error> {
        self.0.metrics.throttled(budget_of(action));
        if let Some(budget) = budgets.into_iter().nth(number) {
            self.0.blocked.block(budget.name, now, wait);
        }
        let event = Event::refused(action).with("reason", SignInOutcome::Throttled.reason());
        self.0.audit.record_denial(context, event).await?;
        Ok(too_many(wait))
    }
}

const fn budget_of(action: Action) -> Budget {
    match action {
        Action::Register => Budget::Registrations,
        _ => Budget::Address,
    }
}

/// Returns the keyed digests under which the attempts of an address are counted.
pub(super) fn subjects_of(key: &DigestKey, budgets: &[AddressBudget]) -> Vec<(String, Rate)> {
    let subjects = budgets.iter();
    subjects
        .map(|budget| (key.digest(&["address", &budget.name]), budget.rate))
        .collect()
}

pub(super) fn per_minute(most: u32) -> Rate {
    Rate {
        most,
        burst: MAX_BURST.max(most / 3),
        period: TimeDelta::minutes(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_budget_in_ipv4_and_two_in_ipv6() {
        let rate = Rate {
            most: 30,
            burst: 20,
            period: TimeDelta::minutes(1),
        };
        let budgets = |address: &str| {
            let address = address.parse().unwrap();
            let budgets = AddressBudget::all("sign-in", Some(address), rate);
            let budgets = budgets.into_iter();
            let shown = budgets.map(|budget| (budget.name, budget.rate.most, budget.rate.burst));
            shown.collect::<Vec<_>>()
        };
        let v4 = ("sign-in 192.0.2.7".to_owned(), 30, 20);
        assert_eq!(budgets("192.0.2.7"), std::slice::from_ref(&v4));
        assert_eq!(budgets("::ffff:192.0.2.7"), [v4]);
        assert_eq!(
            budgets("2001:db8:1:2:3:4:5:6"),
            [
                ("sign-in 2001:db8:1:2::/64".to_owned(), 30, 20),
                ("sign-in 2001:db8:1::/48".to_owned(), 300, 200),
            ]
        );
    }
}

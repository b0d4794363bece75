//! The budgets of addresses: for wrong passwords and static keys, and for registrations.

use chrono::{NaiveDateTime, TimeDelta};

use super::attempt::{UsedUp, put_back, take};
use super::budget::Rate;
use super::network::AddressBudget;
use super::too_many;
use crate::auth::Auth;
use crate::auth::audit::{Action, Event, Origin};
use crate::credential::keyed_digest::DigestKey;
use crate::error::Error;
use crate::metrics::{Budget, SignInOutcome};

/// Wrong passwords from one address at a time, unless a third of what a minute allows is more: they
/// must not fill the queue of the hash threads, which works off some 40 a second at cost 12 on two
/// cores.
const AT_ONCE: u32 = 100;

impl Auth {
    /// Counts a registration.
    ///
    /// # Errors
    /// As [`Self::count_attempt`].
    pub(in crate::auth) async fn count_registration(&self, origin: &Origin) -> Result<(), Error> {
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
        let counted = self.0.store.writing(move |tx| {
            let key = auth.0.throttle_key.get(tx)?;
            Ok::<_, Error>(take(tx, &subjects_of(&key, &counted), now)?)
        });
        match counted.await? {
            None => Ok(()),
            Some(used_up) => Err(self
                .turn_away(origin, budgets, now, used_up, Action::Register)
                .await?),
        }
    }

    /// Counts a static key as an attempt of its address, unless it is right.
    ///
    /// # Errors
    /// As [`Self::count_attempt`].
    pub(in crate::auth) async fn count_static_key(
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
        let counted = self.0.store.writing(move |tx| {
            let key = auth.0.throttle_key.get(tx)?;
            let subjects = subjects_of(&key, &counted);
            let used_up = take(tx, &subjects, now)?;
            if is_right && used_up.is_none() {
                put_back(tx, &subjects, now)?;
            }
            Ok::<_, Error>(used_up)
        });
        match counted.await? {
            None => Ok(()),
            Some(used_up) => Err(self
                .turn_away(origin, budgets, now, used_up, Action::StaticKeyRefused)
                .await?),
        }
    }

    pub(super) fn check_turned_away(
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
    pub(super) async fn turn_away(
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
        let event = Event::refused(action).with("reason", SignInOutcome::Throttled.reason());
        self.note_refusal(origin, event).await?;
        Ok(too_many(wait))
    }
}

/// What the attempts of an address are counted under, as keyed digests.
pub(super) fn subjects_of(key: &DigestKey, budgets: &[AddressBudget]) -> Vec<(String, Rate)> {
    let subjects = budgets.iter();
    subjects
        .map(|budget| (key.digest(&["address", &budget.name]), budget.rate))
        .collect()
}

pub(super) fn per_minute(most: u32) -> Rate {
    Rate {
        most,
        at_once: AT_ONCE.max(most / 3),
        period: TimeDelta::minutes(1),
    }
}

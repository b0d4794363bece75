//! The static key: how often it may be guessed at, and what is on record of its use.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{NaiveDateTime, TimeDelta};

use super::Auth;
use super::audit::{Action, Event, Origin};
use super::throttle::{around, client_of};
use crate::error::Error;

/// How long after a wrong key each key from its network is counted before it is compared.
const SUSPECT_FOR: TimeDelta = TimeDelta::minutes(1);

/// Networks that are suspects, at most. Beyond that, all are.
const MAX_SUSPECTS: usize = 10_000;

/// Addresses whose first use was noted, at most. Beyond that, no more are.
const MAX_SEEN: usize = 10_000;

/// What a process knows of the uses of the static key.
#[derive(Default)]
pub(super) struct StaticKeyUses(Mutex<State>);

#[derive(Default)]
struct State {
    suspects: HashMap<Option<IpAddr>, NaiveDateTime>,
    all_suspect_until: Option<NaiveDateTime>,
    seen: HashSet<Option<IpAddr>>,
    /// First uses that are still to be put into the trail.
    first_uses: Vec<Origin>,
}

impl State {
    fn is_suspect(&self, network: Option<IpAddr>, now: NaiveDateTime) -> bool {
        let own = self.suspects.get(&network).copied();
        let until = own.max(self.all_suspect_until);
        // No clock that was set back makes it longer.
        until.is_some_and(|until| now < until && until <= now + SUSPECT_FOR)
    }

    fn suspect(&mut self, network: Option<IpAddr>, now: NaiveDateTime) {
        let until = now + SUSPECT_FOR;
        if self.suspects.len() >= MAX_SUSPECTS {
            self.suspects.retain(|_, until| now < *until);
        }
        if self.suspects.len() < MAX_SUSPECTS || self.suspects.contains_key(&network) {
            self.suspects.insert(network, until);
        } else {
            self.all_suspect_until = Some(until);
        }
    }

    /// Notes the first use from an address.
    fn note(&mut self, address: Option<IpAddr>, origin: impl FnOnce() -> Origin) {
        let client = client_of(address);
        if self.seen.len() < MAX_SEEN && self.seen.insert(client) {
            self.first_uses.push(origin().by_static_key());
        }
    }
}

impl StaticKeyUses {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Auth {
    /// Checks what came in the place of the static key, in constant time. A wrong one is an attempt
    /// of its address, as a wrong password is, and a refusal in the trail.
    ///
    /// # Errors
    /// [`Error::StaticKeyMissing`] or [`Error::StaticKeyWrong`]; the latter for everyone when no
    /// key is set. [`Error::TooManyAttempts`] when the address has made too many, whatever the key
    /// is; [`Error::Unavailable`] for a wrong one when the database does not answer.
    pub async fn check_static_key(
        &self,
        origin: &Origin,
        presented: Option<&[u8]>,
    ) -> Result<(), Error> {
        let presented = presented.ok_or(Error::StaticKeyMissing)?;
        let keys = &self.0.config.static_keys;
        if keys.is_empty() {
            return Err(Error::StaticKeyWrong);
        }
        if self.admit_static_key(origin.address(), presented, || origin.clone()) {
            return Ok(());
        }
        // Wrong, or from where wrong ones come: then a right one must not tell that it is right
        // before it is counted.
        let is_right = keys.contains(presented);
        self.count_static_key(origin, is_right).await?;
        if is_right {
            self.0.metrics.static_keys_ok.inc();
            let mut uses = self.0.static_key_uses.lock();
            uses.note(origin.address(), || origin.clone());
            return Ok(());
        }
        self.0.metrics.static_keys_refused.inc();
        self.note_refusal(origin, Event::refused(Action::StaticKeyRefused))
            .await?;
        Err(Error::StaticKeyWrong)
    }

    /// Whether this is the static key, from a network that has shown no wrong one lately: without
    /// the database, and without waiting. `origin` is asked for at the first use from an address.
    pub(crate) fn admit_static_key(
        &self,
        address: Option<IpAddr>,
        presented: &[u8],
        origin: impl FnOnce() -> Origin,
    ) -> bool {
        let is_right = self.0.config.static_keys.contains(presented);
        let (now, network) = (self.0.clock.now(), around(address));
        let mut uses = self.0.static_key_uses.lock();
        let was_suspect = self.0.config.limits.on && uses.is_suspect(network, now);
        if !is_right {
            uses.suspect(network, now);
        }
        let is_admitted = is_right && !was_suspect;
        if is_admitted {
            self.0.metrics.static_keys_ok.inc();
            uses.note(address, origin);
        }
        is_admitted
    }

    /// Puts the first uses into the trail.
    pub(super) async fn write_static_key_uses(&self) -> Result<(), Error> {
        let first_uses = std::mem::take(&mut self.0.static_key_uses.lock().first_uses);
        if first_uses.is_empty() {
            return Ok(());
        }
        let (service, to_write) = (Origin::service(), first_uses.clone());
        let written = self.note(&service, move |_tx, events| {
            for origin in to_write {
                events.record_by(origin, Event::new(Action::StaticKeyFirstUse));
            }
            Ok(())
        });
        written
            .await
            .inspect_err(|_error| self.0.static_key_uses.lock().first_uses.extend(first_uses))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(number: u32) -> Option<IpAddr> {
        Some(std::net::Ipv4Addr::from_bits(number).into())
    }

    #[test]
    fn a_network_is_a_suspect_for_a_minute_and_the_memory_is_bounded() {
        let (mut state, now) = (State::default(), NaiveDateTime::default());
        state.suspect(network(1), now);
        assert!(state.is_suspect(network(1), now));
        assert!(!state.is_suspect(network(2), now));
        assert!(!state.is_suspect(network(1), now + SUSPECT_FOR));
        assert!(!state.is_suspect(network(1), now - SUSPECT_FOR));
        for number in 0..20_000 {
            state.suspect(network(number), now);
        }
        assert!(state.suspects.len() <= MAX_SUSPECTS);
        assert!(state.is_suspect(network(19_999), now));
        let later = now + SUSPECT_FOR;
        state.suspect(network(3), later);
        assert_eq!(state.suspects.len(), 1);
        assert!(!state.is_suspect(network(4), later));
    }

    #[test]
    fn the_first_use_from_an_address_is_noted_and_the_memory_is_bounded() {
        let mut state = State::default();
        for number in [1, 1, 2, 1] {
            state.note(network(number), Origin::service);
        }
        assert_eq!(state.first_uses.len(), 2);
        for number in 0..20_000 {
            state.note(network(number), Origin::service);
        }
        assert_eq!(state.seen.len(), MAX_SEEN);
        assert_eq!(state.first_uses.len(), MAX_SEEN);
    }
}

//! Checks the static key, limits guesses at it, and records its use.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{NaiveDateTime, TimeDelta};

use super::Auth;
use crate::audit::{Action, AuditContext, Event};
use crate::error::Error;
use crate::network::{Network, widest};

/// How long after a wrong key each key from its network is counted before it is compared.
const SUSPICION_TIMEOUT: TimeDelta = TimeDelta::minutes(1);

/// Maximum number of suspect networks. Beyond that, all networks are suspect.
const MAX_SUSPECTS: usize = 10_000;

/// Maximum number of networks whose first use is recorded. Further networks are not recorded.
const MAX_SEEN: usize = 10_000;

/// What this process knows about the uses of the static key.
#[derive(Default)]
pub(super) struct StaticKeyUses(Mutex<State>);

#[derive(Default)]
struct State {
    suspects: HashMap<Option<IpAddr>, NaiveDateTime>,
    all_suspect_until: Option<NaiveDateTime>,
    seen: HashSet<Option<IpAddr>>,
    /// First uses that are not yet in the audit trail.
    first_uses: Vec<AuditContext>,
}

impl State {
    fn is_suspect(&self, network: Option<IpAddr>, now: NaiveDateTime) -> bool {
        let own = self.suspects.get(&network).copied();
        let until = own.max(self.all_suspect_until);
        // A clock that is set back does not extend it.
        until.is_some_and(|until| now < until && until <= now + SUSPICION_TIMEOUT)
    }

    fn suspect(&mut self, network: Option<IpAddr>, now: NaiveDateTime) {
        let until = now + SUSPICION_TIMEOUT;
        if self.suspects.len() >= MAX_SUSPECTS {
            self.suspects.retain(|_, until| now < *until);
        }
        if self.suspects.len() < MAX_SUSPECTS || self.suspects.contains_key(&network) {
            self.suspects.insert(network, until);
        } else {
            self.all_suspect_until = Some(until);
        }
    }

    /// Records the first use from a network.
    fn record(&mut self, address: Option<IpAddr>, context: impl FnOnce() -> AuditContext) {
        let client = Network::new(address).address();
        if self.seen.len() < MAX_SEEN && self.seen.insert(client) {
            self.first_uses.push(context().by_static_key());
        }
    }
}

impl StaticKeyUses {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Auth {
    /// Checks a static key in constant time. A wrong key counts as an attempt from its address,
    /// like a wrong password, and is recorded as a denial.
    ///
    /// # Errors
    /// [`Error::StaticKeyMissing`] or [`Error::StaticKeyWrong`]; the latter for every key when none
    /// is configured. [`Error::TooManyAttempts`] when the address has made too many attempts, even
    /// if the key is right; [`Error::Unavailable`] for a wrong key when the database does not
    /// answer.
    pub async fn check_static_key(
        &self,
        context: &AuditContext,
        presented: Option<&[u8]>,
    ) -> Result<(), Error> {
        let presented = presented.ok_or(Error::StaticKeyMissing)?;
        let keys = &self.0.config.static_keys;
        if keys.is_empty() {
            return Err(Error::StaticKeyWrong);
        }
        if self.admit_static_key(context.address(), presented, || context.clone()) {
            return Ok(());
        }
        // The key is wrong, or its network has sent wrong keys: then even a right key must be
        // counted before the response reveals that it is right.
        let is_right = keys.contains(presented);
        self.0.throttle.count_static_key(context, is_right).await?;
        if is_right {
            self.0.metrics.static_keys_ok.inc();
            let mut uses = self.0.static_key_uses.lock();
            uses.record(context.address(), || context.clone());
            return Ok(());
        }
        self.0.metrics.static_keys_refused.inc();
        self.0
            .audit
            .record_denial(context, Event::refused(Action::StaticKeyRefused))
            .await?;
        Err(Error::StaticKeyWrong)
    }

    /// Whether `presented` is the static key and its network has not sent a wrong key recently.
    /// Does not query the database and does not wait. Calls `context` at the first use from a
    /// network.
    pub(crate) fn admit_static_key(
        &self,
        address: Option<IpAddr>,
        presented: &[u8],
        context: impl FnOnce() -> AuditContext,
    ) -> bool {
        let is_right = self.0.config.static_keys.contains(presented);
        let (now, network) = (self.0.clock.now(), widest(address));
        let mut uses = self.0.static_key_uses.lock();
        let was_suspect = self.0.config.limits.on && uses.is_suspect(network, now);
        if !is_right {
            uses.suspect(network, now);
        }
        let is_admitted = is_right && !was_suspect;
        if is_admitted {
            self.0.metrics.static_keys_ok.inc();
            uses.record(address, context);
        }
        is_admitted
    }

    /// Writes the first uses to the audit trail.
    pub(super) async fn flush_static_key_uses(&self) -> Result<(), Error> {
        let first_uses = std::mem::take(&mut self.0.static_key_uses.lock().first_uses);
        if first_uses.is_empty() {
            return Ok(());
        }
        let (service, to_write) = (AuditContext::service(), first_uses.clone());
        let written = self.0.audit.writing(&service, move |_tx, events| {
            for context in to_write {
                events.record_by(context, Event::new(Action::StaticKeyFirstUse));
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
    fn networks_are_suspect_for_a_minute_and_memory_is_bounded() {
        let (mut state, now) = (State::default(), NaiveDateTime::default());
        state.suspect(network(1), now);
        assert!(state.is_suspect(network(1), now));
        assert!(!state.is_suspect(network(2), now));
        assert!(!state.is_suspect(network(1), now + SUSPICION_TIMEOUT));
        assert!(!state.is_suspect(network(1), now - SUSPICION_TIMEOUT));
        for number in 0..20_000 {
            state.suspect(network(number), now);
        }
        assert!(state.suspects.len() <= MAX_SUSPECTS);
        assert!(state.is_suspect(network(19_999), now));
        let later = now + SUSPICION_TIMEOUT;
        state.suspect(network(3), later);
        assert_eq!(state.suspects.len(), 1);
        assert!(!state.is_suspect(network(4), later));
    }

    #[test]
    fn first_uses_are_recorded_once_and_memory_is_bounded() {
        let mut state = State::default();
        for number in [1, 1, 2, 1] {
            state.record(network(number), AuditContext::service);
        }
        assert_eq!(state.first_uses.len(), 2);
        for number in 0..20_000 {
            state.record(network(number), AuditContext::service);
        }
        assert_eq!(state.seen.len(), MAX_SEEN);
        assert_eq!(state.first_uses.len(), MAX_SEEN);
    }
}

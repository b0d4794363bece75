//! Personal API keys: created and revoked by their owners, for programs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{NaiveDateTime, TimeDelta};
use secrecy::SecretString;

use super::Auth;
#[cfg(feature = "pages")]
use super::TWIN_INTERVAL;
use super::caller::lock_caller;
use super::validation::KeyInput;
use crate::audit::{Action, AuditContext, Event, Events};
use crate::credential::api_key::{PlainKey, generate_api_key};
use crate::error::Error;
use crate::scope;
use crate::store::{ApiKey, Ends, NewApiKey, Principal, StoreConnection, UsedKey, User, Writing};

/// Maximum number of keys per user.
const MAX_KEYS: i64 = 100;

/// The shortest time between two recorded uses of a key.
const USE_INTERVAL: TimeDelta = TimeDelta::minutes(1);

/// How long before its end a key is reported.
pub(crate) const EXPIRY_NOTICE: TimeDelta = TimeDelta::days(14);

/// The shortest time between two warnings of a key.
const WARNING_INTERVAL: TimeDelta = TimeDelta::days(1);

/// Maximum number of keys that the log warns of at a time; the rest follows later.
const MAX_WARNINGS: i64 = 100;

/// Maximum number of uses written per transaction.
const FLUSH_LIMIT: usize = 500;

/// Maximum number of uses that wait to be written: one for each key in use.
const MAX_WAITING: usize = 100_000;

/// How long a revoked key is kept, so that events about it remain understandable.
const REVOKED_KEY_RETENTION: TimeDelta = TimeDelta::days(90);

/// A new key, with the secret that is shown only once.
#[derive(Debug)]
pub struct IssuedKey {
    /// The secret.
    pub secret: PlainKey,
    /// The stored key.
    pub key: ApiKey,
}

/// Key uses that are not yet written.
#[derive(Default)]
pub(super) struct KeyUses(Mutex<HashMap<i64, Use>>);

#[derive(Clone)]
struct Use {
    at: NaiveDateTime,
    principal: Arc<Principal>,
}

impl Auth {
    /// Creates a key for the principal's user, with at most the scopes of the principal: a sign-in
    /// with few scopes cannot gain more this way. A key can outlive the principal's credential, so
    /// this requires the current password, or a sign-in at most 15 minutes ago.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with every invalid field, [`Error::ScopeNotHeld`],
    /// [`Error::TooManyKeys`]; [`Error::TooManyAttempts`] when the user has created too many today;
    /// [`Error::SecondFactorRequired`] for a scope that the session has only with a second factor;
    /// [`Error::RecentSignInRequired`] without a password or a recent sign-in; for a wrong
    /// password, the same as [`Auth::change_password`]; [`Error::InvalidToken`] when the credential
    /// has become invalid in the meantime; [`Error::Unavailable`].
    pub async fn create_key(
        &self,
        context: &AuditContext,
        principal: &Arc<Principal>,
        input: KeyInput,
        current_password: Option<SecretString>,
    ) -> Result<IssuedKey, Error> {
        let (secret, new) = self.new_key(principal.user.id, input)?;
        // A key acts without a second factor, so the user who makes it has to show one.
        if scope::names(&new.scopes).any(|name| principal.withholds(name)) {
            return Err(Error::SecondFactorRequired);
        }
        let now = self.0.clock.now();
        let proven = self
            .prove_owner(context, principal, current_password, Action::KeyCreate)
            .await?;
        let (auth, principal) = (self.clone(), Arc::clone(principal));
        let attempt = proven.attempt();
        let by = context.clone();
        let stored = self.add(context, move |tx, events| {
            let owner = lock_caller(tx, &principal, now)?;
            proven.confirm_in(tx, now)?;
            auth.0.throttle.check_keys_of_day(tx, owner.id, now)?;
            let held = scope::intersection(principal.credential.scopes(), &owner.scopes);
            let key = insert_key(tx, events, &held, &new)?;
            auth.tell_of_key(tx, &by, &owner, &key)?;
            Ok(key)
        });
        let key = self.decide_proof(attempt, stored.await).await?;
        Ok(IssuedKey { secret, key })
    }

    /// Generates a random key, and returns it with the row to store.
    pub(super) fn new_key(
        &self,
        user_id: i64,
        input: KeyInput,
    ) -> Result<(PlainKey, NewApiKey), Error> {
        let (name, scopes, days) = input.check()?;
        let secret = generate_api_key()?;
        let now = self.0.clock.now();
        let new = NewApiKey {
            user_id,
            name,
            hint: secret.hint().to_owned(),
            key_digest: secret.digest().to_hex(),
            scopes,
            created_at: now,
            expires_at: now.checked_add_signed(TimeDelta::days(days)).unwrap_or(now),
        };
        Ok((secret, new))
    }

    /// Lists the keys of a user that were not revoked, including expired ones, oldest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn list_keys(&self, user_id: i64) -> Result<Vec<ApiKey>, Error> {
        let list = move |conn: &mut _| ApiKey::list_of_user(conn, user_id);
        Ok(self.0.store.read(list).await?)
    }

    /// Revokes a key of the principal's user. When this returns, no process accepts it.
    ///
    /// # Errors
    /// [`Error::KeyNotFound`] when the user has no such key; [`Error::InvalidToken`] when the
    /// credential has become invalid in the meantime; [`Error::Unavailable`].
    pub async fn revoke_key(
        &self,
        context: &AuditContext,
        principal: &Arc<Principal>,
        id: i64,
    ) -> Result<(), Error> {
        let ends = Ends::Users(vec![principal.user.id]);
        let (principal, now) = (Arc::clone(principal), self.0.clock.now());
        self.change(context, ends, move |tx, events| {
            let owner = lock_caller(tx, &principal, now)?;
            if !ApiKey::revoke(tx, owner.id, id, now)? {
                return Err(Error::KeyNotFound);
            }
            events.record(Event::new(Action::KeyRevoke).on_key(id));
            Ok(())
        })
        .await
    }

    /// Revokes older keys with the same name that were made within a minute before this one and never
    /// used: the browser has sent a form twice, and the user saw only the last key.
    ///
    /// # Errors
    /// The same as [`Self::revoke_key`].
    #[cfg(feature = "pages")]
    pub(crate) async fn revoke_twins(
        &self,
        context: &AuditContext,
        principal: &Arc<Principal>,
        key: &ApiKey,
    ) -> Result<(), Error> {
        let is_twin = |other: &ApiKey| {
            other.id < key.id
                && other.name == key.name
                && other.last_used_at.is_none()
                && key.created_at - other.created_at < TWIN_INTERVAL
        };
        for other in self
            .list_keys(key.user_id)
            .await?
            .iter()
            .filter(|other| is_twin(other))
        {
            match self.revoke_key(context, principal, other.id).await {
                Ok(()) | Err(Error::KeyNotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Deletes the keys that were revoked long ago and returns their number; deletes none while the
    /// clock is not trusted ([`Auth::check_clock`]).
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer; earlier batches stay deleted.
    pub async fn prune_keys(&self) -> Result<usize, Error> {
        if !self.check_clock().await? {
            return Ok(0);
        }
        let Some(before) = self.0.clock.now().checked_sub_signed(REVOKED_KEY_RETENTION) else {
            return Ok(0);
        };
        let prune = move |tx: &mut Writing<'_>, limit| ApiKey::prune_revoked(tx, before, limit);
        Ok(self.0.store.delete_in_batches(prune, |_rows| ()).await?)
    }

    /// Lists the keys that end within 14 days with their owners: soonest first, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn list_expiring_keys(&self, limit: i64) -> Result<Vec<(ApiKey, User)>, Error> {
        let now = self.0.clock.now();
        let list =
            move |conn: &mut _| ApiKey::list_expiring(conn, now, now + EXPIRY_NOTICE, None, limit);
        Ok(self.0.store.read(list).await?)
    }

    /// Counts the keys that end within 14 days for the metrics, and warns of each in the log: of all
    /// processes one does, at most once a day.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(crate) async fn warn_of_expiring_keys(&self) -> Result<(), Error> {
        let now = self.0.clock.now();
        let (until, before) = (now + EXPIRY_NOTICE, now - WARNING_INTERVAL);
        let read = move |conn: &mut StoreConnection| {
            let counts = ApiKey::count_expiring(conn, now, until)?;
            let due = ApiKey::list_expiring(conn, now, until, Some(before), MAX_WARNINGS)?;
            Ok((counts, due))
        };
        let ((of_users, of_apps), due) = self.0.store.read(read).await?;
        self.0.metrics.user_keys_expiring.set(of_users);
        self.0.metrics.app_keys_expiring.set(of_apps);
        if due.is_empty() {
            return Ok(());
        }
        let ids: Vec<i64> = due.iter().map(|(key, _)| key.id).collect();
        let claim = move |tx: &mut Writing<'_>| {
            Ok::<_, Error>(ApiKey::record_warnings(tx, &ids, before, now)?)
        };
        let ours = self.0.store.writing(claim).await?;
        for (key, owner) in due.iter().filter(|(key, _)| ours.contains(&key.id)) {
            let whose = match owner.is_app {
                true => format!("the app {}", owner.name),
                false => format!("user {}", owner.id),
            };
            log::warn!("key {} of {whose} ends {}", key.id, time_left(key, now));
        }
        Ok(())
    }

    /// Queues the use of a key, at most once per interval. Never waits.
    pub(super) fn record_key_use(&self, principal: &Arc<Principal>, used: &UsedKey) {
        let at = self.0.clock.now();
        if !used.should_record_use(at, USE_INTERVAL) {
            return;
        }
        let mut waiting = self.0.key_uses.lock();
        if waiting.len() < MAX_WAITING || waiting.contains_key(&used.key.id) {
            let principal = Arc::clone(principal);
            waiting.insert(used.key.id, Use { at, principal });
        }
    }

    /// Writes the queued uses. Uses that cannot be written are lost: they only record when a key
    /// was last used.
    pub(super) async fn flush_key_uses(&self) -> Result<(), Error> {
        let mut uses: Vec<(i64, Use)> = self.0.key_uses.lock().drain().collect();
        // In a fixed order, so that two processes cannot deadlock.
        uses.sort_by_key(|(id, _)| *id);
        for batch in uses.chunks(FLUSH_LIMIT) {
            let batch = batch.to_vec();
            let context = AuditContext::service();
            let written = self.0.audit.writing(&context, move |tx, events| {
                for (id, Use { at, principal }) in batch {
                    if ApiKey::record_use(tx, id, at)? {
                        let event = Event::new(Action::KeyFirstUse).on_key(id);
                        events.record_by(AuditContext::service().by(&principal, ""), event);
                    }
                }
                Ok::<_, Error>(())
            });
            written.await?;
        }
        Ok(())
    }
}

/// Stores a key whose scopes must all be in `held`. The owner's row must be locked.
pub(super) fn insert_key(
    tx: &mut Writing<'_>,
    events: &mut Events,
    held: &str,
    new: &NewApiKey,
) -> Result<ApiKey, Error> {
    if let Some(missing) = scope::first_missing(held, &new.scopes) {
        return Err(Error::ScopeNotHeld(missing.to_owned()));
    }
    if ApiKey::count_of_user(tx, new.user_id)? >= MAX_KEYS {
        return Err(Error::TooManyKeys);
    }
    let key = new.insert(tx)?;
    let event = Event::new(Action::KeyCreate).on_key(key.id);
    events.record(event.with("scopes", key.scopes.as_str()));
    Ok(key)
}

/// How long a key is still valid: `in 9 days`.
pub(crate) fn time_left(key: &ApiKey, now: NaiveDateTime) -> String {
    match (key.expires_at - now).num_days() {
        ..1 => "in less than a day".to_owned(),
        1 => "in 1 day".to_owned(),
        days => format!("in {days} days"),
    }
}

impl KeyUses {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<i64, Use>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

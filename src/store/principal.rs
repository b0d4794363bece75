//! The principal of a request, as stored: the user, and the credential that was presented.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

#[cfg(feature = "server")]
use bytes::Bytes;
use chrono::{NaiveDateTime, TimeDelta};

use super::{AccessToken, ApiKey, SessionState, User};
use crate::config::{AuthConfig, Verification};
use crate::scope;

/// The shortest time between two recorded uses of a session.
const USE_INTERVAL: TimeDelta = TimeDelta::minutes(1);

/// A user or app, and the credential that identifies it, as stored. The domain decides whether the
/// credential is still valid.
#[derive(Debug)]
#[non_exhaustive]
pub struct Principal {
    /// The user, or the app.
    pub user: User,
    /// The credential.
    pub credential: Credential,
    /// When the session was used, in microseconds since 1970, UTC; see
    /// [`Self::should_record_session_use`].
    used_at: AtomicI64,
    /// See [`Self::withhold_scopes`].
    is_withheld: AtomicBool,
    /// See [`Self::withhold_these`].
    withheld: OnceLock<Arc<str>>,
    /// See [`Self::prepared`].
    #[cfg(feature = "server")]
    prepared: OnceLock<Bytes>,
}

impl Principal {
    /// A principal as read from the database.
    pub(super) fn new(user: User, credential: Credential) -> Self {
        let used_at = match &credential {
            Credential::LoginToken(token) => first_used_at(token),
            Credential::ApiKey(_) => i64::MIN,
        };
        Self {
            user,
            credential,
            used_at: AtomicI64::new(used_at),
            is_withheld: AtomicBool::new(false),
            withheld: OnceLock::new(),
            #[cfg(feature = "server")]
            prepared: OnceLock::new(),
        }
    }

    /// A description of the user that is sent often: made by the first call, and kept for those that
    /// follow. A principal never changes, so it stays true as long as the principal does. All callers
    /// pass the same function.
    ///
    /// # Errors
    /// What `prepare` returns.
    #[cfg(feature = "server")]
    pub(crate) fn prepared<E>(
        &self,
        prepare: impl FnOnce(&User) -> Result<Vec<u8>, E>,
    ) -> Result<Bytes, E> {
        if let Some(prepared) = self.prepared.get() {
            return Ok(prepared.clone());
        }
        let prepared = Bytes::from(prepare(&self.user)?);
        Ok(self.prepared.get_or_init(|| prepared).clone())
    }

    /// Whether this is an app: a program that is no person, with a key of its own.
    pub fn is_app(&self) -> bool {
        self.user.is_app
    }

    /// Whether the user has shown to read the mail of the address; `None` for an app, and if the settings
    /// give that no meaning.
    pub fn email_verified(&self, config: &AuthConfig) -> Option<bool> {
        let is_shown = !self.is_app() && config.flows.verification != Verification::Off;
        is_shown.then_some(self.user.email_verified_at.is_some())
    }

    /// Withholds the scopes: from now on the principal holds none. The domain decides it before any other
    /// code sees the principal, each time with the same result.
    pub(crate) fn withhold_scopes(&self) {
        self.is_withheld.store(true, Ordering::Relaxed);
    }

    /// Withholds these scopes, separated by spaces, until the user shows more. Decided as
    /// [`Self::withhold_scopes`] is.
    pub(crate) fn withhold_these(&self, scopes: &Arc<str>) {
        self.withheld.get_or_init(|| Arc::clone(scopes));
    }

    /// Whether this scope is one of [`Self::withhold_these`].
    pub(crate) fn withholds(&self, name: &str) -> bool {
        let withheld = self.withheld.get();
        withheld.is_some_and(|withheld| scope::contains(withheld, name))
    }

    /// Whether the user and the credential both hold this scope now.
    pub fn has_scope(&self, name: &str) -> bool {
        !self.is_withheld.load(Ordering::Relaxed)
            && !self.withholds(name)
            && scope::contains(&self.user.scopes, name)
            && scope::contains(self.credential.scopes(), name)
    }

    /// The first of these scopes that is missing.
    pub fn first_missing<'a>(&self, required: &'a str) -> Option<&'a str> {
        scope::names(required).find(|name| !self.has_scope(name))
    }

    /// The scopes that user and credential both hold now, separated by spaces.
    pub fn scopes(&self) -> String {
        match self.is_withheld.load(Ordering::Relaxed) {
            true => String::new(),
            false => {
                let held = scope::intersection(self.credential.scopes(), &self.user.scopes);
                match self.withheld.get() {
                    Some(withheld) => scope::difference(&held, withheld),
                    None => held,
                }
            }
        }
    }

    /// The session; `None` for an API key.
    pub fn session(&self) -> Option<&SessionState> {
        match &self.credential {
            Credential::LoginToken(token) => Some(&token.session),
            Credential::ApiKey(_) => None,
        }
    }

    /// The latest recorded use of the session, here or in the database, in microseconds since 1970, UTC.
    pub(crate) fn session_used_at(&self) -> i64 {
        self.used_at.load(Ordering::Relaxed)
    }

    /// Whether a use of the session at `now` is a minute or more after the last recorded one. Of several
    /// concurrent calls, only one returns true.
    pub(crate) fn should_record_session_use(&self, now: NaiveDateTime) -> bool {
        is_next(&self.used_at, now, USE_INTERVAL)
    }

    /// When the user entered the password for the session, in seconds since 1970, UTC; `None` for an API
    /// key, and for a session that began without a password.
    pub fn authenticated_at(&self) -> Option<i64> {
        let at = match &self.credential {
            Credential::LoginToken(token) => token.authenticated_at,
            Credential::ApiKey(_) => None,
        };
        at.map(|at| at.and_utc().timestamp())
    }

    /// When the credential was issued, in seconds since 1970, UTC.
    pub fn issued_at(&self) -> i64 {
        let at = match &self.credential {
            Credential::LoginToken(token) => token.created_at,
            Credential::ApiKey(used) => used.key.created_at,
        };
        at.and_utc().timestamp()
    }

    /// When the credential expires, in seconds since 1970, UTC; in the year 9999 for an app's key
    /// without an end. Rounded down, so that no client considers the credential valid for longer
    /// than it is.
    pub fn expires_at(&self) -> i64 {
        self.credential.expires_at().and_utc().timestamp()
    }
}

/// A credential of a user, as stored.
#[derive(Debug)]
#[non_exhaustive]
pub enum Credential {
    /// Issued at a sign-in.
    LoginToken(AccessToken),
    /// Created by the user for a program.
    ApiKey(UsedKey),
}

impl Credential {
    /// When the credential expires, UTC.
    pub fn expires_at(&self) -> NaiveDateTime {
        match self {
            Self::LoginToken(token) => token.expires_at(),
            Self::ApiKey(used) => used.key.expires_at,
        }
    }

    /// Whether the credential has no end, as only keys of apps may have.
    pub fn is_endless(&self) -> bool {
        match self {
            Self::LoginToken(_) => false,
            Self::ApiKey(used) => used.key.is_endless(),
        }
    }

    /// The scopes that the credential was issued with, separated by spaces.
    pub fn scopes(&self) -> &str {
        match self {
            Self::LoginToken(token) => &token.scopes,
            Self::ApiKey(used) => &used.key.scopes,
        }
    }
}

/// An API key, and when its use was last recorded.
#[derive(Debug)]
#[non_exhaustive]
pub struct UsedKey {
    /// The key.
    pub key: ApiKey,
    /// Microseconds since 1970, UTC; see [`Self::should_record_use`].
    recorded_at: AtomicI64,
}

impl UsedKey {
    /// A key as read from the database.
    pub(super) fn new(key: ApiKey) -> Self {
        let recorded_at = key
            .last_used_at
            .map_or(i64::MIN, |at| at.and_utc().timestamp_micros());
        Self {
            key,
            recorded_at: AtomicI64::new(recorded_at),
        }
    }

    /// Whether a use at `now` is `interval` or more after the last recorded one. Of several
    /// concurrent calls, only one returns true.
    pub fn should_record_use(&self, now: NaiveDateTime, interval: TimeDelta) -> bool {
        is_next(&self.recorded_at, now, interval)
    }
}

/// What counts as the latest recorded use of a session when its principal is read. The first use of a
/// login token that was issued together with a refresh token is always recorded: it shows that the
/// client has both.
fn first_used_at(token: &AccessToken) -> i64 {
    let used_at = token.session.last_used_at;
    let has_refresh_token = token.expiration_date < token.session.expires_at;
    if has_refresh_token && token.created_at >= used_at {
        micros(used_at - USE_INTERVAL)
    } else {
        micros(used_at)
    }
}

fn micros(at: NaiveDateTime) -> i64 {
    at.and_utc().timestamp_micros()
}

/// Whether `now` is `interval` or more after the recorded time, which then becomes `now`. Of several
/// concurrent calls, only one returns true.
fn is_next(recorded_at: &AtomicI64, now: NaiveDateTime, interval: TimeDelta) -> bool {
    let now = micros(now);
    let last = recorded_at.load(Ordering::Relaxed);
    let next = interval
        .num_microseconds()
        .map_or(i64::MAX, |interval| last.saturating_add(interval));
    now >= next
        && recorded_at
            .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
}

//! Who a request comes from, as stored: the user, and the credential that was presented.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{NaiveDateTime, TimeDelta};

use super::{AccessToken, ApiKey, User};
use crate::scope;

/// A user and the credential that stands for them, as stored. Whether it is still good is for the
/// domain to say.
#[derive(Debug)]
#[non_exhaustive]
pub struct Principal {
    /// Who.
    pub user: User,
    /// By what.
    pub credential: Credential,
}

impl Principal {
    /// Whether the user and the credential both hold this scope now.
    pub fn has_scope(&self, name: &str) -> bool {
        scope::contains(&self.user.scopes, name) && scope::contains(self.credential.scopes(), name)
    }

    /// The first of these scopes that is not held.
    pub fn first_missing<'a>(&self, wanted: &'a str) -> Option<&'a str> {
        scope::names(wanted).find(|name| !self.has_scope(name))
    }

    /// The scopes that user and credential both hold now, separated by spaces.
    pub fn scopes(&self) -> String {
        scope::intersection(self.credential.scopes(), &self.user.scopes)
    }

    /// When the credential was issued, in seconds since 1970, UTC.
    pub fn issued_at(&self) -> i64 {
        let at = match &self.credential {
            Credential::LoginToken(token) => token.created_at,
            Credential::ApiKey(used) => used.key.created_at,
        };
        at.and_utc().timestamp()
    }

    /// When the credential ends by itself, in seconds since 1970, UTC. A part of a second is left
    /// out, so that nobody takes the credential for good longer than it is.
    pub fn expires_at(&self) -> i64 {
        self.credential.expires_at().and_utc().timestamp()
    }
}

/// A credential of a user, as stored.
#[derive(Debug)]
#[non_exhaustive]
pub enum Credential {
    /// Given at a sign-in.
    LoginToken(AccessToken),
    /// Made by the user for a program.
    ApiKey(UsedKey),
}

impl Credential {
    /// When the credential expires, UTC.
    pub fn expires_at(&self) -> NaiveDateTime {
        match self {
            Self::LoginToken(token) => token.expiration_date,
            Self::ApiKey(used) => used.key.expires_at,
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

/// An API key, and when its use was last noted.
#[derive(Debug)]
#[non_exhaustive]
pub struct UsedKey {
    /// The key.
    pub key: ApiKey,
    /// Microseconds since 1970, UTC; see [`Self::is_use_to_be_noted`].
    noted: AtomicI64,
}

impl UsedKey {
    /// A key as it was read.
    pub(super) fn new(key: ApiKey) -> Self {
        let noted = key
            .last_used_at
            .map_or(i64::MIN, |at| at.and_utc().timestamp_micros());
        Self {
            key,
            noted: AtomicI64::new(noted),
        }
    }

    /// Whether a use at `now` comes `interval` or more after the last one that was noted. Of
    /// several at once, only one is told so.
    pub fn is_use_to_be_noted(&self, now: NaiveDateTime, interval: TimeDelta) -> bool {
        let now = now.and_utc().timestamp_micros();
        let noted = self.noted.load(Ordering::Relaxed);
        let next = interval
            .num_microseconds()
            .map_or(i64::MAX, |interval| noted.saturating_add(interval));
        now >= next
            && self
                .noted
                .compare_exchange(noted, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

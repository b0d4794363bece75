//! Sessions: what a sign-in begins.

use chrono::{NaiveDateTime, TimeDelta};

use super::Auth;
use super::device_name::device_name;
use crate::audit::{Action, AuditContext, Event, Events};
use crate::credential::token::{PlainToken, TokenDigest, generate_token};
use crate::error::Error;
use crate::store::{AccessToken, NewSession, SessionKind};

/// The longest name of a session, in characters.
pub(crate) const MAX_NAME: usize = 100;

/// What a client says about the device that signs in. Proves nothing.
#[derive(Clone, Debug, Default)]
pub struct Device {
    /// An id that the device has chosen. It replaces an earlier session with the same one.
    pub id: Option<String>,
    /// How the user recognises it.
    pub name: Option<String>,
}

/// A new login token, with the secret that is returned only once.
#[derive(Debug)]
pub struct IssuedToken {
    /// The secret.
    pub secret: PlainToken,
    /// The stored token.
    pub token: AccessToken,
    /// The lifetime of the token.
    pub lifetime: TimeDelta,
}

/// How a session begins.
pub(super) struct Beginning<'a> {
    pub(super) user_id: i64,
    pub(super) kind: SessionKind,
    /// The scopes, separated by spaces.
    pub(super) scopes: String,
    pub(super) device: &'a Device,
    /// When the user entered the password.
    pub(super) authenticated_at: Option<NaiveDateTime>,
}

impl Auth {
    /// A session that begins at `now` with a random login token, and the token with its lifetime.
    ///
    /// # Errors
    /// [`Error::Internal`] if the random generator fails.
    pub(super) fn new_session(
        &self,
        context: &AuditContext,
        beginning: Beginning<'_>,
        now: NaiveDateTime,
    ) -> Result<(PlainToken, TimeDelta, NewSession), Error> {
        let secret = generate_token()?;
        let lifetime = TimeDelta::from_std(self.0.config.token_lifetime).unwrap_or(TimeDelta::MAX);
        let expires_at = now.checked_add_signed(lifetime).unwrap_or(now);
        let Device { id, name } = beginning.device;
        let name = name.as_deref().map(printable);
        let session = NewSession {
            user_id: beginning.user_id,
            kind: beginning.kind,
            name: name
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| device_name(context.user_agent())),
            device_digest: id
                .as_ref()
                .map(|id| TokenDigest::new(id.as_bytes()).to_hex()),
            user_agent: context.user_agent().to_owned(),
            ip: context.ip(),
            created_at: now,
            expires_at,
            idle_seconds: None,
            authenticated_at: beginning.authenticated_at,
            amr: beginning.authenticated_at.map_or("", |_| "pwd"),
            scopes: beginning.scopes,
            access_token: secret.digest().to_hex(),
            token_expires_at: expires_at,
        };
        Ok((secret, lifetime, session))
    }

    /// Records the sessions that ended because the user began another one. If a user has only one
    /// session, its end is part of every sign-in.
    pub(super) fn record_evicted(&self, events: &mut Events, user_id: i64, evicted: &[i64]) {
        if self.0.config.sessions.per_user > 1 {
            for id in evicted {
                let event = Event::new(Action::SessionEvicted).on_user(user_id);
                events.record(event.with("session", *id));
            }
        }
    }
}

/// Shortens a name, and replaces characters that could move a cursor, break a line or reverse a text
/// with spaces.
pub(super) fn printable(name: &str) -> String {
    let shown = name.chars().map(|c| if is_shown(c) { c } else { ' ' });
    let text: String = shown.take(MAX_NAME).collect();
    text.trim().to_owned()
}

/// Whether a character only shows itself: no control character, and none that sets the direction of
/// text (Unicode Standard Annex 9, section 2).
fn is_shown(c: char) -> bool {
    let is_direction = matches!(c,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !c.is_control() && !is_direction
}

//! Sessions: what a sign-in begins.

use std::time::Duration;

use chrono::{NaiveDateTime, TimeDelta};

use super::Auth;
use super::device_name::device_name;
use super::validation::Field;
use crate::audit::{Action, AuditContext, Event, Events};
use crate::credential::browser_cookie::generate_browser_cookie;
use crate::credential::refresh_token::{RefreshToken, Seed};
use crate::credential::token::{PlainToken, TokenDigest, generate_token};
use crate::error::{Error, FieldError, InvalidField};
use crate::printable::printable;
use crate::store::{AccessToken, FirstRefresh, NewSession, SessionKind, Writing};

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

/// Which kind of session a sign-in begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignInKind {
    /// The client keeps the token, and sends it in a header.
    #[default]
    Client,
    /// The token is the secret of a browser's cookie. The scope of the request may not ask for a
    /// refresh token, which no browser gets.
    Browser {
        /// Whether the session outlives the browser's window and an idle time.
        is_kept: bool,
    },
}

impl SignInKind {
    /// The kind of the session as it is stored.
    pub(super) fn of_session(self) -> SessionKind {
        match self {
            Self::Client => SessionKind::Api,
            Self::Browser { .. } => SessionKind::Browser,
        }
    }

    /// Whether the session outlives the browser's window.
    pub(super) fn is_kept(self) -> bool {
        self == Self::Browser { is_kept: true }
    }
}

/// How long a browser stays signed in if its user asks for it: 30 days.
const KEPT_LIFETIME: Duration = Duration::from_secs(30 * 86_400);

/// After this long without a use, the session of a browser ends whose user has not asked for that: 2 h.
const BROWSER_IDLE: Duration = Duration::from_secs(2 * 3_600);

/// A new login token, with the secret that is returned only once.
#[derive(Debug)]
pub struct IssuedToken {
    /// The secret.
    pub secret: PlainToken,
    /// The id of the session.
    pub session_id: i64,
    /// The scopes that the token allows now, separated by spaces; none while they are withheld from a user
    /// whose address is not verified.
    pub scopes: String,
    /// When the token ends, UTC.
    pub expires_at: NaiveDateTime,
    /// The remaining lifetime of the token.
    pub lifetime: TimeDelta,
    /// The refresh token, if the client asked for one.
    pub refresh: Option<Refreshable>,
    /// The secret of the device, if the user asked for trust in it.
    pub device: Option<DeviceSecret>,
}

/// A refresh token, which is returned only once.
#[derive(Debug)]
pub struct Refreshable {
    /// The secret.
    pub token: RefreshToken,
    /// The remaining lifetime of the session.
    pub lifetime: TimeDelta,
}

/// The secret of a device that is trusted from now on, which is returned only once.
#[derive(Debug)]
pub struct DeviceSecret {
    /// What the device sends with the password.
    pub secret: PlainToken,
    /// For how long it is trusted.
    pub lifetime: TimeDelta,
}

impl IssuedToken {
    /// What the client of a new session receives.
    pub(super) fn of(
        secret: PlainToken,
        token: &AccessToken,
        refresh: Option<&FirstRefresh>,
    ) -> Self {
        Self {
            secret,
            session_id: token.session.id,
            scopes: token.scopes.clone(),
            expires_at: token.expiration_date,
            lifetime: token.expiration_date - token.created_at,
            refresh: refresh.map(|first| Refreshable {
                token: first.token(token.session.id),
                lifetime: token.session.expires_at - token.created_at,
            }),
            device: None,
        }
    }
}

/// The method of a user who has entered the password (RFC 8176 section 2).
pub(crate) const BY_PASSWORD: &str = "pwd";

/// The methods of a user who has entered the password and a code, be it that of an authenticator app or a
/// recovery code.
pub(super) const BY_TWO_FACTORS: &str = "pwd otp mfa";

/// The methods of a user who has entered the password and made a passkey, which has signed nothing yet.
pub(super) const BY_NEW_PASSKEY: &str = "pwd user mfa";

/// How a user has shown a second factor (RFC 8176 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FactorMethods {
    /// The methods of the factor alone.
    pub(super) own: &'static [&'static str],
    /// Those of a password and the factor, separated by spaces.
    pub(super) after_password: &'static str,
    /// Whether it is more than one factor without a password: the authenticator has verified the user.
    pub(super) stands_alone: bool,
}

impl FactorMethods {
    /// The code of an authenticator app, or a recovery code.
    pub(super) const CODE: Self = Self {
        own: &["otp"],
        after_password: BY_TWO_FACTORS,
        stands_alone: false,
    };
}

/// Multiple-factor authentication, as a method (RFC 8176 section 2) and as the context class of a session
/// (`acr`, RFC 9470).
pub(crate) const MULTI_FACTOR: &str = "mfa";

/// Whether these methods are more than one factor.
pub(crate) fn is_multi_factor(methods: &str) -> bool {
    methods.split(' ').any(|method| method == MULTI_FACTOR)
}

/// The methods of a session whose user has shown a second factor as well now, by these methods.
pub(super) fn with_second_factor(methods: &str, shown: &[&'static str]) -> String {
    let added = shown.iter().chain(&[MULTI_FACTOR]).copied();
    let added = added.filter(|added| methods.split(' ').all(|method| method != *added));
    let known = methods.split(' ').filter(|method| !method.is_empty());
    known.chain(added).collect::<Vec<_>>().join(" ")
}

/// How the user of a session has authenticated.
pub(super) struct Authentication<'a> {
    pub(super) at: NaiveDateTime,
    /// Values of RFC 8176 section 2, separated by spaces.
    pub(super) methods: &'a str,
}

/// How a session begins.
pub(super) struct Beginning<'a> {
    pub(super) user_id: i64,
    pub(super) kind: SessionKind,
    /// See [`SignInKind::is_kept`].
    pub(super) is_kept: bool,
    /// The scopes, separated by spaces.
    pub(super) scopes: String,
    pub(super) device: &'a Device,
    /// `None` if an operator begins the session.
    pub(super) authentication: Option<Authentication<'a>>,
    /// What the first refresh token is made of, if there is one.
    pub(super) refresh: Option<FirstRefresh>,
}

impl Auth {
    /// A session that begins at `now` with a random login token, and the token.
    ///
    /// # Errors
    /// [`Error::Internal`] if the random generator fails.
    pub(super) fn new_session(
        &self,
        context: &AuditContext,
        beginning: Beginning<'_>,
        now: NaiveDateTime,
    ) -> Result<(PlainToken, NewSession), Error> {
        let config = &self.0.config;
        let is_of_browser = beginning.kind == SessionKind::Browser;
        let secret = match is_of_browser {
            true => generate_browser_cookie()?,
            false => generate_token()?,
        };
        let (lifetime, token_lifetime) = match beginning.refresh {
            Some(_) => (
                config.sessions.lifetime,
                config.sessions.refresh_access_lifetime,
            ),
            // The session ends with its only token.
            None if beginning.is_kept => {
                let lifetime = config.sessions.browser_lifetime.max(KEPT_LIFETIME);
                (lifetime, lifetime)
            }
            None if is_of_browser => (
                config.sessions.browser_lifetime,
                config.sessions.browser_lifetime,
            ),
            None => (config.token_lifetime, config.token_lifetime),
        };
        let expires_at = end_after(now, lifetime);
        let idle = match is_of_browser && !beginning.is_kept {
            true => Some(
                config
                    .sessions
                    .idle
                    .unwrap_or(BROWSER_IDLE)
                    .min(BROWSER_IDLE),
            ),
            false => config.sessions.idle,
        };
        let Device { id, name } = beginning.device;
        let name = name.as_deref().map(session_name);
        let authentication = beginning.authentication;
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
            idle_seconds: idle.map(|idle| idle.as_secs().cast_signed()),
            authenticated_at: authentication.as_ref().map(|it| it.at),
            amr: authentication.map_or_else(String::new, |it| it.methods.to_owned()),
            scopes: beginning.scopes,
            access_token: secret.digest().to_hex(),
            token_expires_at: end_after(now, token_lifetime).min(expires_at),
            refresh: beginning.refresh,
        };
        Ok((secret, session))
    }

    /// What the first refresh token of a session is made of.
    ///
    /// # Errors
    /// [`Error::Internal`] if the random generator fails; [`Error::Unavailable`].
    pub(super) async fn new_refresh(&self) -> Result<FirstRefresh, Error> {
        let key = match self.0.refresh_key.cached() {
            Some(key) => key,
            None => {
                let refresh_key = self.0.refresh_key.clone();
                let get = move |tx: &mut Writing<'_>| Ok::<_, Error>(refresh_key.get(tx)?);
                self.0.store.writing(get).await?
            }
        };
        let seed = Seed::generate()?;
        Ok(FirstRefresh { key, seed })
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

/// The name of a session, shortened, and in characters that only show themselves.
pub(super) fn session_name(text: &str) -> String {
    let text: String = printable(text).chars().take(MAX_NAME).collect();
    text.trim().to_owned()
}

/// The name that a user gives to what has one already: as [`session_name`], and not empty.
///
/// # Errors
/// [`Error::InvalidInput`].
pub(super) fn new_name(name: Field<String>) -> Result<String, Error> {
    let name = session_name(&name?);
    match name.is_empty() {
        true => Err(FieldError::new("name", InvalidField::TooShort { min: 1 }).into()),
        false => Ok(name),
    }
}

/// Attempts a change that may have to end credentials, without a claim to end any: a claim fences. If the
/// attempt returns `None`, it needs the claim, and has changed nothing; then, or if the caller foresees
/// this, it runs with the claim.
///
/// # Errors
/// Those of an attempt.
pub(super) async fn claim_if_needed<T>(
    is_foreseen: bool,
    attempt: impl AsyncFn(bool) -> Result<Option<T>, Error>,
) -> Result<Option<T>, Error> {
    if !is_foreseen && let Some(done) = attempt(false).await? {
        return Ok(Some(done));
    }
    attempt(true).await
}

/// A time after another one.
pub(super) fn end_after(at: NaiveDateTime, span: Duration) -> NaiveDateTime {
    let span = TimeDelta::from_std(span).unwrap_or(TimeDelta::MAX);
    at.checked_add_signed(span).unwrap_or(NaiveDateTime::MAX)
}

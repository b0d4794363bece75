//! Rows as clients and operators see them, over HTTP and in the output of commands.

use chrono::{NaiveDateTime, SecondsFormat};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::auth::IssuedKey;
use crate::config::{AuthConfig, Verification};
use crate::store::{ApiKey, AuditEvent, Session, TrustedDevice, User};
#[cfg(feature = "mail")]
use crate::store::{Invitation, MailState, OutboxMail};

/// A user as shown to themselves; no other column is ever shown.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub(crate) struct UserRead<'a> {
    /// Never reused for another user.
    #[schema(example = 1)]
    id: i64,
    #[schema(example = "Andres Cruz")]
    name: &'a str,
    #[schema(example = "Cruz")]
    surname: &'a str,
    /// The address, with its domain in lower case.
    #[schema(format = "email", example = "andres@example.com")]
    email: &'a str,
    #[schema(example = "https://example.com/me")]
    website: &'a str,
    /// The id in the system that the user was imported from, if it was not an integer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "5b0c3a0e-6f0f-4a64-9d6e-2b1f6c1e0d55")]
    external_id: Option<&'a str>,
    /// Whether the user has shown to read the mail of the address; only with `TOKENHOUSE_VERIFICATION`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    email_verified: Option<bool>,
}

impl<'a> UserRead<'a> {
    /// A user, as the settings let it be shown.
    pub(crate) fn new(user: &'a User, config: &AuthConfig) -> Self {
        let shows = config.flows.verification != Verification::Off;
        Self {
            email_verified: shows.then_some(user.email_verified_at.is_some()),
            id: user.id,
            name: &user.name,
            surname: &user.surname,
            email: &user.email,
            website: &user.website,
            external_id: user.external_id.as_deref(),
        }
    }

    /// A user whose address was verified just now, with that in any case.
    #[cfg(feature = "mail")]
    pub(crate) fn verified(user: &'a User, config: &AuthConfig) -> Self {
        Self {
            email_verified: Some(user.email_verified_at.is_some()),
            ..Self::new(user, config)
        }
    }
}

/// A user as shown to administrators.
#[derive(Serialize, ToSchema)]
pub(crate) struct AdminUser<'a> {
    #[schema(example = 1)]
    id: i64,
    #[schema(example = "Andres Cruz")]
    name: &'a str,
    #[schema(example = "Cruz")]
    surname: &'a str,
    #[schema(format = "email", example = "andres@example.com")]
    email: &'a str,
    #[schema(example = "https://example.com/me")]
    website: &'a str,
    /// What the user may do, separated by spaces.
    #[schema(example = "orders:read")]
    scopes: &'a str,
    #[schema(format = "date-time")]
    created_at: String,
    /// When the user was disabled; null for a user who is enabled.
    #[schema(format = "date-time")]
    disabled_at: Option<String>,
    /// The id in the system that the user was imported from, if it was not an integer.
    #[schema(example = "5b0c3a0e-6f0f-4a64-9d6e-2b1f6c1e0d55")]
    external_id: Option<&'a str>,
}

impl<'a> From<&'a User> for AdminUser<'a> {
    fn from(user: &'a User) -> Self {
        Self {
            id: user.id,
            name: &user.name,
            surname: &user.surname,
            email: &user.email,
            website: &user.website,
            scopes: &user.scopes,
            created_at: utc(user.created_at),
            disabled_at: user.disabled_at.map(utc),
            external_id: user.external_id.as_deref(),
        }
    }
}

/// An API key, without the key itself.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyRead<'a> {
    #[schema(example = 1)]
    id: i64,
    #[schema(example = "backup script")]
    name: &'a str,
    /// The first characters of the key.
    #[schema(example = "tkh_Q2hh")]
    hint: &'a str,
    /// What it allows, separated by spaces.
    #[schema(example = "")]
    scopes: &'a str,
    #[schema(format = "date-time")]
    created_at: String,
    #[schema(format = "date-time")]
    pub(crate) expires_at: String,
    /// Up to a minute old; null for a key that was never used.
    #[schema(format = "date-time")]
    pub(crate) last_used_at: Option<String>,
}

impl<'a> From<&'a ApiKey> for KeyRead<'a> {
    fn from(key: &'a ApiKey) -> Self {
        Self {
            id: key.id,
            name: &key.name,
            hint: &key.hint,
            scopes: &key.scopes,
            created_at: utc(key.created_at),
            expires_at: utc(key.expires_at),
            last_used_at: key.last_used_at.map(utc),
        }
    }
}

/// A new API key, with the key itself.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyCreated<'a> {
    /// 53 characters; shown only once.
    key: &'a str,
    #[serde(flatten)]
    of: KeyRead<'a>,
}

impl<'a> From<&'a IssuedKey> for KeyCreated<'a> {
    fn from(issued: &'a IssuedKey) -> Self {
        Self {
            key: issued.secret.expose(),
            of: KeyRead::from(&issued.key),
        }
    }
}

/// A session.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(crate) struct SessionRead<'a> {
    #[schema(example = 12)]
    id: i64,
    #[schema(example = "Firefox on Linux")]
    name: &'a str,
    /// `api`, `browser`, or `issued` by an operator or an import.
    #[schema(example = "api")]
    kind: &'a str,
    /// What it allows, separated by spaces.
    #[schema(example = "")]
    scopes: &'a str,
    #[schema(format = "date-time")]
    created_at: String,
    /// Up to a minute old.
    #[schema(format = "date-time")]
    pub(crate) last_used_at: String,
    #[schema(format = "date-time")]
    pub(crate) expires_at: String,
    /// The address of the last use; empty if it is unknown.
    #[schema(example = "192.0.2.1")]
    ip: &'a str,
    /// What the client called itself at the sign-in, shortened.
    user_agent: &'a str,
    /// How the user signed in (RFC 8176), separated by spaces; empty for `issued`.
    #[schema(example = "pwd")]
    amr: &'a str,
    /// Whether the request belongs to this session.
    current: bool,
}

impl<'a> SessionRead<'a> {
    /// A session, as a request of the session `current` sees it.
    pub(crate) fn new(session: &'a Session, current: Option<i64>) -> Self {
        Self {
            id: session.id,
            name: &session.name,
            kind: session.kind.as_str(),
            scopes: &session.scopes,
            created_at: utc(session.created_at),
            last_used_at: utc(session.last_used_at),
            expires_at: utc(session.expires_at),
            ip: &session.last_ip,
            user_agent: &session.user_agent,
            amr: &session.amr,
            current: current == Some(session.id),
        }
    }
}

/// A device on which sign-ins need no code.
#[derive(Serialize, ToSchema)]
#[schema(as = TrustedDevice)]
pub(crate) struct DeviceRead<'a> {
    #[schema(example = 5)]
    id: i64,
    #[schema(example = "Firefox on Linux")]
    name: &'a str,
    #[schema(format = "date-time")]
    pub(crate) created_at: String,
    /// The last sign-in without a code; null if there was none.
    #[schema(format = "date-time")]
    pub(crate) last_used_at: Option<String>,
    #[schema(format = "date-time")]
    pub(crate) expires_at: String,
}

impl<'a> From<&'a TrustedDevice> for DeviceRead<'a> {
    fn from(device: &'a TrustedDevice) -> Self {
        Self {
            id: device.id,
            name: &device.name,
            created_at: utc(device.created_at),
            last_used_at: device.last_used_at.map(utc),
            expires_at: utc(device.expires_at),
        }
    }
}

/// An invitation, as administrators see it.
#[cfg(feature = "mail")]
#[derive(Serialize, ToSchema)]
#[schema(as = Invitation)]
pub(crate) struct InvitationRead<'a> {
    #[schema(example = 7)]
    pub(crate) id: i64,
    #[schema(format = "email", example = "andres@example.com")]
    pub(crate) email: &'a str,
    #[schema(example = "Andres Cruz")]
    name: &'a str,
    #[schema(example = "")]
    scopes: &'a str,
    /// `pending`, `expired`, `accepted` or `revoked`.
    #[schema(example = "pending")]
    state: &'a str,
    /// The id of the administrator; null for an operator.
    #[schema(example = 1)]
    invited_by: Option<i64>,
    #[schema(format = "date-time")]
    created_at: String,
    #[schema(format = "date-time")]
    pub(crate) expires_at: String,
    #[schema(format = "date-time")]
    accepted_at: Option<String>,
    /// The link, only in the answer to a request with `deliver: false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) url: Option<&'a str>,
}

#[cfg(feature = "mail")]
impl<'a> InvitationRead<'a> {
    /// An invitation, at `now`.
    pub(crate) fn new(invitation: &'a Invitation, now: NaiveDateTime) -> Self {
        Self {
            id: invitation.id,
            email: &invitation.email,
            name: &invitation.name,
            scopes: &invitation.scopes,
            state: invitation.state(now).name(),
            invited_by: invitation.invited_by,
            created_at: utc(invitation.created_at),
            expires_at: utc(invitation.expires_at),
            accepted_at: invitation.accepted_at.map(utc),
            url: None,
        }
    }

    /// With the link to it.
    pub(crate) fn with_url(self, url: Option<&'a str>) -> Self {
        Self { url, ..self }
    }
}

/// A mail of the outbox.
#[cfg(feature = "mail")]
#[derive(Serialize, ToSchema)]
#[schema(as = Mail)]
pub(crate) struct MailRead<'a> {
    #[schema(example = 7)]
    id: i64,
    /// Which template it has.
    #[schema(example = "reset-password")]
    purpose: &'a str,
    /// The user whom it concerns.
    #[schema(example = 12)]
    user_id: Option<i64>,
    #[schema(format = "email", example = "andres@example.com")]
    to: &'a str,
    /// `waiting`, `sent` or `failed`.
    #[schema(example = "waiting")]
    pub(crate) state: &'a str,
    /// The tries so far.
    pub(crate) attempts: i64,
    #[schema(format = "date-time")]
    queued_at: String,
    /// When the next try is due; null unless it waits.
    #[schema(format = "date-time")]
    pub(crate) next_at: Option<String>,
    #[schema(format = "date-time")]
    sent_at: Option<String>,
    #[schema(format = "date-time")]
    failed_at: Option<String>,
    /// The last words of the mail server.
    #[schema(example = "250 2.0.0 Ok: queued as 4F1A2")]
    last_reply: &'a str,
    /// The header `Message-ID`, without angle brackets.
    message_id: &'a str,
}

#[cfg(feature = "mail")]
impl<'a> From<&'a OutboxMail> for MailRead<'a> {
    fn from(mail: &'a OutboxMail) -> Self {
        let state = mail.state();
        Self {
            id: mail.id,
            purpose: &mail.purpose,
            user_id: mail.user_id,
            to: &mail.to_address,
            state: state.name(),
            attempts: mail.attempts,
            queued_at: utc(mail.queued_at),
            next_at: (state == MailState::Waiting).then(|| utc(mail.next_at)),
            sent_at: mail.sent_at.map(utc),
            failed_at: mail.failed_at.map(utc),
            last_reply: &mail.last_reply,
            message_id: &mail.message_id,
        }
    }
}

/// An event of the audit trail.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventRead<'a> {
    #[schema(example = 17)]
    id: i64,
    #[schema(format = "date-time")]
    at: String,
    /// Who: `user:12`, `operator:1000`, `static-key`, `service` or `anonymous`. For root by way of
    /// sudo `operator:0/1000`, and `@` with the terminal where there is one; users see `operator` for
    /// an operator who acted on them.
    #[schema(example = "user:12")]
    actor: &'a str,
    /// By which credential: `password`, `login`, `browser`, `key:3`, `shell`, or nothing.
    #[schema(example = "login")]
    credential: &'a str,
    /// The scope or right that allowed it.
    #[schema(example = "account")]
    level: &'a str,
    #[schema(example = "key.create")]
    action: &'a str,
    /// On which user or key: `user:12`, `key:3`, or nothing.
    #[schema(example = "key:3")]
    target: &'a str,
    /// `ok` or `refused`.
    #[schema(example = "ok")]
    result: &'a str,
    #[schema(example = "192.0.2.1")]
    ip: &'a str,
    user_agent: &'a str,
    /// The id that the service gave to the request, as in its log.
    request_id: &'a str,
    /// The id that the client gave to the request in `X-Request-Id`, or nothing.
    client_request_id: &'a str,
    /// Details of the action.
    detail: Value,
}

impl<'a> From<&'a AuditEvent> for EventRead<'a> {
    fn from(event: &'a AuditEvent) -> Self {
        Self {
            id: event.id,
            at: utc(event.at),
            actor: &event.actor,
            credential: &event.credential,
            level: &event.level,
            action: &event.action,
            target: &event.target,
            result: &event.result,
            ip: &event.ip,
            user_agent: &event.user_agent,
            request_id: &event.request_id,
            client_request_id: &event.client_request_id,
            detail: serde_json::from_str(&event.detail).unwrap_or_default(),
        }
    }
}

/// A time as clients see it: RFC 3339, to the microsecond.
pub(crate) fn utc(time: NaiveDateTime) -> String {
    time.and_utc().to_rfc3339_opts(SecondsFormat::Micros, true)
}

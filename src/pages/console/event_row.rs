//! An event as a row of a list.

use chrono::NaiveDateTime;

use crate::auth::Addresses;
use crate::pages::Language;
use crate::pages::time::{ago, date_time, iso};
use crate::store::AuditEvent;

/// The actions with which administrators look at something.
const READS: [&str; 4] = ["user.read", "event.read", "key.read", "session.read"];

/// An event as a row of a list.
pub(crate) struct EventRow {
    pub(super) id: i64,
    pub(super) action: String,
    pub(super) is_refused: bool,
    pub(super) actor: Party,
    pub(super) target: Party,
    pub(super) credential: String,
    pub(super) ip: String,
    pub(super) detail: String,
    pub(super) when: String,
    pub(super) at: String,
    pub(super) time: String,
}

/// Who has done something, or to whom: `user:12`, `service`.
pub(super) struct Party {
    pub(super) name: String,
    /// The page of the user, if it is one.
    pub(super) user: Option<i64>,
    /// The address of the user, if it still exists.
    pub(super) email: Option<String>,
}

impl Party {
    fn new(name: &str, addresses: &Addresses) -> Self {
        let user = name.strip_prefix("user:").and_then(|id| id.parse().ok());
        Self {
            name: name.to_owned(),
            user,
            email: addresses.of(name).map(str::to_owned),
        }
    }

    /// The address of a user, or the name in the trail.
    pub(super) fn shown(&self) -> String {
        match &self.email {
            Some(email) if self.user.is_some() => email.clone(),
            Some(email) => format!("{} ({email})", self.name),
            None => self.name.clone(),
        }
    }
}

impl EventRow {
    /// Whether the event changed nothing: an administrator has looked at something.
    pub(super) fn is_read(&self) -> bool {
        READS.contains(&self.action.as_str())
    }

    /// The rows of events at `now`.
    pub(super) fn all(
        events: &[AuditEvent],
        addresses: &Addresses,
        now: NaiveDateTime,
        language: Language,
    ) -> Vec<Self> {
        let row = |event: &AuditEvent| Self {
            id: event.id,
            action: event.action.clone(),
            is_refused: event.result != "ok",
            actor: Party::new(&event.actor, addresses),
            target: Party::new(&event.target, addresses),
            credential: event.credential.clone(),
            ip: event.ip.clone(),
            detail: detail(&event.detail),
            when: ago(event.at, now, language),
            at: iso(event.at),
            time: date_time(event.at),
        };
        events.iter().map(row).collect()
    }
}

/// The details without JSON's brackets: `reason: password, keys: 2`.
fn detail(json: &str) -> String {
    let Ok(serde_json::Value::Object(members)) = serde_json::from_str(json) else {
        return String::new();
    };
    let is_given = |value: &serde_json::Value| value.as_str() != Some("");
    let members = members.iter().filter(|(_, value)| is_given(value));
    let shown = members.map(|(name, value)| match value {
        serde_json::Value::String(text) => format!("{name}: {text}"),
        value => format!("{name}: {value}"),
    });
    shown.collect::<Vec<_>>().join(", ")
}

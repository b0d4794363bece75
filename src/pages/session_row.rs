//! A session as a row of a list, for its user and for administrators.

use chrono::NaiveDateTime;

use super::Language;
use super::language::fill;
use super::texts::account::AccountTexts;
use super::time::{ago, date_time, iso};
use crate::store::{Session, SessionKind};

/// A session as a row of a list.
pub(crate) struct SessionRow {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) ip: String,
    pub(crate) last_used: String,
    pub(crate) last_used_at: String,
    pub(crate) ends: String,
    pub(crate) end_label: String,
}

impl SessionRow {
    /// The row at `now`. `issued` is what a session is called that an operator began.
    pub(crate) fn new(
        session: &Session,
        issued: &'static str,
        now: NaiveDateTime,
        language: Language,
    ) -> Self {
        let t = AccountTexts::of(language);
        Self {
            id: session.id,
            name: session.name.clone(),
            kind: match session.kind {
                SessionKind::Browser => t.of_browser,
                SessionKind::Issued => issued,
                _ => t.of_app,
            },
            ip: session.last_ip.clone(),
            last_used: fill(
                t.last_used,
                "when",
                &ago(session.last_used_at, now, language),
            ),
            last_used_at: iso(session.last_used_at),
            ends: fill(t.ends_at, "when", &date_time(session.expires_at)),
            end_label: fill(t.end_named, "name", &session.name),
        }
    }
}

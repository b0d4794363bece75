//! The page of the sessions.

use askama::Template;
use chrono::NaiveDateTime;

use super::{AccountHead, Section};
use crate::pages::Frame;
use crate::pages::language::fill;
use crate::pages::texts::account::AccountTexts;
use crate::pages::time::{ago, date_time, iso};
use crate::store::{Session, SessionKind};

/// Where the user is signed in.
#[derive(Template)]
#[template(path = "sessions.html")]
pub(crate) struct SessionsPage {
    pub(crate) frame: Frame,
    t: &'static AccountTexts,
    pub(crate) head: AccountHead,
    sessions: Vec<SessionView>,
}

/// A session, as its user sees it.
struct SessionView {
    id: i64,
    name: String,
    kind: &'static str,
    ip: String,
    last_used: String,
    last_used_at: String,
    ends: String,
    end_label: String,
    is_current: bool,
}

/// What has happened on the page of the sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionsNotice {
    Ended,
    OthersEnded,
}

impl SessionsPage {
    /// The page at `now`, as a browser with the session `current` sees it.
    pub(crate) fn new(
        frame: Frame,
        sessions: &[Session],
        current: i64,
        now: NaiveDateTime,
    ) -> Self {
        let (t, language) = (AccountTexts::of(frame.language), frame.language);
        let view = |session: &Session| SessionView {
            id: session.id,
            name: session.name.clone(),
            kind: match session.kind {
                SessionKind::Browser => t.of_browser,
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
            is_current: session.id == current,
        };
        let mut sessions: Vec<SessionView> = sessions.iter().map(view).collect();
        sessions.sort_by_key(|session| !session.is_current);
        Self {
            frame,
            t,
            head: AccountHead::new(Section::Sessions),
            sessions,
        }
    }

    /// The same after a change.
    pub(crate) fn after(mut self, notice: Option<SessionsNotice>) -> Self {
        let t = self.t;
        self.head.notice = notice.map(|notice| match notice {
            SessionsNotice::Ended => t.ended,
            SessionsNotice::OthersEnded => t.others_ended,
        });
        self
    }
}

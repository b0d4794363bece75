//! The page of the sessions.

use askama::Template;
use chrono::NaiveDateTime;

use super::{AccountHead, Section};
use crate::pages::language::fill;
use crate::pages::session_row::SessionRow;
use crate::pages::texts::account::AccountTexts;
use crate::pages::{FieldView, Frame, Refusal};
use crate::store::Session;

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
    row: SessionRow,
    is_current: bool,
    rename_label: String,
    /// The name in the form that changes it.
    name: FieldView,
}

/// What has happened on the page of the sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionsNotice {
    Renamed,
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
            // For its user it is one of an app.
            row: SessionRow::new(session, t.of_app, now, language),
            is_current: session.id == current,
            rename_label: fill(t.rename_named, "name", &session.name),
            name: FieldView::new(session.name.as_str()),
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

    /// The same after a new name for the session `id` was refused.
    pub(crate) fn refused(mut self, id: i64, typed: &str, refusal: &Refusal) -> Self {
        let renamed = self
            .sessions
            .iter_mut()
            .find(|session| session.row.id == id);
        if let Some(session) = renamed {
            session.name = refusal.field("name", typed);
        }
        self.head.problem = Some(refusal.problem.clone());
        self
    }

    /// The same after a change.
    pub(crate) fn after(mut self, notice: Option<SessionsNotice>) -> Self {
        let t = self.t;
        self.head.notice = notice.map(|notice| match notice {
            SessionsNotice::Renamed => t.renamed,
            SessionsNotice::Ended => t.ended,
            SessionsNotice::OthersEnded => t.others_ended,
        });
        self
    }
}

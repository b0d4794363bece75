//! The pages with which users look after their accounts.

use askama::Template;
use chrono::NaiveDateTime;

use crate::store::{Session, SessionKind, User};

use super::language::fill;
use super::texts::account::AccountTexts;
use super::time::{ago, date_time, iso};
use super::{FieldView, Frame};

/// The sections of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Profile,
    Sessions,
}

impl Section {
    const ALL: [Self; 2] = [Self::Profile, Self::Sessions];

    /// The path of the page.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Profile => "/account",
            Self::Sessions => "/account/sessions",
        }
    }

    fn title(self, t: &AccountTexts) -> &'static str {
        match self {
            Self::Profile => t.profile,
            Self::Sessions => t.sessions,
        }
    }
}

/// Where a page of the account is, and what it says first.
pub(crate) struct AccountHead {
    pub(crate) section: Section,
    /// Why a form was not accepted.
    pub(crate) problem: Option<String>,
    /// What has happened, if there is no problem.
    pub(crate) notice: Option<&'static str>,
}

impl AccountHead {
    fn new(section: Section) -> Self {
        Self {
            section,
            problem: None,
            notice: None,
        }
    }

    fn sections(&self) -> &'static [Section] {
        &Section::ALL
    }
}

/// Name, surname and website.
#[derive(Template)]
#[template(path = "profile.html")]
pub(crate) struct ProfilePage {
    pub(crate) frame: Frame,
    t: &'static AccountTexts,
    pub(crate) head: AccountHead,
    pub(crate) email: String,
    pub(crate) name: FieldView,
    pub(crate) surname: FieldView,
    pub(crate) website: FieldView,
}

impl ProfilePage {
    /// The page as stored.
    pub(crate) fn new(frame: Frame, user: &User) -> Self {
        Self {
            t: AccountTexts::of(frame.language),
            frame,
            head: AccountHead::new(Section::Profile),
            email: user.email.clone(),
            name: FieldView::new(&user.name),
            surname: FieldView::new(&user.surname),
            website: FieldView::new(&user.website),
        }
    }

    /// The same after a change.
    pub(crate) fn saved(mut self) -> Self {
        self.head.notice = Some(self.t.saved);
        self
    }
}

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

//! The page of one user.

use askama::Template;
use chrono::NaiveDateTime;

use crate::auth::Addresses;
use crate::error::Error;
use crate::pages::language::fill;
use crate::pages::session_row::SessionRow;
use crate::pages::texts::account::AccountTexts;
use crate::pages::texts::console::ConsoleTexts;
use crate::pages::texts::console_user::UserTexts;
use crate::pages::time::{ago, date, date_time, iso};
use crate::pages::{FieldView, Frame};
use crate::scope;
use crate::store::{ApiKey, AuditEvent, Session, User};

use super::event_row::EventRow;
use super::{ConsoleHead, Section, console_problem};

/// The most events on the page.
const MAX_EVENTS: usize = 10;

/// What the page of a user shows.
pub(crate) struct UserContent {
    pub(crate) user: User,
    pub(crate) sessions: Vec<Session>,
    pub(crate) keys: Vec<ApiKey>,
    /// The latest events, unless the viewer may not read them.
    pub(crate) events: Option<(Vec<AuditEvent>, Addresses)>,
}

/// The page of one user.
#[derive(Template)]
#[template(path = "console/user.html")]
pub(crate) struct UserPage {
    frame: Frame,
    t: &'static UserTexts,
    c: &'static ConsoleTexts,
    a: &'static AccountTexts,
    head: ConsoleHead,
    /// Whether the viewer may change users.
    can_write: bool,
    user: UserView,
    sessions: Vec<SessionRow>,
    keys: Vec<KeyRow>,
    events: Option<Vec<EventRow>>,
    new_scope: FieldView,
}

struct UserView {
    id: i64,
    external_id: Option<String>,
    name: String,
    full_name: String,
    surname: String,
    email: String,
    website: String,
    created: String,
    created_at: String,
    disabled: Option<String>,
    is_administrator: bool,
    scopes: Vec<ScopeView>,
}

struct ScopeView {
    name: String,
    remove_label: String,
}

struct KeyRow {
    id: i64,
    name: String,
    hint: String,
    scopes: String,
    used: String,
    ends: String,
    has_ended: bool,
    revoke_label: String,
}

/// What has happened on the page of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UserNotice {
    Created,
    Disabled,
    Enabled,
    Unlocked,
    ScopesChanged,
    SignedOut,
    SessionEnded,
    KeyRevoked,
}

impl UserNotice {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Created,
        Self::Disabled,
        Self::Enabled,
        Self::Unlocked,
        Self::ScopesChanged,
        Self::SignedOut,
        Self::SessionEnded,
        Self::KeyRevoked,
    ];

    /// The query of the page after it.
    pub(crate) fn query(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
            Self::Unlocked => "unlocked",
            Self::ScopesChanged => "scopes-changed",
            Self::SignedOut => "signed-out",
            Self::SessionEnded => "session-ended",
            Self::KeyRevoked => "key-revoked",
        }
    }

    fn text(self, t: &UserTexts) -> &'static str {
        match self {
            Self::Created => t.is_created,
            Self::Disabled => t.is_disabled,
            Self::Enabled => t.is_enabled,
            Self::Unlocked => t.is_unlocked,
            Self::ScopesChanged => t.scopes_changed,
            Self::SignedOut => t.is_signed_out,
            Self::SessionEnded => t.session_ended,
            Self::KeyRevoked => t.key_revoked,
        }
    }
}

impl UserPage {
    /// The page at `now` for a viewer with these scopes.
    pub(crate) fn new(
        frame: Frame,
        scopes: &str,
        content: &UserContent,
        now: NaiveDateTime,
    ) -> Self {
        let language = frame.language;
        let (t, a) = (UserTexts::of(language), AccountTexts::of(language));
        let session = |session: &Session| SessionRow::new(session, t.issued, now, language);
        let key = |key: &ApiKey| KeyRow {
            id: key.id,
            name: key.name.clone(),
            hint: key.hint.clone(),
            scopes: key.scopes.clone(),
            used: match key.last_used_at {
                Some(at) => fill(t.key_used, "when", &ago(at, now, language)),
                None => t.key_unused.to_owned(),
            },
            ends: match key.is_endless() {
                true => t.key_endless.to_owned(),
                false => fill(t.key_ends, "when", &date(key.expires_at)),
            },
            has_ended: key.expires_at <= now,
            revoke_label: fill(t.revoke_named, "name", &key.name),
        };
        let events = content.events.as_ref();
        Self {
            t,
            c: ConsoleTexts::of(language),
            a,
            frame,
            head: ConsoleHead::new(Section::Users, scopes),
            can_write: scope::contains(scopes, scope::USERS_WRITE),
            user: UserView::new(&content.user, t),
            sessions: content.sessions.iter().map(session).collect(),
            keys: content.keys.iter().map(key).collect(),
            events: events.map(|(events, addresses)| {
                let mut rows = EventRow::all(events, addresses, now, language);
                // Opening this page is one, so that they would soon be all.
                rows.retain(|row| !row.is_read());
                rows.truncate(MAX_EVENTS);
                rows
            }),
            new_scope: FieldView::default(),
        }
    }

    /// The same after a change.
    pub(crate) fn after(mut self, notice: Option<UserNotice>) -> Self {
        self.head.notice = notice.map(|notice| notice.text(self.t));
        self
    }

    /// The same after a change was refused, with the scope that was to be added.
    pub(crate) fn refused(mut self, error: &Error, typed: &str) -> Self {
        self.new_scope = FieldView::new(typed);
        self.head.problem = Some(match error {
            Error::InvalidInput(_) => {
                self.new_scope.error = Some(self.c.bad_scopes.to_owned());
                self.c.bad_scopes.to_owned()
            }
            error => console_problem(error, self.frame.language),
        });
        self
    }

    /// Where a form of the page is sent: `/console/users/12/enable`.
    fn to(&self, action: &str) -> String {
        let id = self.user.id;
        self.frame
            .link(&format!("{}/{id}/{action}", Section::Users.path()))
    }
}

impl UserView {
    fn new(user: &User, t: &UserTexts) -> Self {
        let scope = |name: &str| ScopeView {
            name: name.to_owned(),
            remove_label: fill(t.remove_named, "name", name),
        };
        Self {
            id: user.id,
            external_id: user.external_id.clone(),
            name: user.name.clone(),
            full_name: format!("{} {}", user.name, user.surname).trim().to_owned(),
            surname: user.surname.clone(),
            email: user.email.clone(),
            website: user.website.clone(),
            created: date_time(user.created_at),
            created_at: iso(user.created_at),
            disabled: user
                .disabled_at
                .map(|at| fill(t.since, "when", &date_time(at))),
            is_administrator: scope::contains(&user.scopes, scope::USERS_WRITE),
            scopes: scope::names(&user.scopes).map(scope).collect(),
        }
    }
}

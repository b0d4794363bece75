//! The list of the users.

use askama::Template;

use crate::pages::language::fill;
use crate::pages::texts::console::ConsoleTexts;
use crate::pages::texts::console_user::UserTexts;
use crate::pages::time::{date, iso};
use crate::pages::{FieldView, Frame, Refusal};
use crate::scope;
use crate::store::User;

use super::{ConsoleHead, Section};

/// A page of users, or of those that a search has found.
#[derive(Template)]
#[template(path = "console/users.html")]
pub(crate) struct UsersPage {
    frame: Frame,
    t: &'static ConsoleTexts,
    head: ConsoleHead,
    search: FieldView,
    /// Whether the viewer may create users.
    can_write: bool,
    is_first: bool,
    users: Vec<UserRow>,
    /// The query of the next page.
    next: Option<String>,
}

/// A user in the list.
struct UserRow {
    id: i64,
    name: String,
    email: String,
    is_disabled: bool,
    is_administrator: bool,
    scopes: Vec<String>,
    more_scopes: usize,
    created: String,
    created_at: String,
}

/// How many scopes a row shows.
const MAX_SHOWN: usize = 3;

impl UsersPage {
    /// The page for a user with these scopes, before anything was found.
    pub(crate) fn new(frame: Frame, scopes: &str, search: &str) -> Self {
        Self {
            t: ConsoleTexts::of(frame.language),
            frame,
            head: ConsoleHead::new(Section::Users, scopes),
            search: FieldView::new(search),
            can_write: scope::contains(scopes, scope::USERS_WRITE),
            is_first: true,
            users: Vec::new(),
            next: None,
        }
    }

    /// The same with users, and the cursor of the next page.
    pub(crate) fn with(mut self, users: &[User], is_first: bool, next: Option<&str>) -> Self {
        self.users = users.iter().map(UserRow::new).collect();
        self.is_first = is_first;
        self.next = next.map(|after| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            if !self.search.value.is_empty() {
                query.append_pair("q", &self.search.value);
            }
            query.append_pair("after", after).finish()
        });
        self
    }

    /// The same after a user was deleted.
    pub(crate) fn deleted(mut self) -> Self {
        self.head.notice = Some(UserTexts::of(self.frame.language).is_deleted);
        self
    }

    /// The same after the search was refused.
    pub(crate) fn refused(mut self, refusal: &Refusal) -> Self {
        let start: String = self.search.value.chars().take(100).collect();
        self.search = refusal.field("search", &start);
        self.head.problem = Some(refusal.problem.clone());
        self
    }

    fn first_page(&self) -> String {
        let path = self.frame.link(Section::Users.path());
        match self.search.value.as_str() {
            "" => path,
            text => {
                let mut query = form_urlencoded::Serializer::new(String::new());
                format!("{path}?{}", query.append_pair("q", text).finish())
            }
        }
    }

    fn nobody(&self) -> String {
        match self.search.value.as_str() {
            "" => self.t.nobody_here.to_owned(),
            _ if self.next.is_some() => self.t.search_goes_on.to_owned(),
            text => fill(self.t.nobody_hint, "text", text),
        }
    }
}

impl UserRow {
    fn new(user: &User) -> Self {
        let names: Vec<&str> = scope::names(&user.scopes).collect();
        Self {
            id: user.id,
            name: format!("{} {}", user.name, user.surname).trim().to_owned(),
            email: user.email.clone(),
            is_disabled: user.disabled_at.is_some(),
            is_administrator: scope::contains(&user.scopes, scope::USERS_WRITE),
            more_scopes: names.len().saturating_sub(MAX_SHOWN),
            scopes: names
                .into_iter()
                .take(MAX_SHOWN)
                .map(str::to_owned)
                .collect(),
            created: date(user.created_at),
            created_at: iso(user.created_at),
        }
    }
}

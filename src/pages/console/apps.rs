//! Apps with their keys, and the keys of all users.

use askama::Template;
use chrono::NaiveDateTime;

use crate::pages::Frame;
use crate::pages::texts::console::ConsoleTexts;
use crate::pages::texts::console_system::SystemTexts;
use crate::pages::texts::console_user::UserTexts;
use crate::pages::time::{ago, date};
use crate::store::{ApiKey, User};

use super::{ConsoleHead, Section};

/// Apps with their keys, and the keys of all users.
#[derive(Template)]
#[template(path = "console/apps.html")]
pub(crate) struct AppsPage {
    frame: Frame,
    t: &'static SystemTexts,
    c: &'static ConsoleTexts,
    u: &'static UserTexts,
    head: ConsoleHead,
    apps: Vec<AppRow>,
    keys: Vec<KeyRow>,
    is_first: bool,
    next: Option<i64>,
}

struct AppRow {
    name: String,
    scopes: Vec<String>,
    count: String,
    keys: Vec<KeyRow>,
}

struct KeyRow {
    name: String,
    hint: String,
    owner_id: i64,
    owner: String,
    used: String,
    ends: String,
    has_ended: bool,
}

impl AppsPage {
    /// The page at `now`. The next keys begin after the key `next`.
    pub(crate) fn new(
        frame: Frame,
        scopes: &str,
        apps: &[(User, Vec<ApiKey>)],
        keys: &[(ApiKey, String)],
        now: NaiveDateTime,
    ) -> Self {
        let language = frame.language;
        let (t, u) = (SystemTexts::of(language), UserTexts::of(language));
        let row = |key: &ApiKey, owner: &str| KeyRow {
            name: key.name.clone(),
            hint: key.hint.clone(),
            owner_id: key.user_id,
            owner: owner.to_owned(),
            used: match key.last_used_at {
                Some(at) => ago(at, now, language),
                None => u.key_unused.to_owned(),
            },
            ends: match key.is_endless() {
                true => u.key_endless.to_owned(),
                false => date(key.expires_at),
            },
            has_ended: key.expires_at <= now,
        };
        let app = |(app, keys): &(User, Vec<ApiKey>)| AppRow {
            name: app.name.clone(),
            scopes: app.scopes.split_whitespace().map(str::to_owned).collect(),
            count: language.count(t.keys_of_app, keys.len() as u64),
            keys: keys.iter().map(|key| row(key, &app.name)).collect(),
        };
        Self {
            t,
            u,
            c: ConsoleTexts::of(language),
            frame,
            head: ConsoleHead::new(Section::Apps, scopes),
            apps: apps.iter().map(app).collect(),
            keys: keys.iter().map(|(key, owner)| row(key, owner)).collect(),
            is_first: true,
            next: None,
        }
    }

    /// The same with links to other pages of keys.
    pub(crate) fn paged(mut self, is_first: bool, next: Option<i64>) -> Self {
        self.is_first = is_first;
        self.next = next;
        self
    }
}

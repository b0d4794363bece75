//! The page of the API keys.

use askama::Template;
use chrono::NaiveDateTime;

use super::{AccountHead, Section};
use crate::pages::language::fill;
use crate::pages::texts::account::AccountTexts;
use crate::pages::time::{ago, date_time};
use crate::pages::{FieldView, Frame, Language, Refusal};
use crate::scope;
use crate::store::ApiKey;

/// The lifetimes that the page offers, in days.
pub(crate) const LIFETIMES: [i64; 4] = [7, 30, 90, 365];

/// The keys, and a form for another one.
#[derive(Template)]
#[template(path = "keys.html")]
pub(crate) struct KeysPage {
    frame: Frame,
    t: &'static AccountTexts,
    head: AccountHead,
    keys: Vec<KeyView>,
    new: NewKeyView,
    name: FieldView,
    /// A new key, shown only once.
    secret: Option<String>,
}

/// A key, as its owner sees it.
struct KeyView {
    id: i64,
    name: String,
    hint: String,
    scopes: String,
    used: String,
    ends: String,
    revoke_label: String,
}

/// What the form for a new key offers, and what was chosen.
pub(crate) struct NewKeyView {
    /// The scopes that the key may have.
    pub(crate) held: String,
    /// Those that were chosen.
    pub(crate) chosen: String,
    /// The lifetime in days.
    pub(crate) days: i64,
}

impl NewKeyView {
    /// The scopes, and whether each was chosen.
    fn scopes(&self) -> Vec<(&str, bool)> {
        let names = scope::names(&self.held);
        names
            .map(|name| (name, scope::contains(&self.chosen, name)))
            .collect()
    }

    /// The lifetimes as texts, and whether each was chosen.
    fn lifetimes(&self, t: &AccountTexts, language: &Language) -> Vec<(i64, String, bool)> {
        LIFETIMES
            .iter()
            .map(|days| {
                let text = language.count(t.days, days.unsigned_abs());
                (*days, text, *days == self.days)
            })
            .collect()
    }
}

impl KeysPage {
    /// The page at `now`.
    pub(crate) fn new(frame: Frame, keys: &[ApiKey], new: NewKeyView, now: NaiveDateTime) -> Self {
        let (t, language) = (AccountTexts::of(frame.language), frame.language);
        let view = |key: &ApiKey| KeyView {
            id: key.id,
            name: key.name.clone(),
            hint: key.hint.clone(),
            scopes: key.scopes.clone(),
            used: match key.last_used_at {
                Some(at) => fill(t.last_used, "when", &ago(at, now, language)),
                None => t.never_used.to_owned(),
            },
            ends: fill(t.ends_at, "when", &date_time(key.expires_at)),
            revoke_label: fill(t.revoke_named, "name", &key.name),
        };
        Self {
            keys: keys.iter().rev().map(view).collect(),
            frame,
            t,
            head: AccountHead::new(Section::Keys),
            new,
            name: FieldView::default(),
            secret: None,
        }
    }

    /// The same with a new key.
    pub(crate) fn created(mut self, secret: &str) -> Self {
        self.secret = Some(secret.to_owned());
        self
    }

    /// The same after a key was revoked.
    pub(crate) fn revoked(mut self) -> Self {
        self.head.notice = Some(self.t.key_revoked);
        self
    }

    /// The same after a refusal.
    pub(crate) fn refused(mut self, refusal: Refusal, name: &str) -> Self {
        self.name = refusal.field("name", name);
        self.head.problem = Some(refusal.problem);
        self
    }
}

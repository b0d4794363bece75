//! The page of the profile.

use askama::Template;

use super::{AccountHead, Section};
use crate::pages::texts::account::AccountTexts;
use crate::pages::{FieldView, Frame, PasskeySignal};
use crate::store::User;

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
    /// What the browser is told of the passkeys of the user.
    pub(crate) signal: Option<PasskeySignal>,
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
            signal: None,
        }
    }

    /// The same after a change.
    pub(crate) fn saved(mut self) -> Self {
        self.head.notice = Some(self.t.saved);
        self
    }
}

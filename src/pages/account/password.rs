//! The page for a new password.

use askama::Template;

use super::{AccountHead, Section};
use crate::pages::texts::account::AccountTexts;
use crate::pages::{FieldView, Frame, Refusal};

/// The current and the new password.
#[derive(Template)]
#[template(path = "password.html")]
pub(crate) struct PasswordPage {
    frame: Frame,
    t: &'static AccountTexts,
    head: AccountHead,
    current_password: FieldView,
    new_password: FieldView,
    keeps_keys: bool,
}

impl PasswordPage {
    /// An empty form.
    pub(crate) fn new(frame: Frame) -> Self {
        Self {
            t: AccountTexts::of(frame.language),
            frame,
            head: AccountHead::new(Section::Password),
            current_password: FieldView::default(),
            new_password: FieldView::default(),
            keeps_keys: false,
        }
    }

    /// The same after a change.
    pub(crate) fn changed(mut self) -> Self {
        self.head.notice = Some(self.t.password_changed);
        self
    }

    /// The same after a refusal.
    pub(crate) fn refused(mut self, refusal: Refusal, keeps_keys: bool) -> Self {
        self.current_password = refusal.secret("current_password");
        self.new_password = refusal.secret("new_password");
        self.keeps_keys = keeps_keys;
        self.head.problem = Some(refusal.problem);
        self
    }
}

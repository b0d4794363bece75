//! The page that deletes the account.

use askama::Template;

use super::{AccountHead, Section};
use crate::pages::texts::account::AccountTexts;
use crate::pages::{FieldView, Frame, Refusal};

/// What is lost, and the password.
#[derive(Template)]
#[template(path = "delete.html")]
pub(crate) struct DeletePage {
    frame: Frame,
    t: &'static AccountTexts,
    head: AccountHead,
    current_password: FieldView,
}

impl DeletePage {
    /// An empty form.
    pub(crate) fn new(frame: Frame) -> Self {
        Self {
            t: AccountTexts::of(frame.language),
            frame,
            head: AccountHead::new(Section::Profile),
            current_password: FieldView::default(),
        }
    }

    /// The same after a refusal.
    pub(crate) fn refused(mut self, refusal: Refusal) -> Self {
        self.current_password = refusal.secret("current_password");
        self.head.problem = Some(refusal.problem);
        self
    }
}

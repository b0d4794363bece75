//! The page that asks for the password once more, and for a code, before a change.

use askama::Template;

use super::language::fill;
use super::texts::confirm::ConfirmTexts;
use super::{FieldView, Frame, Refusal};
use crate::error::Error;

/// Asks for the password, and repeats a form once it is right.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(crate) struct ConfirmPage {
    frame: Frame,
    t: &'static ConfirmTexts,
    problem: Option<String>,
    path: String,
    /// Where the user goes instead.
    cancel: String,
    fields: Vec<(String, String)>,
    confirm: FieldView,
    /// Whether it asks for the code of a second factor too.
    asks_for_code: bool,
    code: FieldView,
}

impl ConfirmPage {
    /// The page before the form with these fields is sent to `path`, or the user goes to `cancel`. It must not
    /// have a secret among them.
    pub(crate) fn new(
        frame: Frame,
        (path, cancel): (String, String),
        fields: Vec<(String, String)>,
        asks_for_code: bool,
    ) -> Self {
        Self {
            t: ConfirmTexts::of(frame.language),
            frame,
            problem: None,
            path,
            cancel,
            fields,
            confirm: FieldView::default(),
            asks_for_code,
            code: FieldView::default(),
        }
    }

    /// The same after what was typed was refused.
    pub(crate) fn refused(mut self, error: &Error) -> Self {
        let refusal = Refusal::new(error, self.frame.language);
        self.confirm = refusal.secret("current_password");
        self.code = refusal.secret("otp");
        self.problem = Some(refusal.problem);
        self
    }

    fn who(&self) -> String {
        let email = self.frame.user.as_ref().map_or("", |user| &user.email);
        fill(self.t.signed_in_as, "email", email)
    }

    fn hint(&self) -> &'static str {
        match self.asks_for_code {
            true => self.t.code_hint,
            false => self.t.password_hint,
        }
    }
}

//! The page that asks for the password once more, before a change.

use askama::Template;

use crate::error::Error;
use crate::pages::language::fill;
use crate::pages::texts::console::ConsoleTexts;
use crate::pages::{FieldView, Frame, Refusal};

/// Asks for the password, and repeats a form once it is right.
#[derive(Template)]
#[template(path = "console/confirm.html")]
pub(crate) struct ConfirmPage {
    frame: Frame,
    t: &'static ConsoleTexts,
    problem: Option<String>,
    path: String,
    fields: Vec<(String, String)>,
    confirm: FieldView,
    /// Whether it asks for the code of a second factor too.
    asks_for_code: bool,
    code: FieldView,
}

impl ConfirmPage {
    /// The page before the form with these fields is sent to `path`. It must not have a secret among
    /// them.
    pub(crate) fn new(
        frame: Frame,
        path: String,
        fields: Vec<(String, String)>,
        asks_for_code: bool,
    ) -> Self {
        Self {
            t: ConsoleTexts::of(frame.language),
            frame,
            problem: None,
            path,
            fields,
            confirm: FieldView::default(),
            asks_for_code,
            code: FieldView::default(),
        }
    }

    /// The same with the field for a code.
    pub(crate) fn with_code(self) -> Self {
        Self {
            asks_for_code: true,
            ..self
        }
    }

    /// The same after a password that was refused.
    pub(crate) fn refused(mut self, error: &Error) -> Self {
        let error = match error {
            Error::BadCredentials => &Error::WrongPassword,
            error => error,
        };
        let refusal = Refusal::new(error, self.frame.language);
        self.confirm = refusal.secret("current_password");
        self.problem = Some(refusal.problem);
        self
    }

    fn who(&self) -> String {
        let email = self.frame.user.as_ref().map_or("", |user| &user.email);
        fill(self.t.signed_in_as, "email", email)
    }
}

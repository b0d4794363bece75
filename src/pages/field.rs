//! A field of a form as the user left it, and why a form was refused.

use crate::error::{Error, InvalidField};

use super::Language;
use super::problem::{field_problem, problem};

/// A field of a form: what was typed, and what is wrong with it.
#[derive(Default)]
pub(crate) struct FieldView {
    /// What was typed; always empty for a password.
    pub(crate) value: String,
    /// What is wrong, as a sentence.
    pub(crate) error: Option<String>,
}

impl FieldView {
    /// A field with this text.
    pub(crate) fn new(value: impl Into<String>) -> Self {
        Self {
            value: value.into(),
            error: None,
        }
    }
}

/// Why a form was refused, in the words of its page.
pub(crate) struct Refusal {
    /// The sentence above the form.
    pub(crate) problem: String,
    fields: Vec<(&'static str, String)>,
}

impl Refusal {
    /// The words for an error.
    pub(crate) fn new(error: &Error, language: Language) -> Self {
        let problem = problem(error, language);
        let fields = match error {
            Error::InvalidInput(errors) => errors
                .iter()
                .map(|error| (error.field, field_problem(&error.reason, language)))
                .collect(),
            Error::WrongPassword => vec![("current_password", problem.clone())],
            Error::WrongCode { .. } => vec![("otp", problem.clone()), ("code", problem.clone())],
            // Of a link, it has no field.
            Error::BadMailToken => vec![("code", problem.clone())],
            Error::RecentSignInRequired => {
                let missing = field_problem(&InvalidField::Missing, language);
                vec![("current_password", missing)]
            }
            Error::EmailTaken => vec![("email", problem.clone())],
            _ => Vec::new(),
        };
        Self { problem, fields }
    }

    /// The field of this name, with what was typed.
    pub(crate) fn field(&self, name: &str, typed: &str) -> FieldView {
        let found = self.fields.iter().find(|(field, _)| *field == name);
        FieldView {
            value: typed.to_owned(),
            error: found.map(|(_, sentence)| sentence.clone()),
        }
    }

    /// The same for a password, which is never shown again.
    pub(crate) fn secret(&self, name: &str) -> FieldView {
        self.field(name, "")
    }
}

//! A field of a form, as the user left it.

use crate::error::FieldError;

use super::Language;
use super::problem::field_problem;

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

    /// The same with what is wrong with the field of this name, if anything is.
    pub(crate) fn checked(self, name: &str, errors: &[FieldError], language: Language) -> Self {
        let found = errors.iter().find(|error| error.field == name);
        Self {
            error: found.map(|error| field_problem(&error.reason, language)),
            ..self
        }
    }
}

//! Validation errors of request fields, worded as FastAPI and pydantic word them.

use serde_json::{Map, Value, json};

use crate::error::{FieldError, FieldType, InvalidField};
use crate::password::PolicyViolation;

/// One entry of FastAPI's list of validation errors: pydantic's `ErrorDetails`.
#[derive(Clone, Debug)]
pub(crate) struct ErrorDetails {
    kind: &'static str,
    /// The field; `None` for the body as a whole.
    field: Option<&'static str>,
    message: String,
    /// pydantic's `ctx`: the numbers and texts of the message, by name.
    context: Map<String, Value>,
    /// The offending value; null where it may be a secret.
    input: Value,
}

impl ErrorDetails {
    /// An error of a field, without context and without the value.
    pub(crate) fn new(field: &'static str, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            field: Some(field),
            message: message.into(),
            context: Map::new(),
            input: Value::Null,
        }
    }

    /// An error of the body as a whole.
    pub(crate) fn of_body(kind: &'static str, message: &str) -> Self {
        Self {
            field: None,
            ..Self::new("", kind, message)
        }
    }

    /// The field is missing. pydantic shows the whole body as the input, which may hold a password.
    pub(crate) fn missing(field: &'static str) -> Self {
        Self::new(field, "missing", "Field required")
    }

    /// The field is not a text.
    pub(crate) fn not_a_string(field: &'static str) -> Self {
        Self::new(field, "string_type", "Input should be a valid string")
    }

    /// The owner of a new key does not hold a scope.
    pub(crate) fn scope_not_held(scope: &str) -> Self {
        let message = format!("Value error, you do not hold the scope {scope}");
        Self::new("scopes", "value_error", message)
    }

    /// Adds the offending value. Not for a field that holds a secret.
    pub(crate) fn with_input(mut self, input: impl Into<Value>) -> Self {
        self.input = input.into();
        self
    }

    /// Adds a number or a text of the message.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.context.insert(name.to_owned(), value.into());
        self
    }

    /// The field; `None` for the body as a whole.
    pub(crate) fn field(&self) -> Option<&'static str> {
        self.field
    }

    /// The error in one line: the field and the message.
    pub(crate) fn summary(&self) -> String {
        format!("{}: {}", self.field.unwrap_or("body"), self.message)
    }

    /// The entry as clients see it, for a field in the `body` or the `query`.
    pub(crate) fn to_json(&self, location: &str) -> Value {
        let location = match self.field {
            Some(field) => json!([location, field]),
            None => json!([location]),
        };
        let mut entry = json!({
            "type": self.kind,
            "loc": location,
            "msg": self.message,
            "input": self.input,
        });
        if !self.context.is_empty() {
            entry["ctx"] = self.context.clone().into();
        }
        entry
    }
}

impl From<&FieldError> for ErrorDetails {
    fn from(error: &FieldError) -> Self {
        let FieldError {
            field,
            reason,
            value,
        } = error;
        word(field, reason).with_input(value.clone())
    }
}

fn word(field: &'static str, reason: &InvalidField) -> ErrorDetails {
    let value_error = |message: String| ErrorDetails::new(field, "value_error", message);
    match reason {
        InvalidField::Missing => ErrorDetails::missing(field),
        InvalidField::WrongType(expected) => wrong_type(field, *expected),
        InvalidField::InvalidUnicode => ErrorDetails::new(
            field,
            "string_unicode",
            "Input should be a valid string, unable to parse raw data as a unicode string",
        ),
        InvalidField::TooShort { min }
        | InvalidField::Password(PolicyViolation::TooShort { min_length: min }) => {
            let noun = if *min == 1 { "character" } else { "characters" };
            let message = format!("String should have at least {min} {noun}");
            ErrorDetails::new(field, "string_too_short", message).with("min_length", *min)
        }
        InvalidField::TooLong { max } => {
            let message = format!("String should have at most {max} characters");
            ErrorDetails::new(field, "string_too_long", message).with("max_length", *max)
        }
        InvalidField::TooSmall { min } => {
            let message = format!("Input should be greater than or equal to {min}");
            ErrorDetails::new(field, "greater_than_equal", message).with("ge", *min)
        }
        InvalidField::TooLarge { max } => {
            let message = format!("Input should be less than or equal to {max}");
            ErrorDetails::new(field, "less_than_equal", message).with("le", *max)
        }
        InvalidField::Password(PolicyViolation::TooLong { max_bytes }) => {
            let message = format!(
                "Password should have at most {max_bytes} bytes in UTF-8, where a character has \
                 one to four"
            );
            ErrorDetails::new(field, "bytes_too_long", message).with("max_length", *max_bytes)
        }
        InvalidField::TooManyBytes { max } => value_error(format!(
            "Value error, more than {max} bytes cannot be stored"
        )),
        InvalidField::Email(reason) => {
            value_error(format!("value is not a valid email address: {reason}"))
                .with("reason", reason.to_string())
        }
        InvalidField::Scopes(error) => value_error(format!("Value error, {error}")),
        InvalidField::NoCode => value_error(
            "Value error, a code has six digits, as the authenticator app shows them".to_owned(),
        ),
        InvalidField::UnknownFactor => ErrorDetails::new(
            field,
            "literal_error",
            "Input should be 'totp' or 'webauthn'",
        )
        .with("expected", "'totp' or 'webauthn'"),
        InvalidField::NoRecoveryCode => {
            value_error("Value error, enter one recovery code, such as 3-ABCDE-FGHJK".to_owned())
        }
        InvalidField::SecondProof => {
            value_error("Value error, send one of otp, recovery_code and credential".to_owned())
        }
        // These messages contain no numbers.
        InvalidField::NulCharacter => value_error(
            "Value error, the NUL character (U+0000) cannot be stored: leave it out".to_owned(),
        ),
        InvalidField::Password(PolicyViolation::Nul) => value_error(
            "Value error, the NUL character (U+0000) cannot be part of a password: leave it out"
                .to_owned(),
        ),
        InvalidField::Password(PolicyViolation::Common) => value_error(
            "Value error, the password is too easy to guess: use a longer one, without your name \
             or address and without common words or patterns"
                .to_owned(),
        ),
        InvalidField::ScopesReplacedAndAdjusted => value_error(
            "Value error, scopes cannot be combined with scopes_add and scopes_remove".to_owned(),
        ),
        InvalidField::ScopeAddedAndRemoved => {
            value_error("Value error, a scope is in both scopes_add and scopes_remove".to_owned())
        }
    }
}

fn wrong_type(field: &'static str, expected: FieldType) -> ErrorDetails {
    match expected {
        FieldType::Text => ErrorDetails::not_a_string(field),
        FieldType::Boolean => {
            ErrorDetails::new(field, "bool_type", "Input should be a valid boolean")
        }
        FieldType::Integer => {
            ErrorDetails::new(field, "int_type", "Input should be a valid integer")
        }
        FieldType::BooleanOrIntegers => ErrorDetails::new(
            field,
            "list_type",
            "Input should be true, false or a valid list of integers",
        ),
        FieldType::Object => {
            ErrorDetails::new(field, "dict_type", "Input should be a valid dictionary")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_policy_violation_explains_the_fix() {
        let word = |violation| {
            let error = FieldError::new("password", InvalidField::Password(violation));
            ErrorDetails::from(&error).to_json("body")
        };
        assert_eq!(
            word(PolicyViolation::TooShort { min_length: 8 }),
            json!({
                "type": "string_too_short",
                "loc": ["body", "password"],
                "msg": "String should have at least 8 characters",
                "input": null,
                "ctx": { "min_length": 8 },
            })
        );
        let too_long = word(PolicyViolation::TooLong { max_bytes: 72 });
        assert_eq!(too_long["type"], "bytes_too_long");
        let message = too_long["msg"].as_str().unwrap();
        assert!(message.contains("at most 72 bytes"), "{message}");
        assert_eq!(too_long["ctx"], json!({ "max_length": 72 }));
    }
}

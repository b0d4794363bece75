//! The inputs of the operations, and the checks of their fields. Every check of an input reports all
//! the invalid fields at once.

use pydantic_email::EmailAddress;
use secrecy::{ExposeSecret, SecretString};

use crate::config::{AuthConfig, ProfileRules};
use crate::error::{Error, ErrorCollector, FieldError, InvalidField};
use crate::password::PasswordPolicy;
use crate::scope;
use crate::store::{MAX_TEXT, UserChanges};

/// The longest name of a key, in code points.
const MAX_KEY_NAME: usize = 100;

/// The default lifetime of a key, in days.
const DEFAULT_DAYS: i64 = 90;

/// The longest lifetime of a key, in days.
const MAX_DAYS: i64 = 366;

/// A field of an input: its value, or the error that was found when it was read.
pub type Field<T> = Result<T, FieldError>;

/// The fields of a registration.
pub struct RegistrationInput {
    /// A text of the minimum length in the settings. If the profile allows it, this field, the surname
    /// and the website may be [`InvalidField::Missing`], and are stored as empty texts.
    pub name: Field<String>,
    /// Any text.
    pub surname: Field<String>,
    /// An address that pydantic's `EmailStr` accepts.
    pub email: Field<String>,
    /// Any text.
    pub website: Field<String>,
    /// A password within the policy.
    pub password: Field<SecretString>,
}

/// A registration whose fields are valid.
pub(super) struct CheckedRegistration {
    pub(super) name: String,
    pub(super) surname: String,
    pub(super) email: EmailAddress,
    pub(super) website: String,
    pub(super) password: SecretString,
}

impl RegistrationInput {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with every invalid field. Whether the password is a common one is
    /// checked later, on a hash thread.
    pub(super) fn check(self, config: &AuthConfig) -> Result<CheckedRegistration, Error> {
        let mut errors = ErrorCollector::new();
        self.check_with(config, &mut errors).ok_or(errors.into())
    }

    /// Like [`Self::check`], together with the fields of another input.
    pub(super) fn check_with(
        self,
        config: &AuthConfig,
        errors: &mut ErrorCollector,
    ) -> Option<CheckedRegistration> {
        let rules = config.profile_rules;
        let profile = |field, check: &dyn Fn(String) -> Field<String>| match field {
            Err(error) if !rules.is_required && is_missing(&error) => Ok(String::new()),
            field => field.and_then(check),
        };
        let name = errors.take(profile(self.name, &|name| check_user_name(name, rules)));
        let surname = errors.take(profile(self.surname, &|text| check_text("surname", text)));
        let email = errors.take(self.email.and_then(check_email));
        let website = errors.take(profile(self.website, &|text| check_text("website", text)));
        let policy = config.password_policy;
        let check_shape = |password| check_password("password", password, policy);
        let password = errors.take(self.password.and_then(check_shape));
        Some(CheckedRegistration {
            name: name?,
            surname: surname?,
            email: email?,
            website: website?,
            password: password?,
        })
    }
}

/// The fields that users may change on their own accounts; `None` leaves a field unchanged.
pub struct ProfileInput {
    /// A text of the minimum length in the settings.
    pub name: Field<Option<String>>,
    /// Any text.
    pub surname: Field<Option<String>>,
    /// Any text.
    pub website: Field<Option<String>>,
}

impl ProfileInput {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with every invalid field.
    pub(super) fn check(self, rules: ProfileRules) -> Result<UserChanges, Error> {
        let mut errors = ErrorCollector::new();
        self.check_with(rules, &mut errors).ok_or(errors.into())
    }

    /// Like [`Self::check`], together with the fields of another input.
    pub(super) fn check_with(
        self,
        rules: ProfileRules,
        errors: &mut ErrorCollector,
    ) -> Option<UserChanges> {
        let name = errors.take(optional(self.name, |name| check_user_name(name, rules)));
        let surname = errors.take(optional(self.surname, |text| check_text("surname", text)));
        let website = errors.take(optional(self.website, |text| check_text("website", text)));
        Some(UserChanges {
            name: name?,
            surname: surname?,
            website: website?,
            ..UserChanges::default()
        })
    }
}

/// A change of a user's own password.
pub struct PasswordInput {
    /// The current password.
    pub current_password: Field<SecretString>,
    /// A password within the policy.
    pub new_password: Field<SecretString>,
    /// The API keys to keep; none when omitted.
    pub keep_keys: Field<Option<KeptKeys>>,
}

/// The API keys of a user that survive a change of the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptKeys {
    /// All of them.
    All,
    /// Those with these ids.
    These(Vec<i64>),
}

impl Default for KeptKeys {
    fn default() -> Self {
        Self::These(Vec::new())
    }
}

impl PasswordInput {
    /// Checks every field. Returns the current password, the new password and the keys to keep.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with every invalid field.
    pub(super) fn check(
        self,
        policy: PasswordPolicy,
    ) -> Result<(SecretString, SecretString, KeptKeys), Error> {
        let mut errors = ErrorCollector::new();
        let current = errors.take(self.current_password);
        let check_shape = |password| check_password("new_password", password, policy);
        let new = errors.take(self.new_password.and_then(check_shape));
        let kept = errors.take(self.keep_keys);
        match (current, new, kept) {
            (Some(current), Some(new), Some(kept)) => Ok((current, new, kept.unwrap_or_default())),
            _ => Err(errors.into()),
        }
    }
}

/// A new API key.
pub struct KeyInput {
    /// A human-readable name.
    pub name: Field<String>,
    /// The scopes of the key, separated by spaces; none when omitted.
    pub scopes: Field<Option<String>>,
    /// The lifetime in days; 90 when omitted.
    pub expires_in_days: Field<Option<i64>>,
}

impl KeyInput {
    /// Checks every field. Returns the name, the scopes and the lifetime in days.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with every invalid field.
    pub(super) fn check(self) -> Result<(String, String, i64), Error> {
        let mut errors = ErrorCollector::new();
        let name = errors.take(self.name.and_then(check_key_name));
        let scopes = errors.take(check_optional_scopes("scopes", self.scopes));
        let days = errors.take(optional(self.expires_in_days, check_days));
        match (name, scopes, days) {
            (Some(name), Some(scopes), Some(days)) => Ok((
                name,
                scopes.unwrap_or_default(),
                days.unwrap_or(DEFAULT_DAYS),
            )),
            _ => Err(errors.into()),
        }
    }
}

/// Checks an optional field.
pub(super) fn optional<T, U>(
    field: Field<Option<T>>,
    check: impl FnOnce(T) -> Field<U>,
) -> Field<Option<U>> {
    field.and_then(|value| value.map(check).transpose())
}

/// Refuses U+0000, which Postgres does not store, and texts that do not fit into a column: no
/// request body is that large, but a command-line argument may be.
pub(super) fn check_text(field: &'static str, text: String) -> Field<String> {
    if text.contains('\0') {
        return Err(FieldError::new(field, InvalidField::NulCharacter).with_value(text));
    }
    if text.len() > MAX_TEXT {
        let reason = InvalidField::TooManyBytes { max: MAX_TEXT };
        return Err(FieldError::new(field, reason));
    }
    Ok(text)
}

fn is_missing(error: &FieldError) -> bool {
    error.reason == InvalidField::Missing
}

fn check_user_name(name: String, rules: ProfileRules) -> Field<String> {
    let min = rules.name_min_length;
    if name.chars().count() < min {
        let reason = InvalidField::TooShort { min };
        return Err(FieldError::new("name", reason).with_value(name));
    }
    check_text("name", name)
}

fn check_key_name(name: String) -> Field<String> {
    let reason = match name.chars().count() {
        0 => InvalidField::TooShort { min: 1 },
        1..=MAX_KEY_NAME => return check_text("name", name),
        _ => InvalidField::TooLong { max: MAX_KEY_NAME },
    };
    Err(FieldError::new("name", reason).with_value(name))
}

pub(super) fn check_email(text: String) -> Field<EmailAddress> {
    EmailAddress::parse(&text)
        .map_err(|reason| FieldError::new("email", InvalidField::Email(reason)).with_value(text))
}

/// Runs the fast checks of a password: see [`PasswordPolicy::check_shape`].
pub(super) fn check_password(
    field: &'static str,
    password: SecretString,
    policy: PasswordPolicy,
) -> Field<SecretString> {
    match policy.check_shape(password.expose_secret()) {
        Ok(()) => Ok(password),
        Err(violation) => Err(FieldError::new(field, InvalidField::Password(violation))),
    }
}

fn check_days(days: i64) -> Field<i64> {
    let reason = match days {
        ..1 => InvalidField::TooSmall { min: 1 },
        1..=MAX_DAYS => return Ok(days),
        _ => InvalidField::TooLarge { max: MAX_DAYS },
    };
    Err(FieldError::new("expires_in_days", reason).with_value(days))
}

/// Converts scopes to the form in which they are stored.
fn check_scopes(field: &'static str, scopes: &str) -> Field<String> {
    scope::normalise(scopes)
        .map_err(|error| FieldError::new(field, InvalidField::Scopes(error)).with_value(scopes))
}

/// Like [`check_scopes`], for an optional field.
pub(super) fn check_optional_scopes(
    field: &'static str,
    scopes: Field<Option<String>>,
) -> Field<Option<String>> {
    optional(scopes, |scopes| check_scopes(field, &scopes))
}

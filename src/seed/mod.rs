//! Users to create: those of a seed file, and those that a test needs.

#[cfg(feature = "cli")]
mod file;

use secrecy::SecretString;
use serde::Deserialize;

use crate::auth::{Administrator, Auth, RegistrationInput, UserPatch};
use crate::error::{Error, FieldError, InvalidField};
use crate::store::User;
#[cfg(feature = "cli")]
pub(crate) use file::{Seed, parse_object};

/// The password of a user for a test unless the test sets another.
pub const PASSWORD: &str = "mulberry-Tram-71";

/// The name of a user of a test unless the test sets another.
const NAME: &str = "Test User";

/// A user to create. Without `Debug`, because of the password.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeedUser {
    pub(crate) email: String,
    pub(crate) password: Option<String>,
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) surname: String,
    #[serde(default)]
    pub(crate) website: String,
    #[serde(default)]
    pub(crate) scopes: Scopes,
    #[serde(default)]
    pub(crate) disabled: bool,
}

/// Scopes, as a list or as a text with spaces between them.
#[derive(Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a list of scopes, or a text with spaces between them"
)]
pub(crate) enum Scopes {
    List(Vec<String>),
    Text(String),
}

impl Default for Scopes {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl Scopes {
    /// Adds the scopes of a text.
    #[cfg(feature = "testing")]
    pub(crate) fn add(&mut self, scopes: &str) {
        *self = Self::Text(format!("{} {scopes}", self.to_text()));
    }

    /// The scopes with spaces between them.
    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::List(names) => names.join(" "),
            Self::Text(names) => names.trim().to_owned(),
        }
    }
}

impl SeedUser {
    /// A user with this address.
    #[cfg(feature = "testing")]
    pub(crate) fn new(email: &str) -> Self {
        Self {
            email: email.to_owned(),
            password: None,
            name: None,
            surname: String::new(),
            website: String::new(),
            scopes: Scopes::default(),
            disabled: false,
        }
    }

    /// The user for a test, with [`PASSWORD`] and a name unless the user has others.
    pub(crate) fn for_test(mut self) -> Self {
        self.password.get_or_insert_with(|| PASSWORD.to_owned());
        self.name.get_or_insert_with(|| NAME.to_owned());
        self
    }

    /// Where the user is in the file, for a message.
    #[cfg(feature = "server")]
    pub(crate) fn place(&self, index: usize) -> String {
        format!("users[{index}] ({})", self.email)
    }

    /// The user as the input of an operator.
    pub(crate) fn input(&self) -> RegistrationInput {
        let required = |value: &Option<String>, field| {
            let value = value.clone();
            value.ok_or_else(|| FieldError::new(field, InvalidField::Missing))
        };
        RegistrationInput {
            name: required(&self.name, "name"),
            surname: Ok(self.surname.clone()),
            email: Ok(self.email.clone()),
            website: Ok(self.website.clone()),
            password: required(&self.password, "password").map(SecretString::from),
        }
    }

    /// Creates the user, as an operator does.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with every invalid or missing field; [`Error::EmailTaken`];
    /// [`Error::Busy`]; [`Error::Unavailable`].
    pub(crate) async fn create(&self, auth: &Auth) -> Result<User, Error> {
        let (operator, scopes) = (Administrator::operator(), self.scopes.to_text());
        let user = auth.create_user(&operator, self.input(), Ok(Some(scopes)));
        let user = user.await?;
        if !self.disabled {
            return Ok(user);
        }
        let disable = UserPatch {
            disabled: Ok(Some(true)),
            ..UserPatch::none()
        };
        auth.update_user(&operator, user.id, disable).await
    }
}

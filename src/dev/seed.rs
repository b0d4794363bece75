//! The users of a test: those that exist from the start, and those that a test creates.

use serde::Deserialize;

use crate::auth::{Administrator, Auth, RegistrationInput, UserPatch};
use crate::error::Error;
use crate::store::User;

/// The password of a user for a test unless the test sets another.
pub const PASSWORD: &str = "mulberry-Tram-71";

/// The name of a user of a test unless the test sets another.
const NAME: &str = "Test User";

/// The content of a seed file.
#[cfg(feature = "cli")]
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seed {
    /// The users, in the order in which they are created.
    #[serde(default)]
    pub(crate) users: Vec<SeedUser>,
}

/// A user to create. Without `Debug`, because of the password.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeedUser {
    pub(crate) email: String,
    #[serde(default = "default_password")]
    pub(crate) password: String,
    #[serde(default = "default_name")]
    pub(crate) name: String,
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
    expecting = "a list of scopes, or a text with spaces between them"
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
    fn to_text(&self) -> String {
        match self {
            Self::List(names) => names.join(" "),
            Self::Text(names) => names.trim().to_owned(),
        }
    }
}

/// Parses a JSON object. A list, which serde accepts in place of an object, would be read by position.
///
/// # Errors
/// What is wrong with the text.
#[cfg(feature = "cli")]
pub(crate) fn parse_object<T: serde::de::DeserializeOwned>(json: &[u8]) -> Result<T, String> {
    if !json.trim_ascii_start().starts_with(b"{") {
        return Err("expected a JSON object".to_owned());
    }
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

fn default_password() -> String {
    PASSWORD.to_owned()
}

fn default_name() -> String {
    NAME.to_owned()
}

impl SeedUser {
    /// A user with this address and the defaults.
    #[cfg(feature = "testing")]
    pub(crate) fn new(email: &str) -> Self {
        Self {
            email: email.to_owned(),
            password: default_password(),
            name: default_name(),
            surname: String::new(),
            website: String::new(),
            scopes: Scopes::default(),
            disabled: false,
        }
    }

    /// Creates the user, as an operator does.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with every invalid field; [`Error::EmailTaken`]; [`Error::Busy`];
    /// [`Error::Unavailable`].
    pub(crate) async fn create(&self, auth: &Auth) -> Result<User, Error> {
        let input = RegistrationInput {
            name: Ok(self.name.clone()),
            surname: Ok(self.surname.clone()),
            email: Ok(self.email.clone()),
            website: Ok(self.website.clone()),
            password: Ok(self.password.clone().into()),
        };
        let (operator, scopes) = (Administrator::operator(), self.scopes.to_text());
        let user = auth.create_user(&operator, input, Ok(Some(scopes))).await?;
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

//! Making a user out of what a stranger sent.

use pydantic_email::EmailAddress;
use secrecy::{ExposeSecret, SecretString};

use super::Auth;
use super::audit::{Action, Event, Origin};
use crate::config::Registration;
use crate::error::{Error, FieldError};
use crate::password::PolicyViolation;
use crate::store::{Account, MAX_TEXT, NewUser, StoreError, User, Writing};

/// The shortest name, in code points: the tutorial's `Field(min_length=5)`.
const NAME_MIN_LENGTH: usize = 5;

/// The fields of a registration as they came: each a text, or what was wrong with it already.
pub struct RegistrationForm {
    /// At least five characters.
    pub name: Result<String, FieldError>,
    /// Any text.
    pub surname: Result<String, FieldError>,
    /// An address that pydantic's `EmailStr` takes.
    pub email: Result<String, FieldError>,
    /// Any text.
    pub website: Result<String, FieldError>,
    /// A password within the policy.
    pub password: Result<SecretString, FieldError>,
}

/// The fields after all of them were found right.
pub(super) struct Checked {
    name: String,
    surname: String,
    email: EmailAddress,
    website: String,
    password: SecretString,
}

impl Auth {
    /// Stores a new user, who registers at `origin`.
    ///
    /// # Errors
    /// [`Error::InvalidBody`] with every wrong field in the order of the form,
    /// [`Error::RegistrationRefused`] when the settings do not let this address in,
    /// [`Error::EmailTaken`], also for the slower of two at once; [`Error::TooManyAttempts`] when
    /// the address registers too many; [`Error::Busy`] and [`Error::Unavailable`].
    pub async fn register(&self, origin: &Origin, form: RegistrationForm) -> Result<User, Error> {
        let rules = &self.0.config.registration;
        if *rules == Registration::Closed {
            return Err(Error::RegistrationRefused);
        }
        let checked = self.check_form(form)?;
        if let Registration::Domains(domains) = rules
            && !domains
                .iter()
                .any(|domain| domain == checked.email.domain())
        {
            return Err(Error::RegistrationRefused);
        }
        self.count_registration(origin).await?;
        let user = self.prepare_user(origin, checked, String::new()).await?;
        self.change(origin, move |tx, events| {
            let user = insert_user(tx, &user)?;
            events.record(Event::new(Action::Register).on_user(user.id));
            Ok(user)
        })
        .await
    }

    /// Hashes the password and puts the row together. The address is looked up before, to spare
    /// the hash; the UNIQUE column decides.
    pub(super) async fn prepare_user(
        &self,
        origin: &Origin,
        checked: Checked,
        scopes: String,
    ) -> Result<NewUser, Error> {
        self.check_capacity(origin.network())?;
        let email_key = checked.email.key();
        let key = email_key.clone();
        let find = move |conn: &mut _| Account::find_by_email_key(conn, &key);
        if self.0.store.read(find).await?.is_some() {
            return Err(Error::EmailTaken);
        }
        let hashed_password = self.hash_first_password(origin, &checked).await?;
        Ok(NewUser {
            name: checked.name,
            surname: checked.surname,
            email: checked.email.to_string(),
            email_key,
            website: checked.website,
            hashed_password,
            scopes,
            created_at: self.0.clock.now(),
        })
    }

    /// The fields, once every one was found right.
    pub(super) fn check_form(&self, form: RegistrationForm) -> Result<Checked, Error> {
        let policy = self.0.config.password_policy;
        let name = form.name.and_then(check_name);
        let surname = form.surname.and_then(|text| check_text("surname", text));
        let email = form.email.and_then(|text| check_email(&text));
        let website = form.website.and_then(|text| check_text("website", text));
        let password = form.password.and_then(|password| {
            policy
                .check_shape(password.expose_secret())
                .map_err(|violation| refused_password("password", violation))?;
            Ok(password)
        });
        match (name, surname, email, website, password) {
            (Ok(name), Ok(surname), Ok(email), Ok(website), Ok(password)) => Ok(Checked {
                name,
                surname,
                email,
                website,
                password,
            }),
            (name, surname, email, website, password) => {
                let errors = [
                    name.err(),
                    surname.err(),
                    email.err(),
                    website.err(),
                    password.err(),
                ];
                Err(Error::InvalidBody(errors.into_iter().flatten().collect()))
            }
        }
    }

    /// As [`Self::hash_password_in`], for a user who has none yet.
    async fn hash_first_password(
        &self,
        origin: &Origin,
        checked: &Checked,
    ) -> Result<String, Error> {
        let words = [&checked.email.to_string(), &checked.name, &checked.surname];
        let words = words.map(String::clone).to_vec();
        self.hash_password_in(origin, "password", &checked.password, words)
            .await
    }

    /// As [`Self::hash_password_in`], for a user who has one.
    pub(super) async fn hash_new_password(
        &self,
        origin: &Origin,
        password: &SecretString,
        user: &User,
    ) -> Result<String, Error> {
        let words = [&user.email, &user.name, &user.surname];
        let words = words.map(String::clone).to_vec();
        self.hash_password_in(origin, "new_password", password, words)
            .await
    }

    /// Looks whether the password is a common one, or made of the user's own words, and hashes it,
    /// both on a hash thread: guessing at a password takes milliseconds too.
    async fn hash_password_in(
        &self,
        origin: &Origin,
        field: &'static str,
        password: &SecretString,
        words: Vec<String>,
    ) -> Result<String, Error> {
        let policy = self.0.config.password_policy;
        let guessed = password.clone();
        let check = move || {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            policy.check_commonness(guessed.expose_secret(), &words)
        };
        self.0
            .hasher
            .run(origin.network(), check)
            .await?
            .map_err(|violation| Error::InvalidBody(vec![refused_password(field, violation)]))?;
        self.hash(origin, password).await
    }
}

/// Stores a user.
///
/// # Errors
/// [`Error::EmailTaken`]; [`Error::Unavailable`].
pub(super) fn insert_user(tx: &mut Writing<'_>, user: &NewUser) -> Result<User, Error> {
    user.insert(tx)
        .map_err(|error| match StoreError::from(error) {
            StoreError::Conflict => Error::EmailTaken,
            error => error.into(),
        })
}

/// Postgres keeps no U+0000 in a text. What is longer than a column takes cannot come in a body, but
/// on the command line.
pub(super) fn check_text(field: &'static str, text: String) -> Result<String, FieldError> {
    if text.contains('\0') {
        let message = "Value error, the NUL character (U+0000) cannot be stored: leave it out";
        return Err(FieldError::new(field, "value_error", message).showing(text));
    }
    if text.len() > MAX_TEXT {
        let message = format!("Value error, more than {MAX_TEXT} bytes cannot be stored");
        return Err(FieldError::new(field, "value_error", message));
    }
    Ok(text)
}

pub(super) fn check_name(name: String) -> Result<String, FieldError> {
    if name.chars().count() < NAME_MIN_LENGTH {
        let message = format!("String should have at least {NAME_MIN_LENGTH} characters");
        return Err(FieldError::new("name", "string_too_short", message)
            .with("min_length", NAME_MIN_LENGTH)
            .showing(name));
    }
    check_text("name", name)
}

fn check_email(text: &str) -> Result<EmailAddress, FieldError> {
    EmailAddress::parse(text).map_err(|reason| {
        let message = format!("value is not a valid email address: {reason}");
        FieldError::new("email", "value_error", message)
            .with("reason", reason.to_string())
            .showing(text)
    })
}

/// What the policy says of the password in `field`.
pub(super) fn refused_password(field: &'static str, violation: PolicyViolation) -> FieldError {
    let error = FieldError::new(field, violation.kind(), violation.message());
    violation
        .context()
        .into_iter()
        .fold(error, |error, (name, value)| error.with(name, value))
}

//! Making a user out of what a stranger sent.

use secrecy::{ExposeSecret, SecretString};

use super::Auth;
use crate::config::Registration;
use crate::email::EmailAddress;
use crate::error::{Error, FieldError};
use crate::password::PolicyViolation;
use crate::store::{Account, NewUser, StoreError, User};

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
struct Checked {
    name: String,
    surname: String,
    email: EmailAddress,
    website: String,
    password: SecretString,
}

impl Auth {
    /// Stores a new user.
    ///
    /// # Errors
    /// [`Error::InvalidBody`] with every wrong field in the order of the form,
    /// [`Error::RegistrationRefused`] when the settings do not let this address in,
    /// [`Error::EmailTaken`], also for the slower of two at once; [`Error::Busy`] and
    /// [`Error::Unavailable`].
    pub async fn register(&self, form: RegistrationForm) -> Result<User, Error> {
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
        self.check_room()?;
        let email_key = checked.email.key();
        // Looked up before the hash, to spare it; the UNIQUE column decides.
        let key = email_key.clone();
        let taken = self
            .0
            .store
            .read(move |conn| Account::find_by_email_key(conn, &key))
            .await?;
        if taken.is_some() {
            return Err(Error::EmailTaken);
        }
        let hashed_password = self.hash_new_password(&checked).await?;
        let user = NewUser {
            name: checked.name,
            surname: checked.surname,
            email: checked.email.to_string(),
            email_key,
            website: checked.website,
            hashed_password,
            created_at: self.0.clock.now(),
        };
        match self.0.store.write(move |conn| user.insert(conn)).await {
            Err(StoreError::Conflict) => Err(Error::EmailTaken),
            outcome => Ok(outcome?),
        }
    }

    fn check_form(&self, form: RegistrationForm) -> Result<Checked, Error> {
        let policy = self.0.config.password_policy;
        let name = form.name.and_then(check_name);
        let surname = form.surname.and_then(|text| check_text("surname", text));
        let email = form.email.and_then(|text| check_email(&text));
        let website = form.website.and_then(|text| check_text("website", text));
        let password = form.password.and_then(|password| {
            policy
                .check_shape(password.expose_secret())
                .map_err(refused_password)?;
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

    /// Looks whether the password is a common one, and hashes it, both on a hash thread: guessing
    /// at a password takes milliseconds too.
    async fn hash_new_password(&self, checked: &Checked) -> Result<String, Error> {
        let policy = self.0.config.password_policy;
        let password = checked.password.clone();
        let words = [
            checked.email.to_string(),
            checked.name.clone(),
            checked.surname.clone(),
        ];
        let check = move || {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            policy.check_commonness(password.expose_secret(), &words)
        };
        self.0
            .hasher
            .run(check)
            .await?
            .map_err(|violation| Error::InvalidBody(vec![refused_password(violation)]))?;
        self.hash(&checked.password, self.0.config.cost).await
    }
}

/// Postgres keeps no U+0000 in a text.
fn check_text(field: &'static str, text: String) -> Result<String, FieldError> {
    if text.contains('\0') {
        let message = "Value error, the NUL character (U+0000) cannot be stored: leave it out";
        return Err(FieldError::new(field, "value_error", message).showing(text));
    }
    Ok(text)
}

fn check_name(name: String) -> Result<String, FieldError> {
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

fn refused_password(violation: PolicyViolation) -> FieldError {
    let error = FieldError::new("password", violation.kind(), violation.message());
    violation
        .context()
        .into_iter()
        .fold(error, |error, (name, value)| error.with(name, value))
}

//! Registration: creates a user from untrusted input.

#[cfg(feature = "mail")]
use rand::random_range;
use secrecy::{ExposeSecret, SecretString};
#[cfg(feature = "mail")]
use tokio::time::sleep;

#[cfg(feature = "mail")]
use super::mail::MailRequest;
#[cfg(feature = "mail")]
use super::sign_in::REFUSAL_DELAY;
use super::validation::{CheckedRegistration, RegistrationInput};
use super::{Auth, mail_tokens};
use crate::audit::{Action, AuditContext, Event};
use crate::config::Registration;
use crate::error::{Error, FieldError, InvalidField};
#[cfg(feature = "mail")]
use crate::mail::Kind;
use crate::store::{Account, Claims, NewUser, StoreError, User, Writing};

impl Auth {
    /// Like [`Self::register`], but tells the client nothing: a mail does, also if the address is taken.
    /// Takes as long in both cases.
    ///
    /// # Errors
    /// The same as [`Self::register`], except [`Error::EmailTaken`].
    #[cfg(feature = "mail")]
    pub async fn register_uniformly(
        &self,
        context: &AuditContext,
        input: RegistrationInput,
    ) -> Result<(), Error> {
        let checked = self.check_registration(context, input).await?;
        let address = checked.email.to_string();
        // Also if the address is taken, so that it takes as long.
        let user = self.hash_new_user(context, checked, String::new()).await?;
        let may_mail = self.0.throttle.take_mail(context, &user.email_key).await?;
        let claims = Claims {
            unique: user.email_key.clone(),
            ..Claims::default()
        };
        let (auth, by) = (self.clone(), context.clone());
        let registered = self.change_in_group(context, claims, move |tx, events| {
            let mail = match Account::find_by_email_key(tx, &user.email_key)? {
                Some(Account { user, .. }) => {
                    let event = Event::refused(Action::Register).on_user(user.id);
                    events.record(event.with("reason", "taken"));
                    MailRequest::to_user(Kind::AddressTaken, user.id, &address)
                }
                None => {
                    let user = insert_user(tx, &user)?;
                    events.record(Event::new(Action::Register).on_user(user.id));
                    MailRequest::to_user(Kind::VerifyAddress, user.id, &address)
                }
            };
            match may_mail {
                true => auth.queue_mail(tx, &by, mail),
                false => Ok(()),
            }
        });
        match registered.await {
            // The other one of two that were sent at the same time.
            Ok(()) | Err(Error::EmailTaken) => {}
            Err(error) => return Err(error),
        }
        self.wake_mail();
        sleep(random_range(REFUSAL_DELAY)).await;
        Ok(())
    }

    /// Checks the input and the settings, and counts the registration.
    async fn check_registration(
        &self,
        context: &AuditContext,
        input: RegistrationInput,
    ) -> Result<CheckedRegistration, Error> {
        let rules = &self.0.config.registration;
        if *rules == Registration::Closed {
            return Err(Error::RegistrationRefused);
        }
        let checked = input.check(&self.0.config)?;
        if let Registration::Domains(domains) = rules
            && !domains
                .iter()
                .any(|domain| domain == checked.email.domain())
        {
            return Err(Error::RegistrationRefused);
        }
        self.0.throttle.count_registration(context).await?;
        Ok(checked)
    }

    /// Registers a new user for the client in `context`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with every invalid field, [`Error::RegistrationRefused`] when the
    /// settings do not allow this e-mail address, [`Error::EmailTaken`], also for the slower of two
    /// concurrent registrations; [`Error::TooManyAttempts`] when the client's address registers too
    /// many users; [`Error::Busy`] and [`Error::Unavailable`].
    pub async fn register(
        &self,
        context: &AuditContext,
        input: RegistrationInput,
    ) -> Result<User, Error> {
        let checked = self.check_registration(context, input).await?;
        let user = self.prepare_user(context, checked, String::new()).await?;
        let claims = Claims {
            unique: user.email_key.clone(),
            ..Claims::default()
        };
        let (auth, by) = (self.clone(), context.clone());
        let registered = self.change_in_group(context, claims, move |tx, events| {
            let user = insert_user(tx, &user)?;
            events.record(Event::new(Action::Register).on_user(user.id));
            auth.queue_first_verification(tx, &by, &user)?;
            Ok(user)
        });
        let user = registered.await?;
        self.wake_mail();
        Ok(user)
    }

    /// Hashes the password and builds the row. Looks up the e-mail address first, to avoid the hash
    /// for one that is taken; the UNIQUE column decides.
    pub(super) async fn prepare_user(
        &self,
        context: &AuditContext,
        checked: CheckedRegistration,
        scopes: String,
    ) -> Result<NewUser, Error> {
        let place = self.0.hasher.reserve(context.network())?;
        let key = checked.email.key();
        let find = move |conn: &mut _| Account::find_by_email_key(conn, &key);
        if self.0.store.read(find).await?.is_some() {
            return Err(Error::EmailTaken);
        }
        drop(place);
        self.hash_new_user(context, checked, scopes).await
    }

    /// Hashes the password and builds the row.
    async fn hash_new_user(
        &self,
        context: &AuditContext,
        checked: CheckedRegistration,
        scopes: String,
    ) -> Result<NewUser, Error> {
        let hashed_password = self.hash_first_password(context, &checked).await?;
        Ok(NewUser {
            name: checked.name,
            surname: checked.surname,
            email: checked.email.to_string(),
            email_key: checked.email.key(),
            website: checked.website,
            hashed_password,
            scopes,
            created_at: self.0.clock.now(),
            locale: context.locale().to_owned(),
            email_verified_at: None,
        })
    }

    /// Like [`Self::hash_password_in`], for a user who has no password yet.
    async fn hash_first_password(
        &self,
        context: &AuditContext,
        checked: &CheckedRegistration,
    ) -> Result<String, Error> {
        let words = [&checked.email.to_string(), &checked.name, &checked.surname];
        let words = words.map(String::clone).to_vec();
        self.hash_password_in(context, "password", &checked.password, words)
            .await
    }

    /// Like [`Self::hash_password_in`], for a user who has a password.
    pub(super) async fn hash_new_password(
        &self,
        context: &AuditContext,
        password: &SecretString,
        user: &User,
    ) -> Result<String, Error> {
        let words = [&user.email, &user.name, &user.surname];
        let words = words.map(String::clone).to_vec();
        self.hash_password_in(context, "new_password", password, words)
            .await
    }

    /// Like [`Self::hash_password_in`], for a user who has forgotten the password.
    #[cfg(feature = "mail")]
    pub(super) async fn hash_reset_password(
        &self,
        context: &AuditContext,
        password: &SecretString,
        user: &User,
    ) -> Result<String, Error> {
        let words = [&user.email, &user.name, &user.surname];
        let words = words.map(String::clone).to_vec();
        self.hash_password_in(context, "password", password, words)
            .await
    }

    /// Checks that the password is neither common nor derived from the user's own words, and hashes
    /// it. Both run on a hash thread, because the check takes milliseconds too.
    async fn hash_password_in(
        &self,
        context: &AuditContext,
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
            .run(context.network(), check)
            .await?
            .map_err(|violation| FieldError::new(field, InvalidField::Password(violation)))?;
        self.hash_password(context, password).await
    }
}

/// Stores a user.
///
/// # Errors
/// [`Error::EmailTaken`], also while another user can return to the address; [`Error::Unavailable`].
pub(super) fn insert_user(tx: &mut Writing<'_>, user: &NewUser) -> Result<User, Error> {
    if mail_tokens::is_reserved(tx, &user.email_key, user.created_at)? {
        return Err(Error::EmailTaken);
    }
    user.insert(tx)
        .map_err(|error| match StoreError::from(error) {
            StoreError::Conflict => Error::EmailTaken,
            error => error.into(),
        })
}

//! Users whom administrators and operators create.

use super::Administrator;
#[cfg(feature = "pages")]
use crate::audit::Named;
use crate::audit::{Action, Event};
use crate::auth::Auth;
#[cfg(feature = "pages")]
use crate::auth::TWIN_INTERVAL;
use crate::auth::register::insert_user;
use crate::auth::validation::{
    CheckedRegistration, Field, RegistrationInput, check_optional_scopes,
};
use crate::error::{Error, ErrorCollector, FieldError};
use crate::store::User;
#[cfg(feature = "cli")]
use crate::store::{Account, import, user::address_digest};
#[cfg(feature = "pages")]
use crate::store::{AuditEvent, EventFilter};

/// What the database has of the address of a new user.
#[cfg(feature = "cli")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressState {
    /// Nothing.
    Free,
    /// A user has it.
    Taken,
    /// A user who was deleted here had it.
    Deleted,
}

impl Auth {
    /// Checks everything about a new user that can be checked without a hash, and returns the address
    /// in the form for comparison, and what the database has of it.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with every invalid field; [`Error::Unavailable`].
    #[cfg(feature = "cli")]
    pub(crate) async fn foresee_user(
        &self,
        input: RegistrationInput,
        scopes: Field<Option<String>>,
    ) -> Result<(String, AddressState), Error> {
        let (registration, _scopes) = self.check_input(input, scopes)?;
        let address = registration.email.key();
        let (key, deletion_key) = (address.clone(), self.0.deletion_key.clone());
        let find = move |conn: &mut _| {
            if Account::find_by_email_key(conn, &key)?.is_some() {
                return Ok(AddressState::Taken);
            }
            // Without the key no user was deleted.
            let Some(digest_key) = deletion_key.find(conn)? else {
                return Ok(AddressState::Free);
            };
            let digest = address_digest(&digest_key, &key);
            Ok(
                match import::find_deleted_users(conn, &[digest])?.is_empty() {
                    true => AddressState::Free,
                    false => AddressState::Deleted,
                },
            )
        };
        Ok((address, self.0.store.read(find).await?))
    }

    /// Checks everything about a new user except the password, so that an operator does not enter
    /// one in vain. [`Self::create_user`] checks it again.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with every invalid field; [`Error::EmailTaken`];
    /// [`Error::Unavailable`].
    pub async fn check_new_user(
        &self,
        input: RegistrationInput,
        scopes: Field<Option<String>>,
    ) -> Result<(), Error> {
        let mut errors = ErrorCollector::new();
        let email = input.email.clone();
        input.check_with(&self.0.config, &mut errors);
        errors.take(check_optional_scopes("scopes", scopes));
        let mut errors: Vec<FieldError> = errors.into();
        errors.retain(|error| error.field != "password");
        if !errors.is_empty() {
            return Err(Error::InvalidInput(errors));
        }
        match self.find_user_id(&email?).await {
            Ok(_id) => Err(Error::EmailTaken),
            Err(Error::UserNotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Creates a user with these scopes, even when registration is closed. Where addresses are verified, a
    /// mail asks the user to verify this one.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with every invalid field; [`Error::EmailTaken`];
    /// [`Error::InsufficientScope`] for a scope that the administrator may not grant;
    /// [`Error::LoginTokenRequired`] for an API key; [`Error::InvalidToken`] when the
    /// administrator's credential has become invalid in the meantime; [`Error::Busy`] and
    /// [`Error::Unavailable`].
    pub async fn create_user(
        &self,
        admin: &Administrator,
        input: RegistrationInput,
        scopes: Field<Option<String>>,
    ) -> Result<User, Error> {
        admin.check_is_not_key()?;
        let (registration, scopes) = self.check_input(input, scopes)?;
        let user = self
            .prepare_user(&admin.context, registration, scopes)
            .await?;
        let (grant, now) = (admin.grant.clone(), self.0.clock.now());
        let auth = self.clone();
        let by = admin.context.clone();
        let created = self.add(&admin.context, move |tx, events| {
            if let Some(grant) = &grant {
                let grantable = &auth.0.config.grantable_scopes;
                let caller = grant.lock(tx, now)?;
                grant.check_can_grant(&caller, grantable, "", &user.scopes)?;
            }
            let created = insert_user(tx, &user)?;
            let event = Event::new(Action::UserCreate).on_user(created.id);
            events.record(event.with("scopes", created.scopes.as_str()));
            auth.queue_first_verification(tx, &by, &created)?;
            Ok(created)
        });
        let created = self.record_if_denied(admin, created.await).await?;
        self.wake_mail();
        Ok(created)
    }

    /// The valid fields of a new user, and the scopes.
    fn check_input(
        &self,
        input: RegistrationInput,
        scopes: Field<Option<String>>,
    ) -> Result<(CheckedRegistration, String), Error> {
        let mut errors = ErrorCollector::new();
        let registration = input.check_with(&self.0.config, &mut errors);
        let scopes = errors.take(check_optional_scopes("scopes", scopes));
        match (registration, scopes) {
            (Some(registration), Some(scopes)) => Ok((registration, scopes.unwrap_or_default())),
            _ => Err(errors.into()),
        }
    }

    /// The user of this address, if the same administrator has created it within the last minute: then
    /// a form was sent twice.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    #[cfg(feature = "pages")]
    pub(crate) async fn find_created_twin(
        &self,
        admin: &Administrator,
        email: &str,
    ) -> Result<Option<i64>, Error> {
        let user = match self.find_user_by_address(email).await {
            Ok(user) => user,
            Err(Error::UserNotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(grant) = &admin.grant else {
            return Ok(None);
        };
        let filter = EventFilter {
            actor: Some(Named::User(grant.principal.user.id).to_string()),
            target: Some(Named::User(user.id).to_string()),
            action: Some(Action::UserCreate.name().to_owned()),
            since: self.0.clock.now().checked_sub_signed(TWIN_INTERVAL),
            ..EventFilter::default()
        };
        let filters = [filter];
        let list = move |conn: &mut _| AuditEvent::list(conn, &filters, 1);
        let found = self.0.store.read(list).await?;
        Ok(found.rows.first().map(|_| user.id))
    }
}

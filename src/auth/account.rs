//! What users do with their own accounts.

use std::sync::Arc;

use pydantic_email::fold;
use secrecy::{ExposeSecret, SecretString};

use super::Auth;
use super::admin::check_another_administers;
use super::audit::{Action, Event, Origin};
use super::authenticate::ProvenAccount;
use super::caller::lock_caller;
use super::register::{check_name, check_text, refused_password};
use crate::error::{Error, FieldError};
use crate::metrics::SignIn;
use crate::store::{Account, ApiKey, Credential, Principal, User, UserChanges, administrators};

/// What a user wants to change; `None` leaves it.
pub struct ProfileForm {
    /// At least five characters.
    pub name: Result<Option<String>, FieldError>,
    /// Any text.
    pub surname: Result<Option<String>, FieldError>,
    /// Any text.
    pub website: Result<Option<String>, FieldError>,
}

/// A change of the password.
pub struct PasswordForm {
    /// The password until now.
    pub current_password: Result<SecretString, FieldError>,
    /// A password within the policy.
    pub new_password: Result<SecretString, FieldError>,
    /// The API keys that stay; none when it is left out.
    pub keep_keys: Result<Option<KeptKeys>, FieldError>,
}

/// The API keys of a user that a change of the password leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptKeys {
    /// All of them.
    All,
    /// Those of these ids.
    These(Vec<i64>),
}

impl Default for KeptKeys {
    fn default() -> Self {
        Self::These(Vec::new())
    }
}

impl ProfileForm {
    /// The changes, once every field was found right.
    pub(super) fn check(self) -> Result<UserChanges, Error> {
        let name = self.name.and_then(|name| name.map(check_name).transpose());
        let text = |field, text: Result<Option<String>, _>| {
            text.and_then(|text: Option<String>| {
                text.map(|text| check_text(field, text)).transpose()
            })
        };
        let surname = text("surname", self.surname);
        let website = text("website", self.website);
        match (name, surname, website) {
            (Ok(name), Ok(surname), Ok(website)) => Ok(UserChanges {
                name,
                surname,
                website,
                ..UserChanges::default()
            }),
            (name, surname, website) => {
                let errors = [name.err(), surname.err(), website.err()];
                Err(Error::InvalidBody(errors.into_iter().flatten().collect()))
            }
        }
    }
}

impl Auth {
    /// Changes what the user of a session shows of themselves, and returns the user as they are
    /// then.
    ///
    /// # Errors
    /// [`Error::InvalidBody`] with every wrong field; [`Error::InvalidToken`] when the session has
    /// ended meanwhile; [`Error::Unavailable`].
    pub async fn update_profile(
        &self,
        origin: &Origin,
        principal: &Arc<Principal>,
        form: ProfileForm,
    ) -> Result<User, Error> {
        let changes = form.check()?;
        let (principal, now) = (Arc::clone(principal), self.0.clock.now());
        self.change(origin, move |tx, events| {
            let user = lock_caller(tx, &principal, now)?;
            if !changes.is_empty() {
                let event = Event::new(Action::UserUpdate).on_user(user.id);
                events.record(event.with("fields", changed_fields(&changes)));
            }
            User::change(tx, user.id, &changes)?.ok_or(Error::InvalidToken)
        })
        .await
    }

    /// Gives the user of a session a new password, forgets the failures that are held against the
    /// account, and ends every other session of the user and all keys but those that are to be
    /// kept: when this returns, no process accepts them any more.
    ///
    /// # Errors
    /// [`Error::WrongPassword`] when the current one is not right; [`Error::InvalidBody`] with every
    /// wrong field; [`Error::InvalidToken`] when the session has ended meanwhile; [`Error::Busy`]
    /// and [`Error::Unavailable`].
    pub async fn change_password(
        &self,
        origin: &Origin,
        principal: &Arc<Principal>,
        form: PasswordForm,
    ) -> Result<(), Error> {
        let (current, new, kept) = self.check_password_form(form)?;
        let action = Action::PasswordChange;
        let ProvenAccount { account, attempt } =
            self.prove(origin, principal, &current, action).await?;
        let hashed = match self.hash_new_password(origin, &new, &principal.user).await {
            Ok(hashed) => hashed,
            Err(refused) => {
                self.excuse(attempt).await?;
                return Err(refused);
            }
        };
        let (auth, principal, now) = (self.clone(), Arc::clone(principal), self.0.clock.now());
        let succeeding = attempt.clone();
        let changed = self.change(origin, move |tx, events| {
            let user = lock_caller(tx, &principal, now)?;
            if !account.replace_hash(tx, &hashed)? {
                return Err(Error::InvalidToken);
            }
            succeeding.succeed(tx, now)?;
            auth.forget_failures(tx, &fold(&user.email))?;
            if let Credential::LoginToken(token) = &principal.credential {
                token.revoke_others(tx)?;
            }
            let ended = match &kept {
                KeptKeys::All => Vec::new(),
                KeptKeys::These(ids) => ApiKey::revoke_all_but(tx, user.id, ids, now)?,
            };
            let event = Event::new(action).on_user(user.id);
            events.record(event.with("keys", ended));
            Ok(())
        });
        self.or_decide(attempt, changed.await).await
    }

    /// Deletes the user of a session, with all tokens and keys.
    ///
    /// # Errors
    /// [`Error::WrongPassword`]; [`Error::LastAdministrator`]; [`Error::InvalidToken`] when the session has ended meanwhile;
    /// [`Error::Busy`] and [`Error::Unavailable`].
    pub async fn delete_account(
        &self,
        origin: &Origin,
        principal: &Arc<Principal>,
        current_password: Result<SecretString, FieldError>,
    ) -> Result<(), Error> {
        let current = current_password.map_err(|error| Error::InvalidBody(vec![error]))?;
        let action = Action::UserDelete;
        let ProvenAccount { account, attempt } =
            self.prove(origin, principal, &current, action).await?;
        let (auth, principal, now) = (self.clone(), Arc::clone(principal), self.0.clock.now());
        let succeeding = attempt.clone();
        let deleted = self.change(origin, move |tx, events| {
            administrators::lock(tx)?;
            let user = lock_caller(tx, &principal, now)?;
            if !account.lock_if_unchanged(tx)? {
                return Err(Error::InvalidToken);
            }
            succeeding.succeed(tx, now)?;
            check_another_administers(tx, &user)?;
            Ok(auth.delete_in(tx, events, principal.user.id)?)
        });
        self.or_decide(attempt, deleted.await).await
    }

    /// Has the user of a session show the password once more.
    ///
    /// # Errors
    /// [`Error::WrongPassword`], also when the account has to wait; [`Error::TooManyAttempts`];
    /// [`Error::InvalidToken`] when the user is gone; [`Error::Busy`] and [`Error::Unavailable`].
    pub(super) async fn prove(
        &self,
        origin: &Origin,
        principal: &Principal,
        password: &SecretString,
        action: Action,
    ) -> Result<ProvenAccount, Error> {
        self.check_changes(origin)?;
        self.check_capacity(origin.network())?;
        let id = principal.user.id;
        let name = fold(&principal.user.email);
        let attempt = self.count_attempt(origin, &name).await?;
        let find = move |conn: &mut _| Account::find(conn, id);
        let found = self.0.store.read(find).await.map_err(Error::from);
        let found = found.and_then(|found| found.ok_or(Error::InvalidToken));
        let account = self.or_withdraw(&attempt, found).await?;
        let hash = Some(&account.hashed_password).filter(|_| attempt.is_allowed);
        let matches = self.verify(origin, password, hash).await;
        if self.or_withdraw(&attempt, matches).await? {
            return Ok(ProvenAccount { account, attempt });
        }
        let how = if attempt.is_allowed {
            SignIn::WrongPassword
        } else {
            SignIn::Throttled
        };
        self.fail(origin, &attempt, Some(id)).await?;
        let event = Event::refused(action).on_user(id);
        self.note_refusal(origin, event.with("reason", how.reason()))
            .await?;
        Err(Error::WrongPassword)
    }

    fn check_password_form(
        &self,
        form: PasswordForm,
    ) -> Result<(SecretString, SecretString, KeptKeys), Error> {
        let policy = self.0.config.password_policy;
        let new = form.new_password.and_then(|password| {
            let shape = policy.check_shape(password.expose_secret());
            shape.map_err(|violation| refused_password("new_password", violation))?;
            Ok(password)
        });
        match (form.current_password, new, form.keep_keys) {
            (Ok(current), Ok(new), Ok(kept)) => Ok((current, new, kept.unwrap_or_default())),
            (current, new, kept) => {
                let errors = [current.err(), new.err(), kept.err()];
                Err(Error::InvalidBody(errors.into_iter().flatten().collect()))
            }
        }
    }
}

/// The names of what is changed, for the trail: not the values, which may be private.
pub(super) fn changed_fields(changes: &UserChanges) -> Vec<&'static str> {
    let fields = [
        ("name", changes.name.is_some()),
        ("surname", changes.surname.is_some()),
        ("website", changes.website.is_some()),
    ];
    let changed = fields.into_iter().filter(|(_, is_changed)| *is_changed);
    changed.map(|(name, _)| name).collect()
}

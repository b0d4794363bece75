//! What users do with their own accounts.

use std::sync::Arc;

use pydantic_email::fold;
use secrecy::SecretString;

use super::Auth;
use super::admin::check_another_administers;
use super::audit::{Action, Event, Origin};
use super::authenticate::ProvenAccount;
use super::caller::lock_caller;
use super::validation::{Field, KeptKeys, PasswordInput, ProfileInput};
use crate::error::Error;
use crate::metrics::SignInOutcome;
use crate::store::{Account, ApiKey, Credential, Principal, User, UserChanges, administrators};

impl Auth {
    /// Changes what the user of a session shows of themselves, and returns the user as they are
    /// then.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with every invalid field; [`Error::InvalidToken`] when the session has
    /// ended meanwhile; [`Error::Unavailable`].
    pub async fn update_profile(
        &self,
        origin: &Origin,
        principal: &Arc<Principal>,
        input: ProfileInput,
    ) -> Result<User, Error> {
        let changes = input.check()?;
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
    /// [`Error::WrongPassword`] when the current one is not right; [`Error::InvalidInput`] with
    /// every invalid field; [`Error::InvalidToken`] when the session has ended meanwhile; [`Error::Busy`]
    /// and [`Error::Unavailable`].
    pub async fn change_password(
        &self,
        origin: &Origin,
        principal: &Arc<Principal>,
        input: PasswordInput,
    ) -> Result<(), Error> {
        let (current, new, kept) = input.check(self.0.config.password_policy)?;
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
        current_password: Field<SecretString>,
    ) -> Result<(), Error> {
        let current = current_password?;
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
            SignInOutcome::WrongPassword
        } else {
            SignInOutcome::Throttled
        };
        self.fail(origin, &attempt, Some(id)).await?;
        let event = Event::refused(action).on_user(id);
        self.note_refusal(origin, event.with("reason", how.reason()))
            .await?;
        Err(Error::WrongPassword)
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

//! Operations of users on their own accounts, and the deletion of a user by that user, an
//! administrator or the operator.

use std::sync::Arc;

use diesel::QueryResult;
use pydantic_email::fold;
use secrecy::SecretString;

use super::caller::lock_caller;
use super::trusted_devices::end_everywhere;
use super::validation::{Field, KeptKeys, PasswordInput, ProfileInput};
use super::{Auth, VerifiedAccount, mail_tokens};
use crate::audit::{Action, AuditContext, Event, Events};
use crate::error::Error;
use crate::scope;
use crate::store::{ApiKey, Ends, Principal, Revoking, User, UserChanges, Writing};

impl Auth {
    /// Changes the profile of the principal's user, and returns the changed user.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] with every invalid field; [`Error::InvalidToken`] when the
    /// credential has become invalid in the meantime; [`Error::Unavailable`].
    pub async fn update_profile(
        &self,
        context: &AuditContext,
        principal: &Arc<Principal>,
        input: ProfileInput,
    ) -> Result<User, Error> {
        let changes = input.check(self.0.config.profile_rules)?;
        let ends = Ends::Users(vec![principal.user.id]);
        let (principal, now) = (Arc::clone(principal), self.0.clock.now());
        self.change(context, ends, move |tx, events| {
            let user = lock_caller(tx, &principal, now)?;
            if !changes.is_empty() {
                let event = Event::new(Action::UserUpdate).on_user(user.id);
                events.record(event.with("fields", changed_fields(&changes)));
            }
            User::update(tx, user.id, &changes)?.ok_or(Error::InvalidToken)
        })
        .await
    }

    /// Changes the password of the principal's user, clears the failures of the account, and revokes
    /// every other session and all keys except the kept ones: when this returns, no process accepts
    /// them.
    ///
    /// # Errors
    /// [`Error::WrongPassword`] when the current password is wrong; [`Error::InvalidInput`] with
    /// every invalid field; [`Error::InvalidToken`] when the credential has become invalid in the
    /// meantime; [`Error::Busy`] and [`Error::Unavailable`].
    pub async fn change_password(
        &self,
        context: &AuditContext,
        principal: &Arc<Principal>,
        input: PasswordInput,
    ) -> Result<(), Error> {
        let (current, new, kept) = input.check(self.0.config.password_policy)?;
        let action = Action::PasswordChange;
        let VerifiedAccount {
            account, attempt, ..
        } = self
            .reauthenticate(context, principal, &current, action)
            .await?;
        let hashed = match self.hash_new_password(context, &new, &principal.user).await {
            Ok(hashed) => hashed,
            Err(refused) => {
                self.0.throttle.release(attempt).await?;
                return Err(refused);
            }
        };
        let ends = Ends::Users(vec![principal.user.id]);
        let (auth, principal, now) = (self.clone(), Arc::clone(principal), self.0.clock.now());
        let succeeding = attempt.clone();
        let by = context.clone();
        let changed = self.change(context, ends, move |tx, events| {
            let user = lock_caller(tx, &principal, now)?;
            if !account.replace_hash(tx, &hashed)? {
                return Err(Error::InvalidToken);
            }
            succeeding.succeed(tx, now)?;
            auth.0.throttle.clear_failures(tx, &fold(&user.email))?;
            mail_tokens::end_resets(tx, user.id)?;
            if let Some(session) = principal.session() {
                end_everywhere(tx, user.id, Some(session.id))?;
            }
            let ended = match &kept {
                KeptKeys::All => Vec::new(),
                KeptKeys::These(ids) => ApiKey::revoke_all_but(tx, user.id, ids, now)?,
            };
            let event = Event::new(action).on_user(user.id);
            events.record(event.with("keys", ended));
            auth.tell_of_password(tx, &by, &user)?;
            Ok(())
        });
        self.0.throttle.or_release(attempt, changed.await).await
    }

    /// Deletes the principal's user, with all tokens and keys.
    ///
    /// # Errors
    /// [`Error::WrongPassword`]; [`Error::LastAdministrator`]; [`Error::InvalidToken`] when the
    /// credential has become invalid in the meantime; [`Error::Busy`] and [`Error::Unavailable`].
    pub async fn delete_account(
        &self,
        context: &AuditContext,
        principal: &Arc<Principal>,
        current_password: Field<SecretString>,
    ) -> Result<(), Error> {
        let current = current_password?;
        let action = Action::UserDelete;
        let VerifiedAccount {
            account, attempt, ..
        } = self
            .reauthenticate(context, principal, &current, action)
            .await?;
        let ends = Ends::Users(vec![principal.user.id]);
        let (auth, principal, now) = (self.clone(), Arc::clone(principal), self.0.clock.now());
        let succeeding = attempt.clone();
        let deleted = self.change(context, ends, move |tx, events| {
            User::lock_administrators(tx)?;
            let user = lock_caller(tx, &principal, now)?;
            if !account.lock_if_unchanged(tx)? {
                return Err(Error::InvalidToken);
            }
            succeeding.succeed(tx, now)?;
            check_another_administers(tx, &user)?;
            Ok(auth.delete_in(tx, events, principal.user.id)?)
        });
        self.0.throttle.or_release(attempt, deleted.await).await
    }

    /// Deletes a user with all tokens and keys in the transaction of the request, revokes the user's
    /// invitations, and records it. A
    /// keyed digest of the address remains, so that an import skips the user.
    pub(super) fn delete_in(
        &self,
        tx: &mut Revoking<'_>,
        events: &mut Events,
        id: i64,
    ) -> QueryResult<()> {
        let key = self.deletion_key().get(tx)?;
        mail_tokens::revoke_invitations_of(tx, id, self.0.clock.now())?;
        if User::delete(tx, id, &key, self.0.clock.now())? {
            events.record(Event::new(Action::UserDelete).on_user(id));
        }
        Ok(())
    }
}

/// Returns the names of the changed fields for the audit trail, without the values, which may be
/// private.
pub(super) fn changed_fields(changes: &UserChanges) -> Vec<&'static str> {
    let fields = [
        ("name", changes.name.is_some()),
        ("surname", changes.surname.is_some()),
        ("email", changes.email.is_some()),
        ("website", changes.website.is_some()),
    ];
    let changed = fields.into_iter().filter(|(_, is_changed)| *is_changed);
    changed.map(|(name, _)| name).collect()
}

/// Refuses to remove the last user who can sign in and administer others. The transaction must hold
/// [`User::lock_administrators`] and the user's row.
///
/// # Errors
/// [`Error::LastAdministrator`]; [`Error::Unavailable`].
pub(super) fn check_another_administers(tx: &mut Writing<'_>, user: &User) -> Result<(), Error> {
    let administers =
        user.disabled_at.is_none() && scope::contains(&user.scopes, scope::USERS_WRITE);
    if administers && !User::has_other_administrator(tx, user.id)? {
        return Err(Error::LastAdministrator);
    }
    Ok(())
}

//! Operations of administrators and operators on users. When one returns, the credentials that it
//! revokes are refused by every process.

use pydantic_email::{EmailAddress, fold};

use super::Administrator;
use super::administration::LockFirst;
use crate::audit::{Action, Event};
use crate::auth::Auth;
use crate::auth::revoked_credentials::RevokedCredentials;
use crate::auth::user_patch::Precondition;
use crate::auth::user_patch::{UserPatch, record_changes};
use crate::error::{Error, FieldError, InvalidField};
use crate::store::user::address_digest;
use crate::store::user_search::{self, Found};
use crate::store::{
    Account, Ends, Revoking, Slice, StoreConnection, StoreError, User, Writing, folded_names,
    record_deleted_user,
};

/// The longest text to search for, in bytes.
pub const MAX_SEARCH: usize = 500;

/// The number of users whose names a transaction folds, during which others wait.
const FOLD_BATCH: i64 = 200;

/// A page of users.
#[derive(Debug)]
pub struct UserPage {
    /// The users.
    pub users: Vec<User>,
    /// The `after` of the next page; `None` after the last one.
    pub next: Option<String>,
}

impl Auth {
    /// Lists the users whose address, name or surname contains `search`, in any spelling, or all
    /// users without it. Returns at most `limit` of them, fewer when they are large or a search has
    /// read many others, from the cursor `after`, the [`UserPage::next`] of the previous page.
    /// Records that they were read.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a search of more than [`MAX_SEARCH`] bytes;
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn list_users(
        &self,
        admin: &Administrator,
        search: Option<&str>,
        after: Option<&str>,
        limit: i64,
    ) -> Result<UserPage, Error> {
        let search = search.filter(|search| !search.is_empty());
        let search = search.map(check_search).transpose()?;
        let event = Event::new(Action::UserRead).with("limit", limit);
        self.record(&admin.context, event).await?;
        // A cursor that this service did not issue yields the first page.
        let after = after.and_then(|after| after.parse().ok()).unwrap_or(0);
        let list = move |conn: &mut StoreConnection| match &search {
            Some(text) => user_search::page(conn, text, after, limit),
            None => {
                let Slice { rows, has_more } = User::page_after(conn, after, limit)?;
                let next = rows.last().filter(|_| has_more).map(|user| user.id);
                Ok(Found { users: rows, next })
            }
        };
        let Found { users, next } = self.0.store.read(list).await?;
        let next = next.map(|id| id.to_string());
        Ok(UserPage { users, next })
    }

    /// Counts all users.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn count_users(&self) -> Result<i64, Error> {
        Ok(self.0.store.read(User::count).await?)
    }

    /// Folds the names that the search cannot look up yet: those that are not ASCII and that another
    /// program, or a version before the search had an index, has written.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(crate) async fn fold_names(&self) -> Result<(), Error> {
        let mut after = Some(0);
        while let Some(id) = after {
            let fold = move |tx: &mut Writing<'_>| -> Result<_, Error> {
                Ok(folded_names::fold_next(tx, id, FOLD_BATCH)?)
            };
            after = self.0.store.writing(fold).await?;
        }
        Ok(())
    }

    /// Whether an enabled user holds `users:write`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn has_administrator(&self) -> Result<bool, Error> {
        // No user has the id 0.
        let find = |conn: &mut _| User::has_other_administrator(conn, 0);
        Ok(self.0.store.read(find).await?)
    }

    /// Finds a user, and records that it was read.
    ///
    /// # Errors
    /// [`Error::UserNotFound`] and [`Error::Unavailable`].
    pub async fn find_user(&self, admin: &Administrator, id: i64) -> Result<User, Error> {
        let find = move |conn: &mut _| User::find(conn, id);
        let user = self.0.store.read(find).await?.ok_or(Error::UserNotFound)?;
        let event = Event::new(Action::UserRead).on_user(id);
        self.record(&admin.context, event).await?;
        Ok(user)
    }

    /// Returns the id of the user with this address, in any spelling.
    ///
    /// # Errors
    /// [`Error::UserNotFound`] and [`Error::Unavailable`].
    pub async fn find_user_id(&self, email: &str) -> Result<i64, Error> {
        Ok(self.find_user_by_address(email).await?.id)
    }

    /// Returns the user with this address, in any spelling, so that a change can name the user.
    ///
    /// # Errors
    /// The same as [`Self::find_user_id`].
    pub(crate) async fn find_user_by_address(&self, email: &str) -> Result<User, Error> {
        let Ok(email) = EmailAddress::parse(email) else {
            return Err(Error::UserNotFound);
        };
        let key = email.key();
        let find = move |conn: &mut _| Account::find_by_email_key(conn, &key);
        let account = self.0.store.read(find).await?;
        Ok(account.ok_or(Error::UserNotFound)?.user)
    }

    /// Changes a user, and returns the changed user. A new address takes effect on every process at
    /// once; tokens and keys stay valid, the waits of the account follow, and the old address is free
    /// for a registration, but not for an import, which would bring the user a second time. Disabling a
    /// user revokes the login token and all keys permanently; a scope that is removed from a user is
    /// removed from all tokens and keys.
    ///
    /// # Errors
    /// [`Error::UserNotFound`]; [`Error::EmailTaken`]; [`Error::InvalidInput`] with every invalid field;
    /// [`Error::PreconditionRequired`] and [`Error::PreconditionFailed`];
    /// [`Error::InsufficientScope`] for a scope that the administrator may not grant, and for a
    /// user who holds a reserved scope that the administrator does not hold;
    /// [`Error::LastAdministrator`]; [`Error::LoginTokenRequired`] when an API key would change
    /// more than whether the user is disabled; [`Error::InvalidToken`] when the administrator's
    /// credential has become invalid in the meantime; [`Error::Unavailable`].
    pub async fn update_user(
        &self,
        admin: &Administrator,
        id: i64,
        patch: UserPatch,
    ) -> Result<User, Error> {
        let (user, _revoked) = self.update_user_and_revoke(admin, id, patch).await?;
        Ok(user)
    }

    /// Like [`Self::update_user`]; also returns the credentials that disabling the user has revoked.
    ///
    /// # Errors
    /// The same as [`Self::update_user`].
    pub async fn update_user_and_revoke(
        &self,
        admin: &Administrator,
        id: i64,
        patch: UserPatch,
    ) -> Result<(User, RevokedCredentials), Error> {
        let patch = patch.check(self.0.config.profile_rules)?;
        if patch.is_for_people() {
            admin.check_is_not_key()?;
        }
        let now = self.0.clock.now();
        let lock_first = match patch.may_restrict() {
            true => LockFirst::Administrators,
            false => LockFirst::Nothing,
        };
        let (auth, ends) = (self.clone(), Ends::Users(vec![id]));
        let context = admin.context.clone();
        self.administer_if(admin, id, ends, lock_first, move |tx, events, locked| {
            let mut changes = locked.changes(tx, &patch, now)?;
            let old = fold(&locked.user.email);
            if changes.email_key.as_ref().is_some_and(|new| *new != old) {
                // Nobody has shown yet that the user reads the mail of the new address.
                changes.email_verified_at = Some(None);
                auth.end_links_to_old_address(tx, &context, locked.user, changes.email.as_deref())?;
            }
            record_changes(events, locked.user, &changes);
            if let Some(new) = &changes.email_key {
                auth.move_account(tx, &old, new)?;
            }
            let revoked = match patch.disabled {
                Some(disabled) => {
                    RevokedCredentials::by_disabling(tx, events, locked.user, disabled, now)?
                }
                None => RevokedCredentials::default(),
            };
            let updated = User::update(tx, id, &changes);
            let updated = updated.map_err(|error| match StoreError::from(error) {
                StoreError::Conflict => Error::EmailTaken,
                error => error.into(),
            })?;
            let user = updated.ok_or(Error::UserNotFound)?;
            Ok((user, revoked))
        })
        .await
    }

    /// Moves what is stored under the address of a user to a new one; both in the form of
    /// [`NewUser::email_key`](crate::store::NewUser::email_key).
    pub(in crate::auth) fn move_account(
        &self,
        tx: &mut Revoking<'_>,
        old: &str,
        new: &str,
    ) -> Result<(), Error> {
        if old == new {
            return Ok(());
        }
        self.0.throttle.move_account(tx, old, new)?;
        let key = self.deletion_key().get(tx)?;
        let digest = address_digest(&key, old);
        Ok(record_deleted_user(tx, &digest, self.0.clock.now())?)
    }

    /// Deletes a user, with all tokens and keys. Returns the credentials that ended.
    ///
    /// # Errors
    /// [`Error::UserNotFound`]; [`Error::PreconditionFailed`]; [`Error::InsufficientScope`] for a
    /// user who holds a reserved scope that the administrator does not hold;
    /// [`Error::LastAdministrator`]; [`Error::LoginTokenRequired`] for an API key;
    /// [`Error::InvalidToken`] when the administrator's credential has become invalid in the
    /// meantime; [`Error::Unavailable`].
    pub async fn delete_user(
        &self,
        admin: &Administrator,
        id: i64,
        only_if: Precondition,
    ) -> Result<RevokedCredentials, Error> {
        admin.check_is_not_key()?;
        let (auth, now) = (self.clone(), self.0.clock.now());
        let deleted = self.administer_if(
            admin,
            id,
            Ends::Users(vec![id]),
            LockFirst::Administrators,
            move |tx, events, locked| {
                only_if.check(locked.user)?;
                locked.check_another_administers(tx)?;
                let ended = RevokedCredentials::all_of_user(tx, id, now)?;
                auth.delete_in(tx, events, id)?;
                Ok(ended)
            },
        );
        deleted.await
    }
}

fn check_search(text: &str) -> Result<String, Error> {
    if text.len() <= MAX_SEARCH {
        return Ok(text.to_owned());
    }
    let reason = InvalidField::TooManyBytes { max: MAX_SEARCH };
    Err(FieldError::new("search", reason).into())
}

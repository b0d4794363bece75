//! Deletes a user, at the request of the user, an administrator or the operator.

use diesel::QueryResult;

use super::Auth;
use crate::audit::{Action, Event, Events};
use crate::error::Error;
use crate::scope;
use crate::store::{Revoking, User, Writing};

impl Auth {
    /// Deletes a user, with all tokens and keys, in the transaction of the request, and records it. A
    /// keyed digest of the address stays, so that an import leaves the user out.
    pub(super) fn delete_in(
        &self,
        tx: &mut Revoking<'_>,
        events: &mut Events,
        id: i64,
    ) -> QueryResult<()> {
        let key = self.deletion_key().get(tx)?;
        if User::delete(tx, id, &key, self.0.clock.now())? {
            events.record(Event::new(Action::UserDelete).on_user(id));
        }
        Ok(())
    }
}

/// Refuses to remove the last user who can administer others and sign in. For a transaction that holds
/// [`User::lock_administrators`] and the row of the user.
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

//! Whoever asks for a change has to be in still when it is made.

use chrono::NaiveDateTime;
use diesel::QueryResult;

use crate::store::{Credential, Principal, StoreConnection, User};

/// Holds the row of the caller until the transaction ends. Returns the user as they are now;
/// `None` when the user was disabled or deleted, or the credential ended, since the principal was
/// looked up. A change that began before that must not be made after it.
pub(super) fn lock_caller(
    conn: &mut StoreConnection,
    principal: &Principal,
    now: NaiveDateTime,
) -> QueryResult<Option<User>> {
    let user = User::lock(conn, principal.user.id)?;
    let Some(user) = user.filter(|user| user.disabled_at.is_none()) else {
        return Ok(None);
    };
    let is_stored = match &principal.credential {
        Credential::LoginToken(token) => token.is_stored(conn)?,
        Credential::ApiKey(used) => used.key.is_stored(conn)?,
    };
    let is_good = is_stored && principal.credential.expires_at() > now;
    Ok(is_good.then_some(user))
}

//! Whoever asks for a change has to be in still when it is made.

use chrono::NaiveDateTime;
use diesel::QueryResult;

use crate::store::{Credential, Session, StoreConnection, User};

/// When the credential of a session ends by itself.
pub(super) fn expires_at(credential: &Credential) -> NaiveDateTime {
    match credential {
        Credential::LoginToken(token) => token.expiration_date,
        Credential::ApiKey(used) => used.key.expires_at,
    }
}

/// The scopes that a credential was given.
pub(super) fn granted(credential: &Credential) -> &str {
    match credential {
        Credential::LoginToken(token) => &token.scopes,
        Credential::ApiKey(used) => &used.key.scopes,
    }
}

/// Holds the row of the caller until the transaction ends. Returns the user as they are now;
/// `None` when the user was disabled or deleted, or the credential ended, since the session was
/// looked up. A change that began before that must not be made after it.
pub(super) fn lock_caller(
    conn: &mut StoreConnection,
    session: &Session,
    now: NaiveDateTime,
) -> QueryResult<Option<User>> {
    let user = User::lock(conn, session.user.id)?;
    let Some(user) = user.filter(|user| user.disabled_at.is_none()) else {
        return Ok(None);
    };
    let is_stored = match &session.credential {
        Credential::LoginToken(token) => token.is_stored(conn)?,
        Credential::ApiKey(used) => used.key.is_stored(conn)?,
    };
    let is_good = is_stored && expires_at(&session.credential) > now;
    Ok(is_good.then_some(user))
}

//! Re-checks the caller inside the transaction of a change.

use chrono::NaiveDateTime;

use crate::error::Error;
use crate::store::{Credential, Principal, User, Writing};

/// Locks the caller's row until the transaction ends, and returns the current user. A change that
/// begins before the caller loses access must not be made afterwards.
///
/// # Errors
/// [`Error::InvalidToken`] when the user was disabled or deleted, or the credential ended, since the
/// principal was looked up; [`Error::Unavailable`].
pub(super) fn lock_caller(
    tx: &mut Writing<'_>,
    principal: &Principal,
    now: NaiveDateTime,
) -> Result<User, Error> {
    let user = User::lock_owner(tx, principal.user.id)?
        .filter(|user| user.disabled_at.is_none())
        .ok_or(Error::InvalidToken)?;
    let is_stored = match &principal.credential {
        Credential::LoginToken(token) => token.is_stored(tx)?,
        Credential::ApiKey(used) => used.key.is_stored(tx)?,
    };
    if is_stored && principal.credential.expires_at() > now {
        Ok(user)
    } else {
        Err(Error::InvalidToken)
    }
}

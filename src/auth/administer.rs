//! What an operator does with users and their tokens. Whatever ends a session here has ended it on
//! every process when it returns.

use super::Auth;
use crate::email::EmailAddress;
use crate::error::Error;
use crate::store::{AccessToken, Account, User};

/// Rows that are pruned in one transaction: others write between two of them.
const PRUNED_AT_ONCE: i64 = 1_000;

impl Auth {
    /// The users after this id, in the order of their ids, `limit` at most; from the first one
    /// with 0.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn list_users(&self, after: i64, limit: i64) -> Result<Vec<User>, Error> {
        let list = move |conn: &mut _| User::list_after(conn, after, limit);
        Ok(self.0.store.read(list).await?)
    }

    /// Keeps a user out: no sign-in, and no token is accepted while it lasts. `None` when nobody
    /// has this address.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn disable_user(&self, email: &str) -> Result<Option<User>, Error> {
        self.set_disabled(email, true).await
    }

    /// Lets a user in again, with the token from before if it has not ended otherwise. `None` when
    /// nobody has this address.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn enable_user(&self, email: &str) -> Result<Option<User>, Error> {
        self.set_disabled(email, false).await
    }

    async fn set_disabled(&self, email: &str, disabled: bool) -> Result<Option<User>, Error> {
        let Ok(email) = EmailAddress::parse(email) else {
            return Ok(None);
        };
        let (key, at) = (email.key(), disabled.then(|| self.0.clock.now()));
        let set = move |conn: &mut _| User::set_disabled_at(conn, &key, at);
        Ok(self.0.store.write(set).await?)
    }

    /// Ends the login token of a user. Returns whether there was one; `None` when nobody has this
    /// address.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn revoke_tokens_of(&self, email: &str) -> Result<Option<bool>, Error> {
        let Ok(email) = EmailAddress::parse(email) else {
            return Ok(None);
        };
        let key = email.key();
        let revoke = move |conn: &mut _| match Account::find_by_email_key(conn, &key)? {
            Some(account) => AccessToken::revoke_of_user(conn, account.user.id).map(Some),
            None => Ok(None),
        };
        Ok(self.0.store.write(revoke).await?)
    }

    /// Deletes the tokens that have expired, and returns how many there were. Nobody accepts them
    /// anyhow; this is for the size of the table.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer; what was deleted stays deleted.
    pub async fn prune_tokens(&self) -> Result<usize, Error> {
        let now = self.0.clock.now();
        let mut pruned = 0;
        loop {
            let prune = move |conn: &mut _| AccessToken::prune(conn, now, PRUNED_AT_ONCE);
            match self.0.store.write(prune).await? {
                0 => return Ok(pruned),
                rows => pruned += rows,
            }
        }
    }
}

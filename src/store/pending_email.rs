//! Other addresses of users that wait for a confirmation. They reserve nothing: several users may want the
//! same one.

use diesel::prelude::*;

use super::limits::check_texts;
use super::schema::users;
use super::{StoreConnection, Writing};

/// Another address of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PendingEmail {
    /// As displayed.
    pub(crate) email: String,
    /// In the form of [`NewUser::email_key`](super::NewUser::email_key).
    pub(crate) key: String,
}

impl PendingEmail {
    /// The address that waits; `None` without one.
    pub(crate) fn find(conn: &mut StoreConnection, user_id: i64) -> QueryResult<Option<Self>> {
        let pending: Option<(Option<String>, Option<String>)> = users::table
            .find(user_id)
            .select((users::pending_email, users::pending_email_key))
            .get_result(conn)
            .optional()?;
        Ok(pending.and_then(|(email, key)| {
            Some(Self {
                email: email?,
                key: key?,
            })
        }))
    }

    /// Stores the address in place of an earlier one.
    pub(crate) fn store(&self, tx: &mut Writing<'_>, user_id: i64) -> QueryResult<()> {
        check_texts([&self.email, &self.key])?;
        diesel::update(users::table.find(user_id))
            .set((
                users::pending_email.eq(&self.email),
                users::pending_email_key.eq(&self.key),
            ))
            .execute(tx.conn())
            .map(drop)
    }

    /// Removes the address that waits. Returns whether there was one.
    pub(crate) fn clear(tx: &mut Writing<'_>, user_id: i64) -> QueryResult<bool> {
        let pending = users::table
            .find(user_id)
            .filter(users::pending_email.is_not_null());
        diesel::update(pending)
            .set((
                users::pending_email.eq(None::<String>),
                users::pending_email_key.eq(None::<String>),
            ))
            .execute(tx.conn())
            .map(|rows| rows == 1)
    }
}

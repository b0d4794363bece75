//! The users who may administer others: those who are enabled and hold the scope `users:write`.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::schema::{administrators_lock, users};
use super::{StoreConnection, Writing};

/// The condition of the index `users_administrators`, word for word: otherwise neither database
/// uses the index.
const HOLDS_USERS_WRITE: &str =
    "replace(' ' || scopes || ' ', ' users:write ', '') <> ' ' || scopes || ' '";

/// Makes transactions that may remove an administrator wait for each other, until this one ends.
/// Locked before the row of any user.
pub(crate) fn lock(tx: &mut Writing<'_>) -> QueryResult<()> {
    let rows = diesel::update(administrators_lock::table.find(1))
        .set(administrators_lock::id.eq(1))
        .execute(tx.conn())?;
    // Without the row there is no lock, so nothing may be removed.
    match rows {
        1 => Ok(()),
        _ => Err(diesel::result::Error::NotFound),
    }
}

/// Whether there is an administrator other than this user.
pub(crate) fn is_another(conn: &mut StoreConnection, id: i64) -> QueryResult<bool> {
    let other: Option<i64> = users::table
        .filter(users::disabled_at.is_null())
        .filter(sql::<Bool>(HOLDS_USERS_WRITE))
        .filter(users::id.ne(id))
        .select(users::id)
        .limit(1)
        .get_result(conn)
        .optional()?;
    Ok(other.is_some())
}

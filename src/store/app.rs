//! Apps: programs that own keys without being people, in the table of users.
//!
//! An app has the key `app:NAME` instead of an address, and no password hash, so it cannot sign in
//! and no address finds it. Its id is random and negative: an import may need any positive one.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::api_key::{ApiKey, KEY_COLUMNS};
use super::limits::check_texts;
use super::schema::{api_keys, users};
use super::user::{USER_COLUMNS, User};
use super::{Revoking, StoreConnection, Writing};

/// Maximum number of apps to list.
const MAX_LISTED: i64 = 10_000;

/// Stored instead of a password hash: no password matches it.
pub(crate) const NO_HASH: &str = "!";

/// What an operator calls an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppRef {
    /// By its name.
    Name(String),
    /// By its id, which is negative.
    Id(i64),
}

/// Stores an app with this id. A UNIQUE violation means that the name is taken.
pub(crate) fn insert(
    tx: &mut Writing<'_>,
    id: i64,
    name: &str,
    scopes: &str,
    now: NaiveDateTime,
) -> QueryResult<User> {
    check_texts([name, scopes])?;
    diesel::insert_into(users::table)
        .values((
            users::id.eq(id),
            users::name.eq(name),
            users::surname.eq(""),
            users::email.eq(""),
            users::email_key.eq(key_of(name)),
            users::website.eq(""),
            users::hashed_password.eq(NO_HASH),
            users::scopes.eq(scopes),
            users::created_at.eq(now),
            users::is_app.eq(true),
        ))
        .returning(USER_COLUMNS)
        .get_result(tx.conn())
}

/// The id of an app. One that is named by its id may not exist.
pub(crate) fn find_id(conn: &mut StoreConnection, app: &AppRef) -> QueryResult<Option<i64>> {
    match app {
        AppRef::Id(id) => Ok(Some(*id)),
        AppRef::Name(name) => users::table
            .filter(users::email_key.eq(key_of(name)))
            .select(users::id)
            .get_result(conn)
            .optional(),
    }
}

/// Finds an app, and locks its row until the transaction ends.
pub(crate) fn lock(tx: &mut Writing<'_>, id: i64) -> QueryResult<Option<User>> {
    Ok(User::lock_owner(tx, id)?.filter(|user| user.is_app))
}

/// Deletes an app with its keys.
pub(crate) fn delete(tx: &mut Revoking<'_>, id: i64) -> QueryResult<()> {
    tx.require(id)?;
    diesel::delete(users::table.find(id).filter(users::is_app))
        .execute(tx.conn())
        .map(drop)
}

/// The apps with their unrevoked keys, in the order of their names.
pub(crate) fn list(conn: &mut StoreConnection) -> QueryResult<Vec<(User, Vec<ApiKey>)>> {
    let mut apps: Vec<User> = users::table
        .filter(users::is_app)
        .limit(MAX_LISTED)
        .select(USER_COLUMNS)
        .load(conn)?;
    apps.sort_by(|one, other| one.name.cmp(&other.name));
    let mut listed = Vec::with_capacity(apps.len());
    for app in apps {
        let keys = api_keys::table
            .filter(api_keys::user_id.eq(app.id))
            .filter(api_keys::revoked_at.is_null())
            .order(api_keys::id)
            .select(KEY_COLUMNS)
            .load(conn)?;
        listed.push((app, keys));
    }
    Ok(listed)
}

/// Stored in the column that finds a person by address. No address contains a colon before an `@`,
/// and none lacks the `@`.
fn key_of(name: &str) -> String {
    format!("app:{name}")
}

//! Accounts: users with their password hashes. Also finds the classes of the stored hashes through
//! an index on their prefixes, which covers hashes from any source and drops a class together with
//! its last hash.

use diesel::dsl::{Eq, Filter, IsNotNull, exists};
use diesel::prelude::*;
use diesel::sql_types::Text;
use pydantic_email::fold;

use super::schema::{factors, usernames, users};
use super::user::{USER_COLUMNS, User};
use super::{StoreConnection, Writing};
use crate::password::{HashClass, StoredHash};

/// The maximum length of a user name, in characters: Django's.
const MAX_USERNAME: usize = 150;

/// The form in which a user name is compared and stored. `None` for a text that is none: one that is too
/// long or has a blank, or an at sign, as an address has.
pub(crate) fn username_key(name: &str) -> Option<String> {
    let key = fold(name.trim());
    let is_username = !key.is_empty()
        && key.chars().count() <= MAX_USERNAME
        && !key.contains(|c: char| c == '@' || c.is_control() || c.is_whitespace());
    is_username.then_some(key)
}

/// A user and their password hash, for a sign-in.
#[derive(Clone, Debug, Queryable)]
pub struct Account {
    /// The user.
    pub user: User,
    /// In one of passlib's formats.
    #[diesel(deserialize_as = String)]
    pub hashed_password: StoredHash,
    /// Whether the user has confirmed a second factor.
    pub has_factor: bool,
}

type HasFactor = exists<
    Filter<
        Filter<factors::table, Eq<factors::user_id, users::id>>,
        IsNotNull<factors::confirmed_at>,
    >,
>;

/// Whether the user of a query has confirmed a second factor.
fn has_factor() -> HasFactor {
    let confirmed = factors::table
        .filter(factors::user_id.eq(users::id))
        .filter(factors::confirmed_at.is_not_null());
    exists(confirmed)
}

impl Account {
    /// The account of an address, by `NewUser::email_key`.
    pub(crate) fn find_by_email_key(
        conn: &mut StoreConnection,
        key: &str,
    ) -> QueryResult<Option<Self>> {
        users::table
            .filter(users::email_key.eq(key))
            .filter(users::is_app.eq(false))
            .select((USER_COLUMNS, users::hashed_password, has_factor()))
            .get_result(conn)
            .optional()
    }

    /// The accounts with one of these addresses, in the form of `NewUser::email_key`.
    pub(crate) fn find_all(
        conn: &mut StoreConnection,
        email_keys: &[String],
    ) -> QueryResult<Vec<(String, Self)>> {
        users::table
            .filter(users::email_key.eq_any(email_keys))
            .filter(users::is_app.eq(false))
            .select((
                users::email_key,
                (USER_COLUMNS, users::hashed_password, has_factor()),
            ))
            .load(conn)
    }

    /// The address of the user who has this user name, by [`username_key`], in the form of
    /// `NewUser::email_key`.
    pub(crate) fn find_email_key(
        conn: &mut StoreConnection,
        username_key: &str,
    ) -> QueryResult<Option<String>> {
        usernames::table
            .inner_join(users::table)
            .filter(usernames::username_key.eq(username_key))
            .select(users::email_key)
            .get_result(conn)
            .optional()
    }

    /// The account with this id.
    pub(crate) fn find(conn: &mut StoreConnection, id: i64) -> QueryResult<Option<Self>> {
        users::table
            .find(id)
            .filter(users::is_app.eq(false))
            .select((USER_COLUMNS, users::hashed_password, has_factor()))
            .get_result(conn)
            .optional()
    }

    /// Returns whether the user may still sign in with this password, and locks the row until the
    /// transaction ends: an UPDATE takes the row lock on both databases.
    pub(crate) fn lock_if_unchanged(&self, tx: &mut Writing<'_>) -> QueryResult<bool> {
        self.replace_hash(tx, self.hashed_password.as_str())
    }

    /// Stores a hash unconditionally.
    pub(crate) fn set_hash(tx: &mut Writing<'_>, id: i64, new: &str) -> QueryResult<()> {
        diesel::update(users::table.find(id))
            .set(users::hashed_password.eq(new))
            .execute(tx.conn())
            .map(drop)
    }

    /// Replaces the hash with `new`, unless the password was changed or the user disabled in the
    /// meantime. Returns whether it did.
    pub(crate) fn replace_hash(&self, tx: &mut Writing<'_>, new: &str) -> QueryResult<bool> {
        let unchanged = users::table
            .filter(users::id.eq(self.user.id))
            .filter(users::hashed_password.eq(self.hashed_password.as_str()))
            .filter(users::disabled_at.is_null());
        diesel::update(unchanged)
            .set(users::hashed_password.eq(new))
            .execute(tx.conn())
            .map(|rows| rows == 1)
    }
}

/// The maximum number of look-ups for one prefix. No realistic table has more distinct parameters.
const MAX_LOOKUPS: usize = 1_000;

/// The expression that the migration `hash_classes` indexes, for SQLite and for Postgres.
macro_rules! first_class_between {
    ($collation:literal) => {
        concat!(
            "SELECT class FROM (SELECT (CASE substr(hashed_password, 1, 2) ",
            "WHEN '$2' THEN substr(hashed_password, 1, 7) ",
            "ELSE substr(hashed_password, 1, 44) END)",
            $collation,
            " AS class FROM users) AS classes ",
            "WHERE class >= $1 AND class < $2 ORDER BY class LIMIT 1"
        )
    };
}

const SQLITE: &str = first_class_between!("");
const POSTGRES: &str = first_class_between!(" COLLATE \"C\"");

#[derive(QueryableByName)]
struct Prefix {
    #[diesel(sql_type = Text)]
    class: String,
}

/// Every stored class; a class may occur more than once.
pub(crate) fn stored_hash_classes(conn: &mut StoreConnection) -> QueryResult<Vec<HashClass>> {
    let mut classes = Vec::new();
    for prefix in HashClass::PREFIXES {
        let end = after_all(prefix);
        let mut next = prefix.to_owned();
        for _ in 0..MAX_LOOKUPS {
            let Some(found) = first_between(conn, &next, &end)? else {
                break;
            };
            next = match HashClass::parse_prefix(&found) {
                Some((class, length)) => {
                    classes.push(class);
                    after_all(&found[..length])
                }
                // Skips an unknown hash, but not others with the same prefix.
                None => format!("{found}\u{1}"),
            };
        }
    }
    Ok(classes)
}

/// The first prefix of a stored hash in the range `from..end`.
fn first_between(conn: &mut StoreConnection, from: &str, end: &str) -> QueryResult<Option<String>> {
    let found: QueryResult<Prefix> = match conn {
        StoreConnection::Postgres(conn) => diesel::sql_query(POSTGRES)
            .bind::<Text, _>(from)
            .bind::<Text, _>(end)
            .get_result(conn),
        StoreConnection::Sqlite(conn) => diesel::sql_query(SQLITE)
            .bind::<Text, _>(from)
            .bind::<Text, _>(end)
            .get_result(conn),
    };
    Ok(found.optional()?.map(|prefix| prefix.class))
}

/// The first text in sort order after all texts that begin with `prefix`.
fn after_all(prefix: &str) -> String {
    let mut after = prefix.to_owned();
    // The last character is a dollar sign or a digit; the next character is ASCII too.
    if let Some(last) = after.pop() {
        after.push(char::from_u32(u32::from(last) + 1).unwrap_or(char::MAX));
    }
    after
}

//! Bulk inserts for an import, and tombstones of what it must not restore: deleted users, and login
//! tokens that have ended.
//!
//! diesel's `MultiConnection` has no batch inserts, so the rows are sent as one JSON text, which both
//! databases can expand.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDateTime;
use diesel::dsl::max;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde::Serialize;

use super::connection::is_lost;
use super::folded_names::folded_names;
use super::limits::{check_external_id, check_texts};
use super::schema::{access_tokens, deleted_users, retired_ids, spent_tokens, usernames, users};
use super::timestamp::{serialize_optional_time, serialize_time};
use super::{NewSession, StoreConnection, Writing};

/// A new user of a bulk insert.
#[derive(Clone, Serialize)]
pub struct BulkUser {
    /// See [`super::User::id`]; a new one if `None`.
    pub id: Option<i64>,
    /// See [`super::User::external_id`].
    pub external_id: Option<String>,
    /// See [`super::User::name`].
    pub name: String,
    /// See [`super::User::surname`].
    pub surname: String,
    /// See [`super::User::email`].
    pub email: String,
    /// See [`super::NewUser::email_key`].
    pub email_key: String,
    /// See [`super::User::website`].
    pub website: String,
    /// See [`super::Account::hashed_password`].
    pub hashed_password: String,
    /// UTC.
    #[serde(serialize_with = "serialize_time")]
    pub created_at: NaiveDateTime,
    /// UTC; set if the user is disabled.
    #[serde(serialize_with = "serialize_optional_time")]
    pub disabled_at: Option<NaiveDateTime>,
}

const SQLITE_USERS: &str = "INSERT INTO users (id, external_id, name, surname, email, email_key, \
     website, hashed_password, created_at, disabled_at, folded_names) \
     SELECT value->>'id', value->>'external_id', value->>'name', value->>'surname', value->>'email', value->>'email_key', \
     value->>'website', value->>'hashed_password', value->>'created_at', value->>'disabled_at', \
     value->>'folded_names' \
     FROM json_each(?) WHERE true ON CONFLICT DO NOTHING RETURNING id, email_key";

const POSTGRES_USERS: &str = "INSERT INTO users (id, external_id, name, surname, email, email_key, \
     website, hashed_password, created_at, disabled_at, folded_names) \
     SELECT COALESCE(id, nextval(pg_get_serial_sequence('users', 'id'))), external_id, name, surname, \
     email, email_key, website, hashed_password, created_at, disabled_at, folded_names \
     FROM json_to_recordset($1::json) AS r(id bigint, external_id text, name text, surname text, email text, \
     email_key text, website text, hashed_password text, created_at timestamp, \
     disabled_at timestamp, folded_names text) ON CONFLICT DO NOTHING RETURNING id, email_key";

const SQLITE_SPENT: &str = "INSERT INTO spent_tokens (access_token) \
     SELECT value->>'access_token' FROM json_each(?) WHERE true ON CONFLICT DO NOTHING";

const POSTGRES_SPENT: &str = "INSERT INTO spent_tokens (access_token) \
     SELECT access_token FROM json_to_recordset($1::json) AS r(access_token text) \
     ON CONFLICT DO NOTHING";

const SQLITE_USERNAMES: &str = "INSERT INTO usernames (username_key, user_id) \
     SELECT value->>'username_key', value->>'user_id' FROM json_each(?) WHERE true \
     ON CONFLICT DO NOTHING";

const POSTGRES_USERNAMES: &str = "INSERT INTO usernames (username_key, user_id) \
     SELECT * FROM json_to_recordset($1::json) AS r(username_key text, user_id bigint) \
     ON CONFLICT DO NOTHING";

/// A user as the statements expand it.
#[derive(Serialize)]
struct BulkRow<'a> {
    #[serde(flatten)]
    user: &'a BulkUser,
    folded_names: Option<String>,
}

impl<'a> BulkRow<'a> {
    fn of(user: &'a BulkUser) -> Self {
        Self {
            user,
            folded_names: folded_names(&user.name, &user.surname),
        }
    }
}

#[derive(QueryableByName)]
struct Inserted {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    email_key: String,
}

/// The outcome of a bulk insert.
#[derive(Default)]
pub(crate) struct NewUsers {
    /// The ids of the stored users, by address in the form for comparison.
    pub(crate) stored: HashMap<String, i64>,
    /// The addresses of the users whose values the database does not accept.
    pub(crate) refused: HashSet<String>,
}

/// Stores the users whose addresses and ids are free. A user whose values the database does not accept
/// does not prevent the others.
pub(crate) fn insert_users(tx: &mut Writing<'_>, users: &[BulkUser]) -> QueryResult<NewUsers> {
    let mut new = NewUsers::default();
    if users.is_empty() {
        return Ok(new);
    }
    match tx.conn().transaction(|conn| insert_part(conn, users)) {
        Ok(stored) => new.stored.extend(stored),
        Err(error) if is_lost(&error) => return Err(error),
        Err(error) => {
            // A database that accepts nothing is out of order, and no user is to blame.
            if !accepts_rows(tx)? {
                return Err(error);
            }
            insert_halves(tx.conn(), users, &mut new)?;
        }
    }
    Ok(new)
}

/// Stores the users one half at a time, down to the ones that are refused.
fn insert_halves(
    conn: &mut StoreConnection,
    users: &[BulkUser],
    new: &mut NewUsers,
) -> QueryResult<()> {
    if let [user] = users {
        match conn.transaction(|conn| insert_part(conn, users)) {
            Ok(stored) => new.stored.extend(stored),
            Err(error) if is_lost(&error) => return Err(error),
            Err(_refused) => drop(new.refused.insert(user.email_key.clone())),
        }
        return Ok(());
    }
    let (first, second) = users.split_at(users.len() / 2);
    for half in [first, second] {
        match conn.transaction(|conn| insert_part(conn, half)) {
            Ok(stored) => new.stored.extend(stored),
            Err(error) if is_lost(&error) => return Err(error),
            Err(_one_is_refused) => insert_halves(conn, half, new)?,
        }
    }
    Ok(())
}

/// Whether a harmless row can be stored. Leaves none behind.
fn accepts_rows(tx: &mut Writing<'_>) -> QueryResult<bool> {
    let outcome: QueryResult<()> = tx.conn().transaction(|conn| {
        diesel::sql_query(
            "INSERT INTO spent_tokens (access_token) VALUES ('probe') ON CONFLICT DO NOTHING",
        )
        .execute(conn)?;
        Err(diesel::result::Error::RollbackTransaction)
    });
    match outcome {
        Err(diesel::result::Error::RollbackTransaction) => Ok(true),
        Err(error) if is_lost(&error) => Err(error),
        _ => Ok(false),
    }
}

fn insert_part(conn: &mut StoreConnection, users: &[BulkUser]) -> QueryResult<Vec<(String, i64)>> {
    for user in users {
        check_texts([
            &user.name,
            &user.surname,
            &user.email,
            &user.email_key,
            &user.website,
            &user.hashed_password,
        ])?;
        check_external_id(user.external_id.as_deref())?;
    }
    let rows: Vec<BulkRow<'_>> = users.iter().map(BulkRow::of).collect();
    let rows = to_json(&rows)?;
    let inserted: Vec<Inserted> = match conn {
        StoreConnection::Postgres(conn) => diesel::sql_query(POSTGRES_USERS)
            .bind::<Text, _>(rows)
            .load(conn)?,
        StoreConnection::Sqlite(conn) => diesel::sql_query(SQLITE_USERS)
            .bind::<Text, _>(rows)
            .load(conn)?,
    };
    let inserted = inserted.into_iter();
    Ok(inserted.map(|row| (row.email_key, row.id)).collect())
}

/// Stores the sessions of users who have none, and marks all of their tokens as spent so that none is
/// imported again. A token that another user holds is not transferred.
pub(crate) fn insert_sessions(tx: &mut Writing<'_>, sessions: &[NewSession]) -> QueryResult<()> {
    let digests: Vec<Digest<'_>> = sessions.iter().map(Digest::of).collect();
    let rows = to_json(&digests)?;
    match tx.conn() {
        StoreConnection::Postgres(conn) => diesel::sql_query(POSTGRES_SPENT)
            .bind::<Text, _>(&rows)
            .execute(conn)?,
        StoreConnection::Sqlite(conn) => diesel::sql_query(SQLITE_SPENT)
            .bind::<Text, _>(&rows)
            .execute(conn)?,
    };
    NewSession::insert_all(tx, sessions)
}

/// The login token of a session.
#[derive(Serialize)]
struct Digest<'a> {
    access_token: &'a str,
}

impl<'a> Digest<'a> {
    fn of(session: &'a NewSession) -> Self {
        Self {
            access_token: &session.access_token,
        }
    }
}

/// A user name of an imported user.
#[derive(Serialize)]
pub struct NewUsername {
    /// Folded as addresses are.
    pub username_key: String,
    /// The user.
    pub user_id: i64,
}

/// Stores the user names that are free.
pub(crate) fn insert_usernames(
    tx: &mut Writing<'_>,
    usernames: &[NewUsername],
) -> QueryResult<usize> {
    for username in usernames {
        check_texts([&username.username_key])?;
    }
    let rows = to_json(usernames)?;
    match tx.conn() {
        StoreConnection::Postgres(conn) => diesel::sql_query(POSTGRES_USERNAMES)
            .bind::<Text, _>(rows)
            .execute(conn),
        StoreConnection::Sqlite(conn) => diesel::sql_query(SQLITE_USERNAMES)
            .bind::<Text, _>(rows)
            .execute(conn),
    }
}

/// Those of the user names that are stored.
pub(crate) fn find_usernames(
    conn: &mut StoreConnection,
    keys: &[String],
) -> QueryResult<Vec<String>> {
    usernames::table
        .filter(usernames::username_key.eq_any(keys))
        .select(usernames::username_key)
        .load(conn)
}

/// The addresses of the users with these ids.
pub(crate) fn find_by_ids(
    conn: &mut StoreConnection,
    ids: &[i64],
) -> QueryResult<HashMap<i64, String>> {
    let found: Vec<(i64, String)> = users::table
        .filter(users::id.eq_any(ids))
        .select((users::id, users::email))
        .load(conn)?;
    Ok(found.into_iter().collect())
}

/// The addresses of the users with these external ids.
pub(crate) fn find_by_external_ids(
    conn: &mut StoreConnection,
    ids: &[String],
) -> QueryResult<HashMap<String, String>> {
    let found: Vec<(Option<String>, String)> = users::table
        .filter(users::external_id.eq_any(ids))
        .select((users::external_id, users::email))
        .load(conn)?;
    let found = found.into_iter();
    Ok(found.filter_map(|(id, email)| Some((id?, email))).collect())
}

/// The ids in the list that belonged to users who no longer exist.
pub(crate) fn find_retired_ids(
    conn: &mut StoreConnection,
    ids: &[i64],
) -> QueryResult<HashSet<i64>> {
    let found: Vec<i64> = retired_ids::table
        .filter(retired_ids::id.eq_any(ids))
        .select(retired_ids::id)
        .load(conn)?;
    Ok(found.into_iter().collect())
}

/// The id up to which every id without a user counts as retired; `0` if there is none.
pub(crate) fn retired_up_to(conn: &mut StoreConnection) -> QueryResult<i64> {
    let id: Option<i64> = retired_ids::table
        .filter(retired_ids::and_below)
        .select(max(retired_ids::id))
        .get_result(conn)?;
    Ok(id.unwrap_or(0))
}

fn to_json<T: Serialize>(rows: &[T]) -> QueryResult<String> {
    serde_json::to_string(rows)
        .map_err(|error| diesel::result::Error::SerializationError(error.into()))
}

/// The addresses in the list that belong to deleted users, as keyed digests.
pub(crate) fn find_deleted_users(
    conn: &mut StoreConnection,
    address_digests: &[String],
) -> QueryResult<HashSet<String>> {
    let found: Vec<String> = deleted_users::table
        .filter(deleted_users::address_digest.eq_any(address_digests))
        .select(deleted_users::address_digest)
        .load(conn)?;
    Ok(found.into_iter().collect())
}

/// The tokens in the list that are stored now, and those that were imported before or have ended. A
/// token may be in both sets.
pub(crate) fn find_tokens(
    conn: &mut StoreConnection,
    digests: &[String],
) -> QueryResult<(HashSet<String>, HashSet<String>)> {
    let stored: Vec<String> = access_tokens::table
        .filter(access_tokens::access_token.eq_any(digests))
        .select(access_tokens::access_token)
        .load(conn)?;
    // The order matters: a token that ends between the two queries is in both sets.
    let spent: Vec<String> = spent_tokens::table
        .filter(spent_tokens::access_token.eq_any(digests))
        .select(spent_tokens::access_token)
        .load(conn)?;
    Ok((stored.into_iter().collect(), spent.into_iter().collect()))
}

//! Many rows at once: what an import writes. diesel's `MultiConnection` has no batch inserts, so
//! the rows go to the database as one JSON text, which both take apart by themselves.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde::{Serialize, Serializer};

use super::schema::users;
use super::user::USER_COLUMNS;
use super::{Account, NewAccessToken, StoreConnection, Writing, text};

/// A user to be stored together with others.
#[derive(Clone, Serialize)]
pub struct BulkUser {
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
    #[serde(serialize_with = "as_column")]
    pub created_at: NaiveDateTime,
    /// UTC; set for a user who may not come in.
    #[serde(serialize_with = "as_column_or_null")]
    pub disabled_at: Option<NaiveDateTime>,
}

const SQLITE_USERS: &str = "INSERT INTO users (name, surname, email, email_key, website, \
     hashed_password, created_at, disabled_at) \
     SELECT value->>'name', value->>'surname', value->>'email', value->>'email_key', \
     value->>'website', value->>'hashed_password', value->>'created_at', value->>'disabled_at' \
     FROM json_each(?) WHERE true ON CONFLICT (email_key) DO NOTHING RETURNING id, email_key";

const POSTGRES_USERS: &str = "INSERT INTO users (name, surname, email, email_key, website, \
     hashed_password, created_at, disabled_at) \
     SELECT * FROM json_to_recordset($1::json) AS r(name text, surname text, email text, \
     email_key text, website text, hashed_password text, created_at timestamp, \
     disabled_at timestamp) ON CONFLICT (email_key) DO NOTHING RETURNING id, email_key";

const SQLITE_TOKENS: &str = "INSERT INTO access_tokens (user_id, access_token, expiration_date, \
     scopes, created_at, authenticated_at) \
     SELECT value->>'user_id', value->>'access_token', value->>'expiration_date', \
     value->>'scopes', value->>'created_at', value->>'authenticated_at' FROM json_each(?) WHERE true ON CONFLICT DO NOTHING";

const POSTGRES_TOKENS: &str = "INSERT INTO access_tokens (user_id, access_token, \
     expiration_date, scopes, created_at, authenticated_at) \
     SELECT * FROM json_to_recordset($1::json) AS r(user_id bigint, access_token text, \
     expiration_date timestamp, scopes text, created_at timestamp, \
     authenticated_at timestamp) ON CONFLICT DO NOTHING";

const SQLITE_SPENT: &str = "INSERT INTO spent_tokens (access_token) \
     SELECT value->>'access_token' FROM json_each(?) WHERE true ON CONFLICT DO NOTHING";

const POSTGRES_SPENT: &str = "INSERT INTO spent_tokens (access_token) \
     SELECT access_token FROM json_to_recordset($1::json) AS r(access_token text) \
     ON CONFLICT DO NOTHING";

#[derive(QueryableByName)]
struct Inserted {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    email_key: String,
}

/// Stores the users whose addresses are free, and returns their ids and addresses.
pub(crate) fn insert_users(
    tx: &mut Writing<'_>,
    users: &[BulkUser],
) -> QueryResult<Vec<(i64, String)>> {
    for user in users {
        text::check([
            &user.name,
            &user.surname,
            &user.email,
            &user.email_key,
            &user.website,
            &user.hashed_password,
        ])?;
    }
    let rows = to_json(users)?;
    let inserted: Vec<Inserted> = match tx.conn() {
        StoreConnection::Postgres(conn) => diesel::sql_query(POSTGRES_USERS)
            .bind::<Text, _>(rows)
            .load(conn)?,
        StoreConnection::Sqlite(conn) => diesel::sql_query(SQLITE_USERS)
            .bind::<Text, _>(rows)
            .load(conn)?,
    };
    Ok(inserted
        .into_iter()
        .map(|row| (row.id, row.email_key))
        .collect())
}

/// Stores tokens of users who have none, and marks them as spent: none of them is imported again.
/// Returns how many were stored; a token of another user stays theirs.
pub(crate) fn insert_tokens(tx: &mut Writing<'_>, tokens: &[NewAccessToken]) -> QueryResult<usize> {
    for token in tokens {
        text::check([&token.access_token, &token.scopes])?;
    }
    let rows = to_json(tokens)?;
    let mut stored = 0;
    for (postgres, sqlite) in [
        (POSTGRES_SPENT, SQLITE_SPENT),
        (POSTGRES_TOKENS, SQLITE_TOKENS),
    ] {
        stored = match tx.conn() {
            StoreConnection::Postgres(conn) => diesel::sql_query(postgres)
                .bind::<Text, _>(&rows)
                .execute(conn)?,
            StoreConnection::Sqlite(conn) => diesel::sql_query(sqlite)
                .bind::<Text, _>(&rows)
                .execute(conn)?,
        };
    }
    Ok(stored)
}

/// The accounts that have one of these addresses, in the form of [`BulkUser::email_key`].
pub(crate) fn find_by_email_keys(
    conn: &mut StoreConnection,
    keys: &[String],
) -> QueryResult<Vec<(String, Account)>> {
    users::table
        .filter(users::email_key.eq_any(keys))
        .select((users::email_key, (USER_COLUMNS, users::hashed_password)))
        .load(conn)
}

fn to_json<T: Serialize>(rows: &[T]) -> QueryResult<String> {
    serde_json::to_string(rows)
        .map_err(|error| diesel::result::Error::SerializationError(error.into()))
}

/// As diesel writes a time into SQLite; Postgres reads it too.
pub(super) fn as_column<S: Serializer>(
    time: &NaiveDateTime,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.format("%F %T%.f"))
}

pub(super) fn as_column_or_null<S: Serializer>(
    time: &Option<NaiveDateTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => as_column(time, serializer),
        None => serializer.serialize_none(),
    }
}

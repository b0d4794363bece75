//! Users and their queries. Administrators are the enabled users with the scope `users:write`. Apps
//! share the table (see `app.rs`); the queries of this module find people only, unless they
//! say otherwise.

use chrono::NaiveDateTime;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool};

use super::folded_names;
use super::limits::{Row, Slice, check_texts};
use super::prepared::{Columns, ListedRow, RowList, prepared};
use super::schema::{administrators_lock, deleted_users, users};
use super::{Revoking, StoreConnection, Writing};
use crate::credential::keyed_digest::DigestKey;

/// A registered user, without the password hash: see [`Account`](super::Account).
#[derive(Clone, Debug, Queryable)]
#[non_exhaustive]
pub struct User {
    /// Never assigned to another user, even after a deletion or a restore.
    pub id: i64,
    /// At least five characters.
    pub name: String,
    /// Any text.
    pub surname: String,
    /// The address as displayed: the domain normalised, the local part as entered.
    pub email: String,
    /// Any text.
    pub website: String,
    /// The user's scopes, separated by spaces.
    pub scopes: String,
    /// UTC.
    pub created_at: NaiveDateTime,
    /// UTC; set if the user is disabled.
    pub disabled_at: Option<NaiveDateTime>,
    /// The user's id in the system that the user was imported from, if it was not an integer: any
    /// text of at most [`MAX_EXTERNAL_ID`](super::MAX_EXTERNAL_ID) bytes, unique.
    pub external_id: Option<String>,
    /// Whether this is an app, which owns keys without being a person: its name is that of the app,
    /// it has no address, and its id is negative.
    pub is_app: bool,
    /// UTC; when the user last proved to read the mail of the address. `None` if never.
    pub email_verified_at: Option<NaiveDateTime>,
}

/// The columns of a [`User`], in the order of its fields.
pub(super) type UserColumns = (
    users::id,
    users::name,
    users::surname,
    users::email,
    users::website,
    users::scopes,
    users::created_at,
    users::disabled_at,
    users::external_id,
    users::is_app,
    users::email_verified_at,
);

/// See [`UserColumns`].
pub(super) const USER_COLUMNS: UserColumns = (
    users::id,
    users::name,
    users::surname,
    users::email,
    users::website,
    users::scopes,
    users::created_at,
    users::disabled_at,
    users::external_id,
    users::is_app,
    users::email_verified_at,
);

/// A new user.
#[derive(Insertable)]
#[diesel(table_name = users)]
pub struct NewUser {
    /// See [`User::name`].
    pub name: String,
    /// See [`User::surname`].
    pub surname: String,
    /// See [`User::email`].
    pub email: String,
    /// The address in the form used for comparison: all spellings of an address share one account.
    pub email_key: String,
    /// See [`User::website`].
    pub website: String,
    /// See [`Account::hashed_password`](super::Account::hashed_password).
    pub hashed_password: String,
    /// See [`User::scopes`].
    pub scopes: String,
    /// UTC.
    pub created_at: NaiveDateTime,
    /// The language for mails, as a BCP 47 tag; empty if it is unknown.
    pub locale: String,
    /// See [`User::email_verified_at`].
    pub email_verified_at: Option<NaiveDateTime>,
}

impl NewUser {
    /// Stores the user. A UNIQUE violation means that the address is taken.
    pub(crate) fn insert(&self, tx: &mut Writing<'_>) -> QueryResult<User> {
        check_texts([
            &self.name,
            &self.surname,
            &self.email,
            &self.email_key,
            &self.website,
            &self.hashed_password,
            &self.scopes,
            &self.locale,
        ])?;
        let user: User = diesel::insert_into(users::table)
            .values(self)
            .returning(USER_COLUMNS)
            .get_result(tx.conn())?;
        folded_names::store(tx, user.id, &user.name, &user.surname)?;
        Ok(user)
    }
}

/// The condition of the index `users_administrators`, word for word: otherwise neither database
/// uses the index.
const HOLDS_USERS_WRITE: &str =
    "replace(' ' || scopes || ' ', ' users:write ', '') <> ' ' || scopes || ' '";

/// With the lock that an update takes.
const LOCK_POSTGRES: &str = "SELECT id, hashed_password, disabled_at FROM users \
     WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE";

/// The transaction is the only one that writes.
const LOCK_SQLITE: &str = "SELECT id, hashed_password, disabled_at FROM users WHERE id IN (";

/// Rows fetched at a time for a page: each may be as large as several request bodies.
const BATCH_SIZE: i64 = 64;

impl Row for User {
    fn text_bytes(&self) -> usize {
        let external_id = self.external_id.as_deref().unwrap_or_default();
        let texts = [
            &self.name,
            &self.surname,
            &self.email,
            &self.website,
            &self.scopes,
        ];
        texts.map(String::len).iter().sum::<usize>() + external_id.len()
    }
}

impl User {
    /// The users after this id, in the order of their ids: at most `limit`, and fewer if they are
    /// large.
    pub(crate) fn page_after(
        conn: &mut StoreConnection,
        id: i64,
        limit: i64,
    ) -> QueryResult<Slice<Self>> {
        Slice::collect(limit, BATCH_SIZE, |last: Option<&Self>, count| {
            users::table
                .filter(users::id.gt(last.map_or(id, |last| last.id)))
                .filter(users::is_app.eq(false))
                .order(users::id)
                .limit(count)
                .select(USER_COLUMNS)
                .load(conn)
        })
    }

    /// Whether there is no user and no app.
    pub(crate) fn is_none_stored(conn: &mut StoreConnection) -> QueryResult<bool> {
        let any: Option<i64> = users::table
            // The bound is always true; with it, the index is searched.
            .filter(users::id.gt(i64::MIN))
            .order(users::id)
            .select(users::id)
            .limit(1)
            .get_result(conn)
            .optional()?;
        Ok(any.is_none())
    }

    /// The ids and addresses of the users with these ids.
    pub(crate) fn list_addresses(
        conn: &mut StoreConnection,
        ids: &[i64],
    ) -> QueryResult<Vec<(i64, String)>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        users::table
            .filter(users::id.eq_any(ids))
            .select((users::id, users::email))
            .load(conn)
    }

    /// The number of users.
    pub(crate) fn count(conn: &mut StoreConnection) -> QueryResult<i64> {
        // The bound is always true; with it, the index is searched.
        users::table
            .filter(users::id.gt(0))
            .count()
            .get_result(conn)
    }

    /// The user with this id.
    pub(crate) fn find(conn: &mut StoreConnection, id: i64) -> QueryResult<Option<Self>> {
        users::table
            .find(id)
            .filter(users::is_app.eq(false))
            .select(USER_COLUMNS)
            .get_result(conn)
            .optional()
    }

    /// The language that a user prefers, as a BCP 47 tag; empty if it is unknown.
    #[cfg(feature = "mail")]
    pub(crate) fn locale(conn: &mut StoreConnection, id: i64) -> QueryResult<String> {
        users::table.find(id).select(users::locale).get_result(conn)
    }

    /// Locks the row of a user until the transaction ends, and returns its current state.
    pub(crate) fn lock(tx: &mut Writing<'_>, id: i64) -> QueryResult<Option<Self>> {
        Ok(Self::lock_owner(tx, id)?.filter(|user| !user.is_app))
    }

    /// Like [`Self::lock`], for a user or an app: an UPDATE takes the row lock on both databases. It
    /// changes no principal.
    pub(crate) fn lock_owner(tx: &mut Writing<'_>, id: i64) -> QueryResult<Option<Self>> {
        diesel::update(users::table.find(id))
            .set(users::hashed_password.eq(users::hashed_password))
            .returning(USER_COLUMNS)
            .get_result(tx.conn())
            .optional()
    }

    /// Applies the changes. Returns the user, if it exists. A UNIQUE violation means that the address
    /// is taken.
    pub(crate) fn update(
        tx: &mut Revoking<'_>,
        id: i64,
        changes: &UserChanges,
    ) -> QueryResult<Option<Self>> {
        tx.require(id)?;
        if changes.is_empty() {
            return Self::find(tx, id);
        }
        let texts = [
            &changes.name,
            &changes.surname,
            &changes.email,
            &changes.email_key,
            &changes.website,
            &changes.scopes,
        ];
        check_texts(texts.map(|text| text.as_deref().unwrap_or_default()))?;
        let updated: Option<Self> = diesel::update(users::table.find(id))
            .set(changes)
            .returning(USER_COLUMNS)
            .get_result(tx.conn())
            .optional()?;
        if let Some(user) = &updated
            && (changes.name.is_some() || changes.surname.is_some())
        {
            folded_names::store(tx, id, &user.name, &user.surname)?;
        }
        Ok(updated)
    }

    /// Deletes a user with all tokens and keys, and stores the keyed digest of the address under
    /// `key`, so that an import does not restore the user. Returns whether the user existed.
    pub(crate) fn delete(
        tx: &mut Revoking<'_>,
        id: i64,
        key: &DigestKey,
        now: NaiveDateTime,
    ) -> QueryResult<bool> {
        tx.require(id)?;
        let email_key: Option<String> = diesel::delete(users::table.find(id))
            .returning(users::email_key)
            .get_result(tx.conn())
            .optional()?;
        if let Some(email_key) = &email_key {
            record_deleted_user(tx, &address_digest(key, email_key), now)?;
        }
        Ok(email_key.is_some())
    }

    /// Serializes transactions that may remove an administrator, until this one ends. Must be
    /// locked before the row of any user.
    pub(crate) fn lock_administrators(tx: &mut Writing<'_>) -> QueryResult<()> {
        let rows = diesel::update(administrators_lock::table.find(1))
            .set(administrators_lock::id.eq(1))
            .execute(tx.conn())?;
        // Without the row there is no lock, so nothing may be removed.
        match rows {
            1 => Ok(()),
            _ => Err(diesel::result::Error::NotFound),
        }
    }

    /// Whether there is an administrator other than this user. An app is none: it cannot sign in.
    pub(crate) fn has_other_administrator(
        conn: &mut StoreConnection,
        id: i64,
    ) -> QueryResult<bool> {
        let other: Option<i64> = users::table
            .filter(users::disabled_at.is_null())
            .filter(sql::<Bool>(HOLDS_USERS_WRITE))
            .filter(users::is_app.eq(false))
            .filter(users::id.ne(id))
            .select(users::id)
            .limit(1)
            .get_result(conn)
            .optional()?;
        Ok(other.is_some())
    }
}

/// A user whose row is locked.
#[derive(QueryableByName)]
#[diesel(table_name = users)]
pub(super) struct LockedUser {
    pub(super) id: i64,
    hashed_password: String,
    disabled_at: Option<NaiveDateTime>,
}

impl LockedUser {
    /// Locks the rows of these users, whose ids are in ascending order, until the transaction ends.
    pub(super) fn lock_all(tx: &mut Writing<'_>, ids: &[i64]) -> QueryResult<Vec<Self>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        if let StoreConnection::Postgres(conn) = tx.conn() {
            return prepared(LOCK_POSTGRES)
                .bind::<Array<BigInt>, _>(ids)
                .load(conn);
        }
        let lock = RowList {
            before: LOCK_SQLITE,
            rows: ids,
            after: ")",
        };
        lock.load(tx.conn())
    }

    /// Whether the user may sign in, and has this hash.
    pub(super) fn can_sign_in_with(&self, hashed_password: &str) -> bool {
        self.disabled_at.is_none() && self.hashed_password == hashed_password
    }
}

impl ListedRow for i64 {
    fn walk<'b>(&'b self, columns: &mut Columns<'_, '_, 'b>) -> QueryResult<()> {
        columns.add::<BigInt, _>(self).map(drop)
    }
}

/// Records that the user of an address was deleted, or has another address now, so that an import
/// does not bring the user again. `address_digest` is a keyed digest.
pub(crate) fn record_deleted_user(
    tx: &mut Writing<'_>,
    address_digest: &str,
    now: NaiveDateTime,
) -> QueryResult<()> {
    let known = diesel::update(deleted_users::table.find(address_digest))
        .set(deleted_users::deleted_at.eq(now))
        .execute(tx.conn())?;
    if known == 0 {
        diesel::insert_into(deleted_users::table)
            .values((
                deleted_users::address_digest.eq(address_digest),
                deleted_users::deleted_at.eq(now),
            ))
            .execute(tx.conn())?;
    }
    Ok(())
}

/// The digest of a deleted user's address, from [`NewUser::email_key`].
pub(crate) fn address_digest(key: &DigestKey, email_key: &str) -> String {
    key.digest(&["address", email_key])
}

/// Changes to a user; `None` leaves a field unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq, AsChangeset)]
#[diesel(table_name = users)]
pub struct UserChanges {
    /// See [`User::name`].
    pub name: Option<String>,
    /// See [`User::surname`].
    pub surname: Option<String>,
    /// See [`User::email`].
    pub email: Option<String>,
    /// See [`NewUser::email_key`]; changes together with the address.
    pub email_key: Option<String>,
    /// See [`User::website`].
    pub website: Option<String>,
    /// See [`User::scopes`].
    pub scopes: Option<String>,
    /// See [`User::disabled_at`]; `Some(None)` enables the user.
    pub disabled_at: Option<Option<NaiveDateTime>>,
    /// See [`User::email_verified_at`].
    pub email_verified_at: Option<Option<NaiveDateTime>>,
}

impl UserChanges {
    /// Whether no field changes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

//! Users, and the queries on them.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::schema::users;
use super::slice::{Row, Slice};
use super::{Revoking, StoreConnection, Writing, text, tombstone};
use crate::credential::keyed_digest::DigestKey;
use crate::password::StoredHash;

/// A registered user, without what proves it: that is an [`Account`].
#[derive(Clone, Debug, Queryable)]
#[non_exhaustive]
pub struct User {
    /// Never given to another user, not even after a deletion or a restore.
    pub id: i64,
    /// At least five characters.
    pub name: String,
    /// Any text.
    pub surname: String,
    /// The address as it is shown: the domain normalised, the local part as entered.
    pub email: String,
    /// Any text.
    pub website: String,
    /// What the user may do, separated by spaces.
    pub scopes: String,
    /// UTC.
    pub created_at: NaiveDateTime,
    /// UTC; set for a user who may not come in.
    pub disabled_at: Option<NaiveDateTime>,
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
);

/// A user and the password hash: what a sign-in is decided by.
#[derive(Clone, Debug, Queryable)]
pub struct Account {
    /// Who.
    pub user: User,
    /// As passlib makes it.
    #[diesel(deserialize_as = String)]
    pub hashed_password: StoredHash,
}

/// A user to be stored.
#[derive(Insertable)]
#[diesel(table_name = users)]
pub struct NewUser {
    /// See [`User::name`].
    pub name: String,
    /// See [`User::surname`].
    pub surname: String,
    /// See [`User::email`].
    pub email: String,
    /// The address as it is compared: one account for all its spellings.
    pub email_key: String,
    /// See [`User::website`].
    pub website: String,
    /// See [`Account::hashed_password`].
    pub hashed_password: String,
    /// See [`User::scopes`].
    pub scopes: String,
    /// UTC.
    pub created_at: NaiveDateTime,
}

impl NewUser {
    /// Stores the user. A UNIQUE violation means that the address is taken.
    pub(crate) fn insert(&self, tx: &mut Writing<'_>) -> QueryResult<User> {
        text::check([
            &self.name,
            &self.surname,
            &self.email,
            &self.email_key,
            &self.website,
            &self.hashed_password,
            &self.scopes,
        ])?;
        diesel::insert_into(users::table)
            .values(self)
            .returning(USER_COLUMNS)
            .get_result(tx.conn())
    }
}

/// Rows that are fetched at once for a page: each may take up several bodies of requests.
const FETCHED_AT_ONCE: i64 = 64;

impl Row for User {
    fn text_bytes(&self) -> usize {
        let texts = [
            &self.name,
            &self.surname,
            &self.email,
            &self.website,
            &self.scopes,
        ];
        texts.into_iter().map(String::len).sum()
    }
}

impl Row for (String, User) {
    fn text_bytes(&self) -> usize {
        self.0.len() + self.1.text_bytes()
    }
}

impl User {
    /// The users after this id, in the order of their ids: `limit` at most, and fewer when they are
    /// large.
    pub(crate) fn page_after(
        conn: &mut StoreConnection,
        id: i64,
        limit: i64,
    ) -> QueryResult<Slice<Self>> {
        Slice::collect(limit, FETCHED_AT_ONCE, |last: Option<&Self>, wanted| {
            Self::list_after(conn, last.map_or(id, |last| last.id), wanted)
        })
    }

    /// The users after this id, in the order of their ids, `limit` at most.
    pub(crate) fn list_after(
        conn: &mut StoreConnection,
        id: i64,
        limit: i64,
    ) -> QueryResult<Vec<Self>> {
        users::table
            .filter(users::id.gt(id))
            .order(users::id)
            .limit(limit)
            .select(USER_COLUMNS)
            .load(conn)
    }

    /// The users whose addresses begin with `prefix` in the form of [`NewUser::email_key`], after
    /// the address `after`, in the order of their addresses: `limit` at most, and fewer when they are
    /// large.
    pub(crate) fn page_by_address(
        conn: &mut StoreConnection,
        prefix: &str,
        after: &str,
        limit: i64,
    ) -> QueryResult<Slice<(String, Self)>> {
        // No character is larger, so no address that begins with the prefix comes after this.
        let end = format!("{prefix}{}", char::MAX);
        Slice::collect(
            limit,
            FETCHED_AT_ONCE,
            |last: Option<&(String, Self)>, wanted| {
                let after = last.map_or(after, |(address, _)| address);
                users::table
                    .filter(users::email_key.ge(prefix))
                    .filter(users::email_key.lt(&end))
                    .filter(users::email_key.gt(after))
                    .order(users::email_key)
                    .limit(wanted)
                    .select((users::email_key, USER_COLUMNS))
                    .load(conn)
            },
        )
    }

    /// The user of this id.
    pub(crate) fn find(conn: &mut StoreConnection, id: i64) -> QueryResult<Option<Self>> {
        users::table
            .find(id)
            .select(USER_COLUMNS)
            .get_result(conn)
            .optional()
    }

    /// Holds the row of a user against changes until the transaction ends, and returns the user as
    /// they are then: an UPDATE is the row lock that both databases share. It changes nothing that
    /// a session shows.
    pub(crate) fn lock(tx: &mut Writing<'_>, id: i64) -> QueryResult<Option<Self>> {
        diesel::update(users::table.find(id))
            .set(users::hashed_password.eq(users::hashed_password))
            .returning(USER_COLUMNS)
            .get_result(tx.conn())
            .optional()
    }

    /// Makes the changes. Returns the user, if there is one.
    pub(crate) fn change(
        tx: &mut Revoking<'_>,
        id: i64,
        changes: &UserChanges,
    ) -> QueryResult<Option<Self>> {
        if changes.is_empty() {
            return Self::find(tx, id);
        }
        let texts = [
            &changes.name,
            &changes.surname,
            &changes.website,
            &changes.scopes,
        ];
        text::check(texts.map(|text| text.as_deref().unwrap_or_default()))?;
        diesel::update(users::table.find(id))
            .set(changes)
            .returning(USER_COLUMNS)
            .get_result(tx.conn())
            .optional()
    }

    /// Deletes a user, with all tokens and keys, and remembers the address by its digest under
    /// `key`, so that an import leaves it out. Returns whether there was such a user.
    pub(crate) fn delete(
        tx: &mut Revoking<'_>,
        id: i64,
        key: &DigestKey,
        now: NaiveDateTime,
    ) -> QueryResult<bool> {
        let email_key: Option<String> = diesel::delete(users::table.find(id))
            .returning(users::email_key)
            .get_result(tx.conn())
            .optional()?;
        if let Some(email_key) = &email_key {
            tombstone::remember_user(tx, &address_digest(key, email_key), now)?;
        }
        Ok(email_key.is_some())
    }
}

/// What is kept of the address of a user who was deleted, by [`NewUser::email_key`].
pub(crate) fn address_digest(key: &DigestKey, email_key: &str) -> String {
    key.digest(&["address", email_key])
}

/// What is to be changed about a user; `None` leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, AsChangeset)]
#[diesel(table_name = users)]
pub struct UserChanges {
    /// See [`User::name`].
    pub name: Option<String>,
    /// See [`User::surname`].
    pub surname: Option<String>,
    /// See [`User::website`].
    pub website: Option<String>,
    /// See [`User::scopes`].
    pub scopes: Option<String>,
    /// See [`User::disabled_at`]; `Some(None)` enables the user.
    pub disabled_at: Option<Option<NaiveDateTime>>,
}

impl UserChanges {
    /// Whether nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Account {
    /// Finds the account of an address, by [`NewUser::email_key`].
    pub(crate) fn find_by_email_key(
        conn: &mut StoreConnection,
        key: &str,
    ) -> QueryResult<Option<Self>> {
        users::table
            .filter(users::email_key.eq(key))
            .select((USER_COLUMNS, users::hashed_password))
            .get_result(conn)
            .optional()
    }

    /// The account of this id.
    pub(crate) fn find(conn: &mut StoreConnection, id: i64) -> QueryResult<Option<Self>> {
        users::table
            .find(id)
            .select((USER_COLUMNS, users::hashed_password))
            .get_result(conn)
            .optional()
    }

    /// Whether the user may still come in with this password, and holds the row against changes
    /// until the transaction ends: an UPDATE is the row lock that both databases share.
    pub(crate) fn lock_if_unchanged(&self, tx: &mut Writing<'_>) -> QueryResult<bool> {
        self.replace_hash(tx, self.hashed_password.as_str())
    }

    /// Stores a hash, whatever was there.
    pub(crate) fn set_hash(tx: &mut Revoking<'_>, id: i64, new: &str) -> QueryResult<()> {
        diesel::update(users::table.find(id))
            .set(users::hashed_password.eq(new))
            .execute(tx.conn())
            .map(drop)
    }

    /// Puts `new` in the place of the hash, unless the password was changed or the user disabled
    /// in the meantime. Returns whether it did.
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

//! Users, and the queries on them.

use std::fmt;

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::StoreConnection;
use super::schema::users;

/// A password hash as stored. Does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredHash(String);

impl StoredHash {
    /// The hash itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for StoredHash {
    fn from(hash: String) -> Self {
        Self(hash)
    }
}

impl fmt::Debug for StoredHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredHash(..)")
    }
}

/// A registered user, without what proves it: that is an [`Account`].
#[derive(Clone, Debug, Queryable)]
pub struct User {
    /// Never given to another user, even after a deletion.
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
    /// UTC.
    pub created_at: NaiveDateTime,
}

impl NewUser {
    /// Stores the user. A UNIQUE violation means that the address is taken.
    pub(crate) fn insert(&self, conn: &mut StoreConnection) -> QueryResult<User> {
        diesel::insert_into(users::table)
            .values(self)
            .returning(USER_COLUMNS)
            .get_result(conn)
    }
}

impl User {
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

    /// Disables the user of an address at `at`, or enables them with `None`. A user who is
    /// disabled already stays so since the first time. Returns the user, if there is one.
    pub(crate) fn set_disabled_at(
        conn: &mut StoreConnection,
        email_key: &str,
        at: Option<NaiveDateTime>,
    ) -> QueryResult<Option<Self>> {
        let Some(account) = Account::find_by_email_key(conn, email_key)? else {
            return Ok(None);
        };
        let at = at.map(|now| account.user.disabled_at.unwrap_or(now));
        diesel::update(users::table.find(account.user.id))
            .set(users::disabled_at.eq(at))
            .returning(USER_COLUMNS)
            .get_result(conn)
            .optional()
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

    /// Whether the user may still come in with this password, and holds the row against changes
    /// until the transaction ends: an UPDATE is the row lock that both databases share.
    pub(crate) fn lock_if_unchanged(&self, conn: &mut StoreConnection) -> QueryResult<bool> {
        self.replace_hash(conn, self.hashed_password.as_str())
    }

    /// Puts `new` in the place of the hash, unless the password was changed or the user disabled
    /// in the meantime. Returns whether it did.
    pub(crate) fn replace_hash(&self, conn: &mut StoreConnection, new: &str) -> QueryResult<bool> {
        let unchanged = users::table
            .filter(users::id.eq(self.user.id))
            .filter(users::hashed_password.eq(self.hashed_password.as_str()))
            .filter(users::disabled_at.is_null());
        diesel::update(unchanged)
            .set(users::hashed_password.eq(new))
            .execute(conn)
            .map(|rows| rows == 1)
    }
}

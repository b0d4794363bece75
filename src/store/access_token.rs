//! Login tokens and their queries: one row per user, found by digest.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamp};
use serde::Serialize;

use super::limits::check_texts;
use super::prepared::{Columns, ListedRow, RowList, prepared};
use super::schema::{access_tokens, spent_tokens, users};
use super::timestamp::{serialize_optional_time, serialize_time};
use super::user::{USER_COLUMNS, User};
use super::{Revoking, StoreConnection, Writing};

/// A stored login token, which holds only the digest.
#[derive(Clone, Queryable)]
#[non_exhaustive]
pub struct AccessToken {
    /// The owner; one token per user.
    pub user_id: i64,
    /// The hex SHA-256 of the token.
    pub access_token: String,
    /// The expiry, UTC; the token is rejected from this time on.
    pub expiration_date: NaiveDateTime,
    /// The token's scopes, separated by spaces.
    pub scopes: String,
    /// UTC.
    pub created_at: NaiveDateTime,
    /// UTC; when the user entered the password for this token. `None` if the token was issued
    /// without a password.
    pub authenticated_at: Option<NaiveDateTime>,
}

/// The columns of an [`AccessToken`], in the order of its fields.
pub(super) const TOKEN_COLUMNS: (
    access_tokens::user_id,
    access_tokens::access_token,
    access_tokens::expiration_date,
    access_tokens::scopes,
    access_tokens::created_at,
    access_tokens::authenticated_at,
) = (
    access_tokens::user_id,
    access_tokens::access_token,
    access_tokens::expiration_date,
    access_tokens::scopes,
    access_tokens::created_at,
    access_tokens::authenticated_at,
);

impl std::fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessToken")
            .field("user_id", &self.user_id)
            .field("expiration_date", &self.expiration_date)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

const REPLACE: &str = "INSERT INTO access_tokens (user_id, access_token, expiration_date, \
     scopes, created_at, authenticated_at) VALUES ";

/// Triggers log the earlier token, and mark it as spent.
const OR_UPDATE: &str = " ON CONFLICT (user_id) DO UPDATE SET \
     access_token = excluded.access_token, expiration_date = excluded.expiration_date, \
     scopes = excluded.scopes, created_at = excluded.created_at, \
     authenticated_at = excluded.authenticated_at";

/// Passes over tokens that a sign-in has locked: it replaces them, and may wait for others of these.
const PRUNE_POSTGRES: &str = "DELETE FROM access_tokens WHERE ctid = ANY(ARRAY(\
     SELECT ctid FROM access_tokens WHERE expiration_date <= $1 \
     ORDER BY expiration_date LIMIT $2 FOR UPDATE SKIP LOCKED))";

const PRUNE_SQLITE: &str = "DELETE FROM access_tokens WHERE user_id IN (\
     SELECT user_id FROM access_tokens WHERE expiration_date <= $1 \
     ORDER BY expiration_date LIMIT $2)";

/// A new login token.
#[derive(Clone, Serialize)]
pub struct NewAccessToken {
    /// See [`AccessToken::user_id`].
    pub user_id: i64,
    /// See [`AccessToken::access_token`].
    pub access_token: String,
    /// See [`AccessToken::expiration_date`].
    #[serde(serialize_with = "serialize_time")]
    pub expiration_date: NaiveDateTime,
    /// See [`AccessToken::scopes`].
    pub scopes: String,
    /// UTC.
    #[serde(serialize_with = "serialize_time")]
    pub created_at: NaiveDateTime,
    /// See [`AccessToken::authenticated_at`].
    #[serde(serialize_with = "serialize_optional_time")]
    pub authenticated_at: Option<NaiveDateTime>,
}

impl NewAccessToken {
    /// Stores the token, replacing the user's earlier one.
    pub(crate) fn replace_for_user(self, tx: &mut Revoking<'_>) -> QueryResult<AccessToken> {
        let stored = self.as_stored();
        Self::replace_all(tx, &[self])?;
        Ok(stored)
    }

    /// Stores tokens of different users, replacing their earlier ones.
    pub(super) fn replace_all(tx: &mut Revoking<'_>, tokens: &[Self]) -> QueryResult<()> {
        if tokens.is_empty() {
            return Ok(());
        }
        for token in tokens {
            tx.require(token.user_id)?;
            check_texts([&token.access_token, &token.scopes])?;
        }
        let replace = RowList {
            before: REPLACE,
            rows: tokens,
            after: OR_UPDATE,
        };
        replace.execute(tx.conn()).map(drop)
    }

    /// The token as it is stored.
    pub(super) fn as_stored(&self) -> AccessToken {
        AccessToken {
            user_id: self.user_id,
            access_token: self.access_token.clone(),
            expiration_date: self.expiration_date,
            scopes: self.scopes.clone(),
            created_at: self.created_at,
            authenticated_at: self.authenticated_at,
        }
    }
}

impl ListedRow for NewAccessToken {
    fn walk<'b>(&'b self, columns: &mut Columns<'_, '_, 'b>) -> QueryResult<()> {
        columns
            .add::<BigInt, _>(&self.user_id)?
            .add::<Text, _>(&self.access_token)?
            .add::<Timestamp, _>(&self.expiration_date)?
            .add::<Text, _>(&self.scopes)?
            .add::<Timestamp, _>(&self.created_at)?
            .add::<Nullable<Timestamp>, _>(&self.authenticated_at)
            .map(drop)
    }
}

impl AccessToken {
    /// Deletes the tokens of all users. Returns how many.
    pub(crate) fn delete_all(tx: &mut Revoking<'_>) -> QueryResult<usize> {
        tx.require_everyone()?;
        diesel::delete(access_tokens::table).execute(tx.conn())
    }

    /// Whether this token is still stored: not revoked, replaced or deleted.
    pub(crate) fn is_stored(&self, conn: &mut StoreConnection) -> QueryResult<bool> {
        let found: Option<i64> = access_tokens::table
            .filter(access_tokens::access_token.eq(&self.access_token))
            .select(access_tokens::user_id)
            .get_result(conn)
            .optional()?;
        Ok(found.is_some())
    }

    /// The tokens valid at `now`, with their users, in the order of user ids after `after`, at most
    /// `limit`.
    pub(crate) fn list_live(
        conn: &mut StoreConnection,
        now: NaiveDateTime,
        after: i64,
        limit: i64,
    ) -> QueryResult<Vec<(User, Self)>> {
        access_tokens::table
            .inner_join(users::table)
            .filter(access_tokens::user_id.gt(after))
            .filter(access_tokens::expiration_date.gt(now))
            .order(access_tokens::user_id)
            .limit(limit)
            .select((USER_COLUMNS, TOKEN_COLUMNS))
            .load(conn)
    }

    /// The number of tokens valid at `now`.
    pub(crate) fn count_live(conn: &mut StoreConnection, now: NaiveDateTime) -> QueryResult<i64> {
        access_tokens::table
            .filter(access_tokens::expiration_date.gt(now))
            .count()
            .get_result(conn)
    }

    /// Deletes this token, but not one that has replaced it. Returns whether it existed.
    pub fn revoke(&self, tx: &mut Revoking<'_>) -> QueryResult<bool> {
        let this = access_tokens::table.filter(access_tokens::access_token.eq(&self.access_token));
        // An operator may have given the token to another user meanwhile.
        let owner: Option<i64> = diesel::delete(this)
            .returning(access_tokens::user_id)
            .get_result(tx.conn())
            .optional()?;
        match owner {
            Some(owner) => tx.require(owner).map(|()| true),
            None => Ok(false),
        }
    }

    /// Deletes the token of a user. Returns whether it existed.
    pub(crate) fn revoke_of_user(tx: &mut Revoking<'_>, user_id: i64) -> QueryResult<bool> {
        tx.require(user_id)?;
        let rows = diesel::delete(access_tokens::table.find(user_id)).execute(tx.conn())?;
        Ok(rows == 1)
    }

    /// Deletes the other tokens of this token's user. Returns how many.
    pub(crate) fn revoke_others(&self, tx: &mut Revoking<'_>) -> QueryResult<usize> {
        tx.require(self.user_id)?;
        let others = access_tokens::table
            .filter(access_tokens::user_id.eq(self.user_id))
            .filter(access_tokens::access_token.ne(&self.access_token));
        diesel::delete(others).execute(tx.conn())
    }

    /// Deletes at most `limit` tokens that expired before `now`. Returns how many.
    pub(crate) fn prune(
        tx: &mut Writing<'_>,
        now: NaiveDateTime,
        limit: i64,
    ) -> QueryResult<usize> {
        prepared(tx.choose(PRUNE_POSTGRES, PRUNE_SQLITE))
            .bind::<Timestamp, _>(now)
            .bind::<BigInt, _>(limit)
            .execute(tx.conn())
    }
}

/// Deletes at most `limit` tokens that expired before `now`, except imported ones. Returns how
/// many.
pub(crate) fn prune_spent_tokens(
    tx: &mut Writing<'_>,
    now: NaiveDateTime,
    limit: i64,
) -> QueryResult<usize> {
    let expired: Vec<String> = spent_tokens::table
        .filter(spent_tokens::expiration_date.le(now))
        .order(spent_tokens::expiration_date)
        .limit(limit)
        .select(spent_tokens::access_token)
        .load(tx.conn())?;
    if expired.is_empty() {
        return Ok(0);
    }
    let these = spent_tokens::table.filter(spent_tokens::access_token.eq_any(expired));
    diesel::delete(these).execute(tx.conn())
}

//! Login tokens and their queries: at most three of a session, and one for each guarded host, found by
//! digest.

use chrono::NaiveDateTime;
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamp};

use super::limits::check_texts;
use super::prepared::{Columns, ListedRow, RowList, prepared};
use super::prune::prune;
use super::schema::{access_tokens, refresh_tokens, sessions, spent_tokens, users};
use super::session::{SESSION_STATE_COLUMNS, SessionState, SessionStateColumns};
use super::user::{USER_COLUMNS, User};
use super::{Revoking, StoreConnection, Writing};

/// A stored login token, which holds only the digest.
#[derive(Clone, Queryable)]
#[non_exhaustive]
pub struct AccessToken {
    /// The owner.
    pub user_id: i64,
    /// The hex SHA-256 of the token.
    pub access_token: String,
    /// The expiry, UTC; the token is rejected from this time on. See [`Self::expires_at`].
    pub expiration_date: NaiveDateTime,
    /// The token's scopes, separated by spaces.
    pub scopes: String,
    /// UTC.
    pub created_at: NaiveDateTime,
    /// UTC; when the user entered the password for this token. `None` if the token was issued
    /// without a password.
    pub authenticated_at: Option<NaiveDateTime>,
    /// The session that it belongs to.
    pub session: SessionState,
}

/// The columns of an [`AccessToken`], in the order of its fields.
pub(super) type TokenColumns = (
    access_tokens::user_id,
    access_tokens::access_token,
    access_tokens::expiration_date,
    access_tokens::scopes,
    access_tokens::created_at,
    access_tokens::authenticated_at,
    SessionStateColumns,
);

/// See [`TokenColumns`].
pub(super) const TOKEN_COLUMNS: TokenColumns = (
    access_tokens::user_id,
    access_tokens::access_token,
    access_tokens::expiration_date,
    access_tokens::scopes,
    access_tokens::created_at,
    access_tokens::authenticated_at,
    SESSION_STATE_COLUMNS,
);

impl std::fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessToken")
            .field("user_id", &self.user_id)
            .field("expiration_date", &self.expiration_date)
            .field("scopes", &self.scopes)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

const INSERT: &str = "INSERT INTO access_tokens (user_id, access_token, expiration_date, \
     scopes, created_at, authenticated_at, session_id, slot) VALUES ";

/// Passes over tokens that another transaction ends: it may wait for others of these.
const PRUNE_POSTGRES: &str = "DELETE FROM access_tokens WHERE ctid = ANY(ARRAY(\
     SELECT ctid FROM access_tokens WHERE expiration_date <= $1 \
     ORDER BY expiration_date LIMIT $2 FOR UPDATE SKIP LOCKED))";

const PRUNE_SQLITE: &str = "DELETE FROM access_tokens WHERE access_token IN (\
     SELECT access_token FROM access_tokens WHERE expiration_date <= $1 \
     ORDER BY expiration_date LIMIT $2)";

/// A new login token of a session.
#[derive(Clone)]
pub(super) struct NewAccessToken {
    pub(super) user_id: i64,
    /// See [`AccessToken::access_token`].
    pub(super) access_token: String,
    pub(super) expiration_date: NaiveDateTime,
    pub(super) scopes: String,
    pub(super) created_at: NaiveDateTime,
    pub(super) authenticated_at: Option<NaiveDateTime>,
    pub(super) session_id: i64,
    /// The place among the tokens of the session, `0..3`.
    pub(super) slot: i64,
}

impl NewAccessToken {
    /// Stores tokens. The places in their sessions must be free.
    pub(super) fn insert_all(tx: &mut Writing<'_>, tokens: &[Self]) -> QueryResult<()> {
        if tokens.is_empty() {
            return Ok(());
        }
        for token in tokens {
            check_texts([&token.access_token, &token.scopes])?;
        }
        let insert = RowList {
            before: INSERT,
            rows: tokens,
            // As after the import of a token that another user holds.
            after: " ON CONFLICT (access_token) DO NOTHING",
        };
        insert.execute(tx.conn()).map(drop)
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
            .add::<Nullable<Timestamp>, _>(&self.authenticated_at)?
            .add::<BigInt, _>(&self.session_id)?
            .add::<BigInt, _>(&self.slot)
            .map(drop)
    }
}

impl AccessToken {
    /// When the token ends, UTC: with its session at the latest.
    pub fn expires_at(&self) -> NaiveDateTime {
        self.expiration_date.min(self.session.expires_at)
    }

    /// Whether this token is still stored: not revoked, replaced or deleted.
    pub(crate) fn is_stored(&self, conn: &mut StoreConnection) -> QueryResult<bool> {
        let found: Option<i64> = access_tokens::table
            .inner_join(sessions::table)
            .filter(access_tokens::access_token.eq(&self.access_token))
            .select(access_tokens::user_id)
            .get_result(conn)
            .optional()?;
        Ok(found.is_some())
    }

    /// The tokens valid at `now` except those for guarded hosts, with their users, in the order of user
    /// ids after `after`: at most `limit`, and the rest of the last user's. Returns whether there are more.
    pub(crate) fn list_live(
        conn: &mut StoreConnection,
        now: NaiveDateTime,
        after: i64,
        limit: i64,
    ) -> QueryResult<(Vec<(User, Self)>, bool)> {
        let live = || {
            access_tokens::table
                .inner_join(users::table)
                .inner_join(sessions::table)
                .filter(access_tokens::audience.eq(""))
                .filter(access_tokens::expiration_date.gt(now))
                .order((access_tokens::user_id, access_tokens::session_id))
        };
        let mut rows: Vec<(User, Self)> = live()
            .filter(access_tokens::user_id.gt(after))
            .limit(limit)
            .select((USER_COLUMNS, TOKEN_COLUMNS))
            .load(conn)?;
        let Some(last) = rows.last().map(|(user, _)| user.id) else {
            return Ok((rows, false));
        };
        rows.retain(|(user, _)| user.id < last);
        let of_last: Vec<(User, Self)> = live()
            .filter(access_tokens::user_id.eq(last))
            .select((USER_COLUMNS, TOKEN_COLUMNS))
            .load(conn)?;
        rows.extend(of_last);
        let next: Option<i64> = live()
            .filter(access_tokens::user_id.gt(last))
            .select(access_tokens::user_id)
            .first(conn)
            .optional()?;
        Ok((rows, next.is_some()))
    }

    /// The number of tokens valid at `now`, those for guarded hosts included.
    pub(crate) fn count_live(conn: &mut StoreConnection, now: NaiveDateTime) -> QueryResult<i64> {
        access_tokens::table
            .filter(access_tokens::expiration_date.gt(now))
            .count()
            .get_result(conn)
    }

    /// Replaces this token in its session by one with another digest, and ends the other tokens of the session,
    /// those for guarded hosts aside: the user has authenticated once more, by all of these methods. Returns
    /// when the session began; `None` if the token is not stored any more.
    pub(crate) fn renew(
        &self,
        tx: &mut Revoking<'_>,
        digest: &str,
        amr: &str,
        now: NaiveDateTime,
    ) -> QueryResult<Option<NaiveDateTime>> {
        tx.require(self.user_id)?;
        check_texts([digest, amr])?;
        let of_session = || {
            access_tokens::table
                .filter(access_tokens::session_id.eq(self.session.id))
                .filter(access_tokens::user_id.eq(self.user_id))
        };
        let this = of_session().filter(access_tokens::access_token.eq(&self.access_token));
        let renewed = diesel::update(this)
            .set((
                access_tokens::access_token.eq(digest),
                access_tokens::created_at.eq(now),
                access_tokens::authenticated_at.eq(Some(now)),
            ))
            .execute(tx.conn())?;
        if renewed == 0 {
            return Ok(None);
        }
        let others = of_session()
            .filter(access_tokens::audience.eq(""))
            .filter(access_tokens::access_token.ne(digest));
        diesel::delete(others).execute(tx.conn())?;
        diesel::update(sessions::table.find(self.session.id))
            .set((
                sessions::authenticated_at.eq(Some(now)),
                sessions::amr.eq(amr),
            ))
            .returning(sessions::created_at)
            .get_result(tx.conn())
            .optional()
    }

    /// Deletes this token, and its session unless that has a refresh token. Returns whether the token
    /// existed.
    pub fn revoke(&self, tx: &mut Revoking<'_>) -> QueryResult<bool> {
        let this = access_tokens::table.filter(access_tokens::access_token.eq(&self.access_token));
        let refresh_token =
            refresh_tokens::table.filter(refresh_tokens::session_id.eq(sessions::id));
        let ends_too = sessions::table
            .filter(sessions::id.eq_any(this.select(access_tokens::session_id)))
            .filter(not(exists(refresh_token)));
        // An operator may have given the token to another user meanwhile.
        let mut owner: Option<i64> = diesel::delete(ends_too)
            .returning(sessions::user_id)
            .get_result(tx.conn())
            .optional()?;
        if owner.is_none() {
            owner = diesel::delete(this)
                .returning(access_tokens::user_id)
                .get_result(tx.conn())
                .optional()?;
        }
        match owner {
            Some(owner) => tx.require(owner).map(|()| true),
            None => Ok(false),
        }
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
    let old = || spent_tokens::expiration_date.le(now);
    prune!(tx, spent_tokens, access_token: String, by expiration_date, old(), limit)
}

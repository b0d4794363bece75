//! Sessions: what a sign-in begins, with up to three login tokens.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamp};

use super::limits::check_texts;
use super::prepared::prepared;
use super::schema::{access_tokens, sessions};
use super::session_kind::SessionKind;
use super::{Revoking, StoreConnection, Writing};

/// What every check of a login token needs of its session.
#[derive(Clone, Debug, Queryable)]
#[non_exhaustive]
pub struct SessionState {
    /// Never assigned again.
    pub id: i64,
    /// Where it comes from.
    pub kind: SessionKind,
    /// How the user proved who they are, as in RFC 8176, separated by spaces; empty for a token that
    /// was issued without a proof.
    pub amr: String,
    /// The longest pause between two uses, in seconds; `None` if any is allowed.
    pub idle_seconds: Option<i64>,
    /// UTC, up to two minutes old.
    pub last_used_at: NaiveDateTime,
    /// The fixed end, UTC.
    pub expires_at: NaiveDateTime,
}

/// The columns of a [`SessionState`], in the order of its fields.
pub(super) type SessionStateColumns = (
    sessions::id,
    sessions::kind,
    sessions::amr,
    sessions::idle_seconds,
    sessions::last_used_at,
    sessions::expires_at,
);

/// See [`SessionStateColumns`].
pub(super) const SESSION_STATE_COLUMNS: SessionStateColumns = (
    sessions::id,
    sessions::kind,
    sessions::amr,
    sessions::idle_seconds,
    sessions::last_used_at,
    sessions::expires_at,
);

/// A session as its user sees it.
#[derive(Clone, Debug, Queryable)]
#[non_exhaustive]
pub struct Session {
    /// See [`SessionState::id`].
    pub id: i64,
    /// The user.
    pub user_id: i64,
    /// Where it comes from.
    pub kind: SessionKind,
    /// What the client or the user calls the device.
    pub name: String,
    /// As the client sent it at the sign-in, shortened.
    pub user_agent: String,
    /// The address of the sign-in or of the last refresh; empty without one.
    pub last_ip: String,
    /// UTC.
    pub created_at: NaiveDateTime,
    /// See [`SessionState::last_used_at`].
    pub last_used_at: NaiveDateTime,
    /// See [`SessionState::expires_at`].
    pub expires_at: NaiveDateTime,
    /// See [`SessionState::idle_seconds`].
    pub idle_seconds: Option<i64>,
    /// See [`SessionState::amr`].
    pub amr: String,
    /// Separated by spaces.
    pub scopes: String,
}

/// The columns of a [`Session`], in the order of its fields.
const SESSION_COLUMNS: (
    sessions::id,
    sessions::user_id,
    sessions::kind,
    sessions::name,
    sessions::user_agent,
    sessions::last_ip,
    sessions::created_at,
    sessions::last_used_at,
    sessions::expires_at,
    sessions::idle_seconds,
    sessions::amr,
    sessions::scopes,
) = (
    sessions::id,
    sessions::user_id,
    sessions::kind,
    sessions::name,
    sessions::user_agent,
    sessions::last_ip,
    sessions::created_at,
    sessions::last_used_at,
    sessions::expires_at,
    sessions::idle_seconds,
    sessions::amr,
    sessions::scopes,
);

/// Passes over sessions that another transaction ends: it may wait for others of these.
const PRUNE_POSTGRES: &str = "DELETE FROM sessions WHERE id = ANY(ARRAY(\
     SELECT id FROM sessions WHERE expires_at <= $1 \
     ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))";

const PRUNE_SQLITE: &str = "DELETE FROM sessions WHERE id IN (\
     SELECT id FROM sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";

/// The sessions of users.
pub(crate) struct Sessions;

impl Sessions {
    /// Ends the sessions of all users. Returns the number of their login tokens.
    pub(crate) fn end_all(tx: &mut Revoking<'_>) -> QueryResult<usize> {
        tx.require_everyone()?;
        let tokens = diesel::delete(access_tokens::table).execute(tx.conn())?;
        diesel::delete(sessions::table).execute(tx.conn())?;
        Ok(tokens)
    }

    /// The sessions of a user that have not reached their fixed end by `now`, the one used last first. A
    /// user has at most a hundred.
    pub(crate) fn list_of_user(
        conn: &mut StoreConnection,
        user_id: i64,
        now: NaiveDateTime,
    ) -> QueryResult<Vec<Session>> {
        sessions::table
            .filter(sessions::user_id.eq(user_id))
            .filter(sessions::expires_at.gt(now))
            .order((sessions::last_used_at.desc(), sessions::id.desc()))
            .select(SESSION_COLUMNS)
            .load(conn)
    }

    /// Gives a session of a user another name. Returns the session, if the user has it. This changes no
    /// principal.
    pub(crate) fn rename(
        tx: &mut Writing<'_>,
        user_id: i64,
        id: i64,
        name: &str,
        now: NaiveDateTime,
    ) -> QueryResult<Option<Session>> {
        check_texts([name])?;
        let this = sessions::table
            .find(id)
            .filter(sessions::user_id.eq(user_id))
            .filter(sessions::expires_at.gt(now));
        diesel::update(this)
            .set(sessions::name.eq(name))
            .returning(SESSION_COLUMNS)
            .get_result(tx.conn())
            .optional()
    }

    /// The sessions of all users that end when they are not used.
    #[cfg(any(feature = "cli", feature = "testing"))]
    pub(crate) fn list_with_idle_end(tx: &mut Writing<'_>) -> QueryResult<Vec<Session>> {
        sessions::table
            .filter(sessions::idle_seconds.is_not_null())
            .select(SESSION_COLUMNS)
            .load(tx.conn())
    }

    /// Ends a session of a user. Returns whether the user had it.
    pub(crate) fn end(tx: &mut Revoking<'_>, user_id: i64, id: i64) -> QueryResult<bool> {
        tx.require(user_id)?;
        let this = sessions::table
            .find(id)
            .filter(sessions::user_id.eq(user_id));
        diesel::delete(this)
            .execute(tx.conn())
            .map(|rows| rows == 1)
    }

    /// Ends the session of the login token with this digest. Returns whether the token was stored.
    pub(crate) fn end_of_token(tx: &mut Revoking<'_>, access_token: &str) -> QueryResult<bool> {
        let this = access_tokens::table.filter(access_tokens::access_token.eq(access_token));
        let session =
            sessions::table.filter(sessions::id.eq_any(this.select(access_tokens::session_id)));
        // An operator may have given the token to another user meanwhile.
        let owner: Option<i64> = diesel::delete(session)
            .returning(sessions::user_id)
            .get_result(tx.conn())
            .optional()?;
        match owner {
            Some(owner) => tx.require(owner).map(|()| true),
            None => Ok(false),
        }
    }

    /// Ends the sessions of a user. Returns how many.
    pub(crate) fn end_of_user(tx: &mut Revoking<'_>, user_id: i64) -> QueryResult<usize> {
        tx.require(user_id)?;
        let all = sessions::table.filter(sessions::user_id.eq(user_id));
        diesel::delete(all).execute(tx.conn())
    }

    /// Ends the other sessions of a user. Returns how many.
    pub(crate) fn end_others(tx: &mut Revoking<'_>, user_id: i64, kept: i64) -> QueryResult<usize> {
        tx.require(user_id)?;
        let others = sessions::table
            .filter(sessions::user_id.eq(user_id))
            .filter(sessions::id.ne(kept));
        diesel::delete(others).execute(tx.conn())
    }

    /// Sets how the user of a session has authenticated: see [`SessionState::amr`].
    pub(crate) fn set_amr(
        tx: &mut Revoking<'_>,
        user_id: i64,
        id: i64,
        amr: &str,
    ) -> QueryResult<()> {
        tx.require(user_id)?;
        let this = sessions::table
            .find(id)
            .filter(sessions::user_id.eq(user_id));
        diesel::update(this)
            .set(sessions::amr.eq(amr))
            .execute(tx.conn())
            .map(drop)
    }

    /// Lets no session of a user count as one with several factors any more: sets
    /// [`SessionState::amr`] of those that do.
    pub(crate) fn lower_amr(tx: &mut Revoking<'_>, user_id: i64, amr: &str) -> QueryResult<()> {
        tx.require(user_id)?;
        let these = sessions::table
            .filter(sessions::user_id.eq(user_id))
            .filter(sessions::amr.like("%mfa%"));
        diesel::update(these)
            .set(sessions::amr.eq(amr))
            .execute(tx.conn())
            .map(drop)
    }

    /// Deletes at most `limit` sessions that have reached their fixed end by `now`. Returns how many.
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

//! The refresh tokens of sessions, of which only digests are stored, and the login tokens that are
//! issued for them.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::access_token::NewAccessToken;
use super::limits::check_texts;
use super::schema::{access_tokens, refresh_tokens, sessions};
use super::{Revoking, StoreConnection, Writing};

/// The places for the login tokens of a session.
pub(super) const SLOTS: i64 = 3;

/// What is stored of the refresh tokens of a session, and what a refresh needs of the session.
#[derive(Clone, Queryable)]
pub(crate) struct StoredRefresh {
    /// The session.
    pub(crate) session_id: i64,
    /// The number of the current token.
    pub(crate) counter: i64,
    /// The digest of the current token.
    pub(crate) digest: String,
    /// The digest of the token before; empty for the first one.
    pub(crate) previous_digest: String,
    /// What the current token was derived with, besides the token before.
    pub(crate) salt: String,
    /// UTC; when the current token was issued for the first time.
    pub(crate) rotated_at: NaiveDateTime,
    /// Whether the login token that was issued with the current token has been used.
    pub(crate) is_received: bool,
    /// The user.
    pub(crate) user_id: i64,
    /// See [`super::SessionState::amr`].
    pub(crate) amr: String,
    /// See [`super::Session::scopes`].
    pub(crate) scopes: String,
    /// See [`super::SessionState::expires_at`].
    pub(crate) expires_at: NaiveDateTime,
    /// See [`super::AccessToken::authenticated_at`].
    pub(crate) authenticated_at: Option<NaiveDateTime>,
    /// See [`super::SessionState::idle_seconds`].
    pub(crate) idle_seconds: Option<i64>,
    /// See [`super::SessionState::last_used_at`].
    pub(crate) last_used_at: NaiveDateTime,
    /// Of the client that got the current token for the first time.
    pub(crate) user_agent: String,
}

/// The next refresh token of a session, and the login token issued with it.
pub(crate) struct NextTokens<'a> {
    /// The digest of the refresh token.
    pub(crate) digest: String,
    /// What it was derived with.
    pub(crate) salt: &'a str,
    /// The digest of the login token.
    pub(crate) access_token: String,
    /// When the login token ends, UTC.
    pub(crate) expires_at: NaiveDateTime,
    /// The scopes of the login token.
    pub(crate) scopes: String,
    /// The client's address; empty without one.
    pub(crate) ip: String,
    /// What the client calls itself.
    pub(crate) user_agent: String,
}

impl StoredRefresh {
    /// The refresh tokens of a session that has any.
    pub(crate) fn find(conn: &mut StoreConnection, session_id: i64) -> QueryResult<Option<Self>> {
        refresh_tokens::table
            .inner_join(sessions::table)
            .filter(refresh_tokens::session_id.eq(session_id))
            .select((
                refresh_tokens::session_id,
                refresh_tokens::counter,
                refresh_tokens::digest,
                refresh_tokens::previous_digest,
                refresh_tokens::salt,
                refresh_tokens::rotated_at,
                refresh_tokens::is_received,
                sessions::user_id,
                sessions::amr,
                sessions::scopes,
                sessions::expires_at,
                sessions::authenticated_at,
                sessions::idle_seconds,
                sessions::last_used_at,
                sessions::user_agent,
            ))
            .get_result(conn)
            .optional()
    }

    /// Like [`Self::find`], and locks the row until the transaction ends.
    pub(crate) fn lock(tx: &mut Writing<'_>, session_id: i64) -> QueryResult<Option<Self>> {
        let locked = diesel::update(refresh_tokens::table.find(session_id))
            .set(refresh_tokens::salt.eq(refresh_tokens::salt))
            .execute(tx.conn())?;
        match locked {
            0 => Ok(None),
            _ => Self::find(tx, session_id),
        }
    }

    /// The number of valid login tokens that the next rotation ends.
    pub(crate) fn count_ending(
        &self,
        conn: &mut StoreConnection,
        now: NaiveDateTime,
    ) -> QueryResult<i64> {
        access_tokens::table
            .filter(access_tokens::session_id.eq(self.session_id))
            .filter(access_tokens::slot.ne(self.counter % SLOTS))
            .filter(access_tokens::slot.lt(SLOTS))
            .filter(access_tokens::expiration_date.gt(now))
            .count()
            .get_result(conn)
    }

    /// Replaces the current token, whose row is locked. The login token that was issued with it stays
    /// valid; earlier ones end.
    pub(crate) fn rotate(
        &self,
        tx: &mut Revoking<'_>,
        next: NextTokens<'_>,
        now: NaiveDateTime,
    ) -> QueryResult<()> {
        check_texts([&next.ip, &next.user_agent])?;
        let earlier = access_tokens::table
            .filter(access_tokens::session_id.eq(self.session_id))
            .filter(access_tokens::slot.ne(self.counter % SLOTS))
            .filter(access_tokens::slot.lt(SLOTS));
        let ended: Vec<NaiveDateTime> = diesel::delete(earlier)
            .returning(access_tokens::expiration_date)
            .get_results(tx.conn())?;
        if ended.iter().any(|end| *end > now) {
            tx.require(self.user_id)?;
        }
        let counter = self.counter + 1;
        diesel::update(refresh_tokens::table.find(self.session_id))
            .set((
                refresh_tokens::counter.eq(counter),
                refresh_tokens::digest.eq(next.digest),
                refresh_tokens::previous_digest.eq(&self.digest),
                refresh_tokens::salt.eq(next.salt),
                refresh_tokens::rotated_at.eq(now),
                refresh_tokens::is_received.eq(false),
            ))
            .execute(tx.conn())?;
        diesel::update(sessions::table.find(self.session_id))
            .set((
                sessions::last_used_at.eq(now),
                sessions::last_ip.eq(next.ip),
                sessions::user_agent.eq(next.user_agent),
            ))
            .execute(tx.conn())?;
        let token = NewAccessToken {
            user_id: self.user_id,
            access_token: next.access_token,
            expiration_date: next.expires_at,
            scopes: next.scopes,
            created_at: now,
            authenticated_at: self.authenticated_at,
            session_id: self.session_id,
            slot: counter % SLOTS,
        };
        NewAccessToken::insert_all(tx, &[token])
    }

    /// The scopes and the end of a login token of the session, if it is still stored.
    pub(crate) fn find_access_token(
        &self,
        conn: &mut StoreConnection,
        digest: &str,
    ) -> QueryResult<Option<(String, NaiveDateTime)>> {
        access_tokens::table
            .filter(access_tokens::access_token.eq(digest))
            .filter(access_tokens::session_id.eq(self.session_id))
            .select((access_tokens::scopes, access_tokens::expiration_date))
            .get_result(conn)
            .optional()
    }
}

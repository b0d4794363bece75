//! Codes that a browser takes from the sign-in page to a guarded host, and the tokens that it gets there
//! for them.

use std::collections::BTreeSet;

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::limits::check_texts;
use super::prune::prune;
use super::refresh::SLOTS;
use super::schema::{access_tokens, sessions, sign_in_codes};
use super::{Revoking, StoreConnection, Writing};

/// The most hosts at which a session has a token. The database holds this too.
const MAX_HOSTS: i64 = 32;

/// A code. It is stored until it is used, and useless after its expiry.
#[derive(Clone, Debug, Insertable, Queryable)]
#[diesel(table_name = sign_in_codes)]
pub(crate) struct SignInCode {
    /// The hex SHA-256 of the code.
    pub(crate) digest: String,
    /// The session that the code extends to the host.
    pub(crate) session_id: i64,
    /// The host, with its port.
    pub(crate) audience: String,
    /// The hex SHA-256 of the nonce that the browser has as a cookie at the host.
    pub(crate) nonce_digest: String,
    /// Where the browser wanted to go.
    pub(crate) return_url: String,
    /// UTC.
    pub(crate) expires_at: NaiveDateTime,
}

/// The session that a code extends to a host.
#[derive(Clone, Debug, Queryable)]
pub(crate) struct CodeSession {
    pub(crate) user_id: i64,
    /// See [`super::Session::scopes`].
    pub(crate) scopes: String,
    /// See [`super::SessionState::expires_at`].
    pub(crate) expires_at: NaiveDateTime,
    /// See [`super::AccessToken::authenticated_at`].
    pub(crate) authenticated_at: Option<NaiveDateTime>,
}

impl SignInCode {
    /// Stores a code, and deletes those of its session that have expired by `now`.
    pub(crate) fn insert(&self, tx: &mut Writing<'_>, now: NaiveDateTime) -> QueryResult<()> {
        check_texts([&self.audience, &self.nonce_digest, &self.return_url])?;
        let expired = sign_in_codes::table
            .filter(sign_in_codes::session_id.eq(self.session_id))
            .filter(sign_in_codes::expires_at.le(now));
        diesel::delete(expired).execute(tx.conn())?;
        diesel::insert_into(sign_in_codes::table)
            .values(self)
            .execute(tx.conn())
            .map(drop)
    }

    /// The number of codes of a session that were issued and not used, and have not expired by `now`.
    pub(crate) fn count_live(
        conn: &mut StoreConnection,
        session_id: i64,
        now: NaiveDateTime,
    ) -> QueryResult<i64> {
        sign_in_codes::table
            .filter(sign_in_codes::session_id.eq(session_id))
            .filter(sign_in_codes::expires_at.gt(now))
            .count()
            .get_result(conn)
    }

    /// The user and the session of a code, if it is stored.
    pub(crate) fn find_user(
        conn: &mut StoreConnection,
        digest: &str,
    ) -> QueryResult<Option<(i64, i64)>> {
        sign_in_codes::table
            .inner_join(sessions::table)
            .filter(sign_in_codes::digest.eq(digest))
            .select((sessions::user_id, sessions::id))
            .get_result(conn)
            .optional()
    }

    /// Takes a code and its session: only one of several concurrent calls gets them. The row of the user
    /// is locked.
    pub(crate) fn take(
        tx: &mut Writing<'_>,
        digest: &str,
    ) -> QueryResult<Option<(Self, CodeSession)>> {
        let taken: Option<Self> = diesel::delete(sign_in_codes::table.find(digest))
            .returning(sign_in_codes::all_columns)
            .get_result(tx.conn())
            .optional()?;
        let Some(code) = taken else {
            return Ok(None);
        };
        let session = sessions::table
            .find(code.session_id)
            .select((
                sessions::user_id,
                sessions::scopes,
                sessions::expires_at,
                sessions::authenticated_at,
            ))
            .get_result(tx.conn())
            .optional()?;
        Ok(session.map(|session| (code, session)))
    }

    /// Stores a token of the session for the host of this code. It replaces an earlier one for the same
    /// host; beyond the largest number of hosts, the oldest token ends.
    pub(crate) fn store_token(
        &self,
        tx: &mut Revoking<'_>,
        session: &CodeSession,
        token_digest: &str,
        now: NaiveDateTime,
    ) -> QueryResult<()> {
        tx.require(session.user_id)?;
        check_texts([token_digest])?;
        let held: Vec<(i64, String)> = access_tokens::table
            .filter(access_tokens::session_id.eq(self.session_id))
            .filter(access_tokens::slot.ge(SLOTS))
            .order((access_tokens::created_at, access_tokens::slot))
            .select((access_tokens::slot, access_tokens::audience))
            .load(tx.conn())?;
        let slot = choose_slot(&held, &self.audience);
        let earlier = access_tokens::table
            .filter(access_tokens::session_id.eq(self.session_id))
            .filter(access_tokens::slot.eq(slot));
        diesel::delete(earlier).execute(tx.conn())?;
        diesel::insert_into(access_tokens::table)
            .values((
                access_tokens::user_id.eq(session.user_id),
                access_tokens::access_token.eq(token_digest),
                access_tokens::expiration_date.eq(session.expires_at),
                access_tokens::scopes.eq(&session.scopes),
                access_tokens::created_at.eq(now),
                access_tokens::authenticated_at.eq(session.authenticated_at),
                access_tokens::session_id.eq(self.session_id),
                access_tokens::slot.eq(slot),
                access_tokens::audience.eq(&self.audience),
            ))
            .execute(tx.conn())
            .map(drop)
    }
}

/// The place for the token of a host: that of its earlier one, a free one, or that of the oldest. `held` are
/// the places in use with their hosts, the oldest first.
fn choose_slot(held: &[(i64, String)], audience: &str) -> i64 {
    if let Some((slot, _)) = held.iter().find(|(_, of)| of == audience) {
        return *slot;
    }
    let taken: BTreeSet<i64> = held.iter().map(|(slot, _)| *slot).collect();
    let free = (SLOTS..SLOTS + MAX_HOSTS).find(|slot| !taken.contains(slot));
    let oldest = held.first().map(|(slot, _)| *slot);
    free.or(oldest).unwrap_or(SLOTS)
}

/// Deletes at most `limit` codes that have expired by `now`. Returns how many.
pub(crate) fn prune_sign_in_codes(
    tx: &mut Writing<'_>,
    now: NaiveDateTime,
    limit: i64,
) -> QueryResult<usize> {
    let old = || sign_in_codes::expires_at.le(now);
    prune!(tx, sign_in_codes, digest: String, by expires_at, old(), limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_host_gives_up_its_place_when_all_are_taken() {
        let host = |slot: i64| (slot, format!("app{slot}.example"));
        assert_eq!(choose_slot(&[], "new.example"), 3);
        assert_eq!(choose_slot(&[host(3), host(5)], "new.example"), 4);
        assert_eq!(choose_slot(&[host(3), host(5)], "app5.example"), 5);
        let mut held: Vec<_> = (3..35).map(host).collect();
        held.rotate_left(7);
        assert_eq!(choose_slot(&held, "new.example"), 10);
        assert_eq!(choose_slot(&held, "app34.example"), 34);
    }
}

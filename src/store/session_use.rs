//! When sessions are used, recorded in batches.

use std::collections::BTreeSet;

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamp};

use super::Writing;
use super::prepared::prepared;
use super::refresh::SLOTS;
use super::schema::{access_tokens, refresh_tokens};
use super::user::LockedUser;

/// A later use may have been recorded by another process.
const RECORD_USE: &str =
    "UPDATE sessions SET last_used_at = $1 WHERE id = $2 AND last_used_at < $3";

/// A use of a session.
#[derive(Clone)]
pub(crate) struct SessionUse {
    /// The session.
    pub(crate) session_id: i64,
    /// Its user.
    pub(crate) user_id: i64,
    /// UTC.
    pub(crate) at: NaiveDateTime,
    /// The digest of the login token.
    pub(crate) access_token: String,
}

impl SessionUse {
    /// Records uses: when the sessions were used last ([`super::SessionState::last_used_at`]), and which
    /// clients have their current refresh tokens.
    pub(crate) fn record(tx: &mut Writing<'_>, uses: &[Self]) -> QueryResult<()> {
        // The users first, as everything that changes their sessions: in whatever order it does so, it
        // cannot wait for this transaction while this one waits for it.
        let users: BTreeSet<i64> = uses.iter().map(|one| one.user_id).collect();
        LockedUser::lock_all(tx, &Vec::from_iter(users))?;
        let tokens: Vec<&str> = uses.iter().map(|one| one.access_token.as_str()).collect();
        record_received(tx, &tokens)?;
        for one in uses {
            prepared(RECORD_USE)
                .bind::<Timestamp, _>(one.at)
                .bind::<BigInt, _>(one.session_id)
                .bind::<Timestamp, _>(one.at)
                .execute(tx.conn())?;
        }
        Ok(())
    }
}

/// Records which clients have their current refresh tokens: those that have used the login tokens with
/// these digests, if they were issued together.
fn record_received(tx: &mut Writing<'_>, used: &[&str]) -> QueryResult<()> {
    let unknown: Vec<(i64, i64, i64)> = access_tokens::table
        .inner_join(
            refresh_tokens::table.on(refresh_tokens::session_id.eq(access_tokens::session_id)),
        )
        .filter(access_tokens::access_token.eq_any(used))
        .filter(refresh_tokens::is_received.eq(false))
        .select((
            refresh_tokens::session_id,
            refresh_tokens::counter,
            access_tokens::slot,
        ))
        .load(tx.conn())?;
    let current = unknown
        .into_iter()
        .filter(|(_session, counter, slot)| *slot == counter % SLOTS);
    let current: Vec<i64> = current.map(|(session, _counter, _slot)| session).collect();
    diesel::update(refresh_tokens::table.filter(refresh_tokens::session_id.eq_any(current)))
        .set(refresh_tokens::is_received.eq(true))
        .execute(tx.conn())
        .map(drop)
}

//! Sign-ins with the right password that wait for a second factor.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::Writing;
use super::limits::check_texts;
use super::schema::challenges;

/// The purpose of a sign-in that waits for a second factor.
const SIGN_IN: &str = "sign-in";

/// A sign-in that waits.
pub(crate) struct Challenge {
    pub(crate) user_id: i64,
    /// What the client has asked for, as JSON.
    pub(crate) state: String,
    /// The tries so far, with the current one.
    pub(crate) tries: i64,
}

impl Challenge {
    /// Stores a sign-in that waits until `expires_at`, under the digest of its token.
    pub(crate) fn insert(
        tx: &mut Writing<'_>,
        digest: &str,
        user_id: i64,
        state: &str,
        (now, expires_at): (NaiveDateTime, NaiveDateTime),
    ) -> QueryResult<()> {
        check_texts([digest, state])?;
        diesel::insert_into(challenges::table)
            .values((
                challenges::digest.eq(digest),
                challenges::user_id.eq(Some(user_id)),
                challenges::purpose.eq(SIGN_IN),
                challenges::state.eq(state),
                challenges::tries.eq(0),
                challenges::created_at.eq(now),
                challenges::expires_at.eq(expires_at),
            ))
            .execute(tx.conn())
            .map(drop)
    }

    /// Counts a try, and returns the sign-in; `None` if there is none, or it has had `limit` tries. The
    /// count is complete before any code is compared, so that concurrent guesses are not free.
    pub(crate) fn take_try(
        tx: &mut Writing<'_>,
        digest: &str,
        limit: i64,
        now: NaiveDateTime,
    ) -> QueryResult<Option<Self>> {
        let open = challenges::table
            .find(digest)
            .filter(challenges::purpose.eq(SIGN_IN))
            .filter(challenges::expires_at.gt(now))
            .filter(challenges::tries.lt(limit));
        let taken: Option<(Option<i64>, String, i64)> = diesel::update(open)
            .set(challenges::tries.eq(challenges::tries + 1))
            .returning((challenges::user_id, challenges::state, challenges::tries))
            .get_result(tx.conn())
            .optional()?;
        Ok(taken.and_then(|(user_id, state, tries)| {
            Some(Self {
                user_id: user_id?,
                state,
                tries,
            })
        }))
    }

    /// Gives a try back, because nothing was compared.
    pub(crate) fn return_try(tx: &mut Writing<'_>, digest: &str) -> QueryResult<()> {
        let taken = challenges::table
            .find(digest)
            .filter(challenges::tries.gt(0));
        diesel::update(taken)
            .set(challenges::tries.eq(challenges::tries - 1))
            .execute(tx.conn())
            .map(drop)
    }

    /// Ends a sign-in that waits. Of several concurrent calls, only one returns true.
    pub(crate) fn end(tx: &mut Writing<'_>, digest: &str) -> QueryResult<bool> {
        diesel::delete(challenges::table.find(digest))
            .execute(tx.conn())
            .map(|rows| rows == 1)
    }

    /// Ends all that wait for a user.
    pub(crate) fn end_of_user(tx: &mut Writing<'_>, user_id: i64) -> QueryResult<()> {
        let of_user = challenges::table.filter(challenges::user_id.eq(user_id));
        diesel::delete(of_user).execute(tx.conn()).map(drop)
    }

    /// Deletes at most `limit` that have expired by `now`. Returns how many.
    pub(crate) fn prune(
        tx: &mut Writing<'_>,
        now: NaiveDateTime,
        limit: i64,
    ) -> QueryResult<usize> {
        let expired = challenges::table
            .filter(challenges::expires_at.le(now))
            .order(challenges::expires_at)
            .limit(limit)
            .select(challenges::digest);
        let digests: Vec<String> = expired.load(tx.conn())?;
        let these = challenges::table.filter(challenges::digest.eq_any(digests));
        diesel::delete(these).execute(tx.conn())
    }
}

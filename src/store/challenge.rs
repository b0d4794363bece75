//! Sign-ins with the right password that wait: for a code, or for their users to add a second factor.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::limits::check_texts;
use super::prune::prune;
use super::schema::challenges;
use super::{StoreConnection, Writing};

/// What a sign-in waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// The code of a second factor.
    Code,
    /// A first second factor, which its user has to add.
    Factor,
}

impl Awaited {
    /// The purpose of the challenge.
    const fn purpose(self) -> &'static str {
        match self {
            Self::Code => "sign-in",
            Self::Factor => "enrolment",
        }
    }
}

/// The purpose of a sign-in whose user has added a factor.
const ENROLLED: &str = "enrolled";

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
        awaited: Awaited,
        state: &str,
        (now, expires_at): (NaiveDateTime, NaiveDateTime),
    ) -> QueryResult<()> {
        check_texts([digest, state])?;
        diesel::insert_into(challenges::table)
            .values((
                challenges::digest.eq(digest),
                challenges::user_id.eq(Some(user_id)),
                challenges::purpose.eq(awaited.purpose()),
                challenges::state.eq(state),
                challenges::tries.eq(0),
                challenges::created_at.eq(now),
                challenges::expires_at.eq(expires_at),
            ))
            .execute(tx.conn())
            .map(drop)
    }

    /// Counts a try at the code of a sign-in, and returns that; `None` if there is none, or it has had `limit` tries. The
    /// count is complete before any code is compared, so that concurrent guesses are not free.
    pub(crate) fn take_try(
        tx: &mut Writing<'_>,
        digest: &str,
        limit: i64,
        now: NaiveDateTime,
    ) -> QueryResult<Option<Self>> {
        let open = challenges::table
            .find(digest)
            .filter(challenges::purpose.eq_any([Awaited::Code.purpose(), ENROLLED]))
            .filter(challenges::expires_at.gt(now))
            .filter(challenges::tries.lt(limit));
        let taken: Option<(Option<i64>, String, i64)> = diesel::update(open)
            .set(challenges::tries.eq(challenges::tries + 1))
            .returning((challenges::user_id, challenges::state, challenges::tries))
            .get_result(tx.conn())
            .optional()?;
        Ok(taken.and_then(Self::from_row))
    }

    /// The sign-in whose user has to add a factor.
    pub(crate) fn find_enrolment(
        conn: &mut StoreConnection,
        digest: &str,
        now: NaiveDateTime,
    ) -> QueryResult<Option<Self>> {
        let open = challenges::table
            .find(digest)
            .filter(challenges::purpose.eq(Awaited::Factor.purpose()))
            .filter(challenges::expires_at.gt(now));
        let found: Option<(Option<i64>, String, i64)> = open
            .select((challenges::user_id, challenges::state, challenges::tries))
            .get_result(conn)
            .optional()?;
        Ok(found.and_then(Self::from_row))
    }

    /// Records that the user of a sign-in has added a factor. Returns whether it waited for that.
    pub(crate) fn enrol(
        tx: &mut Writing<'_>,
        digest: &str,
        now: NaiveDateTime,
    ) -> QueryResult<bool> {
        let open = challenges::table
            .find(digest)
            .filter(challenges::purpose.eq(Awaited::Factor.purpose()))
            .filter(challenges::expires_at.gt(now));
        diesel::update(open)
            .set(challenges::purpose.eq(ENROLLED))
            .execute(tx.conn())
            .map(|rows| rows == 1)
    }

    /// Ends a sign-in whose user has added a factor, and returns it. Of several concurrent calls, only one does.
    pub(crate) fn take_enrolled(
        tx: &mut Writing<'_>,
        digest: &str,
        now: NaiveDateTime,
    ) -> QueryResult<Option<Self>> {
        let enrolled = challenges::table
            .find(digest)
            .filter(challenges::purpose.eq(ENROLLED))
            .filter(challenges::expires_at.gt(now));
        let taken: Option<(Option<i64>, String, i64)> = diesel::delete(enrolled)
            .returning((challenges::user_id, challenges::state, challenges::tries))
            .get_result(tx.conn())
            .optional()?;
        Ok(taken.and_then(Self::from_row))
    }

    fn from_row((user_id, state, tries): (Option<i64>, String, i64)) -> Option<Self> {
        Some(Self {
            user_id: user_id?,
            state,
            tries,
        })
    }

    /// Whose sign-in waits, without counting a try; `None` if there is none, or it has had `limit` tries.
    pub(crate) fn find_user(
        conn: &mut StoreConnection,
        digest: &str,
        limit: i64,
        now: NaiveDateTime,
    ) -> QueryResult<Option<i64>> {
        let found: Option<Option<i64>> = challenges::table
            .find(digest)
            .filter(challenges::purpose.eq_any([Awaited::Code.purpose(), ENROLLED]))
            .filter(challenges::expires_at.gt(now))
            .filter(challenges::tries.lt(limit))
            .select(challenges::user_id)
            .get_result(conn)
            .optional()?;
        Ok(found.flatten())
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
        let old = || challenges::expires_at.le(now);
        prune!(tx, challenges, digest: String, by expires_at, old(), limit)
    }
}

//! What the throttle counts, by subject. What a count means is for the domain to say.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamp};

use super::Writing;
use super::schema::login_failures;

/// The attempts that are held against a subject: an account, an address or network, or an account
/// from an address or network.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, QueryableByName, AsChangeset)]
#[diesel(table_name = login_failures, treat_none_as_null = true)]
pub struct LoginFailures {
    /// A keyed digest.
    pub subject: String,
    /// The keyed digest of the account, for what belongs to one.
    pub account: Option<String>,
    /// Attempts since the last success.
    pub failures: i64,
    /// UTC; when the next attempt may be made, or until when the budget is used up.
    pub next_at: Option<NaiveDateTime>,
    /// UTC; from then on the row says nothing.
    pub expires_at: NaiveDateTime,
    /// What the trail was told of the wait; the domain numbers it, from 0 for nothing.
    pub alerts: i64,
    /// How many of the failures are attempts that are not decided yet.
    pub under_way: i64,
    /// UTC; from then on attempts that are not decided are failures.
    pub under_way_until: Option<NaiveDateTime>,
    /// UTC; until when the budget of an account for sign-ins is used up.
    pub signed_in_until: Option<NaiveDateTime>,
}

impl LoginFailures {
    /// What is held against a subject, held against changes until the transaction ends; made when
    /// it is not there. An account is locked before what belongs to it, and addresses after that.
    pub(crate) fn lock(
        tx: &mut Writing<'_>,
        subject: &str,
        account: Option<&str>,
        now: NaiveDateTime,
    ) -> QueryResult<Self> {
        // One statement whether it was there or not: two would take longer, and tell who was.
        // The derive of the connection has no ON CONFLICT; both databases write it alike.
        diesel::sql_query(
            "INSERT INTO login_failures (subject, account, failures, expires_at) \
             VALUES ($1, $2, $3, $4) \
             ON CONFLICT (subject) DO UPDATE SET failures = login_failures.failures \
             RETURNING subject, account, failures, next_at, expires_at, alerts, \
             under_way, under_way_until, signed_in_until",
        )
        .bind::<Text, _>(subject)
        .bind::<Nullable<Text>, _>(account)
        .bind::<BigInt, _>(0)
        .bind::<Timestamp, _>(now)
        .get_result(tx.conn())
    }

    /// As [`Self::lock`], if it is there.
    pub(crate) fn lock_existing(tx: &mut Writing<'_>, subject: &str) -> QueryResult<Option<Self>> {
        diesel::update(login_failures::table.find(subject))
            .set(login_failures::failures.eq(login_failures::failures))
            .returning(login_failures::all_columns)
            .get_result(tx.conn())
            .optional()
    }

    /// An attempt is decided, and stays counted as a failure. `held` is 1 for one that was under way,
    /// and 0 for one that was refused, which takes as long.
    pub(crate) fn decide(tx: &mut Writing<'_>, subject: &str, held: i64) -> QueryResult<()> {
        diesel::sql_query(
            "UPDATE login_failures \
             SET under_way = CASE WHEN under_way > $1 THEN under_way - $1 ELSE 0 END \
             WHERE subject = $2",
        )
        .bind::<BigInt, _>(held)
        .bind::<Text, _>(subject)
        .execute(tx.conn())
        .map(drop)
    }

    /// An attempt was under way and no password was compared: it does not count.
    pub(crate) fn withdraw(
        tx: &mut Writing<'_>,
        subject: &str,
        now: NaiveDateTime,
    ) -> QueryResult<()> {
        // Within the limit there is no wait without it, and beyond it the one before had passed.
        diesel::sql_query(
            "UPDATE login_failures \
             SET failures = failures - 1, under_way = under_way - 1, next_at = NULL \
             WHERE subject = $1 AND under_way > 0 AND failures > 0 AND under_way_until > $2",
        )
        .bind::<Text, _>(subject)
        .bind::<Timestamp, _>(now)
        .execute(tx.conn())
        .map(drop)
    }

    /// Stores what was locked.
    pub(crate) fn update(&self, tx: &mut Writing<'_>) -> QueryResult<()> {
        diesel::update(login_failures::table.find(&self.subject))
            .set(self)
            .execute(tx.conn())
            .map(drop)
    }

    /// Forgets the attempts that are held against an account, from wherever they came. Returns in
    /// how many rows there were any. The rows stay: they tell which addresses are known.
    pub(crate) fn forget_account(
        tx: &mut Writing<'_>,
        account: &str,
        now: NaiveDateTime,
    ) -> QueryResult<usize> {
        // Locked even when it has to be made first: who holds it is alone with what belongs to it.
        Self::lock(tx, account, Some(account), now)?;
        let of_account = login_failures::table
            .filter(login_failures::account.eq(account))
            .filter(login_failures::failures.gt(0));
        diesel::update(of_account)
            .set((
                login_failures::failures.eq(0),
                login_failures::next_at.eq(None::<NaiveDateTime>),
                login_failures::alerts.eq(0),
            ))
            .execute(tx.conn())
    }

    /// Deletes rows that say nothing any more, `limit` at most. Returns how many.
    pub(crate) fn prune(
        tx: &mut Writing<'_>,
        now: NaiveDateTime,
        limit: i64,
    ) -> QueryResult<usize> {
        let expired = login_failures::expires_at.le(now);
        let subjects: Vec<String> = login_failures::table
            .filter(expired)
            .order(login_failures::expires_at)
            .limit(limit)
            .select(login_failures::subject)
            .load(tx.conn())?;
        if subjects.is_empty() {
            return Ok(0);
        }
        // Asked again: an attempt may have been made meanwhile.
        let still = login_failures::table
            .filter(login_failures::subject.eq_any(subjects))
            .filter(expired);
        diesel::delete(still).execute(tx.conn())
    }
}

//! The counters of the throttle, by subject. The domain decides what a count means.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamp};

use super::Writing;
use super::schema::login_failures;

/// The attempts counted for a subject: an account, an address or network, or an account from an
/// address or network.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, QueryableByName, AsChangeset)]
#[diesel(table_name = login_failures, treat_none_as_null = true)]
pub struct ThrottleCounter {
    /// A keyed digest.
    pub subject: String,
    /// The keyed digest of the account, if the subject belongs to one.
    pub account: Option<String>,
    /// Attempts since the last success.
    pub failures: i64,
    /// UTC; when the next attempt is allowed, or until when the budget is used up.
    pub next_at: Option<NaiveDateTime>,
    /// UTC; the row has no effect from then on.
    pub expires_at: NaiveDateTime,
    /// What the audit trail already records about the wait, as a number that the domain defines; 0
    /// for nothing.
    pub alerts: i64,
    /// The number of failures that are still undecided attempts.
    pub under_way: i64,
    /// UTC; from then on undecided attempts count as failures.
    pub under_way_until: Option<NaiveDateTime>,
    /// UTC; until when the sign-in budget of an account is used up.
    pub signed_in_until: Option<NaiveDateTime>,
}

impl ThrottleCounter {
    /// Locks the counter of a subject until the transaction ends and returns it; creates it if it
    /// does not exist. An account is locked before the subjects that belong to it, and addresses
    /// after those.
    pub(crate) fn lock(
        tx: &mut Writing<'_>,
        subject: &str,
        account: Option<&str>,
        now: NaiveDateTime,
    ) -> QueryResult<Self> {
        // One statement for both cases: two would take longer, and reveal whether the subject is
        // known. diesel's derive for the connection type has no ON CONFLICT; the SQL is the same
        // for both databases.
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

    /// Like [`Self::lock`], if the counter exists.
    pub(crate) fn lock_existing(tx: &mut Writing<'_>, subject: &str) -> QueryResult<Option<Self>> {
        diesel::update(login_failures::table.find(subject))
            .set(login_failures::failures.eq(login_failures::failures))
            .returning(login_failures::all_columns)
            .get_result(tx.conn())
            .optional()
    }

    /// Marks an attempt as decided; it stays counted as a failure. `held` is 1 for an attempt that
    /// was undecided, and 0 for a refused one, so that both take equally long.
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

    /// Removes an undecided attempt for which no password was compared.
    pub(crate) fn withdraw(
        tx: &mut Writing<'_>,
        subject: &str,
        now: NaiveDateTime,
    ) -> QueryResult<()> {
        // Without this attempt there is no wait: the count is within the limit, or the previous
        // wait has passed.
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

    /// Stores a locked counter.
    pub(crate) fn update(&self, tx: &mut Writing<'_>) -> QueryResult<()> {
        diesel::update(login_failures::table.find(&self.subject))
            .set(self)
            .execute(tx.conn())
            .map(drop)
    }

    /// Resets the attempts counted for an account, from any address. Returns how many rows had any.
    /// The rows stay: they show which addresses are known.
    pub(crate) fn reset_account(
        tx: &mut Writing<'_>,
        account: &str,
        now: NaiveDateTime,
    ) -> QueryResult<usize> {
        // Locked even if it has to be created first: the transaction that holds it has exclusive
        // access to the subjects of the account.
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

    /// Moves the count of an account to another one; where both have one, the stricter applies.
    pub(crate) fn move_account(
        tx: &mut Writing<'_>,
        old: &str,
        new: &str,
        now: NaiveDateTime,
    ) -> QueryResult<()> {
        // In a fixed order, so that two transactions cannot deadlock.
        let first = Self::lock(tx, old.min(new), Some(old.min(new)), now)?;
        let second = Self::lock(tx, old.max(new), Some(old.max(new)), now)?;
        let (old, mut new) = match first.subject == old {
            true => (first, second),
            false => (second, first),
        };
        new.failures = new.failures.max(old.failures);
        new.next_at = new.next_at.max(old.next_at);
        new.alerts = new.alerts.max(old.alerts);
        new.signed_in_until = new.signed_in_until.max(old.signed_in_until);
        new.expires_at = new.expires_at.max(old.expires_at);
        new.update(tx)?;
        Self::reset_account(tx, &old.subject, now).map(drop)
    }

    /// Deletes at most `limit` rows that no longer have an effect. Returns how many.
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
        // Checked again: an attempt may have been made meanwhile.
        let still_expired = login_failures::table
            .filter(login_failures::subject.eq_any(subjects))
            .filter(expired);
        diesel::delete(still_expired).execute(tx.conn())
    }
}

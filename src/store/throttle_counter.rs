//! The counters of the throttle, by subject. The domain decides what a count means.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamp};

use super::Writing;
use super::prepared::{Columns, ListedRow, prepared};
use super::schema::login_failures;

/// Passes over counters that an attempt has locked: it needs them, and may wait for others of these.
const PRUNE_POSTGRES: &str = "DELETE FROM login_failures WHERE ctid = ANY(ARRAY(\
     SELECT ctid FROM login_failures WHERE expires_at <= $1 \
     ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))";

const PRUNE_SQLITE: &str = "DELETE FROM login_failures WHERE subject IN (\
     SELECT subject FROM login_failures WHERE expires_at <= $1 \
     ORDER BY expires_at LIMIT $2)";

/// The attempts counted for a subject: an account, an address or network, or an account from an
/// address or network.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
#[diesel(table_name = login_failures)]
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
    /// A counter of nothing.
    pub(super) fn new(subject: &str, account: Option<&str>, now: NaiveDateTime) -> Self {
        Self {
            subject: subject.to_owned(),
            account: account.map(str::to_owned),
            failures: 0,
            next_at: None,
            expires_at: now,
            alerts: 0,
            under_way: 0,
            under_way_until: None,
            signed_in_until: None,
        }
    }

    /// Deletes at most `limit` rows that no longer have an effect. Returns how many.
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

impl ListedRow for ThrottleCounter {
    fn walk<'b>(&'b self, columns: &mut Columns<'_, '_, 'b>) -> QueryResult<()> {
        columns
            .add::<Text, _>(&self.subject)?
            .add::<Nullable<Text>, _>(&self.account)?
            .add::<BigInt, _>(&self.failures)?
            .add::<Nullable<Timestamp>, _>(&self.next_at)?
            .add::<Timestamp, _>(&self.expires_at)?
            .add::<BigInt, _>(&self.alerts)?
            .add::<BigInt, _>(&self.under_way)?
            .add::<Nullable<Timestamp>, _>(&self.under_way_until)?
            .add::<Nullable<Timestamp>, _>(&self.signed_in_until)
            .map(drop)
    }
}

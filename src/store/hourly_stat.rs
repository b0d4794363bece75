//! Values of each hour, by name and label, for the overview of the console. The domain decides what they
//! mean.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text, Timestamp};

use super::limits::check_texts;
use super::prepared::prepared;
use super::schema::hourly_stats;
use super::{StoreConnection, Writing};

/// The name of the row with the last event that is counted.
const CURSOR: &str = "cursor";

const ADD: &str = "INSERT INTO hourly_stats (name, hour, label, value) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (name, hour, label) DO UPDATE SET value = hourly_stats.value + excluded.value \
     RETURNING name, hour, label, value";

const SET: &str = "INSERT INTO hourly_stats (name, hour, label, value) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (name, hour, label) DO UPDATE SET value = excluded.value \
     RETURNING name, hour, label, value";

/// One statement for several names, because Postgres without statistics of the table expects few rows of a single
/// one, and would sort all of them by their labels instead of hashing them.
const SUMS: &str = "SELECT name, label, CAST(total AS BIGINT) AS value FROM (SELECT name, label, \
     SUM(value) AS total, ROW_NUMBER() OVER (PARTITION BY name ORDER BY SUM(value) DESC, label) AS place \
     FROM hourly_stats WHERE name IN ($1, $2, $3) AND hour >= $4 GROUP BY name, label) AS sums \
     WHERE place <= $5 ORDER BY name, place";

/// The sum of the values of a label.
#[derive(QueryableByName)]
#[diesel(table_name = hourly_stats)]
pub(crate) struct LabelSum {
    /// What is counted.
    pub(crate) name: String,
    /// Of which kind.
    pub(crate) label: String,
    /// How much.
    pub(crate) value: i64,
}

/// A value of an hour.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, QueryableByName)]
#[diesel(table_name = hourly_stats)]
pub(crate) struct HourlyStat {
    /// What is counted.
    pub(crate) name: String,
    /// The beginning of the hour, UTC.
    pub(crate) hour: NaiveDateTime,
    /// Of which kind.
    pub(crate) label: String,
    /// How much.
    pub(crate) value: i64,
}

impl HourlyStat {
    /// The cursor at an event.
    fn cursor(value: i64) -> Self {
        Self {
            name: CURSOR.to_owned(),
            hour: NaiveDateTime::default(),
            label: String::new(),
            value,
        }
    }

    /// The last event that is counted, or 0.
    pub(crate) fn find_cursor(conn: &mut StoreConnection) -> QueryResult<i64> {
        let last = hourly_stats::table
            .find((CURSOR, NaiveDateTime::default(), ""))
            .select(hourly_stats::value)
            .get_result(conn)
            .optional()?;
        Ok(last.unwrap_or(0))
    }

    /// Locks the cursor until the transaction ends, and returns the last event that is counted, so that no
    /// two processes count the same event.
    pub(crate) fn lock_cursor(tx: &mut Writing<'_>) -> QueryResult<i64> {
        Ok(Self::cursor(0).store(tx, ADD)?.value)
    }

    /// Stores the last event that is counted. The cursor must be locked.
    pub(crate) fn set_cursor(tx: &mut Writing<'_>, last: i64) -> QueryResult<()> {
        Self::cursor(last).set(tx)
    }

    /// Adds the value to that of the same hour, name and label.
    pub(crate) fn add(&self, tx: &mut Writing<'_>) -> QueryResult<()> {
        self.store(tx, ADD).map(drop)
    }

    /// Replaces the value.
    pub(crate) fn set(&self, tx: &mut Writing<'_>) -> QueryResult<()> {
        self.store(tx, SET).map(drop)
    }

    /// Stores the row, and returns it as it is then.
    fn store(&self, tx: &mut Writing<'_>, statement: &'static str) -> QueryResult<Self> {
        check_texts([&self.name, &self.label])?;
        prepared(statement)
            .bind::<Text, _>(&self.name)
            .bind::<Timestamp, _>(self.hour)
            .bind::<Text, _>(&self.label)
            .bind::<BigInt, _>(self.value)
            .get_result(tx.conn())
    }

    /// How many labels an hour has under a name.
    pub(crate) fn count_labels(
        conn: &mut StoreConnection,
        name: &str,
        hour: NaiveDateTime,
    ) -> QueryResult<i64> {
        hourly_stats::table
            .filter(hourly_stats::name.eq(name))
            .filter(hourly_stats::hour.eq(hour))
            .count()
            .get_result(conn)
    }

    /// The values under these names from an hour on: at most `limit`.
    pub(crate) fn list_since(
        conn: &mut StoreConnection,
        names: &[&str],
        hour: NaiveDateTime,
        limit: i64,
    ) -> QueryResult<Vec<Self>> {
        hourly_stats::table
            .filter(hourly_stats::name.eq_any(names))
            .filter(hourly_stats::hour.ge(hour))
            .limit(limit)
            .load(conn)
    }

    /// The sums of the values under each of these names from an hour on by label, the largest first: at most `limit`
    /// of each.
    pub(crate) fn sum_since(
        conn: &mut StoreConnection,
        [first, second, third]: [&str; 3],
        hour: NaiveDateTime,
        limit: i64,
    ) -> QueryResult<Vec<LabelSum>> {
        prepared(SUMS)
            .bind::<Text, _>(first)
            .bind::<Text, _>(second)
            .bind::<Text, _>(third)
            .bind::<Timestamp, _>(hour)
            .bind::<BigInt, _>(limit)
            .load(conn)
    }

    /// Deletes the values under a name before an hour.
    pub(crate) fn prune(
        tx: &mut Writing<'_>,
        name: &str,
        before: NaiveDateTime,
    ) -> QueryResult<usize> {
        let old = hourly_stats::table
            .filter(hourly_stats::name.eq(name))
            .filter(hourly_stats::hour.lt(before));
        diesel::delete(old).execute(tx.conn())
    }
}

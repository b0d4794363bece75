//! The sequences of ids. An id must never be assigned twice: apps use it as a key for their own
//! data.

use diesel::dsl::max;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::schema::{api_keys, sessions, users};
use super::{StoreConnection, Writing};

/// A table that assigns ids, and one of its ids: the last one assigned, or the next one.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct Sequence {
    /// The table.
    #[diesel(sql_type = Text)]
    pub table: String,
    /// The id.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
}

/// The tables of an SQLite database that never reuse ids, with the last id of each.
const SQLITE_SEQUENCES: &str = "SELECT t.name AS \"table\", \
     COALESCE((SELECT MAX(s.seq) FROM sqlite_sequence AS s WHERE s.name = t.name), 0) AS id \
     FROM sqlite_schema AS t WHERE t.type = 'table' AND t.sql LIKE '%AUTOINCREMENT%' ORDER BY 1";

/// The same query for the Postgres schema that contains the tables.
const POSTGRES_SEQUENCES: &str = "SELECT t.relname::text AS \"table\", \
     COALESCE(pg_sequence_last_value(s.oid), 0) AS id \
     FROM pg_class s \
     JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid \
          AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') \
     JOIN pg_class t ON t.oid = d.refobjid \
     WHERE s.relkind = 'S' \
       AND t.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('users')) \
     ORDER BY 1";

impl Sequence {
    /// The sequences of a database, with the last id that each has assigned.
    pub(crate) fn list(conn: &mut StoreConnection) -> QueryResult<Vec<Self>> {
        let query = match conn {
            StoreConnection::Sqlite(_) => SQLITE_SEQUENCES,
            StoreConnection::Postgres(_) => POSTGRES_SEQUENCES,
        };
        diesel::sql_query(query).load(conn)
    }

    /// Moves each sequence `distance` beyond all ids that were assigned, in this database or in
    /// another state of it that `others` describes. Returns the next ids.
    pub(crate) fn skip_ahead(
        tx: &mut Writing<'_>,
        others: &[Self],
        distance: i64,
    ) -> QueryResult<Vec<Self>> {
        let mut all = Self::list(tx)?;
        for sequence in &mut all {
            let other_ids = others
                .iter()
                .filter(|other| other.table == sequence.table)
                .map(|other| other.id);
            let stored = largest_id(tx, &sequence.table)?;
            let last = other_ids.chain([sequence.id, stored]).max().unwrap_or(0);
            sequence.id = last.saturating_add(distance);
            sequence.set(tx)?;
            if sequence.table == "users" {
                retire_up_to(tx, sequence.id)?;
            }
            sequence.id = sequence.id.saturating_add(1);
        }
        Ok(all)
    }

    /// The largest id that a user may have had so far; `0` if there has been no user. Assigns none.
    #[cfg(feature = "cli")]
    pub(crate) fn last_user_id(conn: &mut StoreConnection) -> QueryResult<i64> {
        let all = Self::list(conn)?;
        let users = all.iter().find(|sequence| sequence.table == "users");
        let assigned = users.map_or(0, |sequence| sequence.id);
        Ok(assigned.max(largest_id(conn, "users")?))
    }

    /// Ensures that new users get ids above `id`. Waits for other transactions that insert users, and
    /// lets none insert until this one ends. Returns the largest id that a user may have had before.
    #[cfg(feature = "cli")]
    pub(crate) fn reserve_user_ids(tx: &mut Writing<'_>, id: i64) -> QueryResult<i64> {
        if let StoreConnection::Postgres(conn) = tx.conn() {
            diesel::sql_query("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE").execute(conn)?;
        }
        let last = Self::last_user_id(tx)?;
        if last < id {
            let table = "users".to_owned();
            Self { table, id }.set(tx)?;
        }
        Ok(last)
    }

    /// Makes this id the last one assigned.
    fn set(&self, tx: &mut Writing<'_>) -> QueryResult<()> {
        match tx.conn() {
            StoreConnection::Sqlite(conn) => {
                diesel::sql_query("DELETE FROM sqlite_sequence WHERE name = ?")
                    .bind::<Text, _>(&self.table)
                    .execute(conn)?;
                diesel::sql_query("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)")
                    .bind::<Text, _>(&self.table)
                    .bind::<BigInt, _>(self.id)
                    .execute(conn)
            }
            StoreConnection::Postgres(conn) => diesel::sql_query(
                "SELECT setval(pg_get_serial_sequence(quote_ident($1), 'id'), $2)",
            )
            .bind::<Text, _>(&self.table)
            .bind::<BigInt, _>(self.id)
            .execute(conn),
        }
        .map(drop)
    }
}

/// Ensures that no import gives an id up to this one to a user.
fn retire_up_to(tx: &mut Writing<'_>, id: i64) -> QueryResult<()> {
    diesel::sql_query(
        "INSERT INTO retired_ids (id, and_below) VALUES ($1, TRUE) \
         ON CONFLICT (id) DO UPDATE SET and_below = TRUE",
    )
    .bind::<BigInt, _>(id)
    .execute(tx.conn())
    .map(drop)
}

/// The largest id in a table whose ids are visible to apps: rows may have been copied without the
/// state of the sequence, as by logical replication.
fn largest_id(conn: &mut StoreConnection, table: &str) -> QueryResult<i64> {
    let largest: Option<i64> = match table {
        "users" => users::table.select(max(users::id)).get_result(conn)?,
        "api_keys" => api_keys::table.select(max(api_keys::id)).get_result(conn)?,
        "sessions" => sessions::table.select(max(sessions::id)).get_result(conn)?,
        _ => None,
    };
    // The ids of apps are negative.
    Ok(largest.unwrap_or(0).max(0))
}

//! The tables through which the processes on one Postgres database agree on what they remember.
//!
//! | table | a row is |
//! |---|---|
//! | `session_leases` | a process that may use its memory, unless it is fenced |
//! | `session_calls` | a change under way, for which all of them pause |
//! | `session_answers` | what the owner of a lease pauses for, and how far it has read |
//! | `session_changes` | a credential whose principal was changed, and the transaction that did it |
//!
//! Any role that may connect to the database can send notifications and hear them. So they are
//! empty, and say only that there may be something to read here. What is read needs no order of
//! arrival: one statement reads all of it in one snapshot.

use std::collections::HashSet;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text};

use crate::store::schema::session_leases;

/// How a connection hears that there is something to read.
pub(super) const LISTEN: &str = "LISTEN tokenhouse_sessions";

/// More changes than that are not told apart: everything is forgotten.
const MAX_CHANGES: usize = 10_000;

/// How many changes are taken out of the log at a time, so that look-ups do not wait for it.
const MAX_PRUNED: i64 = 2_000;

/// Reads everything in one snapshot. Those of `$3` were running at the earlier one, and `$2` was the
/// next to begin: of the changes that can be seen now, theirs could not be seen then.
const LOOK: &str = "SELECT \
     (SELECT NOT fenced FROM session_leases WHERE lease = $1) AS is_ours, \
     ARRAY(SELECT call FROM session_calls) AS calls, \
     ARRAY(SELECT credential FROM session_changes WHERE txid >= $2 OR txid = ANY($3) \
         LIMIT $4) AS changes, \
     txid_snapshot_xmin(snapshot) AS oldest, \
     txid_snapshot_xmax(snapshot) AS next, \
     ARRAY(SELECT txid_snapshot_xip(snapshot)) AS running \
     FROM txid_current_snapshot() AS snapshot";

const ANSWER: &str = "INSERT INTO session_answers (lease, calls, seen) VALUES ($1, $2, $3) \
     ON CONFLICT (lease) DO UPDATE SET calls = excluded.calls, seen = excluded.seen";

/// Takes out what the owner of every lease has read. A transaction that is not before the next one to
/// begin is of another server, whose tables were restored here.
const PRUNE_CHANGES: &str = "DELETE FROM session_changes WHERE ctid = ANY(ARRAY(\
     SELECT ctid FROM session_changes WHERE \
     txid < (SELECT COALESCE(MIN(COALESCE(seen, 0)), \
             txid_snapshot_xmin(txid_current_snapshot())) \
         FROM session_leases LEFT JOIN session_answers USING (lease)) \
     OR txid >= txid_snapshot_xmax(txid_current_snapshot()) \
     LIMIT $1 FOR UPDATE SKIP LOCKED))";

const PRUNE_ANSWERS: &str = "DELETE FROM session_answers WHERE ctid = ANY(ARRAY(\
     SELECT ctid FROM session_answers \
     WHERE lease NOT IN (SELECT lease FROM session_leases) FOR UPDATE SKIP LOCKED))";

const PRUNE_CALLS: &str = "DELETE FROM session_calls WHERE ctid = ANY(ARRAY(\
     SELECT ctid FROM session_calls WHERE call = ANY($1) FOR UPDATE SKIP LOCKED))";

/// How far the log of changes was read: as far as one snapshot shows it. A transaction may have a
/// low number and end late, so no number alone says that.
pub(super) struct Snapshot {
    /// Every transaction before this one had ended.
    oldest: i64,
    /// This one and those after it had not begun.
    next: i64,
    /// Of those between, these had not ended.
    running: Vec<i64>,
}

/// What the tables say at one moment.
pub(super) struct Seen {
    /// Whether the lease is there and not fenced.
    pub(super) is_ours: bool,
    /// The changes under way.
    pub(super) calls: HashSet<i64>,
    /// What was changed since the earlier snapshot, digests of credentials mostly; `None` when that
    /// is too much to tell apart.
    pub(super) changes: Option<Vec<String>>,
    /// Where the next reading goes on.
    pub(super) snapshot: Snapshot,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Nullable<Bool>)]
    is_ours: Option<bool>,
    #[diesel(sql_type = Array<BigInt>)]
    calls: Vec<i64>,
    #[diesel(sql_type = Array<Text>)]
    changes: Vec<String>,
    #[diesel(sql_type = BigInt)]
    oldest: i64,
    #[diesel(sql_type = BigInt)]
    next: i64,
    #[diesel(sql_type = Array<BigInt>)]
    running: Vec<i64>,
}

/// Reads the tables for the owner of a lease. Without an earlier snapshot nothing was remembered
/// before this one, so there is nothing to forget.
pub(super) fn look(
    conn: &mut PgConnection,
    lease: i64,
    since: Option<&Snapshot>,
) -> QueryResult<Seen> {
    let none = Snapshot {
        oldest: i64::MAX,
        next: i64::MAX,
        running: Vec::new(),
    };
    let since = since.unwrap_or(&none);
    let row: Row = diesel::sql_query(LOOK)
        .bind::<BigInt, _>(lease)
        .bind::<BigInt, _>(since.next)
        .bind::<Array<BigInt>, _>(&since.running)
        .bind::<BigInt, _>(MAX_CHANGES as i64 + 1)
        .get_result(conn)?;
    Ok(Seen {
        is_ours: row.is_ours == Some(true),
        calls: row.calls.into_iter().collect(),
        changes: Some(row.changes).filter(|changes| changes.len() <= MAX_CHANGES),
        snapshot: Snapshot {
            oldest: row.oldest,
            next: row.next,
            running: row.running,
        },
    })
}

/// Takes a lease. It may be used once a [`look`] after this shows no change under way: a change
/// that has begun before waits for it or is seen by it.
pub(super) fn take_lease(conn: &mut PgConnection) -> QueryResult<i64> {
    let lease = rand::random::<i64>();
    diesel::insert_into(session_leases::table)
        .values(session_leases::lease.eq(lease))
        .execute(conn)?;
    Ok(lease)
}

/// Gives a lease up. Changes do not wait for it any more.
pub(super) fn give_up_lease(conn: &mut PgConnection, lease: i64) -> QueryResult<()> {
    diesel::delete(session_leases::table.find(lease)).execute(conn)?;
    Ok(())
}

/// Says for the owner of a lease that it pauses for these calls, and how far it has read.
pub(super) fn answer(
    conn: &mut PgConnection,
    lease: i64,
    calls: &[i64],
    snapshot: &Snapshot,
) -> QueryResult<()> {
    diesel::sql_query(ANSWER)
        .bind::<BigInt, _>(lease)
        .bind::<Array<BigInt>, _>(calls)
        .bind::<BigInt, _>(snapshot.oldest)
        .execute(conn)
        .map(drop)
}

/// Takes out what no process needs any more, and these calls, which have been under way for longer
/// than a pause lasts.
pub(super) fn prune(conn: &mut PgConnection, ended_calls: &[i64]) -> QueryResult<()> {
    if !ended_calls.is_empty() {
        diesel::sql_query(PRUNE_CALLS)
            .bind::<Array<BigInt>, _>(ended_calls)
            .execute(conn)?;
    }
    diesel::sql_query(PRUNE_ANSWERS).execute(conn)?;
    diesel::sql_query(PRUNE_CHANGES)
        .bind::<BigInt, _>(MAX_PRUNED)
        .execute(conn)
        .map(drop)
}

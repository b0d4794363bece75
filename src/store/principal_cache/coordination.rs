//! The tables through which the processes on one Postgres database agree on what they may cache.
//!
//! | table | a row is |
//! |---|---|
//! | `session_leases` | a process that may use its cache, unless it is fenced |
//! | `session_calls` | a change in progress, and the users that all of them suspend for it |
//! | `session_answers` | the calls that the owner of a lease obeys, and how far it has read |
//! | `session_changes` | a credential whose principal was changed, and the transaction that did it |
//!
//! Any role that may connect to the database can send and receive notifications. Therefore
//! notifications have no payload and mean only that these tables may have changed. Their order does
//! not matter: one statement reads everything in one snapshot.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text};

use super::entries::Entries;
use super::lease::PAUSE_TIMEOUT;
use super::suspensions::Suspension;
use crate::store::Ends;
use crate::store::prepared::prepared;
use crate::store::schema::session_leases;

/// Subscribes a connection to the notifications.
pub(super) const LISTEN: &str = "LISTEN tokenhouse_sessions";

/// Makes every process read the tables.
pub(super) const RING: &str = "SELECT pg_notify('tokenhouse_sessions', '')";

/// With more changes than this, the whole cache is cleared.
const MAX_CHANGES: usize = 10_000;

/// A change of more users than this pauses all processes, as one that names no users.
pub(super) const MAX_NAMED_USERS: usize = 1_000;

/// The most changes deleted from the log at a time, so that look-ups do not wait for it.
const MAX_PRUNED_CHANGES: i64 = 2_000;

/// Reads everything in one snapshot. A call is its number and its users, if it names any. `$3` are the
/// transactions that were running at the earlier snapshot, and `$2` was the next one to begin: of the
/// changes visible now, theirs were not visible then.
const READ: &str = "SELECT \
     (SELECT NOT fenced FROM session_leases WHERE lease = $1) AS is_ours, \
     ARRAY(SELECT array_to_string(call || users, ' ', '?') FROM session_calls) AS calls, \
     ARRAY(SELECT credential FROM session_changes WHERE txid >= $2 OR txid = ANY($3) \
         LIMIT $4) AS changes, \
     txid_snapshot_xmin(snapshot) AS oldest, \
     txid_snapshot_xmax(snapshot) AS next, \
     ARRAY(SELECT txid_snapshot_xip(snapshot)) AS running \
     FROM txid_current_snapshot() AS snapshot";

const ANSWER: &str = "INSERT INTO session_answers (lease, calls, seen) VALUES ($1, $2, $3) \
     ON CONFLICT (lease) DO UPDATE SET calls = excluded.calls, seen = excluded.seen";

/// Deletes the changes that the owner of every lease has read. A transaction at or after the next
/// one to begin comes from another server, whose tables were restored here.
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
/// low number and end late, so a single number is not enough.
pub(super) struct Snapshot {
    /// All transactions before this one had ended.
    oldest: i64,
    /// This one and all later ones had not begun.
    next: i64,
    /// The transactions in between that had not ended.
    running: Vec<i64>,
}

/// The contents of the tables at one moment.
pub(super) struct Seen {
    /// Whether the lease exists and is not fenced.
    pub(super) is_ours: bool,
    /// The changes in progress, and whose credentials each may end.
    pub(super) calls: HashMap<i64, Ends>,
    /// What has changed since the earlier snapshot, mostly digests of credentials; `None` if there
    /// are more than [`MAX_CHANGES`].
    pub(super) changes: Option<Vec<String>>,
    /// Where the next read continues.
    pub(super) snapshot: Snapshot,
}

/// The changes in progress, and what this process does for each of them.
#[derive(Default)]
pub(super) struct PendingCalls(HashMap<i64, PendingCall>);

struct PendingCall {
    /// When this process first saw it.
    since: Instant,
    effect: Effect,
}

/// What a change in progress forbids.
enum Effect {
    /// The use of the cache.
    Pause,
    /// The use of some users' entries.
    Suspend(#[expect(dead_code, reason = "resumes the users when it is dropped")] Suspension),
    /// Nothing any longer: see [`PAUSE_TIMEOUT`].
    Expired,
}

impl PendingCall {
    fn new(ends: &Ends, entries: &Arc<Entries>) -> Self {
        let since = Instant::now();
        let effect = match ends {
            Ends::Everyone => Effect::Pause,
            Ends::Users(ids) => Effect::Suspend(Suspension::new(entries, ids)),
        };
        Self { since, effect }
    }

    fn is_expired(&self) -> bool {
        matches!(self.effect, Effect::Expired)
    }
}

impl PendingCalls {
    /// Replaces the calls with those in the tables, suspends the users of the new ones, and resumes
    /// those of the ones that are over. Returns whether any of them is new.
    pub(super) fn update(&mut self, seen: HashMap<i64, Ends>, entries: &Arc<Entries>) -> bool {
        self.0.retain(|call, _pending| seen.contains_key(call));
        for pending in self.0.values_mut() {
            if pending.since.elapsed() >= PAUSE_TIMEOUT {
                pending.effect = Effect::Expired;
            }
        }
        let known = self.0.len();
        for (call, ends) in seen {
            self.0
                .entry(call)
                .or_insert_with(|| PendingCall::new(&ends, entries));
        }
        self.0.len() > known
    }

    /// Whether any is in progress.
    pub(super) fn are_any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether one of them forbids the use of the cache.
    pub(super) fn require_pause(&self) -> bool {
        self.0
            .values()
            .any(|pending| matches!(pending.effect, Effect::Pause))
    }

    pub(super) fn ids(&self) -> Vec<i64> {
        self.0.keys().copied().collect()
    }

    /// The calls that no process obeys any longer.
    pub(super) fn expired(&self) -> Vec<i64> {
        let expired = self
            .0
            .iter()
            .filter(|(_call, pending)| pending.is_expired());
        expired.map(|(call, _pending)| *call).collect()
    }
}

/// Parses the row of a call, as [`READ`] returns it. `None` if even its number cannot be read.
fn parse_call(text: &str) -> Option<(i64, Ends)> {
    let mut words = text.split(' ');
    let call = words.next()?.parse().ok()?;
    let ids: Result<Vec<i64>, _> = words.map(str::parse).collect();
    let is_named = |ids: &Vec<i64>| !ids.is_empty() && ids.len() <= MAX_NAMED_USERS;
    let ends = match ids.ok().filter(is_named) {
        Some(ids) => Ends::Users(ids),
        None => Ends::Everyone,
    };
    Some((call, ends))
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Nullable<Bool>)]
    is_ours: Option<bool>,
    #[diesel(sql_type = Array<Text>)]
    calls: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    changes: Vec<String>,
    #[diesel(sql_type = BigInt)]
    oldest: i64,
    #[diesel(sql_type = BigInt)]
    next: i64,
    #[diesel(sql_type = Array<BigInt>)]
    running: Vec<i64>,
}

/// Reads the tables for the owner of a lease. Without an earlier snapshot nothing was cached before
/// this one, so there is nothing to invalidate.
pub(super) fn read(
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
    let row: Row = prepared(READ)
        .bind::<BigInt, _>(lease)
        .bind::<BigInt, _>(since.next)
        .bind::<Array<BigInt>, _>(&since.running)
        .bind::<BigInt, _>(MAX_CHANGES as i64 + 1)
        .get_result(conn)?;
    let calls: Option<HashMap<i64, Ends>> = row.calls.iter().map(|call| parse_call(call)).collect();
    Ok(Seen {
        is_ours: row.is_ours == Some(true),
        calls: calls.ok_or(DieselError::NotFound)?,
        changes: Some(row.changes).filter(|changes| changes.len() <= MAX_CHANGES),
        snapshot: Snapshot {
            oldest: row.oldest,
            next: row.next,
            running: row.running,
        },
    })
}

/// Takes a lease. It may be used once a later [`read`] shows no change in progress: a change that
/// began earlier either waits for this lease or is visible to that read.
pub(super) fn take_lease(conn: &mut PgConnection) -> QueryResult<i64> {
    let lease = rand::random::<i64>();
    diesel::insert_into(session_leases::table)
        .values(session_leases::lease.eq(lease))
        .execute(conn)?;
    Ok(lease)
}

/// Releases a lease. Changes no longer wait for it.
pub(super) fn release_lease(conn: &mut PgConnection, lease: i64) -> QueryResult<()> {
    diesel::delete(session_leases::table.find(lease)).execute(conn)?;
    Ok(())
}

/// Announces that the owner of a lease obeys these calls, and how far it has read.
pub(super) fn answer(
    conn: &mut PgConnection,
    lease: i64,
    calls: &[i64],
    snapshot: &Snapshot,
) -> QueryResult<()> {
    prepared(ANSWER)
        .bind::<BigInt, _>(lease)
        .bind::<Array<BigInt>, _>(calls)
        .bind::<BigInt, _>(snapshot.oldest)
        .execute(conn)
        .map(drop)
}

/// Deletes rows that no process needs any longer, and these calls, which have been in progress for
/// longer than a pause lasts.
pub(super) fn prune(conn: &mut PgConnection, expired_calls: &[i64]) -> QueryResult<()> {
    if !expired_calls.is_empty() {
        prepared(PRUNE_CALLS)
            .bind::<Array<BigInt>, _>(expired_calls)
            .execute(conn)?;
    }
    prepared(PRUNE_ANSWERS).execute(conn)?;
    prepared(PRUNE_CHANGES)
        .bind::<BigInt, _>(MAX_PRUNED_CHANGES)
        .execute(conn)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_without_readable_users_is_for_everyone() {
        assert_eq!(parse_call("7 1 -2"), Some((7, Ends::Users(vec![1, -2]))));
        let ids = " 1".repeat(MAX_NAMED_USERS);
        assert!(matches!(
            parse_call(&format!("-7{ids}")),
            Some((-7, Ends::Users(_)))
        ));
        for text in ["-7", "-7 1 ?", "-7 1 x", &format!("-7{ids} 1")] {
            assert_eq!(parse_call(text), Some((-7, Ends::Everyone)), "{text}");
        }
        assert_eq!(parse_call("? 1"), None);
    }
}

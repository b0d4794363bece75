//! Makes a change take effect on all processes at one moment, its commit: from before the change
//! until after its commit, no process uses its cache. See [`lease`](super::lease) for the other
//! side.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::lease::{COMMIT_TIMEOUT, Lease, Moment};
use crate::store::StoreConnection;
use crate::store::schema::{session_calls, session_leases};

/// How long a fence must exist until no owner can still be using its cache.
const FENCE_TIMEOUT: Duration = Duration::from_millis(1_000);

/// How long the owners of leases may take to answer. A running process needs a few milliseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(250);

/// How often a change checks for answers.
const ANSWER_POLL_INTERVAL: Duration = Duration::from_micros(500);

/// How often a change checks whether a fenced owner has released its lease.
const FENCE_POLL_INTERVAL: Duration = Duration::from_millis(20);

const CALL: &str = "INSERT INTO session_calls (call) VALUES ($1) ON CONFLICT DO NOTHING";

const SILENT: &str = "SELECT lease FROM session_leases WHERE NOT EXISTS (\
     SELECT 1 FROM session_answers AS answer \
     WHERE answer.lease = session_leases.lease AND $1 = ANY(answer.calls))";

#[derive(QueryableByName)]
struct SilentLease {
    #[diesel(sql_type = BigInt)]
    lease: i64,
}

/// A change that takes effect on all processes at the same moment.
pub(in crate::store) struct Revocation {
    lease: Arc<Lease>,
    /// Stays the same for each attempt: an owner that pauses for the first attempt also pauses for
    /// the next.
    call: i64,
    begun_at: Option<Moment>,
}

impl Revocation {
    /// A change by the process of `lease`.
    pub(super) fn new(lease: Arc<Lease>) -> Self {
        Self {
            lease,
            call: rand::random(),
            begun_at: None,
        }
    }

    /// Runs before the transaction. Returns once no process uses its cache, and none will before
    /// [`Self::end`]. Takes as long as the slowest process needs to answer; if one does not answer,
    /// [`ANSWER_TIMEOUT`] plus [`FENCE_TIMEOUT`].
    ///
    /// # Errors
    /// If the database does not answer. The connection must not be used again then.
    pub(in crate::store) fn begin(&mut self, conn: &mut StoreConnection) -> QueryResult<()> {
        self.begun_at.get_or_insert_with(Moment::now);
        // Committed separately. A lease taken from now on sees the call; an existing lease is found
        // below.
        diesel::sql_query(CALL)
            .bind::<BigInt, _>(self.call)
            .execute(conn)?;
        let silent = self.wait_for_answers(conn)?;
        if !silent.is_empty() {
            log::warn!(
                "database: {} process(es) did not answer before a change and may not use their \
                 cache",
                silent.len()
            );
            fence(conn, &silent)?;
        }
        Ok(())
    }

    /// Returns the leases whose owners have not answered in time.
    fn wait_for_answers(&self, conn: &mut StoreConnection) -> QueryResult<Vec<i64>> {
        self.lease.request_renewal();
        let announced = Instant::now();
        loop {
            let silent: Vec<SilentLease> = diesel::sql_query(SILENT)
                .bind::<BigInt, _>(self.call)
                .load(conn)?;
            if silent.is_empty() || announced.elapsed() >= ANSWER_TIMEOUT {
                return Ok(silent.into_iter().map(|silent| silent.lease).collect());
            }
            thread::sleep(ANSWER_POLL_INTERVAL);
        }
    }

    /// Runs in the transaction, as its last statement: a process that sees the change also sees its
    /// end.
    pub(in crate::store) fn announce_end(&self, conn: &mut StoreConnection) -> QueryResult<()> {
        diesel::delete(session_calls::table.find(self.call)).execute(conn)?;
        Ok(())
    }

    /// Runs after the transaction, whether or not it was committed.
    ///
    /// # Errors
    /// Same as [`Self::begin`]; a committed change stays committed.
    pub(in crate::store) fn end(
        &self,
        conn: &mut StoreConnection,
        is_committed: bool,
    ) -> QueryResult<()> {
        let is_in_time = |begun: Moment| Moment::now().is_before(begun.after(COMMIT_TIMEOUT));
        if !is_committed {
            self.announce_end(conn)
        } else if self.begun_at.is_some_and(is_in_time) {
            Ok(())
        } else {
            // Too late: some processes may have resumed before the commit.
            let leases: Vec<i64> = session_leases::table
                .select(session_leases::lease)
                .load(conn)?;
            fence(conn, &leases)
        }
    }
}

/// Prevents the owners of these leases from using them again, and returns once none is in use.
fn fence(conn: &mut StoreConnection, leases: &[i64]) -> QueryResult<()> {
    let these = || session_leases::table.filter(session_leases::lease.eq_any(leases));
    diesel::update(these().filter(session_leases::fenced.eq(false)))
        .set(session_leases::fenced.eq(true))
        .execute(conn)?;
    let fenced = Instant::now();
    while fenced.elapsed() < FENCE_TIMEOUT {
        thread::sleep(FENCE_POLL_INTERVAL);
        let remaining: i64 = these().count().get_result(conn)?;
        if remaining == 0 {
            return Ok(());
        }
    }
    diesel::delete(these()).execute(conn)?;
    Ok(())
}

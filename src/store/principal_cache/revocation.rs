//! How a change takes effect on all processes at one moment, its commit: no process uses what is
//! remembered from before the change is made until after it was committed. See
//! [`lease`](super::lease) for the other side.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::lease::{Lease, PAUSE_RELIED_ON};
use super::moment::Moment;
use crate::store::StoreConnection;
use crate::store::schema::{session_calls, session_leases};

/// How long a fence has to stand before no owner can still be using its memory.
const FENCE_HOLDS: Duration = Duration::from_millis(1_000);

/// How long the owners of leases get to answer. A living one takes a few milliseconds.
const ANSWER_LIMIT: Duration = Duration::from_millis(250);

/// How often a change looks whether they have.
const ANSWER_INTERVAL: Duration = Duration::from_micros(500);

/// How often a change looks whether a fenced owner has left by itself.
const FENCE_INTERVAL: Duration = Duration::from_millis(20);

const CALL: &str = "INSERT INTO session_calls (call) VALUES ($1) ON CONFLICT DO NOTHING";

const SILENT: &str = "SELECT lease FROM session_leases WHERE NOT EXISTS (\
     SELECT 1 FROM session_answers AS answer \
     WHERE answer.lease = session_leases.lease AND $1 = ANY(answer.calls))";

#[derive(QueryableByName)]
struct SilentLease {
    #[diesel(sql_type = BigInt)]
    lease: i64,
}

/// A change that takes effect on all processes at once.
pub(in crate::store) struct Revocation {
    lease: Arc<Lease>,
    /// The same for each attempt: an owner that pauses for the first one does so for the next.
    call: i64,
    begun: Option<Moment>,
}

impl Revocation {
    /// A change by the process of `lease`.
    pub(super) fn new(lease: Arc<Lease>) -> Self {
        Self {
            lease,
            call: rand::random(),
            begun: None,
        }
    }

    /// Before the transaction: returns when no process uses its memory, and none will begin to
    /// until [`Self::end`]. Takes as long as the slowest needs to answer; if one does not,
    /// [`ANSWER_LIMIT`] and [`FENCE_HOLDS`].
    ///
    /// # Errors
    /// When the database does not answer. The connection must not be used again then.
    pub(in crate::store) fn begin(&mut self, conn: &mut StoreConnection) -> QueryResult<()> {
        self.begun.get_or_insert_with(Moment::now);
        // Committed by itself. A lease that is taken from now on finds it; one that is there is
        // found below.
        diesel::sql_query(CALL)
            .bind::<BigInt, _>(self.call)
            .execute(conn)?;
        let silent = self.wait_for_answers(conn)?;
        if !silent.is_empty() {
            log::warn!(
                "database: {} process(es) did not answer before a change and are locked out of \
                 their memory",
                silent.len()
            );
            fence(conn, &silent)?;
        }
        Ok(())
    }

    /// Returns the leases whose owners have not answered in time.
    fn wait_for_answers(&self, conn: &mut StoreConnection) -> QueryResult<Vec<i64>> {
        self.lease.call();
        let called = Instant::now();
        loop {
            let silent: Vec<SilentLease> = diesel::sql_query(SILENT)
                .bind::<BigInt, _>(self.call)
                .load(conn)?;
            if silent.is_empty() || called.elapsed() >= ANSWER_LIMIT {
                return Ok(silent.into_iter().map(|silent| silent.lease).collect());
            }
            thread::sleep(ANSWER_INTERVAL);
        }
    }

    /// In the transaction, as its last statement: a process that sees the change sees its end too.
    pub(in crate::store) fn announce_end(&self, conn: &mut StoreConnection) -> QueryResult<()> {
        diesel::delete(session_calls::table.find(self.call)).execute(conn)?;
        Ok(())
    }

    /// After the transaction, whether or not it was committed.
    ///
    /// # Errors
    /// As [`Self::begin`]; a change that was committed stays so.
    pub(in crate::store) fn end(
        &self,
        conn: &mut StoreConnection,
        committed: bool,
    ) -> QueryResult<()> {
        let is_in_time = |begun: Moment| Moment::now().is_before(begun.after(PAUSE_RELIED_ON));
        if !committed {
            self.announce_end(conn)
        } else if self.begun.is_some_and(is_in_time) {
            Ok(())
        } else {
            // So slow that some may have gone on before the commit.
            let leases: Vec<i64> = session_leases::table
                .select(session_leases::lease)
                .load(conn)?;
            fence(conn, &leases)
        }
    }
}

/// Keeps the owners of these leases from using them again, and returns when none is in use any more.
fn fence(conn: &mut StoreConnection, leases: &[i64]) -> QueryResult<()> {
    let these = || session_leases::table.filter(session_leases::lease.eq_any(leases));
    diesel::update(these().filter(session_leases::fenced.eq(false)))
        .set(session_leases::fenced.eq(true))
        .execute(conn)?;
    let fenced = Instant::now();
    while fenced.elapsed() < FENCE_HOLDS {
        thread::sleep(FENCE_INTERVAL);
        let left: i64 = these().count().get_result(conn)?;
        if left == 0 {
            return Ok(());
        }
    }
    diesel::delete(these()).execute(conn)?;
    Ok(())
}

//! The wait of those who change sessions on Postgres, until the change holds everywhere. See
//! [`lease`](super::lease) for the other side.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use diesel::pg::PgConnection;
use diesel::prelude::*;

use super::lease::{CHANNEL, Lease, notify};
use crate::store::schema::session_leases;

/// How long a fence has to stand before nobody can still be inside.
const FENCE_HOLDS: Duration = Duration::from_millis(1_000);

/// How long the owners of leases get to answer. A living one takes a few milliseconds.
const ANSWERS_WITHIN: Duration = Duration::from_millis(250);

/// How often a revoker looks whether a fenced owner has left by itself.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// A change that has to hold everywhere before it is acknowledged.
pub(in crate::store) struct Revocation {
    lease: Arc<Lease>,
    call: String,
}

impl Revocation {
    /// Begins a revocation by the process of `lease`.
    pub(super) fn new(lease: Arc<Lease>) -> Self {
        let call = format!("{:016x}", rand::random::<u64>());
        Self { lease, call }
    }

    /// Calls the owners of leases, in the transaction of the change and after it: the call is
    /// delivered when the change is committed, and after the notifications of its triggers.
    pub(in crate::store) fn call(&self, conn: &mut PgConnection) -> QueryResult<()> {
        notify(conn, CHANNEL, &self.lease.begin_call(&self.call))
    }

    /// Waits, after the commit, until nobody uses a memory from before it. Takes as long as the
    /// slowest process needs to answer, and if one does not, [`ANSWERS_WITHIN`] and
    /// [`FENCE_HOLDS`].
    ///
    /// # Errors
    /// When the leases cannot be read or fenced; the change is committed all the same.
    pub(in crate::store) fn wait(&self, conn: &mut PgConnection) -> QueryResult<()> {
        // Read after the commit: who gets a lease from now on remembers nothing older.
        let leases = leases(conn)?;
        let silent = self
            .lease
            .wait_for_answers(&self.call, &leases, ANSWERS_WITHIN);
        if silent.is_empty() {
            return Ok(());
        }
        log::warn!(
            "database: {} process(es) did not confirm a revocation and are locked out of their \
             memory",
            silent.len()
        );
        fence(conn, &silent.into_iter().collect::<Vec<_>>())
    }
}

impl Drop for Revocation {
    fn drop(&mut self) {
        self.lease.end_call(&self.call);
    }
}

fn leases(conn: &mut PgConnection) -> QueryResult<HashSet<i64>> {
    let leases: Vec<i64> = session_leases::table
        .select(session_leases::id)
        .load(conn)?;
    Ok(leases.into_iter().collect())
}

/// Keeps the owners of these leases from renewing them, and returns when none is in use any more.
fn fence(conn: &mut PgConnection, leases: &[i64]) -> QueryResult<()> {
    diesel::update(session_leases::table.filter(session_leases::id.eq_any(leases)))
        .set(session_leases::fenced.eq(true))
        .execute(conn)?;
    let fenced = Instant::now();
    while fenced.elapsed() < FENCE_HOLDS {
        thread::sleep(LOOK_AGAIN_AFTER);
        let left: i64 = session_leases::table
            .filter(session_leases::id.eq_any(leases))
            .count()
            .get_result(conn)?;
        if left == 0 {
            return Ok(());
        }
    }
    diesel::delete(session_leases::table.filter(session_leases::id.eq_any(leases)))
        .execute(conn)?;
    Ok(())
}

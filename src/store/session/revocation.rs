//! How a change takes effect on all processes at one moment, its commit: nobody uses what is
//! remembered from before the change is made until after it was committed. See
//! [`lease`](super::lease) for the other side.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::lease::{CHANNEL, LEASES_LOCK, Lease, PAUSE_LASTS, notify};
use crate::store::StoreConnection;
use crate::store::schema::session_leases;

/// How long a fence has to stand before nobody can still be inside.
const FENCE_HOLDS: Duration = Duration::from_millis(1_000);

/// How long the owners of leases get to answer. A living one takes a few milliseconds.
const ANSWERS_WITHIN: Duration = Duration::from_millis(250);

/// How often a revoker looks whether a fenced owner has left by itself.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// A change that takes effect on all processes at once.
pub(in crate::store) struct Revocation {
    lease: Arc<Lease>,
    /// Another one for each attempt: an answer that comes late is not one to the next call.
    call: String,
    begun: Option<Instant>,
}

impl Revocation {
    /// A change by the process of `lease`.
    pub(super) fn new(lease: Arc<Lease>) -> Self {
        Self {
            lease,
            call: String::new(),
            begun: None,
        }
    }

    /// Before the transaction: returns when no process uses its memory, and none will begin to
    /// until [`Self::end`]. Takes as long as the slowest needs to answer; if one does not,
    /// [`ANSWERS_WITHIN`] and [`FENCE_HOLDS`].
    ///
    /// # Errors
    /// When the database does not answer. The connection must not be used again then.
    pub(in crate::store) fn begin(&mut self, conn: &mut StoreConnection) -> QueryResult<()> {
        self.begun = Some(Instant::now());
        self.lease.end_call(&self.call);
        self.call = format!("{:016x}", rand::random::<u64>());
        let pause = self.lease.begin_call(&self.call);
        // Shared with other revokers; keeps new leases away.
        diesel::sql_query("SELECT pg_advisory_lock_shared($1), pg_notify($2, $3)")
            .bind::<BigInt, _>(LEASES_LOCK)
            .bind::<Text, _>(CHANNEL)
            .bind::<Text, _>(pause)
            .execute(conn)?;
        let silent = self
            .lease
            .wait_for_answers(&self.call, &leases(conn)?, ANSWERS_WITHIN);
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

    /// In the transaction, as its last statement: tells those who paused that they may go on, once
    /// they have forgotten what they are told of before this.
    pub(in crate::store) fn announce_end(&self, conn: &mut StoreConnection) -> QueryResult<()> {
        match conn {
            StoreConnection::Postgres(conn) => {
                notify(conn, CHANNEL, &self.lease.resumption(&self.call))
            }
            StoreConnection::Sqlite(_) => Ok(()),
        }
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
        if !committed {
            self.announce_end(conn)?;
        } else if self.begun.is_none_or(|begun| begun.elapsed() > PAUSE_LASTS) {
            // So slow that some may have gone on before the commit.
            let leases = leases(conn)?;
            fence(conn, &leases)?;
        }
        diesel::sql_query("SELECT pg_advisory_unlock_shared($1)")
            .bind::<BigInt, _>(LEASES_LOCK)
            .execute(conn)
            .map(drop)
    }
}

impl Drop for Revocation {
    fn drop(&mut self) {
        self.lease.end_call(&self.call);
    }
}

fn leases(conn: &mut StoreConnection) -> QueryResult<HashSet<i64>> {
    let leases: Vec<i64> = session_leases::table
        .select(session_leases::id)
        .load(conn)?;
    Ok(leases.into_iter().collect())
}

/// Keeps the owners of these leases from renewing them, and returns when none is in use any more.
fn fence(conn: &mut StoreConnection, leases: &HashSet<i64>) -> QueryResult<()> {
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

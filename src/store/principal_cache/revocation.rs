//! Makes a change take effect on all processes at one moment, its commit: from before the change
//! until after its commit, no process uses its cache for the users of the change. See
//! [`lease`](super::lease) for the other side.
//!
//! This process suspends the users itself, so only the other processes need to answer. A change of
//! everyone also waits for the look-up thread of this process.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::coordination::{MAX_NAMED_USERS, RING};
use super::entries::Entries;
use super::fence::Ended;
use super::lease::{COMMIT_TIMEOUT, Lease, Moment};
use super::suspensions::Suspension;
use crate::store::prepared::prepared;
use crate::store::schema::{session_calls, session_leases};
use crate::store::{Ends, StoreConnection};

/// How long a fence must exist until no owner can still be using its cache.
const FENCE_TIMEOUT: Duration = Duration::from_millis(1_000);

/// How long the owners of leases may take to answer. A running process needs a few milliseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(250);

/// How soon a change checks for answers again, at first.
const FIRST_ANSWER_POLL_INTERVAL: Duration = Duration::from_micros(500);

/// The longest interval between two checks for answers: each check doubles it.
const LAST_ANSWER_POLL_INTERVAL: Duration = Duration::from_millis(2);

/// How often a change checks whether a fenced owner has released its lease.
const FENCE_POLL_INTERVAL: Duration = Duration::from_millis(20);

const CALL: &str = "INSERT INTO session_calls (call, users) VALUES ($1, CAST($2 AS BIGINT[])) \
     ON CONFLICT DO NOTHING";

const SILENT: &str = "SELECT lease FROM session_leases \
     WHERE lease IS DISTINCT FROM $1 AND NOT EXISTS (\
     SELECT 1 FROM session_answers AS answer \
     WHERE answer.lease = session_leases.lease AND $2 = ANY(answer.calls))";

#[derive(QueryableByName)]
struct SilentLease {
    #[diesel(sql_type = BigInt)]
    lease: i64,
}

/// A change that takes effect on all processes at the same moment.
pub(in crate::store) struct Revocation {
    lease: Arc<Lease>,
    entries: Arc<Entries>,
    /// The users of the change; `None` for everyone.
    user_ids: Option<Vec<i64>>,
    /// Stays the same for each attempt: an owner that obeys the first attempt also obeys the next.
    call: i64,
    begun_at: Option<Moment>,
    /// The suspension of the users in this process.
    suspension: Option<Suspension>,
}

impl Revocation {
    /// A change by the process of `lease`, whose cache is `entries`.
    pub(super) fn new(lease: Arc<Lease>, entries: Arc<Entries>, ends: &Ends) -> Self {
        let user_ids = match ends {
            Ends::Users(ids) if ids.len() <= MAX_NAMED_USERS => Some(ids.clone()),
            Ends::Users(_) | Ends::Everyone => None,
        };
        Self {
            lease,
            entries,
            user_ids,
            call: rand::random(),
            begun_at: None,
            suspension: None,
        }
    }

    /// Runs before the transaction. Returns once no process uses its cache for the users, and none
    /// will before [`Self::end`]. Takes as long as the slowest process needs to answer; if one does
    /// not answer, [`ANSWER_TIMEOUT`] plus [`FENCE_TIMEOUT`].
    ///
    /// # Errors
    /// If the database does not answer. The connection must not be used again then.
    pub(super) fn begin(&mut self, conn: &mut StoreConnection) -> QueryResult<()> {
        self.begun_at.get_or_insert_with(Moment::now);
        if let Some(ids) = &self.user_ids {
            self.suspension
                .get_or_insert_with(|| Suspension::new(&self.entries, ids));
        }
        // Committed separately. A lease taken from now on sees the call; an existing lease is found
        // below.
        prepared(CALL)
            .bind::<BigInt, _>(self.call)
            .bind::<Nullable<Text>, _>(self.user_ids.as_deref().map(array_literal))
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
        // Another lease of this process than the present one is safe to wait for, and none of another
        // process ever has its number.
        let own = match &self.suspension {
            Some(_) => self.lease.id(),
            None => {
                self.lease.request_renewal();
                None
            }
        };
        let announced = Instant::now();
        // A call without users rings by itself.
        let mut has_rung = self.suspension.is_none();
        let mut interval = FIRST_ANSWER_POLL_INTERVAL;
        loop {
            let silent: Vec<SilentLease> = prepared(SILENT)
                .bind::<Nullable<BigInt>, _>(own)
                .bind::<BigInt, _>(self.call)
                .load(conn)?;
            if silent.is_empty() || announced.elapsed() >= ANSWER_TIMEOUT {
                return Ok(silent.into_iter().map(|silent| silent.lease).collect());
            }
            if !has_rung {
                has_rung = true;
                prepared(RING).execute(conn)?;
            }
            thread::sleep(interval);
            interval = LAST_ANSWER_POLL_INTERVAL.min(interval * 2);
        }
    }

    /// Runs in the transaction: a process that sees the change also sees its end. As the first
    /// statement, because other processes wait for the last ones, which lock the head of the audit
    /// trail.
    pub(super) fn announce_end(&self, conn: &mut StoreConnection) -> QueryResult<()> {
        diesel::delete(session_calls::table.find(self.call)).execute(conn)?;
        Ok(())
    }

    /// Runs after the transaction, whether or not it was committed.
    ///
    /// # Errors
    /// Same as [`Self::begin`]; a committed change stays committed.
    pub(super) fn end(&mut self, conn: &mut StoreConnection, ended: Ended) -> QueryResult<()> {
        // Resumes the users, unless the server may still commit.
        if let Some(suspension) = self.suspension.take()
            && ended == Ended::Unknown
        {
            self.lease.leave(suspension);
        }
        let is_in_time = |begun: Moment| Moment::now().is_before(begun.after(COMMIT_TIMEOUT));
        if ended != Ended::Committed {
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

/// These ids as Postgres writes an array: the connection type of both databases binds no arrays.
fn array_literal(ids: &[i64]) -> String {
    let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
    format!("{{{}}}", ids.join(","))
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

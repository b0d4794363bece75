//! Look-ups on Postgres, and how the memory stays exact there.
//!
//! One connection makes the look-ups. What it finds is remembered while the process holds a lease
//! (see [`lease`](super::lease)), for which it reads the tables of
//! [`coordination`] from time to time, and at once when a second connection
//! hears that there is something to read. That one carries nothing else, because a connection that
//! hears depends on the sender: the server answers it only behind all that was sent.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;

use super::coordination::{self, LISTEN, Seen, Snapshot};
use super::lease::{Lease, PAUSE_LIMIT, USABLE_FOR};
use super::lookup_queue::{Inbox, Job, Wake};
use super::memory::Memory;
use super::moment::Moment;
use super::query;
use crate::credential::CredentialDigest;
use crate::credential::token::TokenDigest;
use crate::store::connection::{Manager, is_lost};
use crate::store::{Principal, StoreError};

/// How often the owner of a lease reads the tables, heard or not.
const LOOK_INTERVAL: Duration = Duration::from_millis(300);

/// How often it listens, and reads the tables at most for what it hears. Changes wait for that.
const LISTEN_INTERVAL: Duration = Duration::from_millis(5);

/// How often a process without a lease listens: only so that nothing piles up.
const IDLE_LISTEN_INTERVAL: Duration = Duration::from_secs(1);

/// How many notifications are taken in between two rounds of look-ups; about a millisecond's work.
const MAX_HEARD: usize = 1_000;

/// A lease that was not used for this long is given up, so that an idle process costs nothing.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// How often what no process needs any more is taken out of the tables.
const PRUNE_INTERVAL: Duration = Duration::from_secs(2);

/// The same without a lease.
const IDLE_PRUNE_INTERVAL: Duration = Duration::from_secs(60);

/// The thread's own connections, and the lease it holds.
pub(super) struct Lookups {
    manager: Manager,
    conn: Option<PgConnection>,
    /// The connection that listens; there whenever the other one is.
    bell: Option<PgConnection>,
    memory: Arc<Memory>,
    shared: Arc<Lease>,
    /// The row in `session_leases`. While there is one, what is found may be remembered.
    lease: Option<i64>,
    /// How far the log of changes was read.
    snapshot: Option<Snapshot>,
    /// The changes under way, and since when that is known here.
    calls: HashMap<i64, Instant>,
    /// Whether something was heard since the tables were last read.
    heard: bool,
    /// Whether there is more to hear.
    backlog: bool,
    /// When the tables were last read.
    looked: Instant,
    pruned: Instant,
    /// When the memory was last wanted.
    wanted: Option<Instant>,
}

impl Lookups {
    /// Takes over a connection, and opens one that listens. Without a memory it never takes a lease.
    pub(super) fn new(
        manager: Manager,
        conn: PgConnection,
        memory: Arc<Memory>,
        shared: Arc<Lease>,
    ) -> Result<Self, StoreError> {
        let mut lookups = Self {
            manager,
            conn: None,
            bell: None,
            memory,
            shared,
            lease: None,
            snapshot: None,
            calls: HashMap::new(),
            heard: false,
            backlog: false,
            looked: Instant::now(),
            pruned: Instant::now(),
            wanted: None,
        };
        lookups.connect(conn)?;
        Ok(lookups)
    }

    /// The life of the thread.
    pub(super) fn run(&mut self, inbox: &Inbox) {
        while let Wake::Work(jobs) = inbox.wait(self.nap()) {
            if !jobs.is_empty() {
                self.answer(jobs);
            }
            if let Err(reason) = self.keep_up() {
                self.disconnect(&reason);
            }
        }
        if let Err(error) = self.give_up_lease() {
            self.disconnect(&error.into());
        }
    }

    fn nap(&self) -> Duration {
        if self.backlog {
            Duration::ZERO
        } else if self.lease.is_some() {
            LISTEN_INTERVAL
        } else {
            IDLE_LISTEN_INTERVAL
        }
    }

    /// Looks up all that wait in one round trip.
    fn answer(&mut self, jobs: Vec<Job>) {
        self.wanted = Some(Instant::now());
        match self.find(&jobs) {
            Ok(found) => jobs.into_iter().for_each(|job| {
                let principal = found.get(&job.credential.digest).cloned();
                job.answer(Ok(principal));
            }),
            Err(error) => jobs
                .into_iter()
                .for_each(|job| job.answer(Err(error.clone()))),
        }
    }

    fn find(&mut self, jobs: &[Job]) -> Result<HashMap<TokenDigest, Arc<Principal>>, StoreError> {
        let credentials: HashSet<CredentialDigest> =
            jobs.iter().map(|job| job.credential).collect();
        let found = match query::find_all(self.connection()?, &credentials) {
            // As after a restart of Postgres: another connection may do.
            Err(error) if is_lost(&error) => {
                self.disconnect(&error.into());
                query::find_all(self.connection()?, &credentials)
            }
            outcome => outcome,
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                let reason = StoreError::from(error);
                self.disconnect(&reason);
                return Err(reason);
            }
        };
        let found = found
            .into_iter()
            .map(|(digest, principal)| (digest, Arc::new(principal)));
        let found: HashMap<_, _> = found.collect();
        if self.lease.is_some() {
            for job in jobs {
                let digest = job.credential.digest;
                if let Some(principal) = found.get(&digest) {
                    self.memory
                        .insert(digest, Arc::clone(principal), job.asked_at);
                }
            }
        }
        Ok(found)
    }

    /// Listens, and sees to the lease.
    fn keep_up(&mut self) -> Result<(), StoreError> {
        self.listen()?;
        if self.shared.was_used() {
            self.wanted = Some(Instant::now());
        }
        let is_wanted = self.memory.is_any()
            && self
                .wanted
                .is_some_and(|wanted| wanted.elapsed() < IDLE_LIMIT);
        let is_called = self.shared.was_called();
        if is_called && self.conn.is_none() {
            // A change of this process would wait for the lease that the connection has left behind.
            self.connection()?;
        }
        match self.lease {
            Some(_) if !is_wanted => self.give_up_lease()?,
            Some(lease) if is_called || self.is_look_due() => self.look(lease)?,
            None if is_wanted => self.take_lease()?,
            _ => {}
        }
        self.prune()?;
        Ok(())
    }

    /// Takes in what was sent. It says nothing but that there may be something to read, however much
    /// of it there is and whatever role sent it.
    fn listen(&mut self) -> QueryResult<()> {
        let Some(bell) = &mut self.bell else {
            return Ok(());
        };
        let mut count = 0;
        for notification in bell.notifications_iter().take(MAX_HEARD) {
            notification?;
            count += 1;
        }
        self.heard |= count > 0;
        self.backlog = count == MAX_HEARD;
        Ok(())
    }

    fn is_look_due(&self) -> bool {
        let interval = if self.heard {
            LISTEN_INTERVAL
        } else {
            LOOK_INTERVAL
        };
        self.looked.elapsed() >= interval
    }

    /// Takes a lease.
    fn take_lease(&mut self) -> QueryResult<()> {
        let Some(conn) = &mut self.conn else {
            return Ok(());
        };
        let lease = coordination::take_lease(conn)?;
        self.lease = Some(lease);
        self.look(lease)
    }

    /// Reads the tables: forgets what has changed, and pauses for the changes under way or lets the
    /// memory be used again.
    fn look(&mut self, lease: i64) -> QueryResult<()> {
        let Some(conn) = &mut self.conn else {
            return Ok(());
        };
        let asked = Moment::now();
        let seen = coordination::look(conn, lease, self.snapshot.as_ref())?;
        self.looked = Instant::now();
        self.heard = false;
        if !seen.is_ours {
            return self.give_up_lease();
        }
        self.forget(seen.changes.as_deref());
        let is_new = self.note_calls(&seen);
        if self
            .calls
            .values()
            .any(|since| since.elapsed() < PAUSE_LIMIT)
        {
            self.shared.allow(None);
            if let (true, Some(conn)) = (is_new, &mut self.conn) {
                let calls: Vec<i64> = self.calls.keys().copied().collect();
                coordination::answer(conn, lease, &calls, &seen.snapshot)?;
            }
        } else {
            self.shared.allow(Some(asked.after(USABLE_FOR)));
        }
        self.snapshot = Some(seen.snapshot);
        Ok(())
    }

    /// Notes which changes are under way. Returns whether one of them was not known.
    fn note_calls(&mut self, seen: &Seen) -> bool {
        self.calls.retain(|call, _since| seen.calls.contains(call));
        let known = self.calls.len();
        for call in &seen.calls {
            self.calls.entry(*call).or_insert_with(Instant::now);
        }
        self.calls.len() > known
    }

    /// Forgets these principals; all of them when they are too many, or when one is not a digest: that
    /// is the sign for all, or one that only a newer version understands.
    fn forget(&self, changes: Option<&[String]>) {
        let digests: Option<Vec<TokenDigest>> = changes.and_then(|changes| {
            let digests = changes.iter().map(|change| TokenDigest::from_hex(change));
            digests.collect()
        });
        match digests {
            Some(digests) => digests.iter().for_each(|digest| self.memory.remove(digest)),
            None => self.memory.clear(),
        }
    }

    /// Stops using the memory, and then says so: changes do not wait for this process any more.
    fn give_up_lease(&mut self) -> QueryResult<()> {
        self.forget_all();
        if let (Some(conn), Some(lease)) = (&mut self.conn, self.lease) {
            coordination::give_up_lease(conn, lease)?;
            self.lease = None;
        }
        Ok(())
    }

    fn forget_all(&mut self) {
        self.shared.allow(None);
        self.memory.clear();
        self.snapshot = None;
        self.calls.clear();
    }

    /// Takes out of the tables what no process needs any more.
    fn prune(&mut self) -> QueryResult<()> {
        let interval = if self.lease.is_some() {
            PRUNE_INTERVAL
        } else {
            IDLE_PRUNE_INTERVAL
        };
        let Some(conn) = self
            .conn
            .as_mut()
            .filter(|_| self.pruned.elapsed() >= interval)
        else {
            return Ok(());
        };
        self.pruned = Instant::now();
        if let (Some(lease), Some(snapshot)) = (self.lease, &self.snapshot) {
            let calls: Vec<i64> = self.calls.keys().copied().collect();
            coordination::answer(conn, lease, &calls, snapshot)?;
        }
        let is_over = |since: &Instant| since.elapsed() >= PAUSE_LIMIT;
        let over = self.calls.iter().filter(|(_call, since)| is_over(since));
        let over: Vec<i64> = over.map(|(call, _since)| *call).collect();
        coordination::prune(conn, &over)
    }

    fn connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        if self.conn.is_none() {
            let conn = self.manager.open_postgres()?;
            self.connect(conn)?;
        }
        self.conn.as_mut().ok_or_else(StoreError::no_connection)
    }

    /// Starts with new connections. What was remembered before them is not to be trusted.
    fn connect(&mut self, conn: PgConnection) -> Result<(), StoreError> {
        let mut bell = self.manager.open_postgres()?;
        bell.batch_execute(LISTEN)?;
        self.bell = Some(bell);
        self.conn = Some(conn);
        // A lease that an earlier connection has left behind.
        self.give_up_lease().map_err(|error| {
            self.conn = None;
            self.bell = None;
            error.into()
        })
    }

    fn disconnect(&mut self, reason: &StoreError) {
        self.forget_all();
        self.bell = None;
        self.backlog = false;
        if self.conn.take().is_some() {
            log::warn!("database: the connection for look-ups is closed: {reason}");
        }
    }
}

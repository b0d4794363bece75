//! Look-ups on Postgres, and how the memory stays exact there.
//!
//! One connection listens to the notifications of the migrations' triggers and makes the look-ups.
//! What it finds is remembered while it holds a lease (see [`lease`](super::lease)); it forgets
//! what it is notified of, and then answers the revokers that wait for it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;

use super::Session;
use super::inbox::{Inbox, Job, Wake};
use super::lease::{CHANNEL, Call, Lease, parse_answer};
use super::memory::Memory;
use super::query;
use crate::store::connection::Manager;
use crate::store::schema::session_leases;
use crate::store::{StoreError, is_lost, unreachable_database};
use crate::token::TokenDigest;

/// How often the owner of a lease asks whether it still has it.
const ASK_EVERY: Duration = Duration::from_millis(300);

/// How often it looks for notifications, while it has a lease: revokers wait for that.
const LISTEN_EVERY: Duration = Duration::from_millis(5);

/// How often, while a revoker of this process waits for an answer.
const LISTEN_HARD_EVERY: Duration = Duration::from_micros(100);

/// How often, while it has no lease: only so that nothing piles up.
const LISTEN_IDLY_EVERY: Duration = Duration::from_secs(1);

/// A lease that was not used for this long is given up, so that an idle process costs nothing.
const IDLE_AFTER: Duration = Duration::from_secs(10);

/// The thread's own connection, and the lease it holds.
pub(super) struct Lookups {
    manager: Manager,
    conn: Option<PgConnection>,
    memory: Arc<Memory>,
    shared: Arc<Lease>,
    /// The row in `session_leases`. While there is one, what is found may be remembered.
    lease: Option<i64>,
    asked: Instant,
    used: Instant,
}

impl Lookups {
    /// Takes over a connection, and listens on it. Without a memory it never takes a lease.
    pub(super) fn new(
        manager: Manager,
        conn: PgConnection,
        memory: Arc<Memory>,
        shared: Arc<Lease>,
    ) -> Result<Self, StoreError> {
        let now = Instant::now();
        let mut lookups = Self {
            manager,
            conn: None,
            memory,
            shared,
            lease: None,
            asked: now,
            used: now,
        };
        lookups.listen(conn)?;
        Ok(lookups)
    }

    /// The life of the thread.
    pub(super) fn run(&mut self, inbox: &Inbox) {
        while let Wake::Work(jobs) = inbox.wait(self.nap()) {
            if !jobs.is_empty() {
                self.answer(jobs);
            }
            if let Err(error) = self.keep_up() {
                self.disconnect(&error.into());
            }
        }
        if let Err(error) = self.give_up_lease() {
            self.disconnect(&error.into());
        }
    }

    fn nap(&self) -> Duration {
        if self.conn.is_some() && self.shared.has_callers() {
            LISTEN_HARD_EVERY
        } else if self.lease.is_some() {
            LISTEN_EVERY
        } else {
            LISTEN_IDLY_EVERY
        }
    }

    /// Looks up all that wait in one round trip.
    fn answer(&mut self, jobs: Vec<Job>) {
        self.used = Instant::now();
        match self.find(&jobs.iter().map(|job| job.digest).collect()) {
            Ok(found) => jobs.into_iter().for_each(|job| {
                let session = found.get(&job.digest).cloned();
                job.answer(Ok(session));
            }),
            Err(error) => jobs
                .into_iter()
                .for_each(|job| job.answer(Err(error.clone()))),
        }
    }

    fn find(
        &mut self,
        digests: &HashSet<TokenDigest>,
    ) -> Result<HashMap<TokenDigest, Arc<Session>>, StoreError> {
        let found = match query::find_all(self.connection()?, digests) {
            // As after a restart of Postgres: another connection may do.
            Err(error) if is_lost(&error) => {
                self.disconnect(&error.into());
                query::find_all(self.connection()?, digests)
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
            .map(|(digest, session)| (digest, Arc::new(session)));
        let found: HashMap<_, _> = found.collect();
        if self.lease.is_some() {
            for (digest, session) in &found {
                self.memory.insert(*digest, Arc::clone(session));
            }
        }
        Ok(found)
    }

    /// Reads the notifications, and sees to the lease.
    fn keep_up(&mut self) -> QueryResult<()> {
        self.read_notifications()?;
        if self.shared.was_used() {
            self.used = Instant::now();
        }
        let is_wanted = self.memory.is_any() && self.used.elapsed() < IDLE_AFTER;
        match self.lease {
            Some(_) if !is_wanted => self.give_up_lease(),
            Some(_) if self.asked.elapsed() >= ASK_EVERY => self.ask_for_lease(),
            None if is_wanted => self.take_lease(),
            _ => Ok(()),
        }
    }

    /// Forgets what was changed, in the order of the commits, and answers the revokers.
    fn read_notifications(&mut self) -> QueryResult<()> {
        let Some(conn) = &mut self.conn else {
            return Ok(());
        };
        let notifications: Vec<_> = conn.notifications_iter().collect::<QueryResult<_>>()?;
        for notification in notifications {
            let payload = notification.payload.as_str();
            if notification.channel != CHANNEL {
                if let Some((call, lease)) = parse_answer(payload) {
                    self.shared.note_answer(call, lease);
                }
            } else if let Some(call) = Call::parse(payload) {
                if let Some(lease) = self.lease {
                    call.answer(conn, &self.shared, lease)?;
                }
            } else if let Some(digest) = TokenDigest::from_hex(payload) {
                self.memory.remove(&digest);
            } else {
                // Everything has changed, or something that only a newer version understands.
                self.memory.clear();
            }
        }
        Ok(())
    }

    fn take_lease(&mut self) -> QueryResult<()> {
        let Some(conn) = &mut self.conn else {
            return Ok(());
        };
        let id = rand::random::<i64>();
        self.asked = Instant::now();
        diesel::insert_into(session_leases::table)
            .values(session_leases::id.eq(id))
            .execute(conn)?;
        self.lease = Some(id);
        self.shared.extend(self.asked);
        Ok(())
    }

    fn ask_for_lease(&mut self) -> QueryResult<()> {
        let (Some(conn), Some(id)) = (&mut self.conn, self.lease) else {
            return Ok(());
        };
        let asked = Instant::now();
        let is_still_ours: bool = diesel::select(diesel::dsl::exists(
            session_leases::table
                .find(id)
                .filter(session_leases::fenced.eq(false)),
        ))
        .get_result(conn)?;
        if is_still_ours {
            self.asked = asked;
            self.shared.extend(asked);
            Ok(())
        } else {
            self.give_up_lease()
        }
    }

    /// Stops using the memory, and then says so: revokers may go on at once.
    fn give_up_lease(&mut self) -> QueryResult<()> {
        self.shared.end();
        self.memory.clear();
        if let (Some(conn), Some(id)) = (&mut self.conn, self.lease) {
            diesel::delete(session_leases::table.find(id)).execute(conn)?;
            self.lease = None;
        }
        Ok(())
    }

    fn connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        if self.conn.is_none() {
            let conn = self.manager.open_postgres()?;
            self.listen(conn)?;
        }
        self.conn.as_mut().ok_or_else(unreachable_database)
    }

    /// Listens on a new connection. What was remembered before it is not to be trusted.
    fn listen(&mut self, mut conn: PgConnection) -> QueryResult<()> {
        conn.batch_execute(&format!(
            "LISTEN {CHANNEL}; LISTEN {}",
            self.shared.reply_channel()
        ))?;
        self.conn = Some(conn);
        // A lease that an earlier connection has left behind.
        self.give_up_lease()
    }

    fn disconnect(&mut self, reason: &StoreError) {
        self.shared.end();
        self.memory.clear();
        if self.conn.take().is_some() {
            log::warn!("database: the connection for look-ups is closed: {reason}");
        }
    }
}

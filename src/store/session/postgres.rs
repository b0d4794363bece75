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
use diesel::sql_types::BigInt;

use super::Session;
use super::inbox::{Inbox, Job, Wake};
use super::lease::{
    CHANNEL, LEASES_LOCK, Lease, Message, PAUSE_OF_OWNER, USABLE_FOR, parse_answer,
};
use super::memory::Memory;
use super::query;
use crate::credential::CredentialDigest;
use crate::store::attempt::is_lost;
use crate::store::connection::Manager;
use crate::store::schema::session_leases;
use crate::store::{StoreError, unreachable_database};
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
    /// Until when it lets the memory be used, but for the pauses.
    usable_until: Option<Instant>,
    /// The revokers that have called for a pause, and when that is over at the latest.
    pauses: HashMap<String, Instant>,
    /// When it last asked whether the row is still there.
    asked: Instant,
    /// When the memory was last wanted.
    wanted: Option<Instant>,
}

impl Lookups {
    /// Takes over a connection, and listens on it. Without a memory it never takes a lease.
    pub(super) fn new(
        manager: Manager,
        conn: PgConnection,
        memory: Arc<Memory>,
        shared: Arc<Lease>,
    ) -> Result<Self, StoreError> {
        let mut lookups = Self {
            manager,
            conn: None,
            memory,
            shared,
            lease: None,
            usable_until: None,
            pauses: HashMap::new(),
            asked: Instant::now(),
            wanted: None,
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
            if let Err(reason) = self.keep_up() {
                self.disconnect(&reason);
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
        self.wanted = Some(Instant::now());
        match self.find(&jobs.iter().map(|job| job.credential).collect()) {
            Ok(found) => jobs.into_iter().for_each(|job| {
                let session = found.get(&job.credential.digest).cloned();
                job.answer(Ok(session));
            }),
            Err(error) => jobs
                .into_iter()
                .for_each(|job| job.answer(Err(error.clone()))),
        }
    }

    fn find(
        &mut self,
        credentials: &HashSet<CredentialDigest>,
    ) -> Result<HashMap<TokenDigest, Arc<Session>>, StoreError> {
        let found = match query::find_all(self.connection()?, credentials) {
            // As after a restart of Postgres: another connection may do.
            Err(error) if is_lost(&error) => {
                self.disconnect(&error.into());
                query::find_all(self.connection()?, credentials)
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
    fn keep_up(&mut self) -> Result<(), StoreError> {
        if self.conn.is_none() && self.shared.has_callers() {
            // The answers to their calls come here.
            self.connection()?;
        }
        self.read_notifications()?;
        if self.shared.was_used() {
            self.wanted = Some(Instant::now());
        }
        let is_wanted = self.memory.is_any()
            && self
                .wanted
                .is_some_and(|wanted| wanted.elapsed() < IDLE_AFTER);
        match self.lease {
            Some(_) if !is_wanted => self.give_up_lease()?,
            Some(_) if self.asked.elapsed() >= ASK_EVERY => self.ask_for_lease()?,
            None if is_wanted => self.take_lease()?,
            _ => {}
        }
        Ok(())
    }

    /// Forgets what was changed, in the order of the commits, and pauses for revokers.
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
                continue;
            }
            match (Message::parse(payload), self.lease) {
                (Message::Pause(call), Some(lease)) => {
                    let until = Instant::now() + PAUSE_OF_OWNER;
                    self.pauses.insert(call.call.to_owned(), until);
                    self.shared.allow(None);
                    call.answer(conn, &self.shared, lease)?;
                }
                // Without a lease nothing is in use.
                (Message::Pause(_), None) => {}
                (Message::Resume(call), _) => drop(self.pauses.remove(call.call)),
                (Message::Changed(digest), _) => self.memory.remove(&digest),
                (Message::AllChanged, _) => self.memory.clear(),
            }
        }
        self.allow();
        Ok(())
    }

    /// Lets the memory be used as long as it may be. Only for who has read all that was notified.
    fn allow(&mut self) {
        if !self.pauses.is_empty() {
            let (now, paused) = (Instant::now(), self.pauses.len());
            self.pauses.retain(|_, until| *until > now);
            if self.pauses.len() < paused {
                // It ended by the clock: what was changed under it may still be on its way. A yes
                // to a question that is asked from now on comes after it.
                self.usable_until = None;
            }
        }
        let until = self.usable_until.filter(|_| self.pauses.is_empty());
        self.shared.allow(until);
    }

    /// Takes a lease, unless somebody is making a change: then the next time.
    fn take_lease(&mut self) -> QueryResult<()> {
        let Some(conn) = &mut self.conn else {
            return Ok(());
        };
        let id = rand::random::<i64>();
        let asked = Instant::now();
        let taken = diesel::sql_query(
            "INSERT INTO session_leases (id) SELECT $1 WHERE pg_try_advisory_xact_lock($2)",
        )
        .bind::<BigInt, _>(id)
        .bind::<BigInt, _>(LEASES_LOCK)
        .execute(conn)?;
        if taken == 1 {
            self.lease = Some(id);
            return self.renew(asked);
        }
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
            self.renew(asked)
        } else {
            self.give_up_lease()
        }
    }

    /// After a yes to a question that was asked at `asked`. What was committed before that has been
    /// notified by now.
    fn renew(&mut self, asked: Instant) -> QueryResult<()> {
        self.asked = asked;
        self.usable_until = Some(asked + USABLE_FOR);
        self.read_notifications()
    }

    /// Stops using the memory, and then says so: revokers may go on at once.
    fn give_up_lease(&mut self) -> QueryResult<()> {
        self.forget_all();
        if let (Some(conn), Some(id)) = (&mut self.conn, self.lease) {
            diesel::delete(session_leases::table.find(id)).execute(conn)?;
            self.lease = None;
        }
        Ok(())
    }

    fn forget_all(&mut self) {
        self.usable_until = None;
        self.allow();
        self.memory.clear();
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
        // A lease that an earlier connection has left behind. While it stands, what is found would
        // be remembered, and the pauses of then are not known any more.
        self.give_up_lease().inspect_err(|_| self.conn = None)
    }

    fn disconnect(&mut self, reason: &StoreError) {
        self.forget_all();
        self.pauses.clear();
        if self.conn.take().is_some() {
            log::warn!("database: the connection for look-ups is closed: {reason}");
        }
    }
}

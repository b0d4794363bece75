//! Look-ups on Postgres, and how the cache stays exact there.
//!
//! One connection makes the look-ups. What it finds is cached while the process holds a lease (see
//! [`lease`](super::lease)), for which it reads the tables of [`coordination`] at regular
//! intervals, and immediately when a second connection receives a notification. The second
//! connection does nothing else, because a listening connection depends on the senders: the server
//! answers it only after delivering every notification sent so far.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;

use super::coordination::{self, LISTEN, PendingCalls, Snapshot};
use super::entries::Entries;
use super::lease::{LEASE_TIMEOUT, Lease, Moment};
use super::lookup_queue::{Lookup, LookupQueue, Wake};
use super::query;
use crate::credential::CredentialDigest;
use crate::credential::token::TokenDigest;
use crate::store::connection::{Manager, is_lost};
use crate::store::{Principal, StoreError};

/// How often the owner of a lease reads the tables, even without a notification.
const RENEW_INTERVAL: Duration = Duration::from_millis(300);

/// How often the owner of a lease listens, and the shortest interval at which notifications make it
/// read the tables. Changes wait for this.
const LISTEN_INTERVAL: Duration = Duration::from_millis(5);

/// How often the owner of a lease reads the tables while it has users suspended: their end is not
/// announced.
const RESUME_INTERVAL: Duration = Duration::from_millis(20);

/// How often a process without a lease listens, only so that notifications do not pile up.
const IDLE_LISTEN_INTERVAL: Duration = Duration::from_secs(1);

/// The maximum number of notifications received between two rounds of look-ups: about a
/// millisecond's work.
const MAX_NOTIFICATIONS: usize = 1_000;

/// A lease that was not used for this long is released, so that an idle process costs nothing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// How often rows that no process needs any longer are deleted from the tables.
const PRUNE_INTERVAL: Duration = Duration::from_secs(2);

/// The same interval for a process without a lease.
const IDLE_PRUNE_INTERVAL: Duration = Duration::from_secs(60);

/// The thread's own connections, and the lease it holds.
pub(super) struct PostgresLookups {
    manager: Manager,
    conn: Option<PgConnection>,
    /// The connection that listens; open whenever `conn` is.
    listener: Option<PgConnection>,
    entries: Arc<Entries>,
    shared: Arc<Lease>,
    /// The row in `session_leases`. While there is one, found principals may be cached.
    lease: Option<i64>,
    /// How far the log of changes was read.
    snapshot: Option<Snapshot>,
    /// The changes in progress.
    calls: PendingCalls,
    /// Whether a notification was received since the tables were last read.
    is_notified: bool,
    /// Whether there may be more notifications to receive.
    has_backlog: bool,
    /// When the tables were last read.
    renewed_at: Instant,
    pruned_at: Instant,
    /// When the cache was last used.
    used_at: Option<Instant>,
}

impl PostgresLookups {
    /// Takes over a connection, and opens one that listens. With a cache of size 0 it never takes a
    /// lease.
    pub(super) fn new(
        manager: Manager,
        conn: PgConnection,
        entries: Arc<Entries>,
        shared: Arc<Lease>,
    ) -> Result<Self, StoreError> {
        let mut lookups = Self {
            manager,
            conn: None,
            listener: None,
            entries,
            shared,
            lease: None,
            snapshot: None,
            calls: PendingCalls::default(),
            is_notified: false,
            has_backlog: false,
            renewed_at: Instant::now(),
            pruned_at: Instant::now(),
            used_at: None,
        };
        lookups.use_connection(conn)?;
        Ok(lookups)
    }

    /// The thread's main loop.
    pub(super) fn run(&mut self, queue: &LookupQueue) {
        while let Wake::Work(lookups) = queue.wait(self.wait_interval()) {
            if !lookups.is_empty() {
                self.answer(lookups);
            }
            if let Err(reason) = self.maintain() {
                self.disconnect(&reason);
            }
        }
        if let Err(error) = self.release_lease() {
            self.disconnect(&error.into());
        }
    }

    fn wait_interval(&self) -> Duration {
        if self.has_backlog {
            Duration::ZERO
        } else if self.lease.is_some() {
            LISTEN_INTERVAL
        } else {
            IDLE_LISTEN_INTERVAL
        }
    }

    /// Answers all pending look-ups with one round trip.
    fn answer(&mut self, lookups: Vec<Lookup>) {
        self.used_at = Some(Instant::now());
        match self.fetch(&lookups) {
            Ok(found) => lookups.into_iter().for_each(|lookup| {
                let principal = found.get(&lookup.credential.digest).cloned();
                lookup.answer(Ok(principal));
            }),
            Err(error) => lookups
                .into_iter()
                .for_each(|lookup| lookup.answer(Err(error.clone()))),
        }
    }

    fn fetch(
        &mut self,
        lookups: &[Lookup],
    ) -> Result<HashMap<TokenDigest, Arc<Principal>>, StoreError> {
        let credentials: HashSet<CredentialDigest> =
            lookups.iter().map(|lookup| lookup.credential).collect();
        let since = self.entries.suspensions().latest();
        let found = match query::fetch_all(self.connection()?, &credentials) {
            // For example after a restart of Postgres: a new connection may work.
            Err(error) if is_lost(&error) => {
                self.disconnect(&error.into());
                query::fetch_all(self.connection()?, &credentials)
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
            for lookup in lookups {
                let digest = lookup.credential.digest;
                if let Some(principal) = found.get(&digest) {
                    let principal = Arc::clone(principal);
                    self.entries
                        .insert(digest, principal, lookup.requested_at, since);
                }
            }
        }
        Ok(found)
    }

    /// Listens, and takes, renews or releases the lease.
    fn maintain(&mut self) -> Result<(), StoreError> {
        self.listen()?;
        if self.shared.take_used() {
            self.used_at = Some(Instant::now());
        }
        let is_in_use = self.entries.has_capacity()
            && self
                .used_at
                .is_some_and(|used_at| used_at.elapsed() < IDLE_TIMEOUT);
        let is_requested = self.shared.take_renewal_request();
        if is_requested && self.conn.is_none() {
            // A change by this process would wait for the lease that the lost connection left
            // behind.
            self.connection()?;
        }
        match self.lease {
            Some(_) if !is_in_use => self.release_lease()?,
            Some(lease) if is_requested || self.is_renewal_due() => self.renew_lease(lease)?,
            None if is_in_use => self.take_lease()?,
            _ => {}
        }
        self.prune()?;
        Ok(())
    }

    /// Receives notifications. They mean only that the tables may have changed, regardless of their
    /// number and of the role that sent them.
    fn listen(&mut self) -> QueryResult<()> {
        let Some(listener) = &mut self.listener else {
            return Ok(());
        };
        let mut count = 0;
        for notification in listener.notifications_iter().take(MAX_NOTIFICATIONS) {
            notification?;
            count += 1;
        }
        self.is_notified |= count > 0;
        self.has_backlog = count == MAX_NOTIFICATIONS;
        Ok(())
    }

    fn is_renewal_due(&self) -> bool {
        let interval = if self.is_notified {
            LISTEN_INTERVAL
        } else if self.calls.are_any() {
            RESUME_INTERVAL
        } else {
            RENEW_INTERVAL
        };
        self.renewed_at.elapsed() >= interval
    }

    fn take_lease(&mut self) -> QueryResult<()> {
        let Some(conn) = &mut self.conn else {
            return Ok(());
        };
        let lease = coordination::take_lease(conn)?;
        self.lease = Some(lease);
        self.shared.set_id(self.lease);
        self.renew_lease(lease)
    }

    /// Reads the tables: removes from the cache what has changed, suspends the users of the changes
    /// in progress, and allows the cache to be used again unless one of the changes requires a pause.
    fn renew_lease(&mut self, lease: i64) -> QueryResult<()> {
        let Some(conn) = &mut self.conn else {
            return Ok(());
        };
        // They end when this returns, after the tables were read.
        let _undecided = self.shared.take_undecided();
        let read_from = Moment::now();
        let seen = coordination::read(conn, lease, self.snapshot.as_ref())?;
        self.renewed_at = Instant::now();
        self.is_notified = false;
        if !seen.is_ours {
            return self.release_lease();
        }
        self.invalidate(seen.changes.as_deref());
        let has_new_calls = self.calls.update(seen.calls, &self.entries);
        if self.calls.require_pause() {
            self.shared.set_end(None);
        } else {
            self.shared.set_end(Some(read_from.after(LEASE_TIMEOUT)));
        }
        if let (true, Some(conn)) = (has_new_calls, &mut self.conn) {
            coordination::answer(conn, lease, &self.calls.ids(), &seen.snapshot)?;
        }
        self.snapshot = Some(seen.snapshot);
        Ok(())
    }

    /// Removes these principals from the cache; all of them when there are too many changes, or
    /// when one is not a digest: that stands for all, or for something that only a newer version
    /// understands.
    fn invalidate(&self, changes: Option<&[String]>) {
        let digests: Option<Vec<TokenDigest>> = changes.and_then(|changes| {
            let digests = changes.iter().map(|change| TokenDigest::from_hex(change));
            digests.collect()
        });
        match digests {
            Some(digests) => digests
                .iter()
                .for_each(|digest| self.entries.remove(digest)),
            None => self.entries.clear(),
        }
    }

    /// Stops using the cache, and announces that afterwards: changes no longer wait for this
    /// process.
    fn release_lease(&mut self) -> QueryResult<()> {
        self.clear();
        if let (Some(conn), Some(lease)) = (&mut self.conn, self.lease) {
            coordination::release_lease(conn, lease)?;
            self.lease = None;
            self.shared.set_id(None);
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.shared.set_end(None);
        self.entries.clear();
        self.snapshot = None;
        self.calls = PendingCalls::default();
    }

    /// Deletes the rows that no process needs any longer.
    fn prune(&mut self) -> QueryResult<()> {
        let interval = if self.lease.is_some() {
            PRUNE_INTERVAL
        } else {
            IDLE_PRUNE_INTERVAL
        };
        let Some(conn) = self
            .conn
            .as_mut()
            .filter(|_| self.pruned_at.elapsed() >= interval)
        else {
            return Ok(());
        };
        self.pruned_at = Instant::now();
        if let (Some(lease), Some(snapshot)) = (self.lease, &self.snapshot) {
            coordination::answer(conn, lease, &self.calls.ids(), snapshot)?;
        }
        coordination::prune(conn, &self.calls.expired())
    }

    fn connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        if self.conn.is_none() {
            let conn = self.manager.connect_postgres()?;
            self.use_connection(conn)?;
        }
        self.conn.as_mut().ok_or_else(StoreError::no_connection)
    }

    /// Switches to a new pair of connections. Entries cached under earlier connections are not
    /// trusted.
    fn use_connection(&mut self, conn: PgConnection) -> Result<(), StoreError> {
        let mut listener = self.manager.connect_postgres()?;
        listener.batch_execute(LISTEN)?;
        self.listener = Some(listener);
        self.conn = Some(conn);
        // An earlier connection may have left a lease behind.
        self.release_lease().map_err(|error| {
            self.conn = None;
            self.listener = None;
            error.into()
        })
    }

    fn disconnect(&mut self, reason: &StoreError) {
        self.clear();
        self.listener = None;
        self.has_backlog = false;
        if self.conn.take().is_some() {
            log::warn!("database: the connection for look-ups is closed: {reason}");
        }
    }
}

//! The principal of a login token or an API key, from memory while that is exact, and from the
//! database otherwise.
//!
//! A cached principal is never older than the last acknowledged change. Each database has its own
//! way to prove that ([`sqlite`], [`postgres`]), and both cover changes by other processes and by
//! hand. Only found principals are cached: the cache never reports a token as unknown.
//!
//! One thread does all look-ups and reads what others have changed, so the two cannot overtake each
//! other. Look-ups that arrive while it is busy are answered together. The writers of this process
//! suspend the users whose credentials they end ([`suspensions`]).

mod coordination;
mod entries;
mod fence;
mod lease;
mod lookup_queue;
mod own_commit;
mod postgres;
mod query;
mod revocation;
mod row;
mod sqlite;
mod suspensions;
mod wal_index;

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use chrono::NaiveDateTime;
use tokio::sync::oneshot;
use tokio::time::timeout;

pub(super) use fence::{Ended, Fence};
pub(super) use wal_index::open_permanently;

use super::connection::Manager;
use super::{Ends, Principal, QUERY_TIMEOUT, StoreConnection, StoreError};
use crate::credential::CredentialDigest;
use crate::credential::token::TokenDigest;
use entries::Entries;
use lease::Lease;
use lookup_queue::{Lookup, LookupQueue};
use own_commit::OwnCommit;
use postgres::PostgresLookups;
use revocation::Revocation;
use sqlite::SqliteLookups;
use wal_index::WalIndex;

/// How long the program waits at its end for the thread to release its lease.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Finds principals. Dropping it stops its thread.
pub(super) struct PrincipalCache {
    entries: Arc<Entries>,
    validity: Validity,
    queue: Arc<LookupQueue>,
    stopped: Mutex<mpsc::Receiver<()>>,
}

/// What decides whether the cache is exact at this moment.
enum Validity {
    Sqlite(Arc<WalIndex>),
    Postgres(Arc<Lease>),
}

impl PrincipalCache {
    /// Opens a connection for the look-ups and starts their thread. Caches as many principals as
    /// fit into `bytes`. Blocks.
    pub(super) fn start(manager: Manager, bytes: u64) -> Result<Self, StoreError> {
        let entries = Arc::new(Entries::new(bytes));
        let queue = Arc::new(LookupQueue::default());
        let (stopping, stopped) = mpsc::channel();
        let thread_queue = Arc::clone(&queue);
        let validity = match manager.connect()? {
            StoreConnection::Sqlite(conn) => {
                let mut lookups = SqliteLookups::new(conn, &manager.url, Arc::clone(&entries))?;
                let wal_index = lookups.wal_index();
                spawn(stopping, move || lookups.run(&thread_queue))?;
                Validity::Sqlite(wal_index)
            }
            StoreConnection::Postgres(conn) => {
                let lease = Arc::new(Lease::new(Arc::clone(&queue)));
                let (entries, shared) = (Arc::clone(&entries), Arc::clone(&lease));
                let mut lookups = PostgresLookups::new(manager, conn, entries, shared)?;
                spawn(stopping, move || lookups.run(&thread_queue))?;
                Validity::Postgres(lease)
            }
        };
        Ok(Self {
            entries,
            validity,
            queue,
            stopped: Mutex::new(stopped),
        })
    }

    /// The principal of a token, if it is cached, not too old at `now`, and unchanged since. Never
    /// blocks on the database.
    pub(super) fn cached(
        &self,
        digest: &TokenDigest,
        now: NaiveDateTime,
    ) -> Option<Arc<Principal>> {
        match &self.validity {
            // The order matters: first the state that the cache reflects, then the entry, then the
            // state of the file. If the two states are equal, nothing was committed in between.
            Validity::Sqlite(wal_index) => {
                let cached_state = wal_index.cached_state();
                let principal = self.entries.get(digest, now)?;
                (wal_index.current_state()? == cached_state).then_some(principal)
            }
            // The order matters here too: the cache is exact while the lease is live, so an entry
            // that is read after that check was exact at its time. In the reverse order, an entry
            // could be read before the thread removes it, and the lease could be live again then.
            Validity::Postgres(lease) => lease.is_live().then(|| self.entries.get(digest, now))?,
        }
    }

    /// The principal of a credential at `now`, from the database, or from a cache that has just
    /// caught up with it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], after [`QUERY_TIMEOUT`] at the latest.
    pub(super) async fn fetch(
        &self,
        credential: CredentialDigest,
        now: NaiveDateTime,
    ) -> Result<Option<Arc<Principal>>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let lookup = Lookup {
            credential,
            requested_at: now,
            reply,
        };
        if let Some(waker) = LookupQueue::push(&self.queue, lookup) {
            // Requests that have arrived together push their look-ups first: one wake-up for all.
            tokio::spawn(async move { drop(waker) });
        }
        match timeout(QUERY_TIMEOUT, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_dropped)) => Err(StoreError::Unavailable("the look-up panicked".to_owned())),
            Err(_elapsed) => Err(StoreError::timeout()),
        }
    }

    /// Removes all cached principals.
    pub(super) fn clear(&self) {
        self.entries.clear();
    }

    /// What a writer does around a transaction that may end these credentials; `None` if it is
    /// nothing.
    pub(super) fn fence(&self, ends: &Ends) -> Option<Fence> {
        let entries = Arc::clone(&self.entries);
        match (&self.validity, ends) {
            (Validity::Sqlite(wal_index), Ends::Users(ids)) => {
                let own = OwnCommit::new(Arc::clone(wal_index), entries, ids.clone());
                Some(Fence::Sqlite(own))
            }
            // The look-up thread reads the log.
            (Validity::Sqlite(_), Ends::Everyone) => None,
            (Validity::Postgres(_), Ends::Users(ids)) if ids.is_empty() => None,
            (Validity::Postgres(lease), _) => {
                let revocation = Revocation::new(Arc::clone(lease), entries, ends);
                Some(Fence::Postgres(revocation))
            }
        }
    }
}

impl Drop for PrincipalCache {
    fn drop(&mut self) {
        self.queue.close();
        let stopped = self
            .stopped
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        // The sender is dropped when the thread has ended. Past the timeout nothing waits for it.
        let _ = stopped.recv_timeout(SHUTDOWN_TIMEOUT);
    }
}

/// Starts the thread. `stopping` is dropped when it ends.
fn spawn(
    stopping: mpsc::Sender<()>,
    work: impl FnOnce() + Send + 'static,
) -> Result<(), StoreError> {
    let work = move || {
        work();
        drop(stopping);
    };
    thread::Builder::new()
        .name("principals".to_owned())
        .spawn(work)
        .map(drop)
        .map_err(|error| StoreError::Unavailable(format!("no thread for look-ups: {error}")))
}

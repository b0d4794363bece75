//! Who a login token or an API key stands for, found in memory while that is exact and in the database otherwise.
//!
//! What is remembered is never older than what was acknowledged: each database has its own way to
//! tell ([`sqlite`], [`postgres`]), and both hold for changes by other processes and by hand.
//! Only what was found is remembered: a token is never unknown from memory.
//!
//! One thread does all look-ups and all the forgetting, so that the two cannot overtake each
//! other. Look-ups that wait while it is busy are answered together.

mod coordination;
mod lease;
mod lookup_queue;
mod memory;
mod moment;
mod postgres;
mod query;
mod revocation;
mod sqlite;
mod wal_index;

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use chrono::NaiveDateTime;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;

pub(super) use revocation::Revocation;
pub(super) use wal_index::open_for_good;

use super::connection::Manager;
use super::{Principal, QUERY_TIMEOUT, StoreConnection, StoreError};
use crate::credential::CredentialDigest;
use crate::credential::token::TokenDigest;
use lease::Lease;
use lookup_queue::{Inbox, Job};
use memory::Memory;
use wal_index::WalIndex;

/// How long the end of the program waits for the thread to say goodbye to the database.
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);

/// Finds principals. Ends its thread when it is dropped.
pub(super) struct PrincipalCache {
    memory: Arc<Memory>,
    validity: Validity,
    inbox: Arc<Inbox>,
    ended: Mutex<mpsc::Receiver<()>>,
}

/// What says whether the memory is exact at this moment.
enum Validity {
    Sqlite(Arc<WalIndex>),
    Postgres(Arc<Lease>),
}

impl PrincipalCache {
    /// Opens a connection for the look-ups and starts their thread. Remembers what fits into
    /// `bytes`. Blocks.
    pub(super) fn start(manager: Manager, bytes: u64) -> Result<Self, StoreError> {
        let memory = Arc::new(Memory::new(bytes));
        let inbox = Arc::new(Inbox::default());
        let (ending, ended) = mpsc::channel();
        let thread_inbox = Arc::clone(&inbox);
        let validity = match manager.open_or_say_why()? {
            StoreConnection::Sqlite(conn) => {
                let mut lookups = sqlite::Lookups::new(conn, &manager.url, Arc::clone(&memory))?;
                let wal_index = lookups.wal_index();
                spawn(ending, move || lookups.run(&thread_inbox))?;
                Validity::Sqlite(wal_index)
            }
            StoreConnection::Postgres(conn) => {
                let lease = Arc::new(Lease::new(Arc::clone(&inbox)));
                let (memory, shared) = (Arc::clone(&memory), Arc::clone(&lease));
                let mut lookups = postgres::Lookups::new(manager, conn, memory, shared)?;
                spawn(ending, move || lookups.run(&thread_inbox))?;
                Validity::Postgres(lease)
            }
        };
        Ok(Self {
            memory,
            validity,
            inbox,
            ended: Mutex::new(ended),
        })
    }

    /// The principal of a token from memory, if it is there, not too old at `now`, and nothing has
    /// changed it. Never blocks on the database.
    pub(super) fn recall(
        &self,
        digest: &TokenDigest,
        now: NaiveDateTime,
    ) -> Option<Arc<Principal>> {
        match &self.validity {
            // The order decides: the state that the memory stands for, then the memory, then the
            // state of the file. When the two states are equal, nothing was committed between.
            Validity::Sqlite(wal_index) => {
                let remembered = wal_index.remembered();
                let principal = self.memory.get(digest, now)?;
                (wal_index.now()? == remembered).then_some(principal)
            }
            // Here too: the memory is exact while the lease is live, so what is found in it after
            // that was so when this began. The other way round it may be found before the thread
            // has forgotten it, and the lease be live again after.
            Validity::Postgres(lease) => lease.is_live().then(|| self.memory.get(digest, now))?,
        }
    }

    /// The principal of a credential, from the database, or from a memory that has just caught up
    /// with it. It is `now`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], after [`QUERY_TIMEOUT`] at the latest.
    pub(super) async fn find(
        &self,
        credential: CredentialDigest,
        now: NaiveDateTime,
    ) -> Result<Option<Arc<Principal>>, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.inbox.put(Job {
            credential,
            asked_at: now,
            reply,
        });
        // The requests that have arrived with this one put theirs first: one call for all.
        yield_now().await;
        self.inbox.call();
        match timeout(QUERY_TIMEOUT, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_dropped)) => Err(StoreError::Unavailable("the look-up panicked".to_owned())),
            Err(_elapsed) => Err(StoreError::Unavailable("no answer in time".to_owned())),
        }
    }

    /// Forgets every principal.
    pub(super) fn forget_all(&self) {
        self.memory.clear();
    }

    /// What a writer needs to know that a revocation holds everywhere; SQLite needs nothing.
    pub(super) fn revocation(&self) -> Option<Revocation> {
        match &self.validity {
            Validity::Sqlite(_) => None,
            Validity::Postgres(lease) => Some(Revocation::new(Arc::clone(lease))),
        }
    }
}

impl Drop for PrincipalCache {
    fn drop(&mut self) {
        self.inbox.close();
        // The sender is dropped when the thread is through; past the wait it is on its own.
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ended_or_late = ended.recv_timeout(GOODBYE_WITHIN);
    }
}

/// Starts the thread. `ending` is dropped when it is through.
fn spawn(ending: mpsc::Sender<()>, work: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
    let work = move || {
        work();
        drop(ending);
    };
    thread::Builder::new()
        .name("principals".to_owned())
        .spawn(work)
        .map(drop)
        .map_err(|error| StoreError::Unavailable(format!("no thread for look-ups: {error}")))
}

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

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use chrono::{NaiveDateTime, TimeDelta};
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;

pub(super) use revocation::Revocation;
pub(super) use wal_index::open_for_good;

use super::connection::Manager;
use super::{ANSWER_WITHIN, AccessToken, ApiKey, StoreConnection, StoreError, User};
use crate::credential::CredentialDigest;
use crate::credential::token::TokenDigest;
use lookup_queue::{Inbox, Job};
use lease::Lease;
use memory::Memory;
use wal_index::WalIndex;

/// How long the end of the program waits for the thread to say goodbye to the database.
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);

/// A user and the credential that stands for them, as stored. Whether it is still good is for the
/// domain to say.
#[derive(Debug)]
#[non_exhaustive]
pub struct Session {
    /// Who.
    pub user: User,
    /// By what.
    pub credential: Credential,
}

/// A credential of a user, as stored.
#[derive(Debug)]
#[non_exhaustive]
pub enum Credential {
    /// Given at a sign-in.
    LoginToken(AccessToken),
    /// Made by the user for a program.
    ApiKey(UsedKey),
}

/// An API key, and when its use was last noted.
#[derive(Debug)]
#[non_exhaustive]
pub struct UsedKey {
    /// The key.
    pub key: ApiKey,
    /// Microseconds since 1970, UTC; see [`Self::is_use_to_be_noted`].
    noted: AtomicI64,
}

impl UsedKey {
    /// A key as it was read.
    pub(super) fn new(key: ApiKey) -> Self {
        let noted = key
            .last_used_at
            .map_or(i64::MIN, |at| at.and_utc().timestamp_micros());
        Self {
            key,
            noted: AtomicI64::new(noted),
        }
    }

    /// Whether a use at `now` comes `interval` or more after the last one that was noted. Of
    /// several at once, only one is told so.
    pub fn is_use_to_be_noted(&self, now: NaiveDateTime, interval: TimeDelta) -> bool {
        let now = now.and_utc().timestamp_micros();
        let noted = self.noted.load(Ordering::Relaxed);
        let next = interval
            .num_microseconds()
            .map_or(i64::MAX, |interval| noted.saturating_add(interval));
        now >= next
            && self
                .noted
                .compare_exchange(noted, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// Finds sessions. Ends its thread when it is dropped.
pub(super) struct Sessions {
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

impl Sessions {
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

    /// The session of a token from memory, if it is there, not too old at `now`, and nothing has
    /// changed it. Never blocks on the database.
    pub(super) fn recall(&self, digest: &TokenDigest, now: NaiveDateTime) -> Option<Arc<Session>> {
        match &self.validity {
            // The order decides: the state that the memory stands for, then the memory, then the
            // state of the file. When the two states are equal, nothing was committed between.
            Validity::Sqlite(wal_index) => {
                let remembered = wal_index.remembered();
                let session = self.memory.get(digest, now)?;
                (wal_index.now()? == remembered).then_some(session)
            }
            // Here too: the memory is exact while the lease is live, so what is found in it after
            // that was so when this began. The other way round it may be found before the thread
            // has forgotten it, and the lease be live again after.
            Validity::Postgres(lease) => lease.is_live().then(|| self.memory.get(digest, now))?,
        }
    }

    /// The session of a credential, from the database, or from a memory that has just caught up
    /// with it. It is `now`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], after [`ANSWER_WITHIN`] at the latest.
    pub(super) async fn find(
        &self,
        credential: CredentialDigest,
        now: NaiveDateTime,
    ) -> Result<Option<Arc<Session>>, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.inbox.put(Job {
            credential,
            asked_at: now,
            reply,
        });
        // The requests that have arrived with this one put theirs first: one call for all.
        yield_now().await;
        self.inbox.call();
        match timeout(ANSWER_WITHIN, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_dropped)) => Err(StoreError::Unavailable("the look-up panicked".to_owned())),
            Err(_elapsed) => Err(StoreError::Unavailable("no answer in time".to_owned())),
        }
    }

    /// Forgets every session.
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

impl Drop for Sessions {
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
        .name("sessions".to_owned())
        .spawn(work)
        .map(drop)
        .map_err(|error| StoreError::Unavailable(format!("no thread for look-ups: {error}")))
}

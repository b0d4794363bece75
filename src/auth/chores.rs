//! What is done beside the requests, by a thread of its own: writing what was collected, deleting
//! what is too old.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::{Auth, Inner};
use crate::error::Error;

/// How often it looks for something to do.
const EVERY: Duration = Duration::from_secs(1);

/// When old events are first looked for after the start, so that a short command does not.
const FIRST_PRUNE_AFTER: Duration = Duration::from_secs(60);

/// How often after that.
const PRUNE_EVERY: Duration = Duration::from_secs(60 * 60);

/// Ends the thread when it is dropped.
pub(super) struct Chores {
    _alive: Mutex<Sender<()>>,
}

/// The thread, before it is started.
pub(super) struct ChoresThread(Receiver<()>);

impl Chores {
    /// The two ends.
    pub(super) fn new() -> (Self, ChoresThread) {
        let (alive, ended) = channel();
        let chores = Self {
            _alive: Mutex::new(alive),
        };
        (chores, ChoresThread(ended))
    }
}

impl ChoresThread {
    /// Starts the thread. It does not keep the service alive.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(self, service: Weak<Inner>) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let run = move || {
            let mut prune_at = Instant::now() + FIRST_PRUNE_AFTER;
            while self.0.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                let Some(inner) = service.upgrade() else {
                    return;
                };
                let auth = Auth(inner);
                let prune = Instant::now() >= prune_at;
                if prune {
                    prune_at = Instant::now() + PRUNE_EVERY;
                }
                // The cause is in the log already, and the next time is soon.
                let _done_or_later = runtime.block_on(auth.do_chores(prune));
            }
        };
        thread::Builder::new()
            .name("chores".to_owned())
            .spawn(run)
            .map(drop)
    }
}

impl Auth {
    async fn do_chores(&self, prune: bool) -> Result<(), Error> {
        self.write_key_uses().await?;
        self.write_refusals(false).await?;
        if prune {
            self.prune_events().await?;
            self.prune_failures().await?;
        }
        Ok(())
    }

    /// Writes what was collected and not written yet. For the end of the service.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer; then it is lost.
    pub async fn settle(&self) -> Result<(), Error> {
        self.write_key_uses().await?;
        self.write_refusals(true).await
    }
}

//! What is done beside the requests, by a thread of its own: writing what was collected, deleting
//! what is too old.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::{Auth, Inner};
use crate::error::Error;
use crate::store::AccessToken;

/// How often it looks for something to do. In so short a time SQLite's log does not grow much.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How often what was collected is written.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// How often the dearest hash is looked for: so long after a hash was stored, or renewed, all processes
/// know.
const LOOK_FOR_HASHES_EVERY: Duration = Duration::from_secs(2);

/// How often the tokens are counted: it takes a second when there are ten million.
const COUNT_EVERY: Duration = Duration::from_secs(5 * 60);

/// How often the clock is compared with the latest time that any process has seen.
const CLOCK_INTERVAL: Duration = Duration::from_secs(60);

/// When old events are first looked for after the start, so that a short command does not.
const FIRST_PRUNE_AFTER: Duration = Duration::from_secs(60);

/// How often after that.
const PRUNE_EVERY: Duration = Duration::from_secs(60 * 60);

/// After how long SQLite's log is looked at again when somebody keeps it from being emptied. The
/// next times it is twice as long, up to a minute: whoever writes waits for the attempt.
const TRIM_AGAIN_AFTER: Duration = Duration::from_millis(250);
const TRIM_AT_LEAST_EVERY: Duration = Duration::from_secs(60);

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
            let mut write_at = Instant::now() + WRITE_EVERY;
            let mut hashes_at = Instant::now();
            let mut count_at = Instant::now();
            let mut prune_at = Instant::now() + FIRST_PRUNE_AFTER;
            let mut clock_at = Instant::now() + CLOCK_INTERVAL;
            let mut last_pass = Instant::now();
            let (mut trim_at, mut trim_pause) = (Instant::now(), Duration::ZERO);
            while self.0.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                let Some(inner) = service.upgrade() else {
                    return;
                };
                let auth = Auth(inner);
                if is_due(&mut hashes_at, LOOK_FOR_HASHES_EVERY) {
                    runtime.block_on(auth.pad_refusals());
                }
                if is_due(&mut write_at, WRITE_EVERY) {
                    let count = is_due(&mut count_at, COUNT_EVERY);
                    let prune = is_due(&mut prune_at, PRUNE_EVERY);
                    auth.0.clock.pass(last_pass.elapsed());
                    last_pass = Instant::now();
                    // The cause is in the log already, and the next time is soon.
                    if is_due(&mut clock_at, CLOCK_INTERVAL) {
                        let _kept_or_later = runtime.block_on(auth.watch_clock());
                    }
                    let _done_or_later = runtime.block_on(auth.do_chores(count, prune));
                }
                if Instant::now() >= trim_at {
                    trim_pause = match runtime.block_on(auth.trim_log()) {
                        true => Duration::ZERO,
                        false => (trim_pause * 2).clamp(TRIM_AGAIN_AFTER, TRIM_AT_LEAST_EVERY),
                    };
                    trim_at = Instant::now() + trim_pause;
                }
            }
        };
        thread::Builder::new()
            .name("chores".to_owned())
            .spawn(run)
            .map(drop)
    }
}

/// Whether the moment has come, which is then set anew.
fn is_due(at: &mut Instant, every: Duration) -> bool {
    let is_due = Instant::now() >= *at;
    if is_due {
        *at = Instant::now() + every;
    }
    is_due
}

impl Auth {
    async fn do_chores(&self, count: bool, prune: bool) -> Result<(), Error> {
        self.write_start().await?;
        self.write_key_uses().await?;
        self.write_refusals(false).await?;
        self.write_static_key_uses().await?;
        self.write_unnamed_proxies().await?;
        if count {
            self.count_tokens().await?;
        }
        if prune {
            self.prune_tokens().await?;
            self.prune_keys().await?;
            self.prune_events().await?;
            self.prune_failures().await?;
        }
        Ok(())
    }

    /// Whether that is worth trying again soon.
    async fn trim_log(&self) -> bool {
        self.0
            .store
            .checkpoint_wal()
            .await
            .is_ok_and(|trimmed| trimmed)
    }

    async fn count_tokens(&self) -> Result<(), Error> {
        let now = self.0.clock.now();
        let count = move |conn: &mut _| AccessToken::count_live(conn, now);
        let live = self.0.store.read(count).await?;
        self.0.metrics.tokens_live.set(live);
        Ok(())
    }

    /// Writes what was collected and not written yet. For the end of the service.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer; then it is lost.
    pub async fn settle(&self) -> Result<(), Error> {
        self.write_key_uses().await?;
        self.write_unnamed_proxies().await?;
        self.write_static_key_uses().await?;
        self.write_refusals(true).await
    }
}

//! The database: users, their credentials and the audit trail, on SQLite or Postgres. Knows no rule of the domain.
//!
//! Queries are synchronous, so they run on the runtime's blocking threads, never on the thread
//! that serves requests. A query waits for its turn without holding a thread, and nobody waits
//! longer than [`ANSWER_WITHIN`]: a database that does not answer is reported as unavailable.

pub mod access_token;
pub(crate) mod administrators;
pub mod api_key;
mod attempt;
pub mod audit_event;
mod backup;
pub mod bulk;
pub(crate) mod clock_mark;
mod connection;
mod exposure;
mod file;
mod file_watch;
mod hash_class;
mod inspect;
pub(crate) mod instance_secret;
pub mod login_failure;
mod migrations;
mod restore;
mod schema;
mod schema_check;
mod sequence;
mod session;
mod slice;
pub mod source;
mod text;
pub(crate) mod tombstone;
pub mod user;
mod write_ahead_log;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDateTime;
use diesel::QueryResult;
use diesel::connection::SimpleConnection;
use diesel::r2d2::Pool;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

pub use access_token::{AccessToken, NewAccessToken};
pub use api_key::{ApiKey, NewApiKey};
pub use audit_event::{AuditEvent, AuditHead, EventFilter};
pub use backup::backup;
pub use bulk::BulkUser;
pub use connection::StoreConnection;
pub use exposure::{PostgresExposure, inspect_exposure};
pub(crate) use hash_class::stored_hash_classes;
pub use inspect::{DatabaseState, inspect};
pub use login_failure::LoginFailures;
pub use restore::{LostEvents, ReplacedDatabase, StagedCopy};
pub use schema_check::{SchemaComparison, compare_schema};
pub use sequence::Sequence;
pub use session::{Credential, Session, UsedKey};
pub(crate) use slice::Slice;
pub use source::{SourceDatabase, SourceQuery, SourceRow};
pub use text::MAX_TEXT;
pub use user::{Account, NewUser, StoredHash, User, UserChanges};

use crate::config::DatabaseConfig;
use crate::credential::CredentialDigest;
use crate::token::TokenDigest;
use attempt::{Attempt, is_lost};
use connection::{LogConnectionErrors, Manager};
use file::beside;
use file_watch::{FileWatch, Log};
use session::{Revocation, Sessions};

/// The longest that anyone waits for the database, from asking to the answer.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// The longest that [`Store::rewrite`] may take.
pub const REWRITE_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// The longest wait for a connection to open.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// Why the database gave no answer. Never holds a value that was stored or asked for.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The row would break a UNIQUE rule.
    #[error("the row exists")]
    Conflict,
    /// The database cannot be reached, is too slow, or refused the query.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// A copy of the database could not be made or put back.
    #[error("{0}")]
    Backup(String),
    /// The tables could not be brought up to date.
    #[error("the migration failed: {0}")]
    Migration(String),
}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => Self::Conflict,
            // The message names tables and columns; values stand in the details, left out here.
            DieselError::DatabaseError(kind, info) => {
                let first = info.message().lines().next().unwrap_or_default();
                Self::Unavailable(format!("{kind:?}: {first}"))
            }
            DieselError::NotFound => Self::Unavailable("a row is missing".to_owned()),
            _ => Self::Unavailable("the query could not be made or its answer not read".to_owned()),
        }
    }
}

/// A handle to the database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: Pool<Manager>,
    turns: Arc<Semaphore>,
    /// On SQLite, where one writes at a time. Its own waiting is a lottery in which somebody is
    /// unlucky for seconds; here who came first is next.
    writing: Option<Arc<Semaphore>>,
    /// SQLite's write-ahead log.
    log: Option<PathBuf>,
    /// Of SQLite's files.
    watch: Option<Arc<FileWatch>>,
    sessions: Arc<Sessions>,
    /// The migrations that [`Self::open`] has run.
    migrated: Arc<[String]>,
}

impl Store {
    /// Opens the database, makes an SQLite file if there is none, and runs the pending migrations
    /// unless the settings say otherwise. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when there is no connection to be had,
    /// [`StoreError::Migration`] when the tables cannot be brought up to date.
    pub fn open(config: &DatabaseConfig) -> Result<Self, StoreError> {
        protect(config)?;
        let mut manager = Manager::new(&config.url);
        let identity = manager.pin()?;
        let mut first = manager.open_or_say_why()?;
        let mut migrated = Vec::new();
        if config.auto_migrate {
            migrated = migrations::run(&mut first)?;
            for name in &migrated {
                log::info!("database: ran migration {name}");
            }
        }
        let sessions = Sessions::start(manager.clone(), config.session_cache_bytes)?;
        let sessions = Arc::new(sessions);
        let file = manager.url.sqlite_path().map(Path::to_owned);
        let pool = Pool::builder()
            .max_size(config.pool_size)
            .min_idle(Some(1))
            .connection_timeout(CONNECT_WITHIN)
            .max_lifetime(Some(Duration::from_secs(30 * 60)))
            .test_on_check_out(false)
            .error_handler(Box::new(LogConnectionErrors(manager.clone())))
            .build_unchecked(manager);
        let turns = Arc::new(Semaphore::new(config.pool_size as usize));
        let writing = file.is_some().then(|| Arc::new(Semaphore::new(1)));
        // SQLite has it beside the file itself, and not beside a link to that.
        let real = file
            .as_ref()
            .map(|file| file.canonicalize().unwrap_or_else(|_error| file.clone()));
        let watch = match file.zip(identity) {
            Some((file, identity)) => {
                let watch = Arc::new(FileWatch::new(&file, identity)?);
                let sessions = Arc::downgrade(&sessions);
                let forget = move || {
                    if let Some(sessions) = sessions.upgrade() {
                        sessions.forget_all();
                    }
                };
                FileWatch::start(&watch, forget)
                    .map_err(|error| StoreError::Unavailable(format!("no thread: {error}")))?;
                Some(watch)
            }
            None => None,
        };
        Ok(Self {
            pool,
            turns,
            watch,
            writing,
            log: real.map(|file| beside(&file, "-wal")),
            sessions,
            migrated: migrated.into(),
        })
    }

    /// Runs a query that changes nothing. It may run again on another connection when the first
    /// turns out to be dead, as after a restart of Postgres.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], after [`ANSWER_WITHIN`] at the latest.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl Fn(&mut StoreConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(None, move |conn| attempt::read(conn, &query))
            .await
    }

    /// Runs `work` in one transaction, which is committed when this returns `Ok`. It takes effect
    /// on all processes at the same moment: no session is remembered past it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a UNIQUE rule stands against it; nothing is changed then.
    /// [`StoreError::Unavailable`], after [`ANSWER_WITHIN`] at the latest; if the commit itself
    /// was under way, the change may or may not have been made.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut StoreConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.transact(self.sessions.revocation(), work).await
    }

    /// As [`Self::write`], for what changes no session: nobody is asked to pause for it.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn note<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut StoreConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.transact(None, work).await
    }

    /// As [`Self::write`], for an operator's work on whole tables, which may take up to
    /// [`REWRITE_TIMEOUT`]. Others cannot write meanwhile.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn rewrite<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut StoreConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut revocation = self.sessions.revocation();
        let mut work = Some(work);
        self.run_within(REWRITE_TIMEOUT, self.writing.as_ref(), move |conn| {
            attempt::change(conn, revocation.as_mut(), |conn| {
                if let StoreConnection::Postgres(conn) = conn {
                    conn.batch_execute("SET LOCAL statement_timeout = 0")?;
                }
                work.take()
                    .map_or(Err(DieselError::NotFound), |work| work(conn))
            })
        })
        .await
    }

    async fn transact<T: Send + 'static>(
        &self,
        mut revocation: Option<Revocation>,
        work: impl FnOnce(&mut StoreConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut work = Some(work);
        self.run(self.writing.as_ref(), move |conn| {
            attempt::change(conn, revocation.as_mut(), |conn| {
                // Taken once: past BEGIN there is no second attempt.
                work.take()
                    .map_or(Err(DieselError::NotFound), |work| work(conn))
            })
        })
        .await
    }

    /// The session of a credential, from memory. `None` says nothing: [`Self::find_session`] knows.
    /// What it returns is what the database holds at this moment; what was read long before `now` is
    /// not returned. Does not block.
    pub fn recall_session(&self, digest: &TokenDigest, now: NaiveDateTime) -> Option<Arc<Session>> {
        if self.files_problem().is_some() {
            return None;
        }
        self.sessions.recall(digest, now)
    }

    /// The session of a credential, from the database; `None` when there is no such one. Whether it
    /// has expired at `now` or its user is disabled is not looked at.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], after [`ANSWER_WITHIN`] at the latest.
    pub async fn find_session(
        &self,
        credential: CredentialDigest,
        now: NaiveDateTime,
    ) -> Result<Option<Arc<Session>>, StoreError> {
        self.refuse_other_files()?;
        let found = self.sessions.find(credential, now).await;
        // What was read while the files were replaced may be of either.
        self.refuse_other_files()?;
        found
    }

    /// What another program has done to the files of the SQLite database, so that they are not those
    /// any more that were opened; `None` while they are, and on Postgres. It is noticed within a
    /// fraction of a second. From then on everything fails, for good: the process has to end.
    pub fn files_problem(&self) -> Option<&str> {
        self.watch.as_ref()?.problem()
    }

    /// Sees to it that SQLite does not read its log into a database that it does not belong to, and
    /// that the log is not lost with its name. For the end of a process that was told of a
    /// [`Self::files_problem`]. Blocks.
    pub fn let_go_of_files(&self) {
        let Some(watch) = &self.watch else {
            return;
        };
        let is_done = match watch.log() {
            Log::Leave => true,
            Log::PutAside => watch.put_log_aside().is_ok(),
            // A connection that the pool still has is one to the files that were opened.
            Log::WriteBack => self.pool.get().is_ok_and(|mut pooled| {
                let conn = &mut pooled.conn;
                conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")
                    .is_ok()
            }),
        };
        if !is_done {
            log::warn!("database: the log is still beside a file that it does not belong to");
        }
    }

    fn refuse_other_files(&self) -> Result<(), StoreError> {
        match self.files_problem() {
            Some(problem) => Err(StoreError::Unavailable(problem.to_owned())),
            None => Ok(()),
        }
    }

    /// The names of the migrations that opening the database has run.
    pub fn migrated(&self) -> &[String] {
        &self.migrated
    }

    /// Queries under way, and how many may be.
    pub fn connections(&self) -> (usize, usize) {
        let max = self.pool.max_size() as usize;
        (max.saturating_sub(self.turns.available_permits()), max)
    }

    /// Whether the database answers and has the tables this program needs.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Migration`] when it does not.
    pub async fn check_ready(&self) -> Result<(), StoreError> {
        let pending = self.read(|conn| Ok(migrations::pending(conn))).await??;
        match pending {
            0 => Ok(()),
            count => Err(StoreError::Migration(format!("{count} pending"))),
        }
    }

    /// Uses a connection, after `first` if there is something else to wait for.
    async fn run<T: Send + 'static>(
        &self,
        first: Option<&Arc<Semaphore>>,
        attempt: impl FnMut(&mut StoreConnection) -> Attempt<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run_within(ANSWER_WITHIN, first, attempt).await
    }

    async fn run_within<T: Send + 'static>(
        &self,
        timeout: Duration,
        first: Option<&Arc<Semaphore>>,
        mut attempt: impl FnMut(&mut StoreConnection) -> Attempt<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.refuse_other_files()?;
        let deadline = Instant::now() + timeout;
        let too_slow = |_elapsed| StoreError::Unavailable("no answer in time".to_owned());
        let mut held = Vec::new();
        for semaphore in first.into_iter().chain([&self.turns]) {
            let turn = timeout_at(deadline, Arc::clone(semaphore).acquire_owned()).await;
            held.push(turn.map_err(too_slow)?);
        }
        let pool = self.pool.clone();
        let job = spawn_blocking(move || {
            // Until the query ends, even when nobody waits for its answer any more.
            let _held = held;
            let mut error = unreachable_database();
            // Each attempt may use up one dead connection, so this ends with a live one or none.
            for _ in 0..=pool.max_size() {
                let mut pooled = pool.get().map_err(|_logged| unreachable_database())?;
                match attempt(&mut pooled.conn) {
                    Attempt::Done(outcome) => {
                        pooled.lost = outcome.as_ref().is_err_and(is_lost);
                        return outcome.map_err(StoreError::from);
                    }
                    Attempt::Spoiled(outcome) => {
                        pooled.lost = true;
                        return outcome.map_err(StoreError::from);
                    }
                    Attempt::NotBegun(lost) => {
                        pooled.lost = true;
                        error = StoreError::from(lost);
                    }
                }
            }
            Err(error)
        });
        timeout_at(deadline, job)
            .await
            .map_err(too_slow)?
            .unwrap_or_else(|_panic| Err(StoreError::Unavailable("the query panicked".to_owned())))
    }
}

/// Runs the pending migrations of the database that the settings name, and returns their names.
/// Blocks; safe in several processes at once.
///
/// # Errors
/// As [`Store::open`].
pub fn migrate(config: &DatabaseConfig) -> Result<Vec<String>, StoreError> {
    protect(config)?;
    migrations::run(&mut Manager::new(&config.url).open_or_say_why()?)
}

fn protect(config: &DatabaseConfig) -> Result<(), StoreError> {
    let Some(path) = config.url.sqlite_path() else {
        return Ok(());
    };
    file::protect_file(path)
        .map_err(|error| StoreError::Unavailable(format!("{}: {}", path.display(), error.kind())))
}

fn unreachable_database() -> StoreError {
    StoreError::Unavailable("no connection".to_owned())
}

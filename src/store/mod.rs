//! The database: users, their credentials and the audit trail, on SQLite or Postgres. Knows no rule of the domain.
//!
//! Queries are synchronous, so they run on the runtime's blocking threads, never on the thread
//! that serves requests. A query waits for its turn without holding a thread, and nobody waits
//! longer than [`QUERY_TIMEOUT`]: a database that does not answer is reported as unavailable.

pub mod access_token;
pub(crate) mod administrators;
pub mod api_key;
pub mod audit_event;
mod backup;
pub mod bulk_insert;
mod checkpoint;
pub(crate) mod clock_mark;
mod connection;
mod error;
mod execute;
mod exposure;
mod file;
mod file_watch;
mod hash_class;
pub(crate) mod instance_secret;
mod migrations;
mod principal;
mod principal_cache;
mod replaced_files;
mod restore;
mod schema;
mod schema_check;
mod sequence;
mod slice;
pub mod source;
mod status;
mod text;
pub mod throttle_counter;
pub(crate) mod tombstone;
mod transaction;
pub mod user;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDateTime;
use diesel::QueryResult;
use diesel::r2d2::Pool;
use tokio::sync::Semaphore;

pub use access_token::{AccessToken, NewAccessToken};
pub use api_key::{ApiKey, NewApiKey};
pub use audit_event::{AuditEvent, AuditHead, EventFilter};
pub use backup::backup;
pub use bulk_insert::BulkUser;
pub use connection::StoreConnection;
pub use error::StoreError;
pub use exposure::{PostgresExposure, inspect_exposure};
pub(crate) use hash_class::stored_hash_classes;
pub use principal::{Credential, Principal, UsedKey};
pub use restore::{LostEvents, ReplacedDatabase, StagedCopy};
pub use schema_check::{SchemaComparison, compare_schema};
pub use sequence::Sequence;
pub(crate) use slice::Slice;
pub use source::{SourceDatabase, SourceQuery, SourceRow};
pub use status::{DatabaseState, inspect};
pub use text::MAX_TEXT;
pub use throttle_counter::LoginFailures;
pub use transaction::{Revoking, Writing};
pub use user::{Account, NewUser, User, UserChanges};

use crate::config::DatabaseConfig;
use crate::credential::CredentialDigest;
use crate::credential::token::TokenDigest;
use connection::{LogConnectionErrors, Manager};
use file::sidecar_path;
use file_watch::FileWatch;
use principal_cache::PrincipalCache;

/// The longest that anyone waits for the database, from asking to the answer.
pub const QUERY_TIMEOUT: Duration = Duration::from_secs(3);

/// The longest that [`Store::rewriting`] may take.
pub const REWRITE_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// The longest wait for a connection to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

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
    principals: Arc<PrincipalCache>,
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
        let mut first = manager.connect()?;
        let mut migrated = Vec::new();
        if config.auto_migrate {
            migrated = migrations::run(&mut first)?;
            for name in &migrated {
                log::info!("database: ran migration {name}");
            }
        }
        let principals = PrincipalCache::start(manager.clone(), config.session_cache_bytes)?;
        let principals = Arc::new(principals);
        let file = manager.url.sqlite_path().map(Path::to_owned);
        let pool = Pool::builder()
            .max_size(config.pool_size)
            .min_idle(Some(1))
            .connection_timeout(CONNECT_TIMEOUT)
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
                let principals = Arc::downgrade(&principals);
                let forget = move || {
                    if let Some(principals) = principals.upgrade() {
                        principals.clear();
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
            log: real.map(|file| sidecar_path(&file, "-wal")),
            principals,
            migrated: migrated.into(),
        })
    }

    /// Runs a query that changes nothing. It may run again on another connection when the first
    /// turns out to be dead, as after a restart of Postgres.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], after [`QUERY_TIMEOUT`] at the latest.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl Fn(&mut StoreConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(QUERY_TIMEOUT, None, move |conn| execute::read(conn, &query))
            .await
    }

    /// The session of a credential, from memory. `None` says nothing: [`Self::fetch_principal`] knows.
    /// What it returns is what the database holds at this moment; what was read long before `now` is
    /// not returned. Does not block.
    pub fn cached_principal(
        &self,
        digest: &TokenDigest,
        now: NaiveDateTime,
    ) -> Option<Arc<Principal>> {
        if self.files_problem().is_some() {
            return None;
        }
        self.principals.cached(digest, now)
    }

    /// The session of a credential, from the database; `None` when there is no such one. Whether it
    /// has expired at `now` or its user is disabled is not looked at.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], after [`QUERY_TIMEOUT`] at the latest.
    pub async fn fetch_principal(
        &self,
        credential: CredentialDigest,
        now: NaiveDateTime,
    ) -> Result<Option<Arc<Principal>>, StoreError> {
        self.refuse_other_files()?;
        let found = self.principals.fetch(credential, now).await;
        // What was read while the files were replaced may be of either.
        self.refuse_other_files()?;
        found
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
        let count = |conn: &mut _| execute::Attempt::Done(migrations::pending(conn));
        match self.run(QUERY_TIMEOUT, None, count).await? {
            0 => Ok(()),
            count => Err(StoreError::Migration(format!("{count} pending"))),
        }
    }
}

/// Runs the pending migrations of the database that the settings name, and returns their names.
/// Blocks; safe in several processes at once.
///
/// # Errors
/// As [`Store::open`].
pub fn migrate(config: &DatabaseConfig) -> Result<Vec<String>, StoreError> {
    protect(config)?;
    migrations::run(&mut Manager::new(&config.url).connect()?)
}

fn protect(config: &DatabaseConfig) -> Result<(), StoreError> {
    let Some(path) = config.url.sqlite_path() else {
        return Ok(());
    };
    file::protect_file(path)
        .map_err(|error| StoreError::Unavailable(format!("{}: {}", path.display(), error.kind())))
}

//! The database: users, their credentials and the audit trail, on SQLite or Postgres. Contains no
//! domain rules.
//!
//! Queries are synchronous, so they run on the runtime's blocking threads, never on a thread that
//! serves requests. A query waits for a free connection without occupying a thread, and no caller
//! waits longer than [`QUERY_TIMEOUT`]: a database that does not answer is reported as unavailable.

pub mod access_token;
mod account;
pub mod api_key;
pub(crate) mod app;
pub mod audit_event;
#[cfg(feature = "passkeys")]
mod ceremony;
mod challenge;
pub(crate) mod clock_mark;
mod connection;
mod error;
mod execute;
mod factor;
mod file_watch;
pub(crate) mod folded_names;
#[cfg(feature = "pages")]
mod hourly_stat;
#[cfg(feature = "cli")]
pub mod import;
#[cfg(feature = "cli")]
mod import_target;
mod instance_key;
#[cfg(feature = "mail")]
mod invitation;
mod limits;
mod locked_counters;
#[cfg(feature = "mail")]
mod mail_outbox;
#[cfg(feature = "mail")]
mod mail_token;
mod maintenance;
mod migrations;
mod new_session;
mod outage;
#[cfg(feature = "passkeys")]
mod passkey;
#[cfg(feature = "mail")]
mod pending_email;
mod postgres_connection;
mod prepared;
mod principal;
mod principal_cache;
mod prune;
mod recognition;
mod recovery_code;
mod refresh;
mod restore;
mod savepoint;
mod schema;
mod schema_check;
mod search_index;
mod sequence;
mod session;
mod session_kind;
mod session_use;
mod shared;
#[cfg(feature = "pages")]
mod sign_in_code;
mod source_file;
mod sqlite_file;
mod status;
#[cfg(feature = "cli")]
mod temporary_schemas;
pub mod throttle_counter;
#[cfg(feature = "cli")]
mod timestamp;
mod transaction;
mod trusted_device;
pub mod user;
pub(crate) mod user_search;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDateTime;
use diesel::r2d2::Pool;
use tokio::sync::Semaphore;

pub use access_token::AccessToken;
pub use account::Account;
pub(crate) use account::{stored_hash_classes, username_key};
pub use api_key::{ApiKey, NewApiKey};
pub use app::AppRef;
pub use audit_event::{AuditEvent, AuditHead, EventFilter, EventMatch};
#[cfg(feature = "passkeys")]
pub(crate) use ceremony::{Ceremony, CeremonyPurpose};
pub(crate) use challenge::{Awaited, Challenge};
pub use connection::{ReadOnly, StoreConnection};
pub use error::StoreError;
pub use factor::Factor;
pub(crate) use factor::FactorKind;
#[cfg(feature = "pages")]
pub(crate) use hourly_stat::HourlyStat;
#[cfg(feature = "cli")]
pub use import::{BulkUser, NewUsername};
#[cfg(feature = "cli")]
pub use import_target::{ImportTarget, open_import_target};
pub(crate) use instance_key::InstanceKey;
#[cfg(feature = "mail")]
pub(crate) use invitation::{Invitation, InvitationState, NewInvitation};
pub(crate) use limits::Slice;
pub use limits::{MAX_EXTERNAL_ID, MAX_TEXT};
pub(crate) use locked_counters::{CounterKey, LockedCounters};
#[cfg(feature = "mail")]
pub(crate) use mail_outbox::{MailCounts, MailState, NewOutboxMail, OutboxMail};
#[cfg(feature = "mail")]
pub(crate) use mail_token::{MailToken, NewMailToken, TokenOwner};
pub use maintenance::backup;
pub(crate) use new_session::{FirstRefresh, LockedSessions, NewSession};
#[cfg(feature = "passkeys")]
pub(crate) use passkey::{Passkey, PasskeyUse, UserHandles};
#[cfg(feature = "mail")]
pub(crate) use pending_email::PendingEmail;
pub use principal::{Credential, Principal, UsedKey};
pub(crate) use recovery_code::RecoveryCodes;
pub use recovery_code::RecoveryCodesLeft;
pub(crate) use refresh::{NextTokens, StoredRefresh};
pub use restore::{LostEvents, ReplacedDatabase, StagedCopy};
pub use schema_check::{SchemaComparison, compare_schema};
pub use sequence::Sequence;
pub(crate) use session::Sessions;
pub use session::{Session, SessionState};
pub use session_kind::SessionKind;
pub(crate) use session_use::SessionUse;
pub(crate) use shared::{Claims, Shared, users_of};
#[cfg(feature = "pages")]
pub(crate) use sign_in_code::{SignInCode, prune_sign_in_codes};
pub use status::{
    DatabaseState, PostgresExposure, PostgresServer, find_damage, has_search_index, inspect,
    inspect_exposure, inspect_server,
};
#[cfg(feature = "cli")]
pub(crate) use temporary_schemas::TemporarySchemas;
pub use throttle_counter::ThrottleCounter;
pub use transaction::{Ends, Revoking, Writing};
pub use trusted_device::TrustedDevice;
pub(crate) use trusted_device::{NewTrustedDevice, TrustedDevices};
pub(crate) use user::record_deleted_user;
pub use user::{NewUser, User, UserChanges};

use crate::config::DatabaseConfig;
use crate::credential::CredentialDigest;
use crate::credential::token::TokenDigest;
use connection::{LogConnectionErrors, Manager};
use file_watch::FileWatch;
use outage::Outages;
use principal_cache::PrincipalCache;
use sqlite_file::sidecar_path;

/// The longest wait for the database, from the request to the answer.
pub const QUERY_TIMEOUT: Duration = Duration::from_secs(3);

/// The longest duration of [`Store::rewriting`].
pub const REWRITE_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// The longest wait for a connection to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A handle to the database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: Pool<Manager>,
    permits: Arc<Semaphore>,
    /// On SQLite, which allows one writer at a time. SQLite's own locking is not fair and can
    /// starve a writer for seconds; this queue is first come, first served.
    write_permit: Option<Arc<Semaphore>>,
    /// SQLite's write-ahead log file.
    wal: Option<PathBuf>,
    /// Watches SQLite's files.
    watch: Option<Arc<FileWatch>>,
    principals: Arc<PrincipalCache>,
    /// The migrations that [`Self::open`] has run.
    migrated: Arc<[String]>,
    /// The outages that a test causes; `None` outside tests.
    outages: Option<Arc<Outages>>,
}

impl Store {
    /// Opens the database, creates an SQLite file if there is none, and runs the pending migrations
    /// unless the settings disable that. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Unsuitable`] for a database of another program, which stays unchanged;
    /// [`StoreError::Unavailable`] if no connection can be opened, [`StoreError::Migration`] if the
    /// tables cannot be brought up to date.
    pub fn open(config: &DatabaseConfig) -> Result<Self, StoreError> {
        let (manager, mut first) = recognition::open_or_create(config)?;
        let mut migrated = Vec::new();
        if config.auto_migrate {
            migrated = migrations::run(&mut first)?;
            for name in &migrated {
                log::info!("database: ran migration {name}");
            }
        }
        Self::start(config, manager, migrated)
    }

    /// Opens a database that exists and is up to date, and changes nothing in it. Blocks.
    ///
    /// # Errors
    /// As for [`Self::open`]; also [`StoreError::Unsuitable`] if there is no database, and
    /// [`StoreError::Migration`] if migrations are pending.
    pub fn open_existing(config: &DatabaseConfig) -> Result<Self, StoreError> {
        let (manager, mut first) = recognition::open_existing(config)?;
        match migrations::difference(&mut first)?.pending()? {
            0 => Self::start(config, manager, Vec::new()),
            count => Err(StoreError::Migration(format!(
                "{count} pending: run `tokenhouse migrate`"
            ))),
        }
    }

    /// Starts the pool and the threads.
    fn start(
        config: &DatabaseConfig,
        manager: Manager,
        migrated: Vec<String>,
    ) -> Result<Self, StoreError> {
        let identity = manager.file();
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
        let permits = Arc::new(Semaphore::new(config.pool_size as usize));
        let write_permit = file.is_some().then(|| Arc::new(Semaphore::new(1)));
        // SQLite keeps the log next to the file itself, not next to a symbolic link to it.
        let real = file
            .as_ref()
            .map(|file| file.canonicalize().unwrap_or_else(|_error| file.clone()));
        let watch = match file.zip(identity) {
            Some((file, identity)) => {
                let watch = Arc::new(FileWatch::new(&file, identity)?);
                let principals = Arc::downgrade(&principals);
                let clear_cache = move || {
                    if let Some(principals) = principals.upgrade() {
                        principals.clear();
                    }
                };
                FileWatch::start(&watch, clear_cache)
                    .map_err(|error| StoreError::Unavailable(format!("no thread: {error}")))?;
                Some(watch)
            }
            None => None,
        };
        Ok(Self {
            pool,
            permits,
            watch,
            write_permit,
            wal: real.map(|file| sidecar_path(&file, "-wal")),
            principals,
            migrated: migrated.into(),
            outages: None,
        })
    }

    /// The principal of a credential, if it is cached; on `None`, the caller uses
    /// [`Self::fetch_principal`]. The result is what the database holds at this moment; an entry
    /// that was read long before `now` is not returned. Does not block.
    pub fn cached_principal(
        &self,
        digest: &TokenDigest,
        now: NaiveDateTime,
    ) -> Option<Arc<Principal>> {
        if self.files_problem().is_some() || self.is_down() {
            return None;
        }
        self.principals.cached(digest, now)
    }

    /// The principal of a credential, from the database; `None` if it does not exist. The caller
    /// checks whether it has expired at `now` and whether its user is disabled.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], after [`QUERY_TIMEOUT`] at the latest.
    pub async fn fetch_principal(
        &self,
        credential: CredentialDigest,
        now: NaiveDateTime,
    ) -> Result<Option<Arc<Principal>>, StoreError> {
        self.check_usable()?;
        let found = self.principals.fetch(credential, now).await;
        // A result read while the files were being replaced may come from either database.
        self.check_usable()?;
        found
    }

    /// Refuses to use the database after its files were replaced, and during an outage.
    fn check_usable(&self) -> Result<(), StoreError> {
        match self.files_problem() {
            Some(problem) => Err(StoreError::Unavailable(problem.to_owned())),
            None if self.is_down() => {
                Err(StoreError::Unavailable("a test has stopped it".to_owned()))
            }
            None => Ok(()),
        }
    }

    /// Whether a test has stopped the database.
    fn is_down(&self) -> bool {
        self.outages
            .as_ref()
            .is_some_and(|outages| outages.is_down())
    }

    /// Whether the database allows one writer at a time.
    pub(crate) fn has_one_writer(&self) -> bool {
        self.write_permit.is_some()
    }

    /// The names of the migrations that [`Self::open`] has run.
    pub fn migrated(&self) -> &[String] {
        &self.migrated
    }

    /// The number of queries in progress, and the maximum.
    pub fn connections(&self) -> (usize, usize) {
        let max = self.pool.max_size() as usize;
        (max.saturating_sub(self.permits.available_permits()), max)
    }

    /// Checks that the database answers and has the tables this program needs.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Migration`] if it does not.
    pub async fn check_ready(&self) -> Result<(), StoreError> {
        match self.read(migrations::difference).await?.pending()? {
            0 => Ok(()),
            count => Err(StoreError::Migration(format!("{count} pending"))),
        }
    }
}

/// Runs the pending migrations of the configured database, and returns their names. Blocks; safe in
/// several processes at the same time.
///
/// # Errors
/// Same as [`Store::open`].
pub fn migrate(config: &DatabaseConfig) -> Result<Vec<String>, StoreError> {
    let (_manager, mut conn) = recognition::open_or_create(config)?;
    migrations::run(&mut conn)
}

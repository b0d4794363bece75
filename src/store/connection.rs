//! One connection type for both databases, and how the pool opens and checks connections.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::r2d2::{HandleError, ManageConnection, R2D2Connection};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::{Connection, ConnectionError, PgConnection, QueryResult, SqliteConnection};

use super::error::{StoreError, describe_file, describe_postgres, describe_sqlite};
use super::postgres_connection;
use super::source_file;
use super::sqlite_file::{FileIdentity, open_read_only, sqlite_uri};
use crate::config::{DatabaseConfig, DatabaseUrl};

/// A connection to the configured database. Every query is written once, against this type.
#[derive(diesel::MultiConnection)]
pub enum StoreConnection {
    /// Postgres, through libpq.
    Postgres(PgConnection),
    /// SQLite, bundled.
    Sqlite(SqliteConnection),
}

/// Begins and ends transactions and savepoints.
pub(super) type Transactions = <StoreConnection as Connection>::TransactionManager;

impl StoreConnection {
    /// Begins a transaction that writes. SQLite's write lock is taken immediately: a transaction
    /// that reads first fails at its first write, without waiting, if another writer has committed
    /// meanwhile.
    pub(super) fn begin_write(&mut self) -> QueryResult<()> {
        match self {
            Self::Postgres(conn) => AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN"),
            Self::Sqlite(conn) => {
                AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN IMMEDIATE")
            }
        }
    }

    /// The statement for this database, of two that mean the same.
    pub(super) fn choose(&self, postgres: &'static str, sqlite: &'static str) -> &'static str {
        match self {
            Self::Postgres(_) => postgres,
            Self::Sqlite(_) => sqlite,
        }
    }

    /// Commits what [`Self::begin_write`] began.
    pub(super) fn commit_write(&mut self) -> QueryResult<()> {
        Transactions::commit_transaction(self)
    }

    /// Rolls back what [`Self::begin_write`] began.
    pub(super) fn roll_back_write(&mut self) -> QueryResult<()> {
        Transactions::rollback_transaction(self)
    }
}

/// Whether the connection is closed.
pub(super) fn is_lost(error: &DieselError) -> bool {
    matches!(
        error,
        DieselError::DatabaseError(
            DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
            _
        )
    )
}

/// How long a setting is tried again, and how often.
const BUSY_WAIT: Duration = Duration::from_millis(2_000);
const BUSY_INTERVAL: Duration = Duration::from_millis(10);

/// The longest wait for SQLite's locks.
pub(super) const BUSY_TIMEOUT: &str = "PRAGMA busy_timeout = 2000";

const SQLITE_SETTINGS: &[&str] = &[
    BUSY_TIMEOUT,
    "PRAGMA journal_mode = WAL",
    // Synced at every commit: acknowledged changes survive a power failure. Password hashing is
    // slower than the disk, so this slows down no client.
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    "PRAGMA journal_size_limit = 67108864",
];

/// For a database that is thrown away: nothing is lost that a test would miss.
const TEMPORARY_SQLITE: &str = "PRAGMA synchronous = OFF";
const TEMPORARY_POSTGRES: &str = "SET synchronous_commit = off";

/// Applies a setting of SQLite. Of processes that change the journal mode of a new file at the same
/// moment, SQLite refuses all but one without waiting, as each has the lock that another one needs.
fn apply(conn: &mut SqliteConnection, setting: &str) -> QueryResult<()> {
    let begun = Instant::now();
    loop {
        match conn.batch_execute(setting) {
            Err(error) if is_locked(&error) && begun.elapsed() < BUSY_WAIT => {
                thread::sleep(BUSY_INTERVAL);
            }
            outcome => return outcome,
        }
    }
}

fn is_locked(error: &DieselError) -> bool {
    matches!(error, DieselError::DatabaseError(_, info) if info.message() == "database is locked")
}

/// A connection in the pool.
pub(super) struct Pooled {
    pub(super) conn: StoreConnection,
    /// Set when the connection is found to be closed, so that the pool discards it.
    pub(super) is_lost: bool,
}

/// Opens connections to the database that the URL names.
#[derive(Clone, Debug)]
pub(super) struct Manager {
    pub(super) url: DatabaseUrl,
    /// The only SQLite file to open, once it is known.
    file: Option<FileIdentity>,
    /// Whether nothing waits for the disk.
    is_temporary: bool,
}

impl Manager {
    /// Each connection opens the database that the URL names at that time. A relative path is
    /// resolved against the process's current directory.
    pub(super) fn new(url: &DatabaseUrl) -> Self {
        let url = match url {
            DatabaseUrl::Sqlite(path) => {
                DatabaseUrl::Sqlite(std::path::absolute(path).unwrap_or_else(|_none| path.clone()))
            }
            DatabaseUrl::Postgres(_) => url.clone(),
        };
        Self {
            url,
            file: None,
            is_temporary: false,
        }
    }

    /// The manager of the configured database.
    pub(super) fn of(config: &DatabaseConfig) -> Self {
        Self {
            is_temporary: config.is_temporary,
            ..Self::new(&config.url)
        }
    }

    /// Restricts the manager to the SQLite file that currently has the name: connections of one
    /// process to different files would see different data.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the file does not exist.
    pub(super) fn pin(&mut self) -> Result<(), StoreError> {
        self.file = match &self.url {
            DatabaseUrl::Sqlite(path) => Some(FileIdentity::from_path(path).map_err(|error| {
                let problem = describe_file(path, &error);
                StoreError::Unavailable(format!("{}: {problem}", path.display()))
            })?),
            DatabaseUrl::Postgres(_) => None,
        };
        Ok(())
    }

    /// The only SQLite file to open; `None` for Postgres, or before [`Self::pin`].
    pub(super) fn file(&self) -> Option<FileIdentity> {
        self.file
    }

    /// Opens a connection and applies its settings. Never creates a file.
    pub(super) fn establish(&self) -> Result<StoreConnection, ConnectionError> {
        match &self.url {
            DatabaseUrl::Sqlite(path) => {
                let mut conn = self.open_file(path)?;
                let temporary = self.is_temporary.then_some(&TEMPORARY_SQLITE);
                // First, since the change of the journal mode syncs too; and last, to have effect.
                let settings = temporary.into_iter().chain(SQLITE_SETTINGS);
                for setting in settings.chain(temporary) {
                    apply(&mut conn, setting)
                        .map_err(ConnectionError::CouldntSetupConfiguration)?;
                }
                Ok(StoreConnection::Sqlite(conn))
            }
            DatabaseUrl::Postgres(url) => {
                let mut conn = postgres_connection::establish(url)?;
                if self.is_temporary {
                    conn.batch_execute(TEMPORARY_POSTGRES)
                        .map_err(ConnectionError::CouldntSetupConfiguration)?;
                }
                Ok(StoreConnection::Postgres(conn))
            }
        }
    }

    /// Opens a file and checks that it is the expected one.
    fn open_file(&self, path: &Path) -> Result<SqliteConnection, ConnectionError> {
        let identity = || {
            FileIdentity::from_path(path).map_err(|error| {
                let problem = describe_file(path, &error);
                ConnectionError::BadConnection(format!("unable to open database file: {problem}"))
            })
        };
        let expected = match self.file {
            Some(file) => file,
            None => identity()?,
        };
        let conn = SqliteConnection::establish(&sqlite_uri(path, "mode=rw"))?;
        if identity()? == expected {
            Ok(conn)
        } else {
            let problem = "unable to open database file: it was replaced";
            Err(ConnectionError::BadConnection(problem.to_owned()))
        }
    }

    /// Like [`Self::establish`], with an error that may be shown.
    pub(super) fn connect(&self) -> Result<StoreConnection, StoreError> {
        self.establish()
            .map_err(|error| StoreError::Unavailable(self.describe(&error)))
    }

    /// Why a connection could not be opened, without secrets.
    fn describe(&self, error: &ConnectionError) -> String {
        match &self.url {
            DatabaseUrl::Sqlite(path) => describe_sqlite(path, error),
            DatabaseUrl::Postgres(_) => describe_postgres(error),
        }
    }

    /// Like [`Self::connect`], for work that only Postgres supports.
    pub(super) fn connect_postgres(&self) -> Result<PgConnection, StoreError> {
        match self.connect()? {
            StoreConnection::Postgres(conn) => Ok(conn),
            StoreConnection::Sqlite(_) => Err(StoreError::Unavailable("not Postgres".to_owned())),
        }
    }
}

/// Opens a database for reading, in place. Blocks. Without timeouts, because reading a whole
/// table may take long.
///
/// # Errors
/// [`StoreError::Unavailable`] if the database cannot be opened.
pub(super) fn connect_read_only(url: &DatabaseUrl) -> Result<StoreConnection, StoreError> {
    let path = match url {
        DatabaseUrl::Sqlite(path) => path,
        DatabaseUrl::Postgres(url) => {
            let opened = postgres_connection::establish_read_only(url);
            let conn =
                opened.map_err(|error| StoreError::Unavailable(describe_postgres(&error)))?;
            return Ok(StoreConnection::Postgres(conn));
        }
    };
    open_read_only(path, "mode=ro")
        .map(StoreConnection::Sqlite)
        .map_err(|_error| {
            let path = path.display();
            StoreError::Unavailable(format!("{path}: not a readable SQLite file"))
        })
}

/// Another program's database, opened for reading.
pub struct ReadOnly {
    /// The connection.
    pub conn: StoreConnection,
    watched: Option<source_file::Watched>,
}

impl ReadOnly {
    /// Opens a database. Blocks. Without timeouts, because reading a whole table may take long.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] with the reason if the database cannot be opened.
    pub fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        if let Some(path) = url.sqlite_path() {
            let unreadable =
                |problem| StoreError::Unavailable(format!("{}: {problem}", path.display()));
            let (conn, watched) = source_file::open(path).map_err(unreadable)?;
            let conn = StoreConnection::Sqlite(conn);
            return Ok(Self { conn, watched });
        }
        let conn = connect_read_only(url)?;
        let watched = None;
        Ok(Self { conn, watched })
    }

    /// Checks after reading that no program has changed the database meanwhile, where nothing prevents
    /// that.
    ///
    /// # Errors
    /// A text for the operator.
    pub fn check_unchanged(&self) -> Result<(), String> {
        match &self.watched {
            Some(watched) if !watched.is_unchanged() => {
                Err("was changed while it was read; run the import again".to_owned())
            }
            _ => Ok(()),
        }
    }
}

impl ManageConnection for Manager {
    type Connection = Pooled;
    type Error = ConnectionError;

    fn connect(&self) -> Result<Pooled, ConnectionError> {
        Ok(Pooled {
            conn: self.establish()?,
            is_lost: false,
        })
    }

    /// Not called before each use, which would cost a round trip: the first query detects a dead
    /// connection.
    fn is_valid(&self, pooled: &mut Pooled) -> Result<(), ConnectionError> {
        pooled
            .conn
            .ping()
            .map_err(ConnectionError::CouldntSetupConfiguration)
    }

    fn has_broken(&self, pooled: &mut Pooled) -> bool {
        pooled.is_lost || std::thread::panicking() || pooled.conn.is_broken()
    }
}

/// Logs why a connection could not be opened.
#[derive(Debug)]
pub(super) struct LogConnectionErrors(pub(super) Manager);

impl HandleError<ConnectionError> for LogConnectionErrors {
    fn handle_error(&self, error: ConnectionError) {
        log::error!("database: {}", self.0.describe(&error));
    }
}

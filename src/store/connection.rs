//! One connection type for both databases, and how the pool opens and checks connections.

use std::path::Path;

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::r2d2::{HandleError, ManageConnection, R2D2Connection};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{Bool, Text};
use diesel::{
    Connection, ConnectionError, PgConnection, QueryResult, QueryableByName, RunQueryDsl,
    SqliteConnection,
};
use secrecy::{ExposeSecret, SecretString};

use super::error::{StoreError, describe_file, describe_postgres, describe_sqlite};
use super::source_file;
use super::sqlite_file::{FileIdentity, open_read_only, sqlite_uri};
use crate::config::{DatabaseUrl, PostgresUrl};

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

/// Whatever the server, the database and the role set. `search_path` stays: it selects the schema.
/// Some servers do not know the two timeouts. A weaker commit than the server's default would lose
/// acknowledged changes in a crash.
const POSTGRES_SETTINGS: &str = "SET TIME ZONE 'UTC'; \
     SET client_encoding = 'UTF8'; \
     SET datestyle = 'ISO, MDY'; \
     SET intervalstyle = 'postgres'; \
     SET bytea_output = 'hex'; \
     SET standard_conforming_strings = on; \
     SET transform_null_equals = off; \
     SET default_transaction_isolation = 'read committed'; \
     SET default_transaction_read_only = off; \
     SET default_transaction_deferrable = off; \
     SET statement_timeout = '2s'; \
     SET lock_timeout = '1s'; \
     SET idle_in_transaction_session_timeout = '5s'; \
     SELECT set_config('idle_session_timeout', '0', false) \
         WHERE current_setting('idle_session_timeout', true) IS NOT NULL; \
     SELECT set_config('transaction_timeout', '0', false) \
         WHERE current_setting('transaction_timeout', true) IS NOT NULL; \
     SELECT set_config('synchronous_commit', 'on', false) \
         WHERE current_setting('synchronous_commit') = 'off'";

/// What makes a server or a session unusable.
const POSTGRES_STATE: &str = "SELECT pg_is_in_recovery() AS is_replica, \
     current_setting('session_replication_role') = 'replica' AS skips_triggers, \
     current_schema() IS NULL AS lacks_schema, \
     current_setting('server_encoding') AS encoding";

#[derive(QueryableByName)]
struct PostgresState {
    #[diesel(sql_type = Bool)]
    is_replica: bool,
    #[diesel(sql_type = Bool)]
    skips_triggers: bool,
    #[diesel(sql_type = Bool)]
    lacks_schema: bool,
    #[diesel(sql_type = Text)]
    encoding: String,
}

impl PostgresState {
    /// Why Tokenhouse cannot use the server, and the way out.
    fn problem(&self) -> Option<String> {
        let problem = if self.encoding != "UTF8" {
            format!(
                "database is in {} and cannot store every name: create it again with ENCODING \
                 'UTF8'",
                self.encoding
            )
        } else if self.is_replica {
            "server is a read-only replica: name the primary in DATABASE_URL, or all servers with \
             ?target_session_attrs=read-write"
                .to_owned()
        } else if self.skips_triggers {
            "session runs no triggers, because session_replication_role is replica: reset it with \
             ALTER ROLE … RESET session_replication_role, or ALTER DATABASE"
                .to_owned()
        } else if self.lacks_schema {
            "session has no schema, because search_path names none that exists: create the schema, \
             or correct search_path of the role or the URL"
                .to_owned()
        } else {
            return None;
        };
        Some(format!("this Postgres {problem}"))
    }
}

const POSTGRES_READ_ONLY: &str = "SET statement_timeout = 0; \
     SET idle_in_transaction_session_timeout = 0; \
     SET datestyle = 'ISO, YMD'; \
     SET bytea_output = 'hex'; \
     SET default_transaction_read_only = on";

/// Parameters for libpq unless the URL contains them: by default libpq waits forever.
const POSTGRES_PARAMETERS: &[(&str, &str)] = &[
    ("connect_timeout", "3"),
    ("keepalives_idle", "10"),
    ("keepalives_interval", "5"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "10000"),
    ("application_name", "tokenhouse"),
];

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
        Self { url, file: None }
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
                for setting in SQLITE_SETTINGS {
                    conn.batch_execute(setting)
                        .map_err(ConnectionError::CouldntSetupConfiguration)?;
                }
                Ok(StoreConnection::Sqlite(conn))
            }
            DatabaseUrl::Postgres(url) => {
                let mut conn = establish_postgres(url)?;
                let state: PostgresState = diesel::sql_query(POSTGRES_STATE)
                    .get_result(&mut conn)
                    .map_err(ConnectionError::CouldntSetupConfiguration)?;
                match state.problem() {
                    None => Ok(StoreConnection::Postgres(conn)),
                    Some(problem) => Err(ConnectionError::BadConnection(problem)),
                }
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

fn establish_postgres(url: &SecretString) -> Result<PgConnection, ConnectionError> {
    let url = with_parameters(url.expose_secret());
    let mut conn = PgConnection::establish(&url)?;
    conn.batch_execute(POSTGRES_SETTINGS)
        .map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(conn)
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
            let opened = establish_postgres(url);
            let mut conn =
                opened.map_err(|error| StoreError::Unavailable(describe_postgres(&error)))?;
            conn.batch_execute(POSTGRES_READ_ONLY)?;
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

/// Adds the default parameters that the URL does not set. A connection to another machine requires
/// a server that proves its identity, unless the URL says otherwise; libpq's environment variables
/// that would weaken this are ignored.
fn with_parameters(url: &str) -> String {
    let parsed = PostgresUrl::parse(url).ok();
    let has = |name: &str| {
        let parsed = parsed.as_ref();
        parsed.is_some_and(|parsed| parsed.parameter(name).is_some())
    };
    let is_safe = parsed.as_ref().is_some_and(|parsed| {
        parsed.sslmode().is_some() || parsed.is_local(|name| std::env::var(name).ok())
    });
    let mut full = url.to_owned();
    let mut separator = match parsed.as_ref().is_some_and(PostgresUrl::has_parameters) {
        _ if url.ends_with(['?', '&']) => "",
        true => "&",
        false => "?",
    };
    let safety = (!is_safe).then_some(("sslmode", "verify-full"));
    for (name, value) in POSTGRES_PARAMETERS.iter().copied().chain(safety) {
        if !has(name) {
            full.push_str(separator);
            full.push_str(&format!("{name}={value}"));
            separator = "&";
        }
    }
    full
}

#[cfg(test)]
mod tests {
    use super::with_parameters;

    #[test]
    fn url_parameters_override_defaults() {
        let plain = with_parameters("postgres://h/n");
        assert!(
            plain.starts_with("postgres://h/n?connect_timeout=3&keepalives_idle=10&"),
            "{plain}"
        );
        assert!(plain.ends_with("&sslmode=verify-full"), "{plain}");
        let local = with_parameters("postgres://localhost/n");
        assert!(!local.contains("sslmode"), "{local}");
        let own = with_parameters("postgres://h/n?sslmode=require&connect_timeout=9");
        assert!(
            own.starts_with("postgres://h/n?sslmode=require&connect_timeout=9&keep"),
            "{own}"
        );
        assert_eq!(own.matches("connect_timeout").count(), 1);
        let odd = with_parameters("postgres://u:a?b@localhost/n?host=/run/x&");
        assert!(
            odd.starts_with("postgres://u:a?b@localhost/n?host=/run/x&connect_timeout=3&"),
            "{odd}"
        );
    }
}

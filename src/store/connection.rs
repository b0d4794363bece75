//! One connection type for both databases, and the pool's way to open and judge it.

use std::path::Path;

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::r2d2::{HandleError, ManageConnection, R2D2Connection};
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::{Connection, ConnectionError, PgConnection, QueryResult, SqliteConnection};
use secrecy::ExposeSecret;

use super::StoreError;
use super::file::{FileIdentity, sqlite_uri};
use crate::config::{DatabaseUrl, PostgresUrl};

/// A connection to the database in use; every query is written once against it.
#[derive(diesel::MultiConnection)]
pub enum StoreConnection {
    /// Postgres, through libpq.
    Postgres(PgConnection),
    /// SQLite, bundled.
    Sqlite(SqliteConnection),
}

type Transactions = <StoreConnection as Connection>::TransactionManager;

impl StoreConnection {
    /// Begins a transaction that means to write. SQLite's write lock is taken at once: a
    /// transaction that reads first and is overtaken cannot write any more, and does not wait.
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

/// Whether the other end of the connection is gone.
pub(super) fn is_lost(error: &DieselError) -> bool {
    matches!(
        error,
        DieselError::DatabaseError(
            DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
            _
        )
    )
}

/// SQLite's locks are waited for no longer than this.
pub(super) const BUSY_TIMEOUT: &str = "PRAGMA busy_timeout = 2000";

const SQLITE_SETTINGS: &[&str] = &[
    BUSY_TIMEOUT,
    "PRAGMA journal_mode = WAL",
    // Synced at every commit: what was acknowledged survives a power cut. Password hashing is
    // slower than the disk, so nobody waits for it.
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    "PRAGMA journal_size_limit = 67108864",
];

const POSTGRES_SETTINGS: &str = "SET TIME ZONE 'UTC'; \
     SET default_transaction_isolation = 'read committed'; \
     SET statement_timeout = '2s'; \
     SET lock_timeout = '1s'; \
     SET idle_in_transaction_session_timeout = '5s'";

/// What libpq is told unless the URL says otherwise: by default it waits for ever.
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
    /// Set when the other end is found to be gone, so that the pool lets go of it.
    pub(super) lost: bool,
}

/// Opens connections for the pool, to the database that the URL names.
#[derive(Clone, Debug)]
pub(super) struct Manager {
    pub(super) url: DatabaseUrl,
    /// The only SQLite file to open, if it is known already.
    file: Option<FileIdentity>,
}

impl Manager {
    /// Opens what the URL names at each time. A relative name is that of the folder the process is
    /// in now.
    pub(super) fn new(url: &DatabaseUrl) -> Self {
        let url = match url {
            DatabaseUrl::Sqlite(path) => {
                DatabaseUrl::Sqlite(std::path::absolute(path).unwrap_or_else(|_none| path.clone()))
            }
            DatabaseUrl::Postgres(_) => url.clone(),
        };
        Self { url, file: None }
    }

    /// Opens only the file that has the name now, whatever has it later, and says which one it is:
    /// connections of one process to several files would be several truths. `None` for Postgres.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when there is no such file.
    pub(super) fn pin(&mut self) -> Result<Option<FileIdentity>, StoreError> {
        self.file = match &self.url {
            DatabaseUrl::Sqlite(path) => Some(FileIdentity::of(path).map_err(|error| {
                StoreError::Unavailable(format!("{}: {}", path.display(), error.kind()))
            })?),
            DatabaseUrl::Postgres(_) => None,
        };
        Ok(self.file)
    }

    /// Opens one connection and tells the database how we want to be served. Never makes a file.
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
                let url = with_parameters(url.expose_secret());
                let mut conn = PgConnection::establish(&url)?;
                conn.batch_execute(POSTGRES_SETTINGS)
                    .map_err(ConnectionError::CouldntSetupConfiguration)?;
                Ok(StoreConnection::Postgres(conn))
            }
        }
    }
}

impl Manager {
    /// Opens a file and sees to it that it is the one that was meant.
    fn open_file(&self, path: &Path) -> Result<SqliteConnection, ConnectionError> {
        let identity = || {
            FileIdentity::of(path).map_err(|error| {
                let kind = error.kind();
                ConnectionError::BadConnection(format!("unable to open database file: {kind}"))
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
            let problem = "unable to open database file: it is another one by now";
            Err(ConnectionError::BadConnection(problem.to_owned()))
        }
    }

    /// As [`Self::establish`], with a reason that may be shown.
    pub(super) fn connect(&self) -> Result<StoreConnection, StoreError> {
        self.establish()
            .map_err(|error| StoreError::Unavailable(self.describe(&error)))
    }

    /// Why a connection could not be opened, as it may be shown.
    fn describe(&self, error: &ConnectionError) -> String {
        match &self.url {
            DatabaseUrl::Sqlite(path) => {
                format!("{}: {}", path.display(), describe_sqlite(error))
            }
            DatabaseUrl::Postgres(_) => describe(error),
        }
    }

    /// As [`Self::connect`], for those that need Postgres itself.
    pub(super) fn open_postgres(&self) -> Result<PgConnection, StoreError> {
        match self.connect()? {
            StoreConnection::Postgres(conn) => Ok(conn),
            StoreConnection::Sqlite(_) => Err(StoreError::Unavailable("not Postgres".to_owned())),
        }
    }
}

impl ManageConnection for Manager {
    type Connection = Pooled;
    type Error = ConnectionError;

    fn connect(&self) -> Result<Pooled, ConnectionError> {
        Ok(Pooled {
            conn: self.establish()?,
            lost: false,
        })
    }

    /// The pool is told not to ask before each use, which would cost a round trip: a dead
    /// connection is found by its first query.
    fn is_valid(&self, pooled: &mut Pooled) -> Result<(), ConnectionError> {
        pooled
            .conn
            .ping()
            .map_err(ConnectionError::CouldntSetupConfiguration)
    }

    fn has_broken(&self, pooled: &mut Pooled) -> bool {
        pooled.lost || std::thread::panicking() || pooled.conn.is_broken()
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

/// SQLite's own words, in which nothing is secret.
fn describe_sqlite(error: &ConnectionError) -> &str {
    match error {
        ConnectionError::BadConnection(text) => text.lines().next().unwrap_or_default(),
        ConnectionError::CouldntSetupConfiguration(DieselError::DatabaseError(_, info)) => {
            info.message().lines().next().unwrap_or_default()
        }
        _ => "unable to open database file",
    }
}

/// Why a connection could not be opened, without the URL: libpq quotes it when it cannot read it,
/// with the password in it.
fn describe(error: &ConnectionError) -> String {
    const HARMLESS: &[&str] = &[
        "connection to server",
        "could not",
        "timeout",
        // What a build without TLS says to a URL that asks for it.
        "sslmode value",
    ];
    let text = match error {
        ConnectionError::BadConnection(text) => text.lines().next().unwrap_or_default(),
        ConnectionError::CouldntSetupConfiguration(DieselError::DatabaseError(_, info)) => {
            info.message().lines().next().unwrap_or_default()
        }
        _ => "",
    };
    // A password with an '@' in it is taken for the host by whoever reads the URL, and named.
    if text.starts_with("could not translate host name") {
        return "the host in DATABASE_URL is not known".to_owned();
    }
    if HARMLESS
        .iter()
        .any(|start| text.to_ascii_lowercase().starts_with(start))
    {
        text.to_owned()
    } else {
        "the connection was refused, or DATABASE_URL is not well-formed".to_owned()
    }
}

/// The URL with our parameters, except those that it has itself. To another machine nothing goes but
/// to a server that shows who it is, unless the URL says otherwise; the variables of libpq that
/// would weaken that are not asked.
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
    fn the_url_keeps_its_own_parameters_and_gets_the_rest() {
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

//! Database errors.

use diesel::ConnectionError;
use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// Why a database operation failed. Never contains a stored or requested value.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// A UNIQUE constraint was violated.
    #[error("the row already exists")]
    Conflict,
    /// The database cannot be reached, is too slow, or refused the query.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// A copy of the database could not be made or installed.
    #[error("{0}")]
    Backup(String),
    /// The tables could not be brought up to date.
    #[error("the migration failed: {0}")]
    Migration(String),
}

impl StoreError {
    /// No connection to the database is available.
    pub(super) fn no_connection() -> Self {
        Self::Unavailable("no connection".to_owned())
    }

    /// The database did not answer within the timeout.
    pub(super) fn timeout() -> Self {
        Self::Unavailable("no answer in time".to_owned())
    }
}

impl From<DieselError> for StoreError {
    fn from(error: DieselError) -> Self {
        match error {
            DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => Self::Conflict,
            // The message names tables and columns. Values are only in the details, which are
            // omitted.
            DieselError::DatabaseError(kind, info) => {
                let first = info.message().lines().next().unwrap_or_default();
                Self::Unavailable(format!("{kind:?}: {first}"))
            }
            DieselError::NotFound => Self::Unavailable("a row is missing".to_owned()),
            _ => Self::Unavailable("the query could not be sent or its result not read".to_owned()),
        }
    }
}

/// SQLite's own message, which contains no secret.
pub(super) fn describe_sqlite(error: &ConnectionError) -> &str {
    match error {
        ConnectionError::BadConnection(text) => text.lines().next().unwrap_or_default(),
        ConnectionError::CouldntSetupConfiguration(DieselError::DatabaseError(_, info)) => {
            info.message().lines().next().unwrap_or_default()
        }
        _ => "unable to open database file",
    }
}

/// Why a connection could not be opened, without the URL: libpq quotes a URL that it cannot parse,
/// including the password.
pub(super) fn describe_postgres(error: &ConnectionError) -> String {
    const SAFE_PREFIXES: &[&str] = &[
        "connection to server",
        "could not",
        "timeout",
        // The message of a build without TLS for a URL that requires it.
        "sslmode value",
    ];
    let text = match error {
        ConnectionError::BadConnection(text) => text.lines().next().unwrap_or_default(),
        ConnectionError::CouldntSetupConfiguration(DieselError::DatabaseError(_, info)) => {
            info.message().lines().next().unwrap_or_default()
        }
        _ => "",
    };
    // libpq takes a part of a password that contains '@' for the host, and quotes it.
    if text.starts_with("could not translate host name") {
        return "the host in DATABASE_URL is not known".to_owned();
    }
    if SAFE_PREFIXES
        .iter()
        .any(|start| text.to_ascii_lowercase().starts_with(start))
    {
        text.to_owned()
    } else {
        "the connection was refused, or DATABASE_URL is not well-formed".to_owned()
    }
}

//! Database errors.

use std::io;
use std::path::Path;

use diesel::ConnectionError;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use rustix::fs::{Access, AtFlags, CWD, accessat};

use crate::private_file::reason;

/// How a message about the server or its settings for this session begins.
pub(super) const UNSUITABLE_SERVER: &str = "this postgres";

/// Why a database operation failed. Never contains a stored or requested value.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// A UNIQUE constraint was violated.
    #[error("the row already exists")]
    Conflict,
    /// The database cannot be reached, is too slow, or refused the query.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The configured database does not exist, or belongs to another program. It is unchanged.
    #[error("{0}")]
    Unsuitable(String),
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

    /// The transaction that the operation shared with others was rolled back.
    pub(crate) fn group_failed() -> Self {
        Self::Unavailable("the transaction failed".to_owned())
    }

    /// The database did not answer within the timeout.
    pub(crate) fn timeout() -> Self {
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
                Self::Unavailable(match kind {
                    DatabaseErrorKind::Unknown => first.to_owned(),
                    _ => format!("{kind:?}: {first}"),
                })
            }
            DieselError::NotFound => Self::Unavailable("a row is missing".to_owned()),
            _ => Self::Unavailable("the query could not be sent or its result not read".to_owned()),
        }
    }
}

/// What the system reports about a file, and the way out.
pub(super) fn describe_file(path: &Path, error: &io::Error) -> String {
    let folder = folder_of(path);
    match error.kind() {
        io::ErrorKind::NotFound if !folder.exists() => {
            format!("the folder {} does not exist", folder.display())
        }
        io::ErrorKind::NotFound if path.is_symlink() => "is a link to nothing".to_owned(),
        io::ErrorKind::NotFound => "does not exist".to_owned(),
        io::ErrorKind::IsADirectory => "is a folder, not a file".to_owned(),
        io::ErrorKind::NotADirectory => format!("{} is not a folder", folder.display()),
        io::ErrorKind::PermissionDenied => denied(path),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        io::ErrorKind::StorageFull => "the disk is full".to_owned(),
        _ => reason(error),
    }
}

/// SQLite's own message, which contains no secret.
pub(super) fn sqlite_message(error: &ConnectionError) -> &str {
    match error {
        ConnectionError::BadConnection(text) => text.lines().next().unwrap_or_default(),
        ConnectionError::CouldntSetupConfiguration(DieselError::DatabaseError(_, info)) => {
            info.message().lines().next().unwrap_or_default()
        }
        _ => "unable to open database file",
    }
}

/// Why SQLite cannot open or use a file.
pub(super) fn describe_sqlite(path: &Path, error: &ConnectionError) -> String {
    let text = sqlite_message(error);
    let is_about_access = ["unable to open", "readonly", "access permission"]
        .iter()
        .any(|part| text.to_ascii_lowercase().contains(part));
    let problem = match text {
        "file is not a database" => "is not an SQLite database".to_owned(),
        "database is locked" => "is locked by another program".to_owned(),
        "database or disk is full" => "the disk is full".to_owned(),
        _ if is_about_access && !may(path, Access::READ_OK | Access::WRITE_OK) => denied(path),
        // SQLite keeps two files next to the database.
        _ if is_about_access && !may(folder_of(path), Access::WRITE_OK) => {
            format!(
                "the folder {} must be writable, for the files -wal and -shm",
                folder_of(path).display()
            )
        }
        _ => text
            .chars()
            .take(200)
            .flat_map(char::escape_debug)
            .collect(),
    };
    format!("{}: {problem}", path.display())
}

fn denied(path: &Path) -> String {
    let user = rustix::process::geteuid().as_raw();
    let what = if path.exists() { path } else { folder_of(path) };
    format!(
        "the user of this process (uid {user}) may not read and write {}",
        what.display()
    )
}

fn may(path: &Path, access: Access) -> bool {
    accessat(CWD, path, access, AtFlags::EACCESS).is_ok()
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    folder.unwrap_or(Path::new("."))
}

/// Why a connection to Postgres could not be opened, without the URL: libpq quotes a URL that it
/// cannot parse, including the password.
pub(super) fn describe_postgres(error: &ConnectionError) -> String {
    const SAFE_PREFIXES: &[&str] = &[
        "connection to server",
        "could not",
        "timeout",
        // The message of a build without TLS for a URL that requires it.
        "sslmode value",
        "root certificate file",
        "certificate ",
        "private key file",
        "definition of service",
        "service file",
        "session is read-only",
        "session is not read-only",
        UNSUITABLE_SERVER,
    ];
    let text = match error {
        ConnectionError::BadConnection(text) => text.lines().next().unwrap_or_default(),
        // The statements are ours, and contain no secret.
        ConnectionError::CouldntSetupConfiguration(DieselError::DatabaseError(_, info)) => {
            let first = info.message().lines().next().unwrap_or_default();
            return format!("the session cannot be set up: {first}");
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

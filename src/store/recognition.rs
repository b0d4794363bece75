//! Recognises a database before anything in it changes: a database of another program keeps its
//! files, their modes, its journal mode and its tables.

use std::fs;
use std::io;
use std::path::{Path, absolute};
use std::thread;
use std::time::{Duration, Instant};

use diesel::ConnectionError;
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::sql_types::Text;

use super::connection::{Manager, StoreConnection};
use super::error::{StoreError, describe_file, describe_sqlite};
use super::migrations;
use super::sqlite_file::{open_read_only, protect_file, sidecar_path};
use crate::config::DatabaseConfig;

/// How long a file with a log may look like that of another program because of a checkpoint, and how
/// often it is looked at.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_millis(500);
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(50);

/// The maximum length of a foreign name in an error, in characters.
const MAX_NAME: usize = 64;

/// A table or view that no migration of ours has made, `users` first.
const SQLITE_TABLES: &str = "SELECT type AS kind, name FROM sqlite_master \
     WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
     ORDER BY name <> 'users', name = '__diesel_schema_migrations', name LIMIT 1";

/// The same in the schema where the migrations create tables. Extensions may have tables there.
const POSTGRES_TABLES: &str = "SELECT CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'view' \
         ELSE 'table' END AS kind, relname::text AS name FROM pg_class AS c \
     WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f') \
         AND NOT EXISTS (SELECT 1 FROM pg_depend AS d WHERE d.deptype = 'e' \
             AND d.classid = 'pg_class'::regclass AND d.objid = c.oid) \
     ORDER BY relname <> 'users', relname = '__diesel_schema_migrations', relname LIMIT 1";

/// Other schemas on the search path with a table of migrations, and the query that reads it.
const OTHER_SCHEMAS: &str = "SELECT nspname::text AS name, \
         format('SELECT version FROM %I.__diesel_schema_migrations', nspname) AS kind \
     FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace \
     WHERE relname = '__diesel_schema_migrations' AND nspname <> current_schema() \
         AND nspname = ANY (current_schemas(false)) \
         AND has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE')";

/// What a database contains, unless it belongs to another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    /// No tables.
    Empty,
    /// The tables of some version of Tokenhouse.
    Ours,
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    name: String,
}

/// Opens the configured database, and creates the SQLite file if there is none.
///
/// # Errors
/// [`StoreError::Unsuitable`] for a database of another program, and for a file that is not an
/// SQLite database: it is unchanged. [`StoreError::Unavailable`] if the database cannot be opened.
pub(super) fn open_or_create(
    config: &DatabaseConfig,
) -> Result<(Manager, StoreConnection), StoreError> {
    let mut manager = Manager::of(config);
    if let Some(path) = config.url.sqlite_path() {
        recognise_file(config, path)?;
        protect_file(path).map_err(|error| {
            let problem = describe_file(path, &error);
            StoreError::Unavailable(format!("{}: {problem}", path.display()))
        })?;
        manager.pin()?;
        let conn = manager.connect()?;
        return Ok((manager, conn));
    }
    let mut conn = manager.connect()?;
    recognise(config, &mut conn)?;
    Ok((manager, conn))
}

/// What the configured database contains; `None` if there is no SQLite file. Changes nothing.
///
/// # Errors
/// As for [`open_or_create`].
#[cfg(feature = "cli")]
pub(super) fn look(config: &DatabaseConfig) -> Result<Option<Contents>, StoreError> {
    match config.url.sqlite_path() {
        Some(path) => recognise_file(config, path),
        None => recognise(config, &mut Manager::of(config).connect()?).map(Some),
    }
}

/// Opens the configured database if it exists. Changes nothing.
///
/// # Errors
/// As for [`open_or_create`], and [`StoreError::Unsuitable`] if there is no SQLite file.
pub(super) fn inspect(
    config: &DatabaseConfig,
) -> Result<(Manager, StoreConnection, Contents), StoreError> {
    let mut manager = Manager::of(config);
    if let Some(path) = config.url.sqlite_path() {
        let Some(contents) = recognise_file(config, path)? else {
            let (path, source) = (shown(path), &config.url_source);
            return Err(StoreError::Unsuitable(format!(
                "no database at {path} ({source}): change the setting, or create it with \
                 `tokenhouse migrate`"
            )));
        };
        manager.pin()?;
        // The settings of a connection would write to an empty file.
        let conn = match contents {
            Contents::Empty => open_read_only(path, "mode=ro")
                .map_err(|error| StoreError::Unavailable(describe_sqlite(path, &error)))
                .map(StoreConnection::Sqlite)?,
            Contents::Ours => manager.connect()?,
        };
        return Ok((manager, conn, contents));
    }
    let mut conn = manager.connect()?;
    let contents = recognise(config, &mut conn)?;
    Ok((manager, conn, contents))
}

/// Opens the configured database if it has the tables of some version of Tokenhouse. Changes
/// nothing.
///
/// # Errors
/// As for [`inspect`], and [`StoreError::Unsuitable`] if it has no tables.
pub(super) fn open_existing(
    config: &DatabaseConfig,
) -> Result<(Manager, StoreConnection), StoreError> {
    match inspect(config)? {
        (manager, conn, Contents::Ours) => Ok((manager, conn)),
        (_, _, Contents::Empty) => Err(StoreError::Unsuitable(format!(
            "{} has no tables yet: create them with `tokenhouse migrate`",
            named(config)
        ))),
    }
}

/// Recognises the database of a connection. Changes nothing.
///
/// # Errors
/// [`StoreError::Unsuitable`] for a database of another program.
pub(super) fn recognise(
    config: &DatabaseConfig,
    conn: &mut StoreConnection,
) -> Result<Contents, StoreError> {
    let applied = migrations::applied(conn)?;
    if migrations::is_ours(&applied) {
        return Ok(Contents::Ours);
    }
    if let StoreConnection::Postgres(_) = conn {
        let others: Vec<Found> = diesel::sql_query(OTHER_SCHEMAS).load(conn)?;
        for Found { name, kind: query } in others {
            if migrations::is_ours(&migrations::versions(conn, &query)?) {
                return Err(StoreError::Unsuitable(format!(
                    "{}: the tables are in the schema {}, which is not the first in search_path: \
                     put it first, or add ?options=-csearch_path%3D{} to the URL",
                    named(config),
                    escape(&name),
                    escape(&name)
                )));
            }
        }
    }
    let query = match conn {
        StoreConnection::Sqlite(_) => SQLITE_TABLES,
        StoreConnection::Postgres(_) => POSTGRES_TABLES,
    };
    let found: Option<Found> = diesel::sql_query(query).get_result(conn).optional()?;
    match found {
        // Another process may have created the tables since the first query.
        Some(_) if migrations::is_ours(&migrations::applied(conn)?) => Ok(Contents::Ours),
        Some(Found { kind, name }) if !applied.is_empty() || name != migrations::TABLE => {
            Err(StoreError::Unsuitable(format!(
                "{}: this is the database of another program (it has a {kind} {}): give \
                 Tokenhouse its own and run `tokenhouse import URL`",
                named(config),
                escape(&name)
            )))
        }
        _ => Ok(Contents::Empty),
    }
}

/// Recognises an SQLite file without locking it, and without creating the files that SQLite keeps
/// next to it. `None` if there is no file.
///
/// # Errors
/// [`StoreError::Unsuitable`] if it is not a database, or that of another program;
/// [`StoreError::Unavailable`] if it cannot be read.
fn recognise_file(config: &DatabaseConfig, path: &Path) -> Result<Option<Contents>, StoreError> {
    let unreadable = |error: &io::Error| {
        let problem = describe_file(path, error);
        StoreError::Unavailable(format!("{}: {problem}", path.display()))
    };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(&error)),
    };
    if metadata.is_dir() {
        return Err(unreadable(&io::ErrorKind::IsADirectory.into()));
    }
    // Opening a pipe would wait for its other end.
    if !metadata.is_file() {
        return Err(not_sqlite(config));
    }
    if metadata.len() == 0 {
        return Ok(Some(Contents::Empty));
    }
    // The file alone is enough: the tables of the migrations and that of their versions are
    // committed together. Only SQLite may open it, as closing the file otherwise would drop locks
    // that this process holds.
    let look = || recognise_with(config, path, "mode=ro&immutable=1");
    let mut alone = look();
    if let Ok(Contents::Ours) = alone {
        return alone.map(Some);
    }
    let real = path.canonicalize().map_err(|error| unreadable(&error))?;
    let log = fs::metadata(sidecar_path(&real, "-wal"));
    let has_log = log.is_ok_and(|log| log.len() > 0);
    if let Err(StoreError::Unsuitable(_)) = alone {
        // Another process may be copying our tables from the log, page by page. In any other way than
        // this, SQLite would write to the index of the log, which may be that of another program.
        let begun = Instant::now();
        while has_log && alone.is_err() && begun.elapsed() < CHECKPOINT_TIMEOUT {
            thread::sleep(CHECKPOINT_INTERVAL);
            alone = look();
        }
        return alone.map(Some);
    }
    // The tables may be in the write-ahead log only, or a checkpoint may be in progress.
    if alone.is_err() || has_log {
        return recognise_with(config, path, "mode=ro").map(Some);
    }
    alone.map(Some)
}

fn recognise_with(
    config: &DatabaseConfig,
    path: &Path,
    access: &str,
) -> Result<Contents, StoreError> {
    let conn = open_read_only(path, access).map_err(|error| {
        if is_not_sqlite(&error) {
            not_sqlite(config)
        } else {
            StoreError::Unavailable(describe_sqlite(path, &error))
        }
    })?;
    recognise(config, &mut StoreConnection::Sqlite(conn))
}

fn is_not_sqlite(error: &ConnectionError) -> bool {
    let ConnectionError::CouldntSetupConfiguration(DieselError::DatabaseError(_, info)) = error
    else {
        return false;
    };
    info.message().contains("file is not a database")
}

fn not_sqlite(config: &DatabaseConfig) -> StoreError {
    StoreError::Unsuitable(format!("{}: is not an SQLite database", named(config)))
}

/// The database and the setting that names it.
fn named(config: &DatabaseConfig) -> String {
    let source = &config.url_source;
    match config.url.sqlite_path() {
        Some(path) => format!("{} ({source})", shown(path)),
        None => format!("{} ({source})", config.url),
    }
}

/// The absolute path.
fn shown(path: &Path) -> String {
    let path = absolute(path).unwrap_or_else(|_none| path.to_owned());
    path.display().to_string()
}

/// Escapes an untrusted name.
fn escape(name: &str) -> String {
    let name = name.chars().take(MAX_NAME);
    name.flat_map(char::escape_debug).collect()
}

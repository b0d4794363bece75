//! Opens a database as the target of an import, to predict the outcome without changing anything.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::connection::{StoreConnection, connect_read_only};
use super::error::{StoreError, describe_sqlite};
use super::migrations;
use super::sqlite_file::{sidecar_path, sqlite_uri};
use crate::config::DatabaseConfig;

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

/// A database as the target of an import.
pub enum ImportTarget {
    /// It does not exist, or has no tables.
    Empty,
    /// It is up to date, and opened for reading only.
    Ready(StoreConnection),
    /// It lacks this number of migrations.
    Pending(usize),
}

/// Opens the configured database as the target of an import, without changing anything. Blocks.
///
/// # Errors
/// [`StoreError::Unavailable`] if it cannot be read, [`StoreError::Migration`] if it belongs to another
/// program or a newer version of this one.
pub fn open_import_target(config: &DatabaseConfig) -> Result<ImportTarget, StoreError> {
    const TABLES: [&str; 2] = ["__diesel_schema_migrations", "users"];
    let is_empty_file = |path: &Path| {
        fs::metadata(path).map_or_else(
            |error| error.kind() == ErrorKind::NotFound,
            |file| file.len() == 0,
        )
    };
    if config.url.sqlite_path().is_some_and(is_empty_file) {
        return Ok(ImportTarget::Empty);
    }
    let mut conn = match config.url.sqlite_path() {
        Some(path) => StoreConnection::Sqlite(open_file_in_place(path)?),
        None => connect_read_only(&config.url)?,
    };
    let mut has_tables = [false; 2];
    for (table, has_table) in TABLES.iter().zip(&mut has_tables) {
        let found: Vec<Version> = match &mut conn {
            StoreConnection::Sqlite(conn) => {
                diesel::sql_query("SELECT name AS version FROM sqlite_schema WHERE name = ?")
                    .bind::<Text, _>(table)
                    .load(conn)?
            }
            StoreConnection::Postgres(conn) => {
                diesel::sql_query("SELECT $1 AS version WHERE to_regclass($1) IS NOT NULL")
                    .bind::<Text, _>(table)
                    .load(conn)?
            }
        };
        *has_table = !found.is_empty();
    }
    let applied: Vec<Version> = match has_tables {
        [true, _] => {
            diesel::sql_query("SELECT version FROM __diesel_schema_migrations").load(&mut conn)?
        }
        [false, false] => return Ok(ImportTarget::Empty),
        [false, true] => {
            return Err(StoreError::Migration(format!(
                "{} is the database of another program; set DATABASE_URL to one of Tokenhouse's own",
                config.url
            )));
        }
    };
    let applied: Vec<String> = applied.into_iter().map(|row| row.version).collect();
    let is_postgres = matches!(conn, StoreConnection::Postgres(_));
    Ok(match migrations::missing(is_postgres, &applied)? {
        0 => ImportTarget::Ready(conn),
        count => ImportTarget::Pending(count),
    })
}

/// Opens an SQLite file for reading. Unless a process has it open, no file appears beside it.
fn open_file_in_place(path: &Path) -> Result<SqliteConnection, StoreError> {
    const READ_ONLY: &str = "PRAGMA busy_timeout = 5000; \
         PRAGMA query_only = ON; \
         PRAGMA trusted_schema = OFF; \
         PRAGMA cell_size_check = ON; \
         SELECT name FROM sqlite_schema LIMIT 1";
    // SQLite keeps its log next to the file itself, not next to a symbolic link to it.
    let real = fs::canonicalize(path).unwrap_or_else(|_error| path.to_owned());
    let access = match sidecar_path(&real, "-wal").exists() {
        true => "mode=ro",
        // SQLite's log and its index are created even by a reader, otherwise.
        false => "immutable=1",
    };
    let unreadable = |problem: &str| {
        let path = path.display();
        StoreError::Unavailable(format!("{path}: {problem}"))
    };
    let mut conn = SqliteConnection::establish(&sqlite_uri(path, access))
        .map_err(|error| unreadable(describe_sqlite(&error)))?;
    conn.batch_execute(READ_ONLY)
        .map_err(|_error| unreadable("not a readable SQLite file"))?;
    Ok(conn)
}

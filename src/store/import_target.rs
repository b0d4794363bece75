//! Opens a database as the target of an import, to predict the outcome without changing anything.

use std::fs;
use std::path::Path;

use diesel::SqliteConnection;

use super::connection::{StoreConnection, connect_read_only};
use super::error::{StoreError, describe_sqlite};
use super::migrations;
use super::recognition::{self, Contents};
use super::sqlite_file::{open_read_only, sidecar_path};
use crate::config::DatabaseConfig;

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
/// [`StoreError::Unavailable`] if it cannot be read, [`StoreError::Unsuitable`] if it belongs to another
/// program, [`StoreError::Migration`] if a newer version of this one has migrated it.
pub fn open_import_target(config: &DatabaseConfig) -> Result<ImportTarget, StoreError> {
    match recognition::look(config)? {
        None | Some(Contents::Empty) => return Ok(ImportTarget::Empty),
        Some(Contents::Ours) => {}
    }
    let mut conn = match config.url.sqlite_path() {
        Some(path) => StoreConnection::Sqlite(open_file_in_place(path)?),
        None => connect_read_only(&config.url)?,
    };
    Ok(match migrations::difference(&mut conn)?.pending()? {
        0 => ImportTarget::Ready(conn),
        count => ImportTarget::Pending(count),
    })
}

/// Opens an SQLite file for reading. Unless a process has it open, no file appears beside it.
fn open_file_in_place(path: &Path) -> Result<SqliteConnection, StoreError> {
    // SQLite keeps its log next to the file itself, not next to a symbolic link to it.
    let real = fs::canonicalize(path).unwrap_or_else(|_error| path.to_owned());
    let access = match sidecar_path(&real, "-wal").exists() {
        true => "mode=ro",
        // SQLite's log and its index are created even by a reader, otherwise.
        false => "immutable=1",
    };
    open_read_only(path, access)
        .map_err(|error| StoreError::Unavailable(describe_sqlite(path, &error)))
}

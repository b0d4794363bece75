//! Copies of an SQLite file, and putting them back. Postgres has its own tools for that.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::StoreError;
use super::connection::{Manager, StoreConnection};
use super::file::{FileIdentity, beside, sqlite_uri, sync_folder_of};
use crate::config::DatabaseConfig;
use crate::private_file;

/// Writes a copy of the database as it is at one moment into a new file that only its owner may
/// read, while others go on reading and writing, and returns its size in bytes. Blocks.
///
/// # Errors
/// [`StoreError::Backup`] for Postgres, and when the name is taken, also by a link, or the file
/// cannot be written.
pub fn backup(config: &DatabaseConfig, file: &Path) -> Result<u64, StoreError> {
    if config.url.sqlite_path().is_none() {
        return Err(refused("for Postgres, use pg_dump"));
    }
    // From the root on, so that SQLite does not take the name for one of its URIs.
    let file = std::path::absolute(file).map_err(|error| failed(&error))?;
    let name = file
        .to_str()
        .ok_or_else(|| refused("the name of the file is not Unicode"))?;
    let mut conn = Manager::new(&config.url).open_or_say_why()?;
    // SQLite takes an empty file for a new one, and opens it by its name.
    let copy = private_file::create(&file).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => refused("the file is there already"),
        _ => failed(&error),
    })?;
    let filled = fill(&mut conn, &copy, name);
    if filled.is_err() && has_name(&copy, &file) {
        let _removed_or_left = fs::remove_file(&file);
    }
    filled
}

/// Copies the database into an empty file that has this name, and returns its size.
fn fill(conn: &mut StoreConnection, copy: &File, name: &str) -> Result<u64, StoreError> {
    diesel::sql_query("VACUUM INTO $1")
        .bind::<Text, _>(name)
        .execute(conn)?;
    let size = copy.metadata().map_err(|error| failed(&error))?.len();
    if !has_name(copy, Path::new(name)) || size == 0 {
        return Err(refused("the file was replaced while it was written"));
    }
    copy.sync_all().map_err(|error| failed(&error))?;
    sync_folder_of(Path::new(name)).map_err(|error| failed(&error))?;
    Ok(size)
}

/// Whether this open file has this name, and not a link to it.
fn has_name(file: &File, name: &Path) -> bool {
    let same = |about: &Metadata, other: &Metadata| FileIdentity::from(about) == other.into();
    match (file.metadata(), fs::symlink_metadata(name)) {
        (Ok(about), Ok(other)) => same(&about, &other),
        _ => false,
    }
}

/// Puts a copy in the place of the database. Nobody else may have it open. Blocks.
///
/// # Errors
/// [`StoreError::Backup`] for Postgres, when the copy is not whole, when there is a database and
/// `replace` is not set, when it is in use, or when a file cannot be written. Then the database is
/// as it was, unless it was the sync of the folder that failed at last.
pub fn restore(config: &DatabaseConfig, file: &Path, replace: bool) -> Result<(), StoreError> {
    let Some(target) = config.url.sqlite_path() else {
        return Err(refused("for Postgres, use pg_restore"));
    };
    check(file)?;
    if target.exists() {
        if !replace {
            return Err(refused(
                "there is a database already: --replace replaces it",
            ));
        }
        take_out_of_use(config)?;
    }
    let staged = beside(target, ".restoring");
    let _left_over = fs::remove_file(&staged);
    copy_into(file, &staged).map_err(|error| failed(&error))?;
    for suffix in ["-wal", "-shm"] {
        let _there_or_not = fs::remove_file(beside(target, suffix));
    }
    fs::rename(&staged, target).map_err(|error| failed(&error))?;
    sync_folder_of(target).map_err(|error| failed(&error))
}

/// Copies what is in a file into a new one of ours, which does not take over its mode.
fn copy_into(file: &Path, new: &Path) -> io::Result<()> {
    let mut from = File::open(file)?;
    let mut to = private_file::create(new)?;
    io::copy(&mut from, &mut to)?;
    to.sync_all()
}

/// Whether a file is a database of ours, and whole.
fn check(file: &Path) -> Result<(), StoreError> {
    let uri = sqlite_uri(file, "mode=ro&immutable=1");
    let mut conn = diesel::sqlite::SqliteConnection::establish(&uri)
        .map_err(|_error| refused("the copy cannot be opened"))?;
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        integrity_check: String,
    }
    let rows: Vec<Row> = diesel::sql_query("PRAGMA integrity_check(1)")
        .load(&mut conn)
        .map_err(|_error| refused("the copy is no database"))?;
    if rows.iter().any(|row| row.integrity_check != "ok") {
        return Err(refused("the copy is damaged"));
    }
    diesel::sql_query("SELECT id FROM users LIMIT 1")
        .execute(&mut conn)
        .map_err(|_error| refused("the copy is no database of Tokenhouse"))?;
    Ok(())
}

/// Ends the write-ahead log of the database, which works when nobody else has it open.
fn take_out_of_use(config: &DatabaseConfig) -> Result<(), StoreError> {
    let mut conn = Manager::new(&config.url).open_or_say_why()?;
    let StoreConnection::Sqlite(conn) = &mut conn else {
        return Ok(());
    };
    diesel::sql_query("PRAGMA journal_mode = DELETE")
        .execute(conn)
        .map_err(|_error| refused("a service is running on the database: stop it first"))?;
    Ok(())
}

fn refused(reason: &str) -> StoreError {
    StoreError::Backup(reason.to_owned())
}

fn failed(error: &io::Error) -> StoreError {
    StoreError::Backup(error.kind().to_string())
}

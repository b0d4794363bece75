//! Copies of an SQLite file, and putting them back. Postgres has its own tools for that.

use std::fs;
use std::io;
use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::connection::{self, Manager, StoreConnection, protect_file};
use super::{StoreError, protect};
use crate::config::DatabaseConfig;

/// Writes a copy of the database as it is at one moment into a new file that only its owner may
/// read, while others go on reading and writing, and returns its size in bytes. Blocks.
///
/// # Errors
/// [`StoreError::Backup`] for Postgres, and when the file is there or cannot be written.
pub fn backup(config: &DatabaseConfig, file: &Path) -> Result<u64, StoreError> {
    if config.url.sqlite_path().is_none() {
        return Err(refused("for Postgres, use pg_dump"));
    }
    let name = file
        .to_str()
        .ok_or_else(|| refused("the name of the file is not Unicode"))?;
    if file.exists() {
        return Err(refused("the file is there already"));
    }
    // Made before it is filled, so that nobody else can read it meanwhile. SQLite takes an empty
    // file for a new one.
    protect_file(file).map_err(|error| failed(&error))?;
    let manager = Manager {
        url: config.url.clone(),
    };
    let mut conn = manager.open_or_say_why()?;
    diesel::sql_query("VACUUM INTO $1")
        .bind::<Text, _>(name)
        .execute(&mut conn)?;
    let copy = fs::File::open(file).map_err(|error| failed(&error))?;
    copy.sync_all().map_err(|error| failed(&error))?;
    sync_folder_of(file).map_err(|error| failed(&error))?;
    Ok(copy.metadata().map_err(|error| failed(&error))?.len())
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
    let beside = target.with_extension("restoring");
    let _left_over = fs::remove_file(&beside);
    protect_file(&beside).map_err(|error| failed(&error))?;
    fs::copy(file, &beside).map_err(|error| failed(&error))?;
    let copy = fs::File::open(&beside).map_err(|error| failed(&error))?;
    copy.sync_all().map_err(|error| failed(&error))?;
    for suffix in ["-wal", "-shm"] {
        let _there_or_not = fs::remove_file(connection::beside(target, suffix));
    }
    fs::rename(&beside, target).map_err(|error| failed(&error))?;
    sync_folder_of(target).map_err(|error| failed(&error))?;
    protect(config)
}

/// A name is safe from a power cut when its folder is.
fn sync_folder_of(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Whether a file is a database of ours, and whole.
fn check(file: &Path) -> Result<(), StoreError> {
    let name = file.to_str().unwrap_or_default();
    let url = format!(
        "file:{}?mode=ro&immutable=1",
        name.replace('%', "%25").replace('?', "%3f")
    );
    let mut conn = diesel::sqlite::SqliteConnection::establish(&url)
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
    let manager = Manager {
        url: config.url.clone(),
    };
    let mut conn = manager.open_or_say_why()?;
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

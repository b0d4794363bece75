//! Copies of an SQLite file. Postgres has its own tools for that.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::StoreError;
use super::connection::{Manager, StoreConnection};
use super::file::{FileIdentity, sync_folder_of};
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
    let mut conn = Manager::new(&config.url).connect()?;
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

pub(super) fn refused(reason: &str) -> StoreError {
    StoreError::Backup(reason.to_owned())
}

pub(super) fn failed(error: &io::Error) -> StoreError {
    StoreError::Backup(error.kind().to_string())
}

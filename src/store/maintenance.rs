//! Maintenance of an SQLite database: backups, and checkpoints that keep its write-ahead log small.
//! Postgres has its own tools for that.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Integer, Text};

use super::connection::{BUSY_TIMEOUT, StoreConnection};
use super::execute;
use super::recognition;
use super::sqlite_file::{FileIdentity, sync_parent_folder};
use super::{QUERY_TIMEOUT, Store, StoreError};
use crate::config::DatabaseConfig;
use crate::private_file::{self, reason};

/// A smaller log is not checkpointed here. SQLite itself writes it back at half of this size, but
/// restarts it only while no connection reads: with overlapping readers, such as backups and
/// reports, it grows without limit.
const WAL_SIZE_LIMIT: u64 = 8 << 20;

/// How long a checkpoint waits for readers, during which all writers wait too. With readers that
/// each take 100 ms, it needs 200 to 500 ms.
const READER_TIMEOUT: &str = "PRAGMA busy_timeout = 1000";

/// Writes a consistent copy of the database into a new file that only its owner may read, while
/// other processes continue to read and write. Returns its size in bytes. Blocks.
///
/// # Errors
/// [`StoreError::Backup`] for Postgres, if the name is taken, even by a link, or if the file cannot
/// be written.
pub fn backup(config: &DatabaseConfig, file: &Path) -> Result<u64, StoreError> {
    if config.url.sqlite_path().is_none() {
        return Err(refused("for Postgres, use pg_dump"));
    }
    // An absolute path, so that SQLite does not parse the name as one of its URIs.
    let file = std::path::absolute(file).map_err(|error| failed(&error))?;
    let name = file
        .to_str()
        .ok_or_else(|| refused("the name of the file is not Unicode"))?;
    let (_manager, mut conn) = recognition::open_existing(config)?;
    // SQLite treats an empty file as a new one, and opens it by its name.
    let copy = private_file::create(&file).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => refused("the file already exists"),
        _ => refused(&format!("{}: {}", file.display(), reason(&error))),
    })?;
    let filled = fill(&mut conn, &copy, name).and_then(|size| {
        if !config.is_temporary {
            sync(&copy, &file).map_err(|error| failed(&error))?;
        }
        Ok(size)
    });
    if filled.is_err() && has_name(&copy, &file) {
        // The first error is the one to report.
        let _ = fs::remove_file(&file);
    }
    filled
}

/// Copies the database into the empty file of this name, and returns its size.
fn fill(conn: &mut StoreConnection, copy: &File, name: &str) -> Result<u64, StoreError> {
    diesel::sql_query("VACUUM INTO $1")
        .bind::<Text, _>(name)
        .execute(conn)?;
    let size = copy.metadata().map_err(|error| failed(&error))?.len();
    if !has_name(copy, Path::new(name)) || size == 0 {
        return Err(refused("the file was replaced while it was written"));
    }
    Ok(size)
}

/// Waits until the copy and its name are on the disk.
fn sync(copy: &File, file: &Path) -> io::Result<()> {
    copy.sync_all()?;
    sync_parent_folder(file)
}

/// Whether `name` refers to this open file, and not to a link to it.
fn has_name(file: &File, name: &Path) -> bool {
    let same = |metadata: &Metadata, other: &Metadata| FileIdentity::from(metadata) == other.into();
    match (file.metadata(), fs::symlink_metadata(name)) {
        (Ok(metadata), Ok(other)) => same(&metadata, &other),
        _ => false,
    }
}

pub(super) fn refused(reason: &str) -> StoreError {
    StoreError::Backup(reason.to_owned())
}

pub(super) fn failed(error: &io::Error) -> StoreError {
    StoreError::Backup(reason(error))
}

#[derive(QueryableByName)]
struct Checkpoint {
    #[diesel(sql_type = Integer)]
    busy: i32,
}

impl Store {
    /// Writes SQLite's log back into the database and empties it, if it is large. Returns false if
    /// readers were active for too long: nothing is lost and no reader is disturbed, but retrying
    /// soon is pointless. Does nothing on Postgres.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the database does not answer.
    pub async fn checkpoint_wal(&self) -> Result<bool, StoreError> {
        let size = |wal| fs::metadata(wal).map_or(0, |metadata| metadata.len());
        if self.wal.as_ref().map_or(0, size) <= WAL_SIZE_LIMIT {
            return Ok(true);
        }
        let checkpoint = |conn: &mut _| execute::run_query(conn, truncate_wal);
        self.run(QUERY_TIMEOUT, self.write_permit.as_ref(), checkpoint)
            .await
    }
}

/// Returns whether the log is empty now.
fn truncate_wal(conn: &mut StoreConnection) -> QueryResult<bool> {
    conn.batch_execute(READER_TIMEOUT)?;
    let outcome = diesel::sql_query("PRAGMA wal_checkpoint(TRUNCATE)").get_result(conn);
    conn.batch_execute(BUSY_TIMEOUT)?;
    outcome.map(|Checkpoint { busy }| busy == 0)
}

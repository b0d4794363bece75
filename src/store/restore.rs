//! Replaces an SQLite database with a copy. The copy is prepared in a file next to the database; a
//! rename completes the replacement. Postgres has its own tools for that.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::StoreError;
use super::connection::{Manager, StoreConnection};
use super::maintenance::{failed, refused};
use super::recognition;
use super::schema_check::{self, SchemaComparison};
use super::sequence::Sequence;
use super::sqlite_file::{FileIdentity, sidecar_path, sync_parent_folder};
use crate::config::{DatabaseConfig, DatabaseUrl};
use crate::private_file::{self, reason};

/// How long the connections to the copy may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// A verified copy next to the database that it will replace. Dropping it before [`Self::install`]
/// deletes it.
pub struct StagedCopy {
    target: PathBuf,
    database: DatabaseConfig,
    staged: PathBuf,
    identity: FileIdentity,
    replaced: Option<ReplacedDatabase>,
}

/// The database that a copy replaces, locked against all other processes.
pub struct ReplacedDatabase {
    conn: StoreConnection,
    /// The last ids that it has assigned; `None` if it is too damaged to read.
    pub sequences: Option<Vec<Sequence>>,
    /// The id and the digest of its last event; `None` if it is too damaged to read.
    pub last_event: Option<(i64, String)>,
}

/// Events of the replaced database that the copy does not contain.
#[derive(Debug, QueryableByName)]
pub struct LostEvents {
    /// The action of the events.
    #[diesel(sql_type = Text)]
    pub action: String,
    /// The number of events.
    #[diesel(sql_type = BigInt)]
    pub count: i64,
}

#[derive(QueryableByName)]
struct Mark {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    digest: String,
}

#[derive(QueryableByName)]
struct Digest {
    #[diesel(sql_type = Text)]
    digest: String,
}

#[derive(QueryableByName)]
struct Integrity {
    #[diesel(sql_type = Text)]
    integrity_check: String,
}

#[derive(QueryableByName)]
struct Orphan {
    #[diesel(sql_type = Text)]
    table: String,
}

impl StagedCopy {
    /// Copies a file next to the configured database and verifies the copy. With `replace`, also
    /// locks the existing database. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Backup`] for Postgres; if the copy is incomplete, or contains tables, triggers
    /// or views that do not belong to Tokenhouse; if a database exists and `replace` is not set; if
    /// it is in use; or if a file cannot be written. The existing database is unchanged then.
    pub fn new(config: &DatabaseConfig, file: &Path, replace: bool) -> Result<Self, StoreError> {
        let Some(target) = config.url.sqlite_path() else {
            return Err(refused(
                "for Postgres, use pg_restore, and then tokenhouse after-restore",
            ));
        };
        // The target of a link is replaced, not the link.
        let target = match fs::canonicalize(target) {
            Ok(_) if !replace => {
                let reason = "a database already exists: use --replace to replace it";
                return Err(refused(reason));
            }
            Ok(real) => real,
            Err(_) if fs::symlink_metadata(target).is_ok() => {
                return Err(refused("DATABASE_URL is a dangling link"));
            }
            Err(_) => std::path::absolute(target).map_err(|error| failed(&error))?,
        };
        if target.exists() {
            refuse_foreign(config)?;
        }
        refuse_part_of_a_database(file, &target)?;
        let staged = sidecar_path(&target, ".restoring");
        remove_with_sidecars(&staged);
        let mut copy = Self {
            identity: copy_into(file, &staged).map_err(|error| failed(&error))?,
            database: DatabaseConfig {
                url: DatabaseUrl::Sqlite(staged.clone()),
                auto_migrate: true,
                ..config.clone()
            },
            staged,
            replaced: None,
            target,
        };
        check(&copy.database)?;
        if copy.target.exists() {
            copy.replaced = Some(ReplacedDatabase::lock(&copy.target)?);
        }
        Ok(copy)
    }

    /// The settings for opening the copy at its current path.
    pub fn database(&self) -> &DatabaseConfig {
        &self.database
    }

    /// The database that the copy replaces, if there is one.
    pub fn replaced(&mut self) -> Option<&mut ReplacedDatabase> {
        self.replaced.as_mut()
    }

    /// Replaces the database with the copy. No connection to the copy may be open. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Backup`]: the database is unchanged, unless only the final sync of the folder
    /// has failed.
    pub fn install(self) -> Result<(), StoreError> {
        let started = Instant::now();
        // The last connection may still be closing.
        while let Err(error) = checkpoint_and_lock(&self.staged) {
            if started.elapsed() > CLOSE_TIMEOUT {
                return Err(error);
            }
            thread::sleep(Duration::from_millis(20));
        }
        let file = File::open(&self.staged).map_err(|error| failed(&error))?;
        let metadata = file.metadata().map_err(|error| failed(&error))?;
        if FileIdentity::from(&metadata) != self.identity {
            return Err(refused("the copy was replaced while it was prepared"));
        }
        file.sync_all().map_err(|error| failed(&error))?;
        for suffix in ["-wal", "-shm"] {
            // They may not exist.
            let _ = fs::remove_file(sidecar_path(&self.target, suffix));
        }
        fs::rename(&self.staged, &self.target).map_err(|error| failed(&error))?;
        sync_parent_folder(&self.target).map_err(|error| failed(&error))
    }
}

impl Drop for StagedCopy {
    fn drop(&mut self) {
        remove_with_sidecars(&self.staged);
    }
}

impl ReplacedDatabase {
    /// Checkpoints the log of a database and locks out all other processes.
    fn lock(path: &Path) -> Result<Self, StoreError> {
        let mut conn = checkpoint_and_lock(path)?;
        Ok(Self {
            sequences: Sequence::list(&mut conn).ok(),
            last_event: last_event(&mut conn).ok(),
            conn,
        })
    }

    /// The events in this database after the copy's event with this id and digest. `None` if that
    /// event is not in it, because the copy was not made from this database.
    pub fn lost_events(&mut self, id: i64, digest: &str) -> Option<Vec<LostEvents>> {
        const SAME: &str = "SELECT digest FROM audit_events WHERE id = ?";
        const LOST: &str = "SELECT action, COUNT(*) AS count FROM audit_events WHERE id > ? \
                            GROUP BY action ORDER BY action";
        let StoreConnection::Sqlite(conn) = &mut self.conn else {
            return None;
        };
        let same: Vec<Digest> = diesel::sql_query(SAME)
            .bind::<BigInt, _>(id)
            .load(conn)
            .ok()?;
        if id > 0 && same.first().is_none_or(|row| row.digest != digest) {
            return None;
        }
        diesel::sql_query(LOST)
            .bind::<BigInt, _>(id)
            .load(conn)
            .ok()
    }
}

fn last_event(conn: &mut StoreConnection) -> QueryResult<(i64, String)> {
    let query = "SELECT last_id AS id, last_digest AS digest FROM audit_head WHERE id = 1";
    let Mark { id, digest } = diesel::sql_query(query).get_result(conn)?;
    Ok((id, digest))
}

/// The database to replace must be ours, or too damaged to tell.
fn refuse_foreign(config: &DatabaseConfig) -> Result<(), StoreError> {
    match recognition::inspect(config) {
        Err(error @ StoreError::Unsuitable(_)) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// A file with a log next to it is only a part of a database. Restoring the database from itself is
/// refused too.
fn refuse_part_of_a_database(file: &Path, target: &Path) -> Result<(), StoreError> {
    let file = fs::canonicalize(file)
        .map_err(|error| refused(&format!("{}: {}", file.display(), reason(&error))))?;
    if file == target {
        return Err(refused("the copy is the database itself"));
    }
    let log = fs::metadata(sidecar_path(&file, "-wal"));
    if log.is_ok_and(|log| log.len() > 0) {
        return Err(refused(
            "a log with a part of the data exists next to the file (-wal), so the file was not \
             made by tokenhouse backup",
        ));
    }
    Ok(())
}

/// Copies the contents of a file into a new private file, which does not inherit its mode.
fn copy_into(file: &Path, new: &Path) -> io::Result<FileIdentity> {
    let mut from = File::open(file)?;
    let mut to = private_file::create(new)?;
    io::copy(&mut from, &mut to)?;
    to.sync_all()?;
    Ok(FileIdentity::from(&to.metadata()?))
}

/// Checks that a copy is an intact Tokenhouse database and contains nothing else.
fn check(copy: &DatabaseConfig) -> Result<(), StoreError> {
    let not_ours = |_error| refused("the copy is not a database of Tokenhouse");
    let mut conn = Manager::new(&copy.url)
        .establish()
        .map_err(|_error| refused("the copy is not an SQLite database, or is damaged"))?;
    // Before any other query: the triggers and views are still untrusted.
    let comparison = schema_check::compare(&mut conn).map_err(|error| match error {
        StoreError::Migration(_) => error,
        _ => not_ours(error),
    })?;
    if let SchemaComparison::Differs(differences) = comparison {
        let differences = differences.join("; ");
        return Err(refused(&format!(
            "the schema of the copy is not Tokenhouse's: {differences}"
        )));
    }
    let damaged = |_error| refused("the copy is damaged");
    let found: Vec<Integrity> = diesel::sql_query("PRAGMA integrity_check(1)")
        .load(&mut conn)
        .map_err(damaged)?;
    if found.iter().any(|row| row.integrity_check != "ok") {
        return Err(refused("the copy is damaged"));
    }
    let orphans: Vec<Orphan> = diesel::sql_query("PRAGMA foreign_key_check")
        .load(&mut conn)
        .map_err(damaged)?;
    match orphans.first() {
        Some(Orphan { table }) => Err(refused(&format!(
            "the copy has rows in {table} that belong to no user"
        ))),
        None => Ok(()),
    }
}

/// Ends the write-ahead log of a database, which works only if no other connection is open, and
/// locks out all others while the returned connection is open.
fn checkpoint_and_lock(path: &Path) -> Result<StoreConnection, StoreError> {
    let manager = Manager::new(&DatabaseUrl::Sqlite(path.to_owned()));
    let mut conn = manager.establish().map_err(|_error| {
        refused("the existing database cannot be opened: move it and its -wal file away")
    })?;
    conn.batch_execute("PRAGMA journal_mode = DELETE")
        .and_then(|()| conn.batch_execute("BEGIN EXCLUSIVE"))
        .map_err(|_error| refused("a service is running on the database: stop it first"))?;
    Ok(conn)
}

fn remove_with_sidecars(database: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        // Not all of them exist.
        let _ = fs::remove_file(sidecar_path(database, suffix));
    }
}

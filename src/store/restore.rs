//! Putting a copy in the place of an SQLite database. All that has to be done to the copy is done
//! beside the database; a rename ends it. Postgres has its own tools for that.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::StoreError;
use super::backup::{failed, refused};
use super::connection::{Manager, StoreConnection};
use super::file::{FileIdentity, sidecar_path, sync_folder_of};
use super::schema_check::{self, SchemaComparison};
use super::sequence::Sequence;
use crate::config::{DatabaseConfig, DatabaseUrl};
use crate::private_file;

/// How long the connections to the copy may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// A checked copy beside the database whose place it takes. Removed when it is dropped before that.
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
    /// The last ids that it has given out; `None` when it is too damaged to say.
    pub sequences: Option<Vec<Sequence>>,
    /// The id and the digest of its last event; `None` when it is too damaged to say.
    pub last_event: Option<(i64, String)>,
}

/// Events that are in the replaced database and not in the copy.
#[derive(Debug, QueryableByName)]
pub struct LostEvents {
    /// What was done.
    #[diesel(sql_type = Text)]
    pub action: String,
    /// How often.
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
    /// Copies a file to beside the database of the settings and checks it. Takes the database that
    /// is there out of use, if `replace` is set. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Backup`] for Postgres, when the copy is not whole, or holds tables, triggers
    /// or views that are not Tokenhouse's, when there is a database and `replace` is not set, when
    /// it is in use, or when a file cannot be written. The database is as it was then.
    pub fn new(config: &DatabaseConfig, file: &Path, replace: bool) -> Result<Self, StoreError> {
        let Some(target) = config.url.sqlite_path() else {
            return Err(refused(
                "for Postgres, use pg_restore, and then tokenhouse after-restore",
            ));
        };
        // Where a link leads to is replaced, and not the link.
        let target = match fs::canonicalize(target) {
            Ok(_) if !replace => {
                let reason = "there is a database already: --replace replaces it";
                return Err(refused(reason));
            }
            Ok(real) => real,
            Err(_) if fs::symlink_metadata(target).is_ok() => {
                return Err(refused("DATABASE_URL names a link that leads nowhere"));
            }
            Err(_) => std::path::absolute(target).map_err(|error| failed(&error))?,
        };
        refuse_part_of_a_database(file, &target)?;
        let staged = sidecar_path(&target, ".restoring");
        remove_with_log(&staged);
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
            copy.replaced = Some(ReplacedDatabase::take(&copy.target)?);
        }
        Ok(copy)
    }

    /// The settings of the copy where it is now.
    pub fn database(&self) -> &DatabaseConfig {
        &self.database
    }

    /// What the copy takes the place of, if there is anything.
    pub fn replaced(&mut self) -> Option<&mut ReplacedDatabase> {
        self.replaced.as_mut()
    }

    /// Puts the copy in its place. Nothing may have it open any more. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Backup`]: the database is as it was, unless it was the sync of the folder that
    /// failed at last.
    pub fn put_in_place(self) -> Result<(), StoreError> {
        let begun = Instant::now();
        // The last connection may still be closing.
        while let Err(error) = end_log(&self.staged) {
            if begun.elapsed() > CLOSE_TIMEOUT {
                return Err(error);
            }
            thread::sleep(Duration::from_millis(20));
        }
        let file = File::open(&self.staged).map_err(|error| failed(&error))?;
        let about = file.metadata().map_err(|error| failed(&error))?;
        if FileIdentity::from(&about) != self.identity {
            return Err(refused("the copy was replaced while it was prepared"));
        }
        file.sync_all().map_err(|error| failed(&error))?;
        for suffix in ["-wal", "-shm"] {
            let _there_or_not = fs::remove_file(sidecar_path(&self.target, suffix));
        }
        fs::rename(&self.staged, &self.target).map_err(|error| failed(&error))?;
        sync_folder_of(&self.target).map_err(|error| failed(&error))
    }
}

impl Drop for StagedCopy {
    fn drop(&mut self) {
        remove_with_log(&self.staged);
    }
}

impl ReplacedDatabase {
    /// Checkpoints the log of a database and locks out all other processes.
    fn take(path: &Path) -> Result<Self, StoreError> {
        let mut conn = end_log(path)?;
        Ok(Self {
            sequences: Sequence::list(&mut conn).ok(),
            last_event: last_event(&mut conn).ok(),
            conn,
        })
    }

    /// What happened in this database after the event of the copy that has this id and digest.
    /// `None` when that event is not in it, so that the copy is not of this database.
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

/// A file that has a log beside it is only a part of a database, and so is the one that is there.
fn refuse_part_of_a_database(file: &Path, target: &Path) -> Result<(), StoreError> {
    let file = fs::canonicalize(file).map_err(|error| failed(&error))?;
    if file == target {
        return Err(refused("the copy is the database itself"));
    }
    let log = fs::metadata(sidecar_path(&file, "-wal"));
    if log.is_ok_and(|log| log.len() > 0) {
        return Err(refused(
            "the file has a log beside it (-wal) that holds a part of it, so it is no copy that \
             tokenhouse backup has made",
        ));
    }
    Ok(())
}

/// Copies what is in a file into a new one of ours, which does not take over its mode.
fn copy_into(file: &Path, new: &Path) -> io::Result<FileIdentity> {
    let mut from = File::open(file)?;
    let mut to = private_file::create(new)?;
    io::copy(&mut from, &mut to)?;
    to.sync_all()?;
    Ok(FileIdentity::from(&to.metadata()?))
}

/// Whether a copy is a database of ours, holds nothing else, and is whole.
fn check(copy: &DatabaseConfig) -> Result<(), StoreError> {
    let no_database = |_error| refused("the copy is no database of Tokenhouse");
    let mut conn = Manager::new(&copy.url)
        .establish()
        .map_err(|_error| refused("the copy is no database, or is damaged"))?;
    // Before anything else is asked: what a trigger or a view does is not known yet.
    let comparison = schema_check::compare(&mut conn).map_err(|error| match error {
        StoreError::Migration(_) => error,
        _ => no_database(error),
    })?;
    if let SchemaComparison::Differs(differences) = comparison {
        let all = differences.join("; ");
        return Err(refused(&format!(
            "the copy is not as Tokenhouse makes it: {all}"
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

/// Ends the write-ahead log of a database, which works when nothing else has it open, and keeps
/// everything else out of it as long as the connection is there.
fn end_log(path: &Path) -> Result<StoreConnection, StoreError> {
    let manager = Manager::new(&DatabaseUrl::Sqlite(path.to_owned()));
    let mut conn = manager.establish().map_err(|_error| {
        refused("the database that is there cannot be opened: move it away, and its -wal with it")
    })?;
    conn.batch_execute("PRAGMA journal_mode = DELETE")
        .and_then(|()| conn.batch_execute("BEGIN EXCLUSIVE"))
        .map_err(|_error| refused("a service is running on the database: stop it first"))?;
    Ok(conn)
}

fn remove_with_log(database: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let _there_or_not = fs::remove_file(sidecar_path(database, suffix));
    }
}

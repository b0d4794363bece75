//! Another program's SQLite file, read without a trace: neither the file nor a file beside it is created
//! or changed, whichever user owns them.
//!
//! SQLite creates `-wal` and `-shm` beside a database in WAL mode even when it only reads, and a process
//! of another user could not write any more. So such a file is read in place only while no process has it
//! open, and otherwise from a private copy.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process;

use diesel::connection::SimpleConnection;
use diesel::{Connection, ConnectionError, SqliteConnection};

use super::error::sqlite_message;
use super::sqlite_file::{READ_ONLY, open_read_only, sidecar_path, sqlite_uri};
use crate::private_file::{self, reason};

/// The size of the part of an SQLite file that describes it, and what it begins with.
const HEADER: usize = 100;
const MAGIC: &[u8] = b"SQLite format 3\0";

/// The number of copies of a file that another program keeps changing.
const MAX_COPIES: usize = 5;

/// Begins a transaction, so that another program's commit is not seen half.
const BEGIN: &str = "BEGIN; SELECT name FROM sqlite_master LIMIT 1";

/// The state of a file that was opened in place although nothing prevents changes to it.
#[derive(Debug)]
pub(super) struct Watched {
    path: PathBuf,
    state: Vec<Option<State>>,
}

/// The size of a file and the time of its last change.
type State = (u64, i64, i64);

impl Watched {
    fn new(path: &Path) -> Result<Self, String> {
        let state = state(path).map_err(|error| error.kind().to_string())?;
        Ok(Self {
            path: path.to_owned(),
            state,
        })
    }

    /// Whether the file is as it was.
    pub(super) fn is_unchanged(&self) -> bool {
        state(&self.path).is_ok_and(|state| state == self.state)
    }
}

/// The states of a database and the files beside it.
fn state(path: &Path) -> io::Result<Vec<Option<State>>> {
    let paths = ["", "-wal", "-journal"].map(|suffix| sidecar_path(path, suffix));
    let states = paths.iter().map(|path| match fs::metadata(path) {
        Ok(file) => Ok(Some((file.len(), file.mtime(), file.mtime_nsec()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    });
    states.collect()
}

/// Opens a file. The second value has to be checked after reading.
///
/// # Errors
/// Why it cannot be read: the system's or SQLite's own reason.
pub(super) fn open(path: &Path) -> Result<(SqliteConnection, Option<Watched>), String> {
    // SQLite keeps its files beside the target of a link.
    let path = fs::canonicalize(path).map_err(|error| reason(&error))?;
    let size_of = |suffix| fs::metadata(sidecar_path(&path, suffix)).map(|file| file.len());
    if !is_in_wal_mode(&path)? {
        return match connect(&path, "mode=ro") {
            Ok(conn) => Ok((conn, None)),
            // A change was interrupted, and is rolled back by the next program that may write.
            Err(problem)
                if !is_locked(&problem) && size_of("-journal").is_ok_and(|size| size > 0) =>
            {
                copy(&path).map(|conn| (conn, None))
            }
            Err(problem) => Err(problem),
        };
    }
    if size_of("-wal").is_ok() || size_of("-shm").is_ok() {
        return copy(&path).map(|conn| (conn, None));
    }
    let watched = Watched::new(&path)?;
    let conn = connect(&path, "immutable=1")?;
    Ok((conn, Some(watched)))
}

/// Whether the file is in WAL mode. The caller has no other connection to it: closing a file drops the
/// process's locks on it.
fn is_in_wal_mode(path: &Path) -> Result<bool, String> {
    let file = File::open(path).map_err(|error| reason(&error))?;
    let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    if !is_file {
        return Err("not a regular file".to_owned());
    }
    let mut header = Vec::new();
    file.take(HEADER as u64)
        .read_to_end(&mut header)
        .map_err(|error| reason(&error))?;
    if header.is_empty() {
        // SQLite takes it for a database without tables.
        return Ok(false);
    }
    if !header.starts_with(MAGIC) {
        return Err("not an SQLite file: it begins with other bytes".to_owned());
    }
    // The versions of the format for writing and reading.
    Ok(header
        .get(18..20)
        .is_some_and(|versions| versions.contains(&2)))
}

fn connect(path: &Path, access: &str) -> Result<SqliteConnection, String> {
    let mut conn = open_read_only(path, access).map_err(|error| describe(&error))?;
    conn.batch_execute(BEGIN)
        .map_err(|error| describe(&ConnectionError::CouldntSetupConfiguration(error)))?;
    Ok(conn)
}

/// Opens a private copy, which exists only until it is open.
fn copy(path: &Path) -> Result<SqliteConnection, String> {
    let folder = PrivateFolder::new()?;
    let target = folder.0.join("source.db");
    let failed = |error: io::Error| {
        let folder = std::env::temp_dir();
        format!(
            "cannot be copied to {}: {}",
            folder.display(),
            reason(&error)
        )
    };
    for _ in 0..MAX_COPIES {
        let before = Watched::new(path)?;
        for suffix in ["", "-wal", "-journal"] {
            let target = sidecar_path(&target, suffix);
            match copy_file(&sidecar_path(path, suffix), &target) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::NotFound && !suffix.is_empty() => {}
                Err(error) => return Err(failed(error)),
            }
        }
        // Commits only add to the `-wal`, and its checksums tell which are complete.
        let is_whole = state(path).is_ok_and(|after| {
            let is_kept = |index: usize| after.get(index) == before.state.get(index);
            let lengths = [&before.state, &after].map(|state| state[1].map(|(size, ..)| size));
            is_kept(0) && is_kept(2) && lengths[0] <= lengths[1]
        });
        if is_whole {
            // Without the index in shared memory, which would be a file.
            let uri = sqlite_uri(&target, "mode=rw");
            let mut conn = SqliteConnection::establish(&uri).map_err(|error| describe(&error))?;
            let exclusive =
                "PRAGMA locking_mode = EXCLUSIVE; SELECT name FROM sqlite_master LIMIT 1";
            conn.batch_execute(exclusive)
                .and_then(|()| conn.batch_execute(READ_ONLY))
                .and_then(|()| conn.batch_execute(BEGIN))
                .map_err(|error| describe(&ConnectionError::CouldntSetupConfiguration(error)))?;
            return Ok(conn);
        }
    }
    Err("is being changed by another program; stop it, or import a backup".to_owned())
}

/// Copies a file, in place of an earlier copy.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    match fs::remove_file(to) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut from = File::open(from)?;
    io::copy(&mut from, &mut private_file::create(to)?).map(drop)
}

/// A folder for this user only, which is removed with all it contains.
struct PrivateFolder(PathBuf);

impl PrivateFolder {
    fn new() -> Result<Self, String> {
        let name = format!(
            "tokenhouse-import-{}-{:016x}",
            process::id(),
            rand::random::<u64>()
        );
        let path = std::env::temp_dir().join(name);
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| format!("{}: {}", path.display(), reason(&error)))?;
        Ok(Self(path))
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn is_locked(problem: &str) -> bool {
    problem.starts_with("is locked")
}

fn describe(error: &ConnectionError) -> String {
    match sqlite_message(error) {
        "database is locked" => {
            "is locked by another program; stop it, or import a copy".to_owned()
        }
        other => other.to_owned(),
    }
}

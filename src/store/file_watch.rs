//! Detects and handles a replacement of the SQLite database's files while they are open.
//!
//! A process keeps using a file that was moved, replaced or removed, and would continue with a
//! database that no other process sees. SQLite never replaces the files while a connection is open,
//! so such a change always comes from another program. The process cannot recover: it must exit,
//! and start again with the files as they are.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use diesel::connection::SimpleConnection;

use super::principal_cache::open_permanently;
use super::sqlite_file::{FileIdentity, sidecar_path};
use super::{Store, StoreError};
use crate::private_file::reason;

/// How often the files are checked.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The size of the header of a database.
const HEADER: usize = 100;

/// The files, and the problem that was found.
pub(super) struct FileWatch {
    database: PathBuf,
    /// The database file, its log and its shared memory.
    files: Vec<(PathBuf, FileIdentity)>,
    /// The database file and its shared memory, if there is one.
    open: Option<(&'static File, &'static File)>,
    content: Mutex<Option<Content>>,
    /// Set once and never reset.
    problem: OnceLock<String>,
    /// Whether the contents of the database file have changed, and not only its modification time.
    is_overwritten: AtomicBool,
}

/// What to do with the log when a process releases the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WalAction {
    /// Write it back into the database that it belongs to.
    WriteBack,
    /// Rename it: SQLite would replay it into a database that it does not belong to.
    MoveAside,
    /// Leave it as it is.
    Leave,
}

/// The properties of the database file that show whether another program has written to it. In WAL
/// mode only a checkpoint writes to it.
struct Content {
    checkpoint: Checkpoint,
    /// The modification time, in seconds and nanoseconds.
    modified: (i64, i64),
    length: u64,
    header: [u8; HEADER],
}

/// How far the log was written back, according to the shared memory
/// (<https://www.sqlite.org/walformat.html>, section 2.1.2).
#[derive(PartialEq, Eq)]
struct Checkpoint {
    /// The salts of the log: a restarted log has new ones.
    salts: [u8; 8],
    /// Frames that were written back.
    done: [u8; 4],
    /// Frames that a checkpoint is writing back, or was writing back when it was killed.
    attempted: [u8; 4],
}

impl FileWatch {
    /// Watches the files of a database that some connection has open. `database` is the file that
    /// the connections opened.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if a file cannot be read.
    pub(super) fn new(path: &Path, database: FileIdentity) -> Result<Self, StoreError> {
        let failed = |error: io::Error| {
            let path = path.display();
            StoreError::Unavailable(format!("{path}: {}", reason(&error)))
        };
        let mut files = vec![(path.to_owned(), database)];
        let real = path.canonicalize().map_err(failed)?;
        for suffix in ["-wal", "-shm"] {
            let file = sidecar_path(&real, suffix);
            match FileIdentity::from_path(&file) {
                Ok(identity) => files.push((file, identity)),
                // Without shared memory SQLite does not enter WAL mode, and has neither.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
        }
        let shared_memory = files.get(2).map(|(file, _)| open_permanently(file));
        let open = match shared_memory {
            Some(file) => Some((
                open_permanently(path).map_err(failed)?,
                file.map_err(failed)?,
            )),
            None => None,
        };
        Ok(Self {
            database: path.to_owned(),
            open,
            files,
            content: Mutex::new(None),
            problem: OnceLock::new(),
            is_overwritten: AtomicBool::new(false),
        })
    }

    /// The detected change of the files; `None` while they are the ones that were opened.
    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.get().map(String::as_str)
    }

    /// What to do with the log before the process ends.
    pub(super) fn wal_action(&self) -> WalAction {
        let has_its_name = |(file, opened): &(PathBuf, FileIdentity)| {
            FileIdentity::from_path(file).is_ok_and(|now| now == *opened)
        };
        let intact: Vec<bool> = self.files.iter().map(has_its_name).collect();
        match intact.as_slice() {
            // SQLite would replay it into the file that now has the name.
            [false, true, ..] => WalAction::WriteBack,
            // SQLite will not find it again. Without the shared memory, other processes may be
            // writing to the database at the same time.
            [true, false, true] => WalAction::WriteBack,
            [true, true, true] if self.is_overwritten.load(Ordering::Relaxed) => {
                WalAction::MoveAside
            }
            _ => WalAction::Leave,
        }
    }

    /// Renames the log.
    ///
    /// # Errors
    /// If the system refuses it.
    pub(super) fn move_wal_aside(&self) -> io::Result<()> {
        match self.files.get(1) {
            Some((wal, _)) => fs::rename(wal, sidecar_path(wal, ".separated")),
            None => Ok(()),
        }
    }

    /// Starts a thread that checks the files until `watch` is dropped elsewhere. When it detects a
    /// change, it calls `on_replaced` and ends.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(super) fn start(
        watch: &Arc<Self>,
        on_replaced: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let watch = Arc::downgrade(watch);
        let run = move || {
            while let Some(watch) = watch.upgrade() {
                if let Some(problem) = watch.check() {
                    let problem = watch.problem.get_or_init(|| problem);
                    log::error!("database: {problem}");
                    on_replaced();
                    return;
                }
                drop(watch);
                thread::sleep(POLL_INTERVAL);
            }
        };
        thread::Builder::new()
            .name("files".to_owned())
            .spawn(run)
            .map(drop)
    }

    /// Checks the files once.
    fn check(&self) -> Option<String> {
        for (file, opened) in &self.files {
            let change = match FileIdentity::from_path(file) {
                Ok(now) if now == *opened => continue,
                Ok(_other) => "was replaced".to_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => "was removed".to_owned(),
                Err(error) => format!("cannot be read ({})", reason(&error)),
            };
            return Some(self.describe(file, &change));
        }
        self.was_written_to()
            .then(|| self.describe(&self.database, "was written to by another program"))
    }

    fn describe(&self, file: &Path, change: &str) -> String {
        format!(
            "{} {change} while the database was open; stop all services before that, and use \
             tokenhouse restore",
            file.display()
        )
    }

    /// Whether the database file has changed without a checkpoint, as with `cp`, which keeps the
    /// file and overwrites its contents.
    fn was_written_to(&self) -> bool {
        let Some(now) = self.content() else {
            return false;
        };
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = content.replace(now) else {
            return false;
        };
        let Some(now) = content
            .as_ref()
            .filter(|now| now.checkpoint == last.checkpoint)
        else {
            return false;
        };
        let is_different = (now.length, now.header) != (last.length, last.header);
        self.is_overwritten
            .fetch_or(is_different, Ordering::Relaxed);
        is_different || now.modified != last.modified
    }

    /// `None` while a checkpoint is in progress: it announces its target before it writes, and its
    /// progress afterwards.
    fn content(&self) -> Option<Content> {
        let (database, shared_memory) = self.open?;
        let checkpoint = Checkpoint::read(shared_memory)?;
        let metadata = database.metadata().ok()?;
        let mut header = [0; HEADER];
        // A file that is now too short differs in its length.
        let _ = database.read_exact_at(&mut header, 0);
        let is_done = checkpoint.done == checkpoint.attempted;
        (is_done && Checkpoint::read(shared_memory)? == checkpoint).then(|| Content {
            checkpoint,
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            length: metadata.len(),
            header,
        })
    }
}

impl Checkpoint {
    fn read(shared_memory: &File) -> Option<Self> {
        let mut head = [0; 136];
        shared_memory.read_exact_at(&mut head, 0).ok()?;
        Some(Self {
            salts: head[32..40].try_into().ok()?,
            done: head[96..100].try_into().ok()?,
            attempted: head[128..132].try_into().ok()?,
        })
    }
}

impl Store {
    /// How another program has changed the files of the SQLite database; `None` while they are the
    /// ones that were opened, and on Postgres. A change is detected within a fraction of a second.
    /// From then on every operation fails permanently: the process must exit.
    pub fn files_problem(&self) -> Option<&str> {
        self.watch.as_ref()?.problem()
    }

    /// Prevents SQLite from replaying the log into a database that it does not belong to, and
    /// preserves a log that has lost its name. Call it at the end of the process, after
    /// [`Self::files_problem`] has returned one. Blocks.
    pub fn release_files(&self) {
        let Some(watch) = &self.watch else {
            return;
        };
        let is_safe = match watch.wal_action() {
            WalAction::Leave => true,
            WalAction::MoveAside => watch.move_wal_aside().is_ok(),
            // A connection of the pool still refers to the files that were opened.
            WalAction::WriteBack => self.pool.get().is_ok_and(|mut pooled| {
                let conn = &mut pooled.conn;
                conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")
                    .is_ok()
            }),
        };
        if !is_safe {
            log::warn!("database: the log is still next to a file that it does not belong to");
        }
    }
}

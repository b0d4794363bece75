//! Notices that the files of the SQLite database are no longer those that were opened.
//!
//! A process keeps a file that was moved, replaced or removed under its name, and would go on with
//! a database that no other process sees. Nothing that SQLite does changes which files they are
//! while a connection is open, so a change is always made by another program. The process cannot go
//! on from there: it has to end, and start with the files as they are.

use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use super::StoreError;
use super::file::{FileIdentity, beside};
use super::session::open_shared_memory;

/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// The files, and what was found about them.
pub(super) struct FileWatch {
    database: PathBuf,
    /// The file of the database, its log and its shared memory.
    files: Vec<(PathBuf, FileIdentity)>,
    shared_memory: Option<&'static fs::File>,
    content: Mutex<Option<Content>>,
    /// Set once, and for good.
    replaced: OnceLock<String>,
}

/// What of the file of the database says whether something else than SQLite has written to it. In
/// WAL mode only a checkpoint writes to it.
#[derive(PartialEq, Eq)]
struct Content {
    checkpoint: Checkpoint,
    /// The length, and the time of the last change in seconds and nanoseconds.
    changed: (u64, i64, i64),
}

/// How far the log was written back, as the shared memory has it
/// (<https://www.sqlite.org/walformat.html>, section 2.1.2).
#[derive(PartialEq, Eq)]
struct Checkpoint {
    /// The salts of the log: another run of it has others.
    salts: [u8; 8],
    /// Frames that were written back.
    done: [u8; 4],
    /// Frames that a checkpoint means to write back, or meant to when it was killed.
    attempted: [u8; 4],
}

impl FileWatch {
    /// The files of a database, which some connection must have open. `database` is the file that
    /// the connections were made to.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when a file cannot be looked at.
    pub(super) fn new(path: &Path, database: FileIdentity) -> Result<Self, StoreError> {
        let failed = |error: io::Error| {
            let path = path.display();
            StoreError::Unavailable(format!("{path}: {}", error.kind()))
        };
        let mut files = vec![(path.to_owned(), database)];
        let real = path.canonicalize().map_err(failed)?;
        for suffix in ["-wal", "-shm"] {
            let file = beside(&real, suffix);
            match FileIdentity::of(&file) {
                Ok(identity) => files.push((file, identity)),
                // Without shared memory SQLite stays out of WAL mode, and has neither.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(Self {
            database: path.to_owned(),
            shared_memory: open_shared_memory(path).ok(),
            files,
            content: Mutex::new(None),
            replaced: OnceLock::new(),
        })
    }

    /// What has happened to the files; `None` while they are those that were opened.
    pub(super) fn problem(&self) -> Option<&str> {
        self.replaced.get().map(String::as_str)
    }

    /// Whether what stands in the log has to be written back before the process ends: when the log
    /// has lost its name, because nothing finds it again, and when only the database has, because
    /// SQLite would read it as the log of the file that has the name now.
    pub(super) fn is_log_separated(&self) -> bool {
        let has_its_name = |(file, opened): &(PathBuf, FileIdentity)| {
            FileIdentity::of(file).is_ok_and(|now| now == *opened)
        };
        let have: Vec<bool> = self.files.iter().map(has_its_name).collect();
        // Without the shared memory, other processes may be writing to the database beside this one.
        matches!(have.as_slice(), [false, true, ..] | [true, false, true])
    }

    /// Looks at the files until `watch` is dropped elsewhere, or something has happened to them.
    /// `when_replaced` is called then, at most once.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        watch: &Arc<Self>,
        when_replaced: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let watch = Arc::downgrade(watch);
        let run = move || {
            while let Some(watch) = watch.upgrade() {
                if let Some(problem) = watch.look() {
                    let problem = watch.replaced.get_or_init(|| problem);
                    log::error!("database: {problem}");
                    when_replaced();
                    return;
                }
                drop(watch);
                thread::sleep(LOOK_INTERVAL);
            }
        };
        thread::Builder::new()
            .name("files".to_owned())
            .spawn(run)
            .map(drop)
    }

    /// One look at the files.
    fn look(&self) -> Option<String> {
        for (file, opened) in &self.files {
            let happened = match FileIdentity::of(file) {
                Ok(now) if now == *opened => continue,
                Ok(_other) => "was replaced".to_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => "was removed".to_owned(),
                Err(error) => format!("cannot be looked at ({})", error.kind()),
            };
            return Some(self.describe(file, &happened));
        }
        self.is_overwritten()
            .then(|| self.describe(&self.database, "was written to by another program"))
    }

    fn describe(&self, file: &Path, happened: &str) -> String {
        format!(
            "{} {happened} while the database was open; stop all services before that, and use \
             tokenhouse restore",
            file.display()
        )
    }

    /// Whether the file of the database has changed without a checkpoint, as by `cp`, which keeps
    /// the file and replaces what is in it.
    fn is_overwritten(&self) -> bool {
        let Some(before) = self.checkpoint() else {
            return false;
        };
        let Ok(about) = fs::metadata(&self.database) else {
            return false;
        };
        // A checkpoint says what it means to do before it writes, and that it is done after.
        if before.done != before.attempted || self.checkpoint().as_ref() != Some(&before) {
            return false;
        }
        let now = Content {
            checkpoint: before,
            changed: (about.len(), about.mtime(), about.mtime_nsec()),
        };
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        let is_overwritten = content
            .as_ref()
            .is_some_and(|last| last.checkpoint == now.checkpoint && last.changed != now.changed);
        *content = Some(now);
        is_overwritten
    }

    fn checkpoint(&self) -> Option<Checkpoint> {
        let mut head = [0; 136];
        self.shared_memory?.read_exact_at(&mut head, 0).ok()?;
        Some(Checkpoint {
            salts: head[32..40].try_into().ok()?,
            done: head[96..100].try_into().ok()?,
            attempted: head[128..132].try_into().ok()?,
        })
    }
}

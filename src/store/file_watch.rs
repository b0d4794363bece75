//! Notices that the files of the SQLite database are no longer those that were opened.
//!
//! A process keeps a file that was moved, replaced or removed under its name, and would go on with
//! a database that no other process sees. Nothing that SQLite does changes which files they are
//! while a connection is open, so a change is always made by another program. The process cannot go
//! on from there: it has to end, and start with the files as they are.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use super::StoreError;
use super::file::{FileIdentity, sidecar_path};
use super::principal_cache::open_permanently;

/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// The bytes of the header of a database.
const HEADER: usize = 100;

/// The files, and what was found about them.
pub(super) struct FileWatch {
    database: PathBuf,
    /// The file of the database, its log and its shared memory.
    files: Vec<(PathBuf, FileIdentity)>,
    /// The file of the database and its shared memory, where there is any.
    open: Option<(&'static File, &'static File)>,
    content: Mutex<Option<Content>>,
    /// Set once, and for good.
    replaced: OnceLock<String>,
    /// Whether there is other content in the file of the database, and not only another time.
    is_overwritten: AtomicBool,
}

/// What becomes of the log when a process lets go of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Log {
    /// It is written back into the database that it belongs to.
    WriteBack,
    /// It is put aside: SQLite would read it into a database that it does not belong to.
    PutAside,
    /// It stays as it is.
    Leave,
}

/// What of the file of the database says whether something else than SQLite has written to it. In
/// WAL mode only a checkpoint writes to it.
struct Content {
    checkpoint: Checkpoint,
    /// The time of the last change, in seconds and nanoseconds.
    modified: (i64, i64),
    length: u64,
    header: [u8; HEADER],
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
            let file = sidecar_path(&real, suffix);
            match FileIdentity::of(&file) {
                Ok(identity) => files.push((file, identity)),
                // Without shared memory SQLite stays out of WAL mode, and has neither.
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
            replaced: OnceLock::new(),
            is_overwritten: AtomicBool::new(false),
        })
    }

    /// What has happened to the files; `None` while they are those that were opened.
    pub(super) fn problem(&self) -> Option<&str> {
        self.replaced.get().map(String::as_str)
    }

    /// What has to become of the log before the process ends.
    pub(super) fn log(&self) -> Log {
        let has_its_name = |(file, opened): &(PathBuf, FileIdentity)| {
            FileIdentity::of(file).is_ok_and(|now| now == *opened)
        };
        let have: Vec<bool> = self.files.iter().map(has_its_name).collect();
        match have.as_slice() {
            // SQLite would read it as the log of the file that has the name now.
            [false, true, ..] => Log::WriteBack,
            // Nothing finds it again. Without the shared memory, other processes may be writing to
            // the database beside this one.
            [true, false, true] => Log::WriteBack,
            [true, true, true] if self.is_overwritten.load(Ordering::Relaxed) => Log::PutAside,
            _ => Log::Leave,
        }
    }

    /// Takes the log its name.
    ///
    /// # Errors
    /// When the system does not let us.
    pub(super) fn put_log_aside(&self) -> io::Result<()> {
        match self.files.get(1) {
            Some((log, _)) => fs::rename(log, sidecar_path(log, ".separated")),
            None => Ok(()),
        }
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
        self.is_written_to()
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
    fn is_written_to(&self) -> bool {
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
        let is_other = (now.length, now.header) != (last.length, last.header);
        self.is_overwritten.fetch_or(is_other, Ordering::Relaxed);
        is_other || now.modified != last.modified
    }

    /// `None` while a checkpoint is under way: it says what it means to do before it writes, and that
    /// it is done after.
    fn content(&self) -> Option<Content> {
        let (database, shared_memory) = self.open?;
        let checkpoint = Checkpoint::read(shared_memory)?;
        let about = database.metadata().ok()?;
        let mut header = [0; HEADER];
        // A file that has become too short for it differs in its length.
        let _read_or_cut = database.read_exact_at(&mut header, 0);
        let is_done = checkpoint.done == checkpoint.attempted;
        (is_done && Checkpoint::read(shared_memory)? == checkpoint).then(|| Content {
            checkpoint,
            modified: (about.mtime(), about.mtime_nsec()),
            length: about.len(),
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

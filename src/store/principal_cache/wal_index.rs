//! The header of SQLite's wal-index, which changes with every commit by any process.
//!
//! A database in WAL mode has a sidecar file, `-shm`, that all its connections share. A writer
//! changes the header in that file before its COMMIT returns, and increments a counter in it
//! (<https://www.sqlite.org/walformat.html>, section 2.1). In addition to the counter the header
//! contains the salts of the log, which are random for each log, and the last frame and its
//! checksum, so two states that have a counter and salts never look the same. A recreated header
//! has neither: after a recovery the counter begins at 0, and without a log there are no salts. In
//! that case the state cannot be identified. Reading these 48 bytes takes a fraction of a
//! microsecond and no lock.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};

use crate::store::sqlite_file::sidecar_path;

/// The first of the two equal copies of the header; a writer changes it last.
pub(super) type Header = [u8; 48];

/// Offsets of the commit counter, of the byte that says whether the header is initialized, and of
/// the salts: `iChange`, `isInit` and `aSalt` of `WalIndexHdr`.
const COUNT: Range<usize> = 8..12;
const IS_INIT: usize = 12;
const SALTS: Range<usize> = 32..40;

/// The current state of the database file, and the state that the cache reflects.
pub(super) struct WalIndex {
    file: Option<&'static File>,
    cached: RwLock<Header>,
}

impl WalIndex {
    /// Opens the wal-index of a database. A connection must have the database open, and keep it
    /// open: the last connection to close deletes the file.
    pub(super) fn open(database: Option<&Path>) -> Self {
        let no_file = io::Error::from(io::ErrorKind::NotFound);
        let file = database.ok_or(no_file).and_then(open_shared);
        if let Err(error) = &file {
            log::warn!(
                "database: the wal-index cannot be read ({}), so principals are not cached",
                error.kind()
            );
        }
        Self {
            file: file.ok(),
            cached: RwLock::new([0; 48]),
        }
    }

    /// The current state of the file; `None` if it cannot be identified. Equal to an earlier one
    /// only if nothing was committed in between.
    pub(super) fn current_state(&self) -> Option<Header> {
        let mut header = [0; 48];
        self.file?.read_exact_at(&mut header, 0).ok()?;
        identifies_a_state(&header).then_some(header)
    }

    /// Whether the file can be read but its state cannot be identified before the next commit.
    pub(super) fn is_unidentified(&self) -> bool {
        self.file.is_some() && self.current_state().is_none()
    }

    /// The state that the cache reflects.
    pub(super) fn cached_state(&self) -> Header {
        *self.cached.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the entries of the cache are true at `to`, unless the cache no longer reflects
    /// the state `from`: then another thread has advanced it. Returns whether it did.
    pub(super) fn advance(&self, from: &Header, to: Header) -> bool {
        let mut cached = self.cached.write().unwrap_or_else(PoisonError::into_inner);
        let is_same = *cached == *from;
        if is_same {
            *cached = to;
        }
        is_same
    }
}

/// Whether one commit leads from one state to the other, by whichever process, if there was any commit
/// in between.
pub(super) fn is_next(before: &Header, after: &Header) -> bool {
    let count = |header: &Header| {
        let mut count = [0; 4];
        count.copy_from_slice(&header[COUNT]);
        u32::from_ne_bytes(count)
    };
    after[SALTS] == before[SALTS] && count(after) == count(before).wrapping_add(1)
}

fn identifies_a_state(header: &Header) -> bool {
    let is_set = |range: Range<usize>| header[range].iter().any(|byte| *byte != 0);
    header[IS_INIT] != 0 && is_set(COUNT) && is_set(SALTS)
}

/// Opens the wal-index of a database.
fn open_shared(database: &Path) -> io::Result<&'static File> {
    open_permanently(&sidecar_path(&fs::canonicalize(database)?, "-shm"))
}

/// Opens one of the files of a database once per process, and never closes it. Closing it would
/// drop the locks that SQLite holds on it in this process, regardless of which descriptor took them
/// (POSIX, `fcntl`), and the next writer would corrupt the database.
pub(in crate::store) fn open_permanently(path: &Path) -> io::Result<&'static File> {
    static OPEN: Mutex<Option<HashMap<(u64, u64), &'static File>>> = Mutex::new(None);
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let open = open.get_or_insert_default();
    let metadata = fs::metadata(path)?;
    let identity = (metadata.dev(), metadata.ino());
    if let Some(file) = open.get(&identity) {
        return Ok(file);
    }
    let file: &'static File = Box::leak(Box::new(File::open(path)?));
    open.insert(identity, file);
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_without_counter_or_salts_identifies_no_state() {
        let mut header = [0; 48];
        for byte in [IS_INIT, COUNT.start, SALTS.start + 5] {
            assert!(!identifies_a_state(&header));
            header[byte] = 1;
        }
        assert!(identifies_a_state(&header));
        header[COUNT].fill(0);
        assert!(!identifies_a_state(&header));
    }
}

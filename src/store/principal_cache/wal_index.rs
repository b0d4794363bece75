//! The header of SQLite's wal-index, which changes with every commit by whatever process.
//!
//! A database in WAL mode has a file beside it, `-shm`, that all its connections share. A writer
//! changes the header in it before its COMMIT returns, and counts up in it
//! (<https://www.sqlite.org/walformat.html>, section 2.1). Beside the count stand the salts of the
//! log, random for each log, and the last frame and its checksum, so two states that have a count
//! and salts do not look the same. A header that was created again has neither: after a recovery the
//! count begins at 0, and without a log there are no salts. Then the state cannot be told. Reading
//! those 48 bytes costs a fraction of a microsecond and takes no lock.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};

use crate::store::file::beside;

/// The first of the two equal copies of the header; a writer changes it last.
pub(super) type Header = [u8; 48];

/// Where the header has the count of commits, whether it was made at all, and the salts: `iChange`,
/// `isInit` and `aSalt` of `WalIndexHdr`.
const COUNT: Range<usize> = 8..12;
const IS_MADE: usize = 12;
const SALTS: Range<usize> = 32..40;

/// The state of the database file now, and the state that the memory stands for.
pub(super) struct WalIndex {
    file: Option<&'static File>,
    remembered: RwLock<Header>,
}

impl WalIndex {
    /// Opens the wal-index of a database, which some connection must have open, and keep open:
    /// the last one to go takes the file with it.
    pub(super) fn open(database: Option<&Path>) -> Self {
        let no_file = io::Error::from(io::ErrorKind::NotFound);
        let file = database.ok_or(no_file).and_then(open_shared);
        if let Err(error) = &file {
            log::warn!(
                "database: the wal-index cannot be read ({}), so no session is remembered",
                error.kind()
            );
        }
        Self {
            file: file.ok(),
            remembered: RwLock::new([0; 48]),
        }
    }

    /// The state of the file, `None` when it cannot be told. Equal to an earlier one only if
    /// nothing was committed in between.
    pub(super) fn now(&self) -> Option<Header> {
        let mut header = [0; 48];
        self.file?.read_exact_at(&mut header, 0).ok()?;
        identifies_a_state(&header).then_some(header)
    }

    /// Whether the file can be read and its state cannot be told until the next commit.
    pub(super) fn is_unidentified(&self) -> bool {
        self.file.is_some() && self.now().is_none()
    }

    /// The state that the memory stands for.
    pub(super) fn remembered(&self) -> Header {
        *self
            .remembered
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that what the memory holds was true at `header` or later.
    pub(super) fn remember(&self, header: Header) {
        *self
            .remembered
            .write()
            .unwrap_or_else(PoisonError::into_inner) = header;
    }
}

fn identifies_a_state(header: &Header) -> bool {
    let is_set = |range: Range<usize>| header[range].iter().any(|byte| *byte != 0);
    header[IS_MADE] != 0 && is_set(COUNT) && is_set(SALTS)
}

/// Opens the wal-index of a database.
fn open_shared(database: &Path) -> io::Result<&'static File> {
    open_for_good(&beside(&fs::canonicalize(database)?, "-shm"))
}

/// Opens one of the files of a database, once in a process, and never closes it: closing it would
/// drop the locks that SQLite holds on it in this process, whichever descriptor they were made
/// through (POSIX, `fcntl`), and the next writer would corrupt the database.
pub(in crate::store) fn open_for_good(path: &Path) -> io::Result<&'static File> {
    static OPEN: Mutex<Option<HashMap<(u64, u64), &'static File>>> = Mutex::new(None);
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let open = open.get_or_insert_default();
    let about = fs::metadata(path)?;
    let identity = (about.dev(), about.ino());
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
    fn a_header_without_a_count_or_salts_identifies_no_state() {
        let mut header = [0; 48];
        for byte in [IS_MADE, COUNT.start, SALTS.start + 5] {
            assert!(!identifies_a_state(&header));
            header[byte] = 1;
        }
        assert!(identifies_a_state(&header));
        header[COUNT].fill(0);
        assert!(!identifies_a_state(&header));
    }
}

//! The header of SQLite's wal-index, which changes with every commit by any process.
//!
//! A database in WAL mode has a sidecar file, `-shm`, that all its connections share. A writer
//! changes the header in that file before its COMMIT returns, and increments a counter in it
//! (<https://www.sqlite.org/walformat.html>, section 2.1). In addition to the counter the header
//! contains the salts of the log, which are random for each log, and the last frame and its
//! checksum, so two states that have a counter and salts never look the same. A recreated header
//! has neither: after a recovery the counter begins at 0, and without a log there are no salts. In
//! that case the state cannot be identified. The 48 bytes are read from memory that all processes
//! share, which takes a few nanoseconds, no lock and no system call.
//!
//! While a writer changes the header, some of its words may be read from before the commit and some
//! from after it. Such a mixture is never taken for an earlier state: the counter is among the first
//! words, and they are read in their order. If the counter is still that of the earlier state, the
//! commit had not returned when it was read, and what was true before the commit was true at that
//! moment. If it is that of a later state which has repeated the counter after a recovery, the last
//! frame and its checksum are read after it, and differ.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};

use shared_words::SharedWords;

use crate::store::sqlite_file::sidecar_path;

/// The first of the two equal copies of the header, `WalIndexHdr`, in words. A writer changes it
/// last.
pub(super) type Header = [u32; 12];

/// The words with the commit counter, with the byte that says whether the header is initialized, and
/// with the salts: `iChange`, `isInit` and `aSalt`.
const COUNT: usize = 2;
const IS_INIT: usize = 3;
const SALTS: Range<usize> = 8..10;

/// The current state of the database file, and the state that the cache reflects.
pub(super) struct WalIndex {
    current: Option<SharedWords<12>>,
    cached: RwLock<Header>,
}

impl WalIndex {
    /// Opens the wal-index of a database. A connection must have the database open, and keep it
    /// open: the last connection to close deletes the file.
    pub(super) fn open(database: Option<&Path>) -> Self {
        let no_file = io::Error::from(io::ErrorKind::NotFound);
        let current = database.ok_or(no_file).and_then(map);
        if let Err(error) = &current {
            log::warn!(
                "database: the wal-index cannot be read ({}), so principals are not cached",
                error.kind()
            );
        }
        Self {
            current: current.ok(),
            cached: RwLock::new([0; 12]),
        }
    }

    /// The current state of the file; `None` if it cannot be identified. Equal to an earlier one
    /// only if nothing was committed in between.
    pub(super) fn current_state(&self) -> Option<Header> {
        let header = self.current.as_ref()?.load();
        identifies_a_state(&header).then_some(header)
    }

    /// Whether the file can be read but its state cannot be identified before the next commit.
    pub(super) fn is_unidentified(&self) -> bool {
        self.current.is_some() && self.current_state().is_none()
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
    after[SALTS] == before[SALTS] && after[COUNT] == before[COUNT].wrapping_add(1)
}

fn identifies_a_state(header: &Header) -> bool {
    let [is_init, ..] = header[IS_INIT].to_ne_bytes();
    is_init != 0 && header[COUNT] != 0 && header[SALTS] != [0, 0]
}

/// Maps the header of the wal-index of a database. SQLite cuts the file only while no process has the
/// database open, and then to 3 bytes, so the words stay readable, and identify no state.
fn map(database: &Path) -> io::Result<SharedWords<12>> {
    let file = open_permanently(&sidecar_path(&fs::canonicalize(database)?, "-shm"))?;
    SharedWords::map(file)
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
    use diesel::connection::SimpleConnection;
    use diesel::prelude::*;
    use diesel::sqlite::SqliteConnection;
    use test_support::ScratchDir;

    use super::*;

    #[test]
    fn header_without_counter_or_salts_identifies_no_state() {
        let mut header = [0; 12];
        header[IS_INIT] = u32::from_ne_bytes([1, 0, 16, 0]);
        for word in [COUNT, SALTS.start + 1] {
            assert!(!identifies_a_state(&header));
            header[word] = 1;
        }
        assert!(identifies_a_state(&header));
        header[COUNT] = 0;
        assert!(!identifies_a_state(&header));
        header[COUNT] = 1;
        header[IS_INIT] = u32::from_ne_bytes([0, 1, 16, 0]);
        assert!(!identifies_a_state(&header));
    }

    #[test]
    fn counter_changes_with_each_commit_and_with_nothing_else() {
        let folder = ScratchDir::new("wal-index");
        let path = folder.join("t.db");
        let connect = || SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        let mut reader = connect();
        reader
            .batch_execute("PRAGMA journal_mode = WAL; CREATE TABLE t (x)")
            .unwrap();
        let wal_index = WalIndex::open(Some(&path));
        let mut before = wal_index.current_state().unwrap();
        for round in 0..200 {
            let mut writer = connect();
            writer.batch_execute("INSERT INTO t VALUES (1)").unwrap();
            if round % 20 == 0 {
                // The next commit begins a new log.
                writer
                    .batch_execute("PRAGMA wal_checkpoint(RESTART)")
                    .unwrap();
            }
            reader.batch_execute("SELECT COUNT(*) FROM t").unwrap();
            let after = wal_index.current_state().unwrap();
            // So no mixture of the two headers that has the new counter equals the old one.
            assert_ne!(before[COUNT], after[COUNT]);
            assert_eq!(wal_index.current_state(), Some(after));
            before = after;
        }
    }
}

//! Keeps the cache in use after a commit by this process, which knows whose credentials it has
//! changed. Without this, every commit costs a look-up that reads the log of changes.
//!
//! Inside the transaction no other process can commit. If the cache reflects the state of the file
//! then, it also reflects the state after the commit, except for the users of the change. After the
//! commit others may have committed too; two things show that:
//! - The counter in the header of the wal-index is more than one higher. New salts mean that the log
//!   was begun again, so the counters cannot be compared.
//! - `PRAGMA data_version` of this connection has changed. A transaction that has written nothing does
//!   not move the counter, and the next number is the commit of another process.
//!
//! In these cases the look-up thread reads the log, as after a commit by another process. The log
//! also contains what this process has changed: reading it later is harmless.

use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::entries::Entries;
use super::suspensions::Suspension;
use super::wal_index::{Header, WalIndex, is_next};
use crate::store::StoreConnection;
use crate::store::prepared::prepared;

/// A transaction by this process on SQLite.
pub(in crate::store) struct OwnCommit {
    wal_index: Arc<WalIndex>,
    entries: Arc<Entries>,
    user_ids: Vec<i64>,
    /// The state before the commit, which the cache reflects, and the connection's data version.
    before: Option<(Header, i64)>,
}

#[derive(QueryableByName)]
struct DataVersion {
    #[diesel(sql_type = BigInt)]
    data_version: i64,
}

impl OwnCommit {
    /// A transaction that changes only principals of these users.
    pub(super) fn new(wal_index: Arc<WalIndex>, entries: Arc<Entries>, user_ids: Vec<i64>) -> Self {
        Self {
            wal_index,
            entries,
            user_ids,
            before: None,
        }
    }

    /// Runs in the transaction, which holds the write lock.
    pub(super) fn before_commit(&mut self, conn: &mut StoreConnection) {
        let cached = self.wal_index.cached_state();
        let state = self.wal_index.current_state();
        self.before = state
            .filter(|state| *state == cached)
            .and_then(|state| Some((state, data_version(conn)?)));
    }

    /// Runs after the commit.
    pub(super) fn after_commit(&mut self, conn: &mut StoreConnection) {
        let Some((before, version)) = self.before.take() else {
            return;
        };
        let Some(after) = self.wal_index.current_state() else {
            return;
        };
        // The order matters: the data version covers all commits up to `after`.
        if is_next(&before, &after) && data_version(conn) == Some(version) {
            // From here on no entry of the users is used, and none is inserted that was read before
            // the commit. They need not be suspended earlier: the file has changed its state with
            // the commit, so the cache is not in use.
            drop(Suspension::new(&self.entries, &self.user_ids));
            self.wal_index.advance(&before, after);
        }
    }
}

/// Changes with every commit by another connection.
fn data_version(conn: &mut StoreConnection) -> Option<i64> {
    let StoreConnection::Sqlite(conn) = conn else {
        return None;
    };
    let row: QueryResult<DataVersion> = prepared("PRAGMA data_version").get_result(conn);
    row.ok().map(|row| row.data_version)
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;
    use diesel::sqlite::SqliteConnection;
    use test_support::ScratchDir;

    use super::*;

    /// A cache that reflects the state of a file, a connection to it, and another one that stands for
    /// another process.
    struct Fixture {
        wal_index: Arc<WalIndex>,
        conn: StoreConnection,
        other: SqliteConnection,
        _folder: ScratchDir,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = ScratchDir::new("own-commit");
            let file = folder.join("a.db");
            let connect = || SqliteConnection::establish(file.to_str().unwrap()).unwrap();
            let (mut conn, mut other) = (connect(), connect());
            conn.batch_execute("PRAGMA journal_mode = WAL; CREATE TABLE t (n INTEGER)")
                .unwrap();
            other.batch_execute("SELECT * FROM t").unwrap();
            let wal_index = Arc::new(WalIndex::open(Some(&file)));
            let state = wal_index.current_state().unwrap();
            assert!(wal_index.advance(&wal_index.cached_state(), state));
            Self {
                wal_index,
                conn: StoreConnection::Sqlite(conn),
                other,
                _folder: folder,
            }
        }

        /// Whether the cache stays in use after a transaction, and a commit by the other process
        /// right after it.
        fn stays_in_use(&mut self, work: &str, other: &str) -> bool {
            let entries = Arc::new(Entries::new(1 << 20));
            let mut own = OwnCommit::new(Arc::clone(&self.wal_index), entries, vec![1]);
            let begin = format!("BEGIN IMMEDIATE; {work}");
            self.conn.batch_execute(&begin).unwrap();
            own.before_commit(&mut self.conn);
            self.conn.batch_execute("COMMIT").unwrap();
            self.other.batch_execute(other).unwrap();
            own.after_commit(&mut self.conn);
            self.wal_index.current_state() == Some(self.wal_index.cached_state())
        }
    }

    const WRITE: &str = "INSERT INTO t VALUES (1)";

    #[test]
    fn cache_stays_in_use_after_a_commit_by_this_process_only() {
        let mut fixture = Fixture::new();
        assert!(fixture.stays_in_use(WRITE, ""));
        assert!(fixture.stays_in_use(WRITE, ""));
        assert!(fixture.stays_in_use("", ""));
        assert!(!fixture.stays_in_use(WRITE, WRITE));
        // Nor is a cache moved that has not caught up with the other process.
        assert!(!fixture.stays_in_use(WRITE, ""));
    }

    #[test]
    fn commit_by_another_process_is_not_taken_for_one_that_wrote_nothing() {
        assert!(!Fixture::new().stays_in_use("", WRITE));
    }

    #[test]
    fn new_log_is_not_compared_with_the_earlier_one() {
        let mut fixture = Fixture::new();
        assert!(fixture.stays_in_use(WRITE, "PRAGMA wal_checkpoint(RESTART)"));
        assert!(!fixture.stays_in_use(WRITE, ""));
    }
}

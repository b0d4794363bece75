//! Checkpoints SQLite's write-ahead log, so that it stays small.

use std::fs;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Integer;

use super::connection::BUSY_TIMEOUT;
use super::execute;
use super::{QUERY_TIMEOUT, Store, StoreConnection, StoreError};

/// A smaller log is not checkpointed here. SQLite itself writes it back at half of this size, but
/// restarts it only while no connection reads: with overlapping readers, such as backups and
/// reports, it grows without limit.
const WAL_SIZE_LIMIT: u64 = 8 << 20;

/// How long a checkpoint waits for readers, during which all writers wait too. With readers that
/// each take 100 ms, it needs 200 to 500 ms.
const READER_TIMEOUT: &str = "PRAGMA busy_timeout = 1000";

#[derive(QueryableByName)]
struct Checkpoint {
    #[diesel(sql_type = Integer)]
    busy: i32,
}

impl Store {
    /// Writes SQLite's log back into the database and empties it, if it is large. Returns false if
    /// readers were active for too long, so that retrying soon is pointless. Nothing is lost then,
    /// and readers are not disturbed. Does nothing on Postgres.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the database does not answer.
    pub async fn checkpoint_wal(&self) -> Result<bool, StoreError> {
        let size = |wal| fs::metadata(wal).map_or(0, |metadata| metadata.len());
        if self.wal.as_ref().map_or(0, size) <= WAL_SIZE_LIMIT {
            return Ok(true);
        }
        let checkpoint = |conn: &mut _| execute::run_query(conn, truncate_wal);
        self.run(QUERY_TIMEOUT, self.write_permit.as_ref(), checkpoint)
            .await
    }
}

/// Returns whether the log is empty now.
fn truncate_wal(conn: &mut StoreConnection) -> QueryResult<bool> {
    conn.batch_execute(READER_TIMEOUT)?;
    let outcome = diesel::sql_query("PRAGMA wal_checkpoint(TRUNCATE)").get_result(conn);
    conn.batch_execute(BUSY_TIMEOUT)?;
    outcome.map(|Checkpoint { busy }| busy == 0)
}

//! SQLite's write-ahead log, kept small.

use std::fs;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Integer;

use super::connection::BUSY_TIMEOUT;
use super::execute;
use super::{QUERY_TIMEOUT, Store, StoreConnection, StoreError};

/// A log of fewer bytes is left alone. SQLite writes it back by itself at half of this, but
/// begins it anew only when nobody reads at that moment: beside readers who take turns, such as
/// copies and reports, it grows for ever.
const LOG_ENOUGH: u64 = 8 << 20;

/// For so long readers are waited for, and everybody who writes waits too. Where each reads for 100 ms,
/// it takes 200 to 500.
const WAIT_FOR_READERS: &str = "PRAGMA busy_timeout = 1000";

#[derive(QueryableByName)]
struct Checkpoint {
    #[diesel(sql_type = Integer)]
    busy: i32,
}

impl Store {
    /// Writes SQLite's log back into the database and empties it, if it is large. Returns false when
    /// somebody has been reading for too long, so that it is not worth trying again soon. Nothing
    /// is lost then, and who reads is not disturbed. On Postgres there is nothing to do.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database does not answer.
    pub async fn trim_log(&self) -> Result<bool, StoreError> {
        let size = |log| fs::metadata(log).map_or(0, |about| about.len());
        if self.log.as_ref().map_or(0, size) <= LOG_ENOUGH {
            return Ok(true);
        }
        let trim = |conn: &mut _| execute::read(conn, empty);
        self.run(QUERY_TIMEOUT, self.writing.as_ref(), trim).await
    }
}

/// Whether the log is empty now.
fn empty(conn: &mut StoreConnection) -> QueryResult<bool> {
    conn.batch_execute(WAIT_FOR_READERS)?;
    let outcome = diesel::sql_query("PRAGMA wal_checkpoint(TRUNCATE)").get_result(conn);
    conn.batch_execute(BUSY_TIMEOUT)?;
    outcome.map(|Checkpoint { busy }| busy == 0)
}

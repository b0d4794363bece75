//! What becomes of a store whose SQLite files were replaced.

use diesel::connection::SimpleConnection;

use super::file_watch::Log;
use super::{Store, StoreError};

impl Store {
    /// What another program has done to the files of the SQLite database, so that they are not those
    /// any more that were opened; `None` while they are, and on Postgres. It is noticed within a
    /// fraction of a second. From then on everything fails, for good: the process has to end.
    pub fn files_problem(&self) -> Option<&str> {
        self.watch.as_ref()?.problem()
    }

    /// Sees to it that SQLite does not read its log into a database that it does not belong to, and
    /// that the log is not lost with its name. For the end of a process that was told of a
    /// [`Self::files_problem`]. Blocks.
    pub fn let_go_of_files(&self) {
        let Some(watch) = &self.watch else {
            return;
        };
        let is_done = match watch.log() {
            Log::Leave => true,
            Log::PutAside => watch.put_log_aside().is_ok(),
            // A connection that the pool still has is one to the files that were opened.
            Log::WriteBack => self.pool.get().is_ok_and(|mut pooled| {
                let conn = &mut pooled.conn;
                conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")
                    .is_ok()
            }),
        };
        if !is_done {
            log::warn!("database: the log is still beside a file that it does not belong to");
        }
    }

    pub(super) fn refuse_other_files(&self) -> Result<(), StoreError> {
        match self.files_problem() {
            Some(problem) => Err(StoreError::Unavailable(problem.to_owned())),
            None => Ok(()),
        }
    }
}

//! Look-ups on SQLite, and how the memory stays exact there.
//!
//! The memory stands for one state of the file, told by the header of the wal-index, and is used
//! only while the file is in that state. After a commit, whoever made it, the next look-up reads
//! the log that the triggers of the migrations keep and forgets what is in it; then the memory
//! stands for the new state.

use std::sync::Arc;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Integer;
use diesel::sqlite::SqliteConnection;

use super::Session;
use super::inbox::{Inbox, Job, Wake};
use super::memory::Memory;
use super::query;
use super::wal_index::WalIndex;
use crate::config::DatabaseUrl;
use crate::store::StoreError;
use crate::store::schema::session_changes;
use crate::token::TokenDigest;

/// There is nothing to do but look-ups, so the thread need not wake up by itself.
const FOREVER: Duration = Duration::from_secs(24 * 60 * 60);

/// The thread's own connection, and what it has read.
pub(super) struct Lookups {
    conn: SqliteConnection,
    memory: Arc<Memory>,
    wal_index: Arc<WalIndex>,
    read: Option<Read>,
}

/// How far the log was read, and under which schema.
#[derive(Clone, Copy, PartialEq)]
struct Read {
    last_change: i64,
    schema_version: i32,
}

#[derive(QueryableByName)]
struct SchemaVersion {
    #[diesel(sql_type = Integer)]
    schema_version: i32,
}

impl Lookups {
    /// Takes over a connection to the file of `url`.
    pub(super) fn new(
        mut conn: SqliteConnection,
        url: &DatabaseUrl,
        memory: Arc<Memory>,
    ) -> Result<Self, StoreError> {
        // Without a first read the wal-index may not be there yet.
        conn.batch_execute("SELECT COUNT(*) FROM sqlite_schema")?;
        Ok(Self {
            conn,
            memory,
            wal_index: Arc::new(WalIndex::open(url.sqlite_path())),
            read: None,
        })
    }

    pub(super) fn wal_index(&self) -> Arc<WalIndex> {
        Arc::clone(&self.wal_index)
    }

    /// The life of the thread.
    pub(super) fn run(&mut self, inbox: &Inbox) {
        while let Wake::Work(jobs) = inbox.wait(FOREVER) {
            self.answer(jobs);
        }
    }

    fn answer(&mut self, jobs: Vec<Job>) {
        // Before anything is read, so that what is read is at least as new.
        let header = self.wal_index.now();
        if header != Some(self.wal_index.remembered()) {
            if let Err(error) = self.catch_up() {
                let error = StoreError::from(error);
                jobs.into_iter()
                    .for_each(|job| job.answer(Err(error.clone())));
                return;
            }
            if let Some(header) = header {
                self.wal_index.remember(header);
            }
        }
        for job in jobs {
            let found = self.find(&job.digest, header.is_some());
            job.answer(found.map_err(StoreError::from));
        }
    }

    /// Finds a session in the memory, which has caught up, or in the file.
    fn find(
        &mut self,
        digest: &TokenDigest,
        with_memory: bool,
    ) -> QueryResult<Option<Arc<Session>>> {
        if !with_memory {
            return Ok(query::find_one(&mut self.conn, digest)?.map(Arc::new));
        }
        if let Some(session) = self.memory.get(digest) {
            return Ok(Some(session));
        }
        let found = query::find_one(&mut self.conn, digest)?.map(Arc::new);
        if let Some(session) = &found {
            self.memory.insert(*digest, Arc::clone(session));
        }
        Ok(found)
    }

    /// Forgets what was changed since the log was last read; everything when the log does not
    /// reach back that far, or the schema has changed and perhaps the triggers with it.
    fn catch_up(&mut self) -> QueryResult<()> {
        let now: SchemaVersion =
            diesel::sql_query("PRAGMA schema_version").get_result(&mut self.conn)?;
        let before = self
            .read
            .filter(|read| read.schema_version == now.schema_version);
        let last_change = match before {
            Some(read) => self.forget_changes_after(read.last_change)?,
            None => None,
        };
        let last_change = match last_change {
            Some(last) => last,
            None => {
                // The end of the log is read first: a change in between is met again later.
                let last = self.last_change()?;
                self.memory.clear();
                last
            }
        };
        self.read = Some(Read {
            last_change,
            schema_version: now.schema_version,
        });
        Ok(())
    }

    /// Forgets the sessions in the log from `last` on, and returns the new last; `None` when the
    /// log has lost its row `last`.
    fn forget_changes_after(&mut self, last: i64) -> QueryResult<Option<i64>> {
        let changes: Vec<(i64, String)> = session_changes::table
            .filter(session_changes::id.ge(last))
            .order(session_changes::id)
            .load(&mut self.conn)?;
        let starts_where_we_stopped = match changes.first() {
            Some((id, _)) => *id == last || (last == 0 && *id == 1),
            None => last == 0,
        };
        if !starts_where_we_stopped {
            return Ok(None);
        }
        // What is no digest of ours was never found by one, so nobody remembers it.
        let changed = changes
            .iter()
            .filter_map(|(_, hex)| TokenDigest::from_hex(hex));
        changed.for_each(|digest| self.memory.remove(&digest));
        Ok(Some(changes.last().map_or(last, |(id, _)| *id)))
    }

    fn last_change(&mut self) -> QueryResult<i64> {
        let last: Option<i64> = session_changes::table
            .select(diesel::dsl::max(session_changes::id))
            .get_result(&mut self.conn)?;
        Ok(last.unwrap_or(0))
    }
}

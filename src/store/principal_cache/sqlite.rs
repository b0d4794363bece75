//! Look-ups on SQLite, and how the memory stays exact there.
//!
//! The memory stands for one state of the file, told by the header of the wal-index, and is used
//! only while the file is in that state. After a commit, whoever made it, the next look-up reads
//! the log that the triggers of the migrations keep and forgets what is in it; then the memory
//! stands for the new state. Where the header identifies no state, or the log is empty, the thread
//! writes a row of its own into the log: from that commit on both can be told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Integer;
use diesel::sqlite::SqliteConnection;

use super::lookup_queue::{Inbox, Job, Wake};
use super::memory::Memory;
use super::query;
use super::wal_index::WalIndex;
use crate::config::DatabaseUrl;
use crate::credential::token::TokenDigest;
use crate::store::Principal;
use crate::store::StoreError;
use crate::store::connection::BUSY_TIMEOUT;
use crate::store::schema::session_changes;

/// There is nothing to do but look-ups, so the thread need not wake up by itself.
const FOREVER: Duration = Duration::from_secs(24 * 60 * 60);

/// The file is read where the system keeps it, without a copy and a system call for each page. The
/// price is that a disk that cannot be read any more ends the process, and that what is read of
/// the file counts as memory of the process; the system takes it back when it needs it. The sizes
/// of cells are left to the other connections to check: it costs a tenth of a look-up.
const SETTINGS: &str = "PRAGMA mmap_size = 2147418112; PRAGMA cell_size_check = OFF";

/// How often the thread writes into the log at most, where nothing can be remembered without that.
const MARK_INTERVAL: Duration = Duration::from_secs(1);

/// That row: no digest, so it changes no principal. Look-ups do not wait for another writer.
const MARK: &str = "PRAGMA busy_timeout = 0; \
     INSERT INTO session_changes (access_token) VALUES ('')";

/// The thread's own connection, and what is remembered from it.
pub(super) struct Lookups {
    conn: SqliteConnection,
    known: Known,
    /// When it last tried to write into the log.
    marked: Option<Instant>,
}

/// What is remembered, and which state of the file it stands for.
struct Known {
    memory: Arc<Memory>,
    wal_index: Arc<WalIndex>,
    read: Option<Read>,
}

/// How far the log was read, and under which schema.
#[derive(Clone, Copy)]
struct Read {
    /// `None` when the log was empty: nothing tells whether it was so all the time.
    last_change: Option<Change>,
    schema_version: i32,
}

/// A row of the log. The stamp is random: a log that was emptied and has grown again is another one.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Change {
    id: i64,
    stamp: i64,
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
        conn.batch_execute(SETTINGS)?;
        // Without a first read the wal-index may not be there yet.
        conn.batch_execute("SELECT COUNT(*) FROM sqlite_schema")?;
        let known = Known {
            memory,
            wal_index: Arc::new(WalIndex::open(url.sqlite_path())),
            read: None,
        };
        Ok(Self {
            conn,
            known,
            marked: None,
        })
    }

    pub(super) fn wal_index(&self) -> Arc<WalIndex> {
        Arc::clone(&self.known.wal_index)
    }

    /// The life of the thread.
    pub(super) fn run(&mut self, inbox: &Inbox) {
        while let Wake::Work(jobs) = inbox.wait(FOREVER) {
            if !jobs.is_empty() {
                self.answer(jobs);
            }
        }
    }

    /// Looks up all that wait in one transaction, which spares them the locking of the file.
    fn answer(&mut self, jobs: Vec<Job>) {
        self.make_tellable();
        // Before anything is read, so that what is read is at least as new.
        let header = self.known.wal_index.now();
        let known = &mut self.known;
        let found: QueryResult<Vec<_>> = self.conn.transaction(|conn| {
            if header != Some(known.wal_index.remembered()) {
                known.catch_up(conn)?;
            }
            let found = jobs.iter().map(|job| known.find(conn, job));
            found.collect()
        });
        match found {
            Ok(found) => {
                if let Some(header) = header {
                    known.wal_index.remember(header);
                }
                for (job, principal) in jobs.into_iter().zip(found) {
                    job.answer(Ok(principal));
                }
            }
            Err(error) => {
                let error = StoreError::from(error);
                for job in jobs {
                    job.answer(Err(error.clone()));
                }
            }
        }
    }
}

impl Lookups {
    /// Makes the one commit after which states of the file and of the log can be told from earlier
    /// ones, where that is needed. As long as it fails, nothing is remembered.
    fn make_tellable(&mut self) {
        let is_log_empty = self
            .known
            .read
            .is_some_and(|read| read.last_change.is_none());
        let is_needed = is_log_empty || self.known.wal_index.is_unidentified();
        let is_tried = |at: Instant| at.elapsed() < MARK_INTERVAL;
        if !is_needed || !self.known.memory.is_any() || self.marked.is_some_and(is_tried) {
            return;
        }
        self.marked = Some(Instant::now());
        let outcome = self.conn.batch_execute(MARK);
        if outcome.and(self.conn.batch_execute(BUSY_TIMEOUT)).is_err() {
            log::debug!("database: no session is remembered until the next commit");
        }
    }
}

impl Known {
    /// Finds a principal in the memory, which has caught up, or in the file.
    fn find(&self, conn: &mut SqliteConnection, job: &Job) -> QueryResult<Option<Arc<Principal>>> {
        let Job {
            credential,
            asked_at,
            ..
        } = job;
        if let Some(principal) = self.memory.get(&credential.digest, *asked_at) {
            return Ok(Some(principal));
        }
        let found = query::find_one(conn, credential)?.map(Arc::new);
        if let Some(principal) = &found {
            let principal = Arc::clone(principal);
            self.memory.insert(credential.digest, principal, *asked_at);
        }
        Ok(found)
    }

    /// Forgets what was changed since the log was last read; everything when the log does not
    /// reach back that far, or the schema has changed and perhaps the triggers with it.
    fn catch_up(&mut self, conn: &mut SqliteConnection) -> QueryResult<()> {
        let schema: SchemaVersion = diesel::sql_query("PRAGMA schema_version").get_result(conn)?;
        let schema_version = schema.schema_version;
        let read = self
            .read
            .filter(|read| read.schema_version == schema_version);
        let goes_on = match read.and_then(|read| read.last_change) {
            Some(last) => self.forget_changes_from(conn, last)?,
            None => None,
        };
        let last_change = match goes_on {
            Some(last) => Some(last),
            None => {
                self.memory.clear();
                last_change_in_log(conn)?
            }
        };
        self.read = Some(Read {
            last_change,
            schema_version,
        });
        Ok(())
    }

    /// Forgets the principals in the log from its row `last` on, and returns the new last one;
    /// `None` when the log does not have that row any more.
    fn forget_changes_from(
        &self,
        conn: &mut SqliteConnection,
        last: Change,
    ) -> QueryResult<Option<Change>> {
        let changes: Vec<(i64, i64, String)> = session_changes::table
            .filter(session_changes::id.ge(last.id))
            .order(session_changes::id)
            .select((
                session_changes::id,
                session_changes::stamp,
                session_changes::access_token,
            ))
            .load(conn)?;
        let change = |row: &(i64, i64, String)| Change {
            id: row.0,
            stamp: row.1,
        };
        if changes.first().map(change) != Some(last) {
            return Ok(None);
        }
        // What is no digest of ours was never found by one, so it is not remembered.
        let changed = changes
            .iter()
            .filter_map(|(_, _, hex)| TokenDigest::from_hex(hex));
        changed.for_each(|digest| self.memory.remove(&digest));
        Ok(changes.last().map(change))
    }
}

/// The last row of the log; `None` when it is empty.
fn last_change_in_log(conn: &mut SqliteConnection) -> QueryResult<Option<Change>> {
    let last: Option<i64> = session_changes::table
        .select(diesel::dsl::max(session_changes::id))
        .get_result(conn)?;
    let Some(id) = last else {
        return Ok(None);
    };
    let stamp = session_changes::table
        .find(id)
        .select(session_changes::stamp)
        .get_result(conn)?;
    Ok(Some(Change { id, stamp }))
}

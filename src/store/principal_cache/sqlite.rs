//! Look-ups on SQLite, and how the cache stays exact there.
//!
//! The cache reflects one state of the file, identified by the header of the wal-index, and is used
//! only while the file is in that state. After a commit by another process, the next look-up reads the
//! log that the triggers of the migrations write and removes the logged principals; then the cache
//! reflects the new state. After a commit by this process that is usually not necessary (see
//! [`own_commit`](super::own_commit)), so the log is not read at each commit. If the header identifies
//! no state, or the log is empty, the thread writes its own row into the log: from that commit on, both
//! can be identified.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Integer;
use diesel::sqlite::SqliteConnection;

use super::entries::Entries;
use super::lookup_queue::{Lookup, LookupQueue, Wake};
use super::query;
use super::wal_index::WalIndex;
use crate::config::DatabaseUrl;
use crate::credential::token::TokenDigest;
use crate::store::connection::BUSY_TIMEOUT;
use crate::store::prepared::prepared;
use crate::store::schema::session_changes;
use crate::store::{Principal, StoreError};

/// The thread only does look-ups, so it need not wake up without one.
const FOREVER: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads the file through a memory map, without a copy and a system call for each page. The cost:
/// an unreadable disk kills the process, and mapped pages count as memory of the process, although
/// the system reclaims them when it needs to. The other connections check the sizes of cells; here
/// the check would cost a tenth of a look-up.
const SETTINGS: &str = "PRAGMA mmap_size = 2147418112; PRAGMA cell_size_check = OFF";

/// The shortest interval between rows that the thread writes into the log so that principals can be
/// cached.
const MARK_INTERVAL: Duration = Duration::from_secs(1);

/// The row that the thread writes. It is not a digest, so it invalidates no principal. Look-ups do
/// not wait for another writer.
const MARK: &str = "PRAGMA busy_timeout = 0; \
     INSERT INTO session_changes (access_token) VALUES ('')";

/// The thread's own connection, and the cache that it fills.
pub(super) struct SqliteLookups {
    conn: SqliteConnection,
    cache: SyncedCache,
    /// When the thread last tried to write into the log.
    marked_at: Option<Instant>,
}

/// The entries, and the state of the file that they reflect.
struct SyncedCache {
    entries: Arc<Entries>,
    wal_index: Arc<WalIndex>,
    position: Option<Position>,
}

/// How far the log was read, and under which schema.
#[derive(Clone, Copy)]
struct Position {
    /// `None` if the log was empty: then nothing shows whether it stayed empty.
    last_change: Option<Change>,
    schema_version: i32,
}

/// A row of the log. The stamp is random, and distinguishes a log that was emptied and has grown
/// again.
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

impl SqliteLookups {
    /// Takes over a connection to the file of `url`.
    pub(super) fn new(
        mut conn: SqliteConnection,
        url: &DatabaseUrl,
        entries: Arc<Entries>,
    ) -> Result<Self, StoreError> {
        conn.batch_execute(SETTINGS)?;
        // Before the first read the wal-index may not exist.
        conn.batch_execute("SELECT COUNT(*) FROM sqlite_schema")?;
        let cache = SyncedCache {
            entries,
            wal_index: Arc::new(WalIndex::open(url.sqlite_path())),
            position: None,
        };
        Ok(Self {
            conn,
            cache,
            marked_at: None,
        })
    }

    pub(super) fn wal_index(&self) -> Arc<WalIndex> {
        Arc::clone(&self.cache.wal_index)
    }

    /// The thread's main loop.
    pub(super) fn run(&mut self, queue: &LookupQueue) {
        while let Wake::Work(lookups) = queue.wait(FOREVER) {
            if !lookups.is_empty() {
                self.answer(lookups);
            }
        }
    }

    /// Answers all pending look-ups in one transaction, which locks the file only once.
    fn answer(&mut self, lookups: Vec<Lookup>) {
        self.mark_log_if_needed();
        // Taken before anything is read, so that the data read is at least as new.
        let since = self.cache.entries.suspensions().latest();
        let cached_state = self.cache.wal_index.cached_state();
        let header = self.cache.wal_index.current_state();
        let cache = &mut self.cache;
        let found: QueryResult<Vec<_>> = self.conn.transaction(|conn| {
            if header != Some(cached_state) {
                cache.catch_up(conn)?;
            }
            let found = lookups
                .iter()
                .map(|lookup| cache.get_or_fetch(conn, lookup, since));
            found.collect()
        });
        match found {
            Ok(found) => {
                if let Some(header) = header {
                    cache.wal_index.advance(&cached_state, header);
                }
                for (lookup, principal) in lookups.into_iter().zip(found) {
                    lookup.answer(Ok(principal));
                }
            }
            Err(error) => {
                let error = StoreError::from(error);
                for lookup in lookups {
                    lookup.answer(Err(error.clone()));
                }
            }
        }
    }

    /// Makes a commit after which states of the file and of the log can be distinguished from
    /// earlier ones, if that is necessary. Until it succeeds, nothing is cached.
    fn mark_log_if_needed(&mut self) {
        let is_log_empty = self
            .cache
            .position
            .is_some_and(|position| position.last_change.is_none());
        let is_needed = is_log_empty || self.cache.wal_index.is_unidentified();
        let is_recent = |at: Instant| at.elapsed() < MARK_INTERVAL;
        if !is_needed || !self.cache.entries.has_capacity() || self.marked_at.is_some_and(is_recent)
        {
            return;
        }
        self.marked_at = Some(Instant::now());
        let outcome = self.conn.batch_execute(MARK);
        if outcome.and(self.conn.batch_execute(BUSY_TIMEOUT)).is_err() {
            log::debug!("database: principals are not cached until the next commit");
        }
    }
}

impl SyncedCache {
    /// Gets a principal from the entries, which have caught up, or from the file. `since` is the
    /// latest suspension before that.
    fn get_or_fetch(
        &self,
        conn: &mut SqliteConnection,
        lookup: &Lookup,
        since: u64,
    ) -> QueryResult<Option<Arc<Principal>>> {
        let Lookup {
            credential,
            requested_at,
            ..
        } = lookup;
        if let Some(principal) = self.entries.get(&credential.digest, *requested_at) {
            return Ok(Some(principal));
        }
        let found = query::fetch_one(conn, credential)?.map(Arc::new);
        if let Some(principal) = &found {
            let principal = Arc::clone(principal);
            self.entries
                .insert(credential.digest, principal, *requested_at, since);
        }
        Ok(found)
    }

    /// Removes what has changed since the log was last read; everything if the log does not reach
    /// back that far, or if the schema has changed and perhaps the triggers with it.
    fn catch_up(&mut self, conn: &mut SqliteConnection) -> QueryResult<()> {
        let schema: SchemaVersion = prepared("PRAGMA schema_version").get_result(conn)?;
        let schema_version = schema.schema_version;
        let position = self
            .position
            .filter(|position| position.schema_version == schema_version);
        let new_last = match position.and_then(|position| position.last_change) {
            Some(last) => self.remove_changes_from(conn, last)?,
            None => None,
        };
        let last_change = match new_last {
            Some(last) => Some(last),
            None => {
                self.entries.clear();
                last_change_in_log(conn)?
            }
        };
        self.position = Some(Position {
            last_change,
            schema_version,
        });
        Ok(())
    }

    /// Removes the principals in the log from its row `last` on, and returns the new last row;
    /// `None` if the log no longer contains `last`.
    fn remove_changes_from(
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
        // Anything other than a digest was never a key of the cache.
        let changed = changes
            .iter()
            .filter_map(|(_, _, hex)| TokenDigest::from_hex(hex));
        changed.for_each(|digest| self.entries.remove(&digest));
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

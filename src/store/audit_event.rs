//! The stored audit trail: a chain of rows, and a head row that records where the chain begins and
//! ends. The domain decides what the digests cover.

use std::ops::Range;

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text, Timestamp};

use super::limits::{Row, Slice};
use super::prepared::{Columns, ListedRow, RowList, prepared};
use super::schema::{audit_events, audit_head};
use super::{StoreConnection, Writing};

/// The id of the only row.
const HEAD: i64 = 1;

/// Rows fetched at a time for a page. Each may be large: rows of versions before 0.2 have columns
/// without a limit.
const PAGE_BATCH_SIZE: i64 = 16;

const LOCK_HEAD: &str = "UPDATE audit_head SET id = id WHERE id = $1 \
     RETURNING id, last_id, last_digest, pruned_id, pruned_digest, digest, adopted_id, \
     adopted_start, adopted_digest";

const UPDATE_HEAD: &str = "UPDATE audit_head SET last_id = $1, last_digest = $2, pruned_id = $3, \
     pruned_digest = $4, digest = $5, adopted_id = $6, adopted_start = $7, adopted_digest = $8 \
     WHERE id = $9";

/// Rows inserted by one statement, whose values SQLite limits to 32,766.
const MAX_INSERTED: usize = 100;

const INSERT: &str = "INSERT INTO audit_events (id, at, actor, credential, level, action, target, \
     result, ip, user_agent, request_id, detail, previous_digest, digest, client_request_id) \
     VALUES ";

/// Rows fetched at a time when the whole trail is read.
const SCAN_BATCH_SIZE: i64 = 64;

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct AuditEvent {
    /// Begins at 1, without gaps.
    pub id: i64,
    /// When, in UTC.
    pub at: NaiveDateTime,
    /// The actor: `user:12`, `operator:0/1000` (an operator's user id), `static-key`, `service`, or
    /// `anonymous`.
    pub actor: String,
    /// The credential used: `password`, `login`, `key:3`, `shell`, or empty.
    pub credential: String,
    /// The scope or right that allowed it.
    pub level: String,
    /// The action, such as `key.create`.
    pub action: String,
    /// The target: `user:12`, `key:3`, or empty.
    pub target: String,
    /// `ok` or `refused`.
    pub result: String,
    /// The client's address, or empty.
    pub ip: String,
    /// The client's user agent, truncated and made printable.
    pub user_agent: String,
    /// The request id assigned by the service; it also appears in the service's log.
    pub request_id: String,
    /// Details as a JSON object, or empty.
    pub detail: String,
    /// The digest of the previous row.
    pub previous_digest: String,
    /// The keyed digest of this row and the previous one.
    pub digest: String,
    /// The id that the caller sent in `X-Request-Id`, or empty.
    pub client_request_id: String,
}

/// Where the trail begins and ends.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, QueryableByName)]
#[diesel(table_name = audit_head)]
pub struct AuditHead {
    /// Always 1.
    pub id: i64,
    /// The last event; 0 if there is none.
    pub last_id: i64,
    /// Its digest.
    pub last_digest: String,
    /// The last event that was deleted because of its age; 0 if there is none.
    pub pruned_id: i64,
    /// Its digest.
    pub pruned_digest: String,
    /// The keyed digest of this row.
    pub digest: String,
    /// The last event that was signed with an earlier key than the current one; 0 if there is none.
    pub adopted_id: i64,
    /// The digest under the current key of those events up to `adopted_id` that were deleted
    /// because of their age.
    pub adopted_start: String,
    /// The digest under the current key of all events up to `adopted_id`.
    pub adopted_digest: String,
}

impl AuditHead {
    /// The head as created by the migration, before the first event.
    const fn unsigned() -> Self {
        Self {
            id: HEAD,
            last_id: 0,
            last_digest: String::new(),
            pruned_id: 0,
            pruned_digest: String::new(),
            digest: String::new(),
            adopted_id: 0,
            adopted_start: String::new(),
            adopted_digest: String::new(),
        }
    }

    /// Whether this is the head as created by the migration: unsigned, of a trail without events.
    pub(crate) fn is_new(&self) -> bool {
        *self == Self::unsigned()
    }

    /// The current head.
    pub(crate) fn find(conn: &mut StoreConnection) -> QueryResult<Option<Self>> {
        audit_head::table.find(HEAD).get_result(conn).optional()
    }

    /// Locks the head until the transaction ends and returns it. A transaction locks the head last,
    /// so that no two can wait for each other.
    pub(crate) fn lock(tx: &mut Writing<'_>) -> QueryResult<Self> {
        prepared(LOCK_HEAD)
            .bind::<BigInt, _>(HEAD)
            .get_result(tx.conn())
    }

    /// Stores a locked head.
    pub(crate) fn update(&self, tx: &mut Writing<'_>) -> QueryResult<()> {
        prepared(UPDATE_HEAD)
            .bind::<BigInt, _>(self.last_id)
            .bind::<Text, _>(&self.last_digest)
            .bind::<BigInt, _>(self.pruned_id)
            .bind::<Text, _>(&self.pruned_digest)
            .bind::<Text, _>(&self.digest)
            .bind::<BigInt, _>(self.adopted_id)
            .bind::<Text, _>(&self.adopted_start)
            .bind::<Text, _>(&self.adopted_digest)
            .bind::<BigInt, _>(HEAD)
            .execute(tx.conn())
            .map(drop)
    }
}

/// A filter of events.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only those by this actor.
    pub actor: Option<String>,
    /// Only those by actors of this kind, whose names begin with it.
    pub actor_kind: Option<&'static str>,
    /// Only those on this target.
    pub target: Option<String>,
    /// Only those with this action.
    pub action: Option<String>,
    /// Only those before this id, the newest first.
    pub before: Option<i64>,
    /// Only those at this time or later, UTC.
    pub since: Option<NaiveDateTime>,
    /// Only those before this time, UTC.
    pub until: Option<NaiveDateTime>,
}

/// What the events of a search have in common.
#[derive(Clone, Debug, Default)]
pub struct EventMatch {
    /// The actor or the target is one of these.
    pub participants: Option<Vec<String>>,
    /// The action is this one.
    pub action: Option<String>,
    /// The request has this id, of the service or of the client.
    pub request_id: Option<String>,
    /// The time is this one or later, UTC.
    pub since: Option<NaiveDateTime>,
    /// The time is before this one, UTC.
    pub until: Option<NaiveDateTime>,
}

impl Row for AuditEvent {
    fn text_bytes(&self) -> usize {
        let texts = [
            &self.actor,
            &self.credential,
            &self.level,
            &self.action,
            &self.target,
            &self.result,
            &self.ip,
            &self.user_agent,
            &self.request_id,
            &self.client_request_id,
            &self.detail,
            &self.previous_digest,
            &self.digest,
        ];
        texts.into_iter().map(String::len).sum()
    }
}

impl ListedRow for AuditEvent {
    fn walk<'b>(&'b self, columns: &mut Columns<'_, '_, 'b>) -> QueryResult<()> {
        columns
            .add::<BigInt, _>(&self.id)?
            .add::<Timestamp, _>(&self.at)?
            .add::<Text, _>(&self.actor)?
            .add::<Text, _>(&self.credential)?
            .add::<Text, _>(&self.level)?
            .add::<Text, _>(&self.action)?
            .add::<Text, _>(&self.target)?
            .add::<Text, _>(&self.result)?
            .add::<Text, _>(&self.ip)?
            .add::<Text, _>(&self.user_agent)?
            .add::<Text, _>(&self.request_id)?
            .add::<Text, _>(&self.detail)?
            .add::<Text, _>(&self.previous_digest)?
            .add::<Text, _>(&self.digest)?
            .add::<Text, _>(&self.client_request_id)
            .map(drop)
    }
}

impl AuditEvent {
    /// Stores events whose digests were computed under the locked head.
    pub(crate) fn insert_all(tx: &mut Writing<'_>, events: &[Self]) -> QueryResult<()> {
        for rows in events.chunks(MAX_INSERTED) {
            let insert = RowList {
                before: INSERT,
                rows,
                after: "",
            };
            insert.execute(tx.conn())?;
        }
        Ok(())
    }

    /// The event with this id.
    pub(crate) fn find(conn: &mut StoreConnection, id: i64) -> QueryResult<Option<Self>> {
        audit_events::table.find(id).get_result(conn).optional()
    }

    /// The events after this id, oldest first: at most `limit`, and fewer if they are large.
    pub(crate) fn list_after(
        conn: &mut StoreConnection,
        id: i64,
        limit: i64,
    ) -> QueryResult<Vec<Self>> {
        let slice = Slice::collect(limit, SCAN_BATCH_SIZE, |last: Option<&Self>, count| {
            audit_events::table
                .filter(audit_events::id.gt(last.map_or(id, |last| last.id)))
                .order(audit_events::id)
                .limit(count)
                .load(conn)
        });
        Ok(slice?.rows)
    }

    /// The ids of the events after `after` and up to `through`, at most `limit`.
    pub(crate) fn list_ids(
        conn: &mut StoreConnection,
        after: i64,
        through: i64,
        limit: i64,
    ) -> QueryResult<Vec<i64>> {
        audit_events::table
            .filter(audit_events::id.gt(after))
            .filter(audit_events::id.le(through))
            .order(audit_events::id)
            .limit(limit)
            .select(audit_events::id)
            .load(conn)
    }

    /// The events that match any of the filters, newest first: at most `limit`, and fewer if they
    /// are large.
    pub(crate) fn list(
        conn: &mut StoreConnection,
        filters: &[EventFilter],
        limit: i64,
    ) -> QueryResult<Slice<Self>> {
        Slice::collect(limit, PAGE_BATCH_SIZE, |last: Option<&Self>, count| {
            let mut found = Vec::new();
            for filter in filters {
                let before = last.map(|last| last.id).or(filter.before);
                found.extend(Self::newest(conn, filter, before, count)?);
            }
            found.sort_by_key(|event| std::cmp::Reverse(event.id));
            found.dedup_by_key(|event| event.id);
            // Beyond `count`, events that match another filter may be missing.
            found.truncate(usize::try_from(count).unwrap_or(0));
            Ok(found)
        })
    }

    /// The user agents of the clients that have last succeeded with this action on this target, newest first:
    /// at most `limit`.
    #[cfg(feature = "mail")]
    pub(crate) fn user_agents(
        conn: &mut StoreConnection,
        target: &str,
        action: &str,
        limit: i64,
    ) -> QueryResult<Vec<String>> {
        audit_events::table
            .filter(audit_events::target.eq(target))
            // Not by equality: the index of the actions has far more events than that of the targets.
            .filter(audit_events::action.like(action))
            .filter(audit_events::result.eq("ok"))
            .order(audit_events::id.desc())
            .limit(limit)
            .select(audit_events::user_agent)
            .load(conn)
    }

    /// The matching events of these ids, newest first, at most `limit`. The caller bounds the ids, as
    /// all of them are read.
    pub(crate) fn list_matching(
        conn: &mut StoreConnection,
        criteria: &EventMatch,
        ids: Range<i64>,
        limit: i64,
    ) -> QueryResult<Vec<Self>> {
        let mut query = audit_events::table
            .filter(audit_events::id.ge(ids.start))
            .filter(audit_events::id.lt(ids.end))
            .into_boxed();
        if let Some(participants) = &criteria.participants {
            let is_one = audit_events::actor
                .eq_any(participants)
                .or(audit_events::target.eq_any(participants));
            query = query.filter(is_one);
        }
        if let Some(action) = &criteria.action {
            query = query.filter(audit_events::action.eq(action));
        }
        if let Some(id) = &criteria.request_id {
            let is_this = audit_events::request_id
                .eq(id)
                .or(audit_events::client_request_id.eq(id));
            query = query.filter(is_this);
        }
        if let Some(since) = criteria.since {
            query = query.filter(audit_events::at.ge(since));
        }
        if let Some(until) = criteria.until {
            query = query.filter(audit_events::at.lt(until));
        }
        query.order(audit_events::id.desc()).limit(limit).load(conn)
    }

    fn newest(
        conn: &mut StoreConnection,
        filter: &EventFilter,
        before: Option<i64>,
        limit: i64,
    ) -> QueryResult<Vec<Self>> {
        // The upper bound is always set, so that the index is searched and not scanned.
        let mut query = audit_events::table
            .filter(audit_events::id.lt(before.unwrap_or(i64::MAX)))
            .into_boxed();
        if let Some(actor) = &filter.actor {
            query = query.filter(audit_events::actor.eq(actor));
        }
        if let Some(kind) = filter.actor_kind {
            query = query.filter(audit_events::actor.like(format!("{kind}%")));
        }
        if let Some(target) = &filter.target {
            query = query.filter(audit_events::target.eq(target));
        }
        if let Some(action) = &filter.action {
            query = query.filter(audit_events::action.eq(action));
        }
        if let Some(since) = filter.since {
            query = query.filter(audit_events::at.ge(since));
        }
        if let Some(until) = filter.until {
            query = query.filter(audit_events::at.lt(until));
        }
        query.order(audit_events::id.desc()).limit(limit).load(conn)
    }

    /// The events that may be pruned: of the first `limit` events after `id`, the ones that are
    /// older than `before` and precede every newer one.
    pub(crate) fn list_older_than(
        conn: &mut StoreConnection,
        id: i64,
        before: NaiveDateTime,
        limit: i64,
    ) -> QueryResult<Vec<Self>> {
        let mut events = Self::list_after(conn, id, limit)?;
        let old = events.iter().take_while(|event| event.at < before).count();
        events.truncate(old);
        Ok(events)
    }

    /// Deletes the events up to this id. The head must be updated first.
    pub(crate) fn delete_through(tx: &mut Writing<'_>, id: i64) -> QueryResult<usize> {
        diesel::delete(audit_events::table.filter(audit_events::id.le(id))).execute(tx.conn())
    }
}

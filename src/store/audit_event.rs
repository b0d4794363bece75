//! The audit trail as it is stored: a chain of rows, and the row that says where it begins and
//! ends. What the digests are made of is for the domain to say.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::schema::{audit_events, audit_head};
use super::slice::{Row, Slice};
use super::{StoreConnection, Writing};

/// The one row of the head.
const HEAD: i64 = 1;

/// Rows that are fetched at once for a page. Each may be large: those of versions before 0.2 have
/// columns without a bound.
const FETCHED_FOR_PAGE: i64 = 16;

/// Rows that are fetched at once where one reader goes through the whole trail.
const FETCHED_FOR_WALK: i64 = 64;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = audit_events)]
pub struct AuditEvent {
    /// From 1, without a gap.
    pub id: i64,
    /// When, in UTC.
    pub at: NaiveDateTime,
    /// Who did it: `user:12`, `operator:0/1000` (an operator's user id), `static-key`, `service`, or
    /// `anonymous`.
    pub actor: String,
    /// By which credential: `password`, `login`, `key:3`, `shell`, or nothing.
    pub credential: String,
    /// The scope or right that allowed it.
    pub level: String,
    /// What was done, such as `key.create`.
    pub action: String,
    /// On whom or what: `user:12`, `key:3`, or nothing.
    pub target: String,
    /// `ok` or `refused`.
    pub result: String,
    /// The address it came from, or nothing.
    pub ip: String,
    /// What the client calls itself, cut off and made printable.
    pub user_agent: String,
    /// The request: an id of the service's own, in its log too.
    pub request_id: String,
    /// More about it, as a JSON object, or nothing.
    pub detail: String,
    /// The digest of the row before.
    pub previous_digest: String,
    /// The keyed digest of this row and the one before.
    pub digest: String,
    /// The id that the caller gave to the request in `X-Request-Id`, or nothing.
    pub client_request_id: String,
}

/// Where the trail begins and ends.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, AsChangeset)]
#[diesel(table_name = audit_head)]
pub struct AuditHead {
    /// Always 1.
    pub id: i64,
    /// The last event; 0 before the first one.
    pub last_id: i64,
    /// Its digest.
    pub last_digest: String,
    /// The last event that was deleted for its age; 0 before that.
    pub pruned_id: i64,
    /// Its digest.
    pub pruned_digest: String,
    /// The keyed digest of this row.
    pub digest: String,
    /// The last event that was made with an earlier key than the present one; 0 without one.
    pub adopted_id: i64,
    /// The digest by the present key of those events up to there that were deleted for their age.
    pub adopted_start: String,
    /// The digest by the present key of all events up to there.
    pub adopted_digest: String,
}

impl AuditHead {
    /// The head that the migration has made, before anything happened.
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

    /// Whether it is as the migration made it: unsigned, of a trail in which nothing has happened.
    pub(crate) fn is_new(&self) -> bool {
        *self == Self::unsigned()
    }

    /// The head as it is.
    pub(crate) fn find(conn: &mut StoreConnection) -> QueryResult<Option<Self>> {
        audit_head::table.find(HEAD).get_result(conn).optional()
    }

    /// The head, held against other writers until the transaction ends; the last thing that a
    /// transaction locks, so that no two can wait for each other.
    pub(crate) fn lock(tx: &mut Writing<'_>) -> QueryResult<Self> {
        diesel::update(audit_head::table.find(HEAD))
            .set(audit_head::id.eq(HEAD))
            .returning(audit_head::all_columns)
            .get_result(tx.conn())
    }

    /// Stores a head that was locked.
    pub(crate) fn update(&self, tx: &mut Writing<'_>) -> QueryResult<()> {
        diesel::update(audit_head::table.find(HEAD))
            .set(self)
            .execute(tx.conn())
            .map(drop)
    }
}

/// Which events are wanted.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only those by this actor.
    pub actor: Option<String>,
    /// Only those by actors of this kind: whose names begin with it.
    pub actor_kind: Option<&'static str>,
    /// Only those on this target.
    pub target: Option<String>,
    /// Only those of this action.
    pub action: Option<String>,
    /// Only those before this id, the newest first.
    pub before: Option<i64>,
    /// Only those at this time or later, UTC.
    pub since: Option<NaiveDateTime>,
    /// Only those before this time, UTC.
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

impl AuditEvent {
    /// Stores an event whose digests were made under the locked head.
    pub(crate) fn insert(&self, tx: &mut Writing<'_>) -> QueryResult<()> {
        diesel::insert_into(audit_events::table)
            .values(self)
            .execute(tx.conn())
            .map(drop)
    }

    /// The event of this id.
    pub(crate) fn find(conn: &mut StoreConnection, id: i64) -> QueryResult<Option<Self>> {
        audit_events::table.find(id).get_result(conn).optional()
    }

    /// The events after this id, the oldest first: `limit` at most, and fewer when they are large.
    pub(crate) fn list_after(
        conn: &mut StoreConnection,
        id: i64,
        limit: i64,
    ) -> QueryResult<Vec<Self>> {
        let slice = Slice::collect(limit, FETCHED_FOR_WALK, |last: Option<&Self>, wanted| {
            audit_events::table
                .filter(audit_events::id.gt(last.map_or(id, |last| last.id)))
                .order(audit_events::id)
                .limit(wanted)
                .load(conn)
        });
        Ok(slice?.rows)
    }

    /// The ids of the events after `after` and up to `through`, `limit` at most.
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

    /// The events that one of the filters lets through, the newest first: `limit` at most, and
    /// fewer when they are large.
    pub(crate) fn list(
        conn: &mut StoreConnection,
        filters: &[EventFilter],
        limit: i64,
    ) -> QueryResult<Slice<Self>> {
        Slice::collect(limit, FETCHED_FOR_PAGE, |last: Option<&Self>, wanted| {
            let mut found = Vec::new();
            for filter in filters {
                let before = last.map(|last| last.id).or(filter.before);
                found.extend(Self::newest(conn, filter, before, wanted)?);
            }
            found.sort_by_key(|event| std::cmp::Reverse(event.id));
            found.dedup_by_key(|event| event.id);
            // Behind that, what one filter lets through may be missing.
            found.truncate(usize::try_from(wanted).unwrap_or(0));
            Ok(found)
        })
    }

    fn newest(
        conn: &mut StoreConnection,
        filter: &EventFilter,
        before: Option<i64>,
        limit: i64,
    ) -> QueryResult<Vec<Self>> {
        // Always a bound, so that the index is searched and not walked.
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

    /// Those of the first `limit` events after `id` that are older than `before` and stand before
    /// all that are not: what the trail may be pruned of.
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

    /// Deletes the events up to this id. The head has to say so before.
    pub(crate) fn delete_through(tx: &mut Writing<'_>, id: i64) -> QueryResult<usize> {
        diesel::delete(audit_events::table.filter(audit_events::id.le(id))).execute(tx.conn())
    }
}

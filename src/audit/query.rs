//! Queries on the trail.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::{Action, AuditContext, AuditTrail, Event, context};
use crate::clock::MAX_STEP;
use crate::error::Error;
use crate::store::{AuditEvent, AuditHead, EventFilter, EventMatch, QUERY_TIMEOUT, Slice};

/// Maximum number of pages of users' own events that a process holds at a time, from the query to
/// the last byte of the response: each takes up to a megabyte.
const MAX_OWN_PAGES: usize = 16;

/// The same for pages of all events, so that users cannot keep administrators waiting.
const MAX_ADMIN_PAGES: usize = 8;

/// The number of events that one query reads to find those that match.
const WINDOW_SIZE: i64 = 20_000;

/// A page of events, the newest first.
#[derive(Debug)]
pub struct EventPage {
    /// The events: as many as were requested, or fewer when they are large.
    pub events: Vec<AuditEvent>,
    /// The [`EventFilter::before`] of the next page; `None` after the last one.
    pub next: Option<i64>,
    /// Released when the page leaves memory.
    pub permit: PagePermit,
}

/// Permission to hold a page of events in memory.
#[derive(Debug)]
pub struct PagePermit(#[expect(dead_code, reason = "released on drop")] OwnedSemaphorePermit);

/// How many pages may be in memory.
pub(super) struct PagePermits {
    own: Arc<Semaphore>,
    admin: Arc<Semaphore>,
}

impl Default for PagePermits {
    fn default() -> Self {
        Self {
            own: Arc::new(Semaphore::new(MAX_OWN_PAGES)),
            admin: Arc::new(Semaphore::new(MAX_ADMIN_PAGES)),
        }
    }
}

/// Whether the trail contains an event whose id and digest were kept elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkState {
    /// The trail contains the event, or the event is the last one that was pruned.
    Contained,
    /// The trail does not contain the event, or contains a different one with its id.
    Missing,
    /// The event and later ones were pruned, so it can no longer be verified.
    Pruned,
}

impl PagePermit {
    /// Waits for a permit.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when no permit is released in time.
    async fn wait(permits: &Arc<Semaphore>) -> Result<Self, Error> {
        match timeout(QUERY_TIMEOUT, Arc::clone(permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Self(permit)),
            _ => Err(Error::Unavailable),
        }
    }
}

impl EventPage {
    fn new(slice: Slice<AuditEvent>, permit: PagePermit) -> Self {
        let (events, has_more) = (slice.rows, slice.has_more);
        let next = events.last().filter(|_| has_more).map(|event| event.id);
        Self {
            events,
            next,
            permit,
        }
    }
}

impl AuditTrail {
    /// Lists the events of all users, and records that they were read. The actor `operator` matches
    /// all operators.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(crate) async fn list(
        &self,
        context: &AuditContext,
        mut filter: EventFilter,
        limit: i64,
    ) -> Result<EventPage, Error> {
        if filter.actor.as_deref() == Some(context::OPERATOR) {
            filter.actor = None;
            filter.actor_kind = Some(context::OPERATOR);
        }
        self.list_any(context, vec![filter], limit).await
    }

    /// Like [`Self::list`], for the events whose actor or target has this name: `user:12`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    #[cfg(feature = "pages")]
    pub(crate) async fn list_about(
        &self,
        context: &AuditContext,
        name: String,
        filter: EventFilter,
        limit: i64,
    ) -> Result<EventPage, Error> {
        let by_it = EventFilter {
            actor: Some(name.clone()),
            ..filter.clone()
        };
        let on_it = EventFilter {
            target: Some(name),
            ..filter
        };
        self.list_any(context, vec![by_it, on_it], limit).await
    }

    async fn list_any(
        &self,
        context: &AuditContext,
        filters: Vec<EventFilter>,
        limit: i64,
    ) -> Result<EventPage, Error> {
        let permit = PagePermit::wait(&self.0.page_permits.admin).await?;
        self.record(context, Event::new(Action::EventRead)).await?;
        let list = move |conn: &mut _| AuditEvent::list(conn, &filters, limit);
        Ok(EventPage::new(self.0.store.read(list).await?, permit))
    }

    /// Lists the events by a user and on that user. Administrators and operators who acted on the
    /// user are shown with their identity only.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn list_of_user(
        &self,
        user_id: i64,
        before: Option<i64>,
        limit: i64,
    ) -> Result<EventPage, Error> {
        let permit = PagePermit::wait(&self.0.page_permits.own).await?;
        let own = context::user(user_id);
        let by_user = EventFilter {
            actor: Some(own.clone()),
            before,
            ..EventFilter::default()
        };
        let on_user = EventFilter {
            target: Some(own.clone()),
            before,
            ..EventFilter::default()
        };
        let filters = [by_user, on_user];
        let list = move |conn: &mut _| AuditEvent::list(conn, &filters, limit);
        let mut slice = self.0.store.read(list).await?;
        for event in &mut slice.rows {
            if event.actor != own && event.actor != context::ANONYMOUS {
                event.ip.clear();
                event.user_agent.clear();
                event.request_id.clear();
                event.client_request_id.clear();
                if event.actor.starts_with(context::OPERATOR) {
                    context::OPERATOR.clone_into(&mut event.actor);
                }
            }
        }
        Ok(EventPage::new(slice, permit))
    }

    /// Returns the id of the last event; 0 before the first one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn last_id(&self) -> Result<i64, Error> {
        let find = |conn: &mut _| AuditHead::find(conn);
        let head = self.0.store.read(find).await?;
        Ok(head.map_or(0, |head| head.last_id))
    }

    /// Checks whether the trail contains the event of this id with this digest.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn compare_mark(&self, id: i64, digest: &str) -> Result<MarkState, Error> {
        let find = move |conn: &mut _| Ok((AuditHead::find(conn)?, AuditEvent::find(conn, id)?));
        let (head, event) = self.0.store.read(find).await?;
        let found = match (event, head) {
            (Some(event), _) => Some(event.digest),
            (None, Some(head)) if id == head.pruned_id => Some(head.pruned_digest),
            (None, Some(head)) if id < head.pruned_id => return Ok(MarkState::Pruned),
            (None, _) => None,
        };
        Ok(match found {
            Some(found) if found == digest => MarkState::Contained,
            _ => MarkState::Missing,
        })
    }

    /// Lists the last events that match, up to the event `last`: at most `limit`, oldest first. Reads
    /// the trail backwards until it has found them or reached `criteria.since`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn list_last_matching(
        &self,
        criteria: &EventMatch,
        last: i64,
        limit: i64,
    ) -> Result<Vec<AuditEvent>, Error> {
        let (mut found, mut end): (Vec<AuditEvent>, _) = (Vec::new(), last + 1);
        while (found.len() as i64) < limit && end > 1 {
            let start = (end - WINDOW_SIZE).max(1);
            let (criteria, left) = (criteria.clone(), limit - found.len() as i64);
            let since = criteria.since;
            let read = move |conn: &mut _| {
                let events = AuditEvent::list_matching(conn, &criteria, start..end, left)?;
                Ok((events, AuditEvent::find(conn, start)?))
            };
            let (events, oldest) = self.0.store.read(read).await?;
            found.extend(events);
            end = start;
            // Earlier events are older, except for those that were recorded while a clock was wrong.
            // The first events were pruned if the oldest is missing.
            let is_older =
                |event: AuditEvent| since.is_some_and(|since| event.at + MAX_STEP < since);
            if oldest.is_none_or(is_older) {
                break;
            }
        }
        found.reverse();
        Ok(found)
    }

    /// Lists the events that match among the `limit` events after the event `after`, oldest first, and
    /// returns the last event that was compared.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn follow_matching(
        &self,
        criteria: &EventMatch,
        after: i64,
        limit: i64,
    ) -> Result<(Vec<AuditEvent>, i64), Error> {
        let last = self.last_id().await?.min(after.saturating_add(limit));
        let criteria = criteria.clone();
        let list = move |conn: &mut _| {
            AuditEvent::list_matching(conn, &criteria, after + 1..last + 1, limit)
        };
        let mut events = self.0.store.read(list).await?;
        events.reverse();
        Ok((events, last.max(after)))
    }

    /// Lists the events after this id, oldest first, to follow the trail: at most `limit`, fewer
    /// when they are large, and none only after the last one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn follow(&self, after: i64, limit: i64) -> Result<Vec<AuditEvent>, Error> {
        let list = move |conn: &mut _| AuditEvent::list_after(conn, after, limit);
        Ok(self.0.store.read(list).await?)
    }
}

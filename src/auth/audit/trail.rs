//! Reading the trail.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::{Action, Event, Origin, origin};
use crate::auth::Auth;
use crate::error::Error;
use crate::store::{AuditEvent, AuditHead, EventFilter, QUERY_TIMEOUT, Slice};

/// Pages of users' own events that a process has under way at most, from the query to the last byte
/// of the answer: each takes up to a megabyte.
const MAX_OWN_PAGES: usize = 16;

/// The same for pages of all events, so that users do not keep administrators waiting.
const MAX_ADMIN_PAGES: usize = 8;

/// A page of events, the newest first.
#[derive(Debug)]
pub struct EventPage {
    /// The events: as many as were asked for, or fewer when they are large.
    pub events: Vec<AuditEvent>,
    /// What [`EventFilter::before`] has to be for the next page; `None` after the last one.
    pub next: Option<i64>,
    /// To be dropped when the page is not in memory any more.
    pub turn: PageTurn,
}

/// The right to hold a page of events in memory.
#[derive(Debug)]
pub struct PageTurn(
    #[expect(dead_code, reason = "given back when it is dropped")] OwnedSemaphorePermit,
);

/// How many pages may be under way.
pub(in crate::auth) struct PageTurns {
    own: Arc<Semaphore>,
    admin: Arc<Semaphore>,
}

impl Default for PageTurns {
    fn default() -> Self {
        Self {
            own: Arc::new(Semaphore::new(MAX_OWN_PAGES)),
            admin: Arc::new(Semaphore::new(MAX_ADMIN_PAGES)),
        }
    }
}

/// What the trail says of an event and its digest that were kept elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkState {
    /// It holds the event, or did until it was deleted as the last one so far.
    Contained,
    /// It does not hold the event, or another one in its place.
    Missing,
    /// The event, and others after it, were deleted for their age: it cannot be told any more.
    Pruned,
}

impl PageTurn {
    /// Waits for a turn.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there is none in time.
    async fn wait(turns: &Arc<Semaphore>) -> Result<Self, Error> {
        let turn = timeout(QUERY_TIMEOUT, Arc::clone(turns).acquire_owned()).await;
        match turn {
            Ok(Ok(permit)) => Ok(Self(permit)),
            _ => Err(Error::Unavailable),
        }
    }
}

impl EventPage {
    fn new(slice: Slice<AuditEvent>, turn: PageTurn) -> Self {
        let (events, has_more) = (slice.rows, slice.has_more);
        let next = events.last().filter(|_| has_more).map(|event| event.id);
        Self { events, next, turn }
    }
}

impl Auth {
    /// The events of all users. That they were looked at is an event too. The actor `operator` stands for
    /// all operators.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn list_events(
        &self,
        origin: &Origin,
        mut filter: EventFilter,
        limit: i64,
    ) -> Result<EventPage, Error> {
        if filter.actor.as_deref() == Some(origin::OPERATOR) {
            filter.actor = None;
            filter.actor_kind = Some(origin::OPERATOR);
        }
        let turn = PageTurn::wait(&self.0.page_turns.admin).await?;
        self.note_event(origin, Event::new(Action::EventRead))
            .await?;
        let filters = [filter];
        let list = move |conn: &mut _| AuditEvent::list(conn, &filters, limit);
        Ok(EventPage::new(self.0.store.read(list).await?, turn))
    }

    /// The events of a user: what the user did, and what was done to the user. Of administrators and
    /// operators who acted on the user no more is told than who they are.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn list_events_of_user(
        &self,
        user_id: i64,
        before: Option<i64>,
        limit: i64,
    ) -> Result<EventPage, Error> {
        let turn = PageTurn::wait(&self.0.page_turns.own).await?;
        let own = origin::user(user_id);
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
            if event.actor != own && event.actor != origin::ANONYMOUS {
                event.ip.clear();
                event.user_agent.clear();
                event.request_id.clear();
                event.client_request_id.clear();
                if event.actor.starts_with(origin::OPERATOR) {
                    origin::OPERATOR.clone_into(&mut event.actor);
                }
            }
        }
        Ok(EventPage::new(slice, turn))
    }

    /// The id of the last event; 0 before the first one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn last_event(&self) -> Result<i64, Error> {
        let find = |conn: &mut _| AuditHead::find(conn);
        let head = self.0.store.read(find).await?;
        Ok(head.map_or(0, |head| head.last_id))
    }

    /// Whether the trail holds the event of this id with this digest.
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

    /// The events after this id, the oldest first: `limit` at most, fewer when they are large, and
    /// none only after the last one. To follow the trail.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn follow_events(&self, after: i64, limit: i64) -> Result<Vec<AuditEvent>, Error> {
        let list = move |conn: &mut _| AuditEvent::list_after(conn, after, limit);
        Ok(self.0.store.read(list).await?)
    }
}

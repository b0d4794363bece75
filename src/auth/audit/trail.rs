//! Reading the trail.

use super::{Action, Event, Origin, origin};
use crate::auth::{Auth, page};
use crate::error::Error;
use crate::store::{AuditEvent, AuditHead, EventFilter};

/// A page of events, the newest first.
#[derive(Debug)]
pub struct EventPage {
    /// The events.
    pub events: Vec<AuditEvent>,
    /// What [`EventFilter::before`] has to be for the next page; `None` after the last one.
    pub next: Option<i64>,
}

impl EventPage {
    /// Of one event more than was asked for, if there are so many.
    fn new(events: Vec<AuditEvent>, limit: i64) -> Self {
        let (events, next) = page::cut(events, limit, |event| event.id);
        Self { events, next }
    }
}

impl Auth {
    /// Everybody's events. That they were looked at is an event too. The actor `operator` stands for
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
        self.note_event(origin, Event::new(Action::EventRead))
            .await?;
        let list = move |conn: &mut _| AuditEvent::list(conn, &filter, limit + 1);
        Ok(EventPage::new(self.0.store.read(list).await?, limit))
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
        let own = origin::user(user_id);
        let name = own.clone();
        let list = move |conn: &mut _| {
            let by_user = EventFilter {
                actor: Some(name.clone()),
                before,
                ..EventFilter::default()
            };
            let on_user = EventFilter {
                target: Some(name.clone()),
                before,
                ..EventFilter::default()
            };
            let mut events = AuditEvent::list(conn, &by_user, limit + 1)?;
            events.extend(AuditEvent::list(conn, &on_user, limit + 1)?);
            Ok(events)
        };
        let mut events = self.0.store.read(list).await?;
        events.sort_by_key(|event| std::cmp::Reverse(event.id));
        events.dedup_by_key(|event| event.id);
        for event in &mut events {
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
        Ok(EventPage::new(events, limit))
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

    /// Whether the trail holds the event of this id with this digest; also when it was deleted for
    /// its age.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn trail_contains(&self, id: i64, digest: &str) -> Result<bool, Error> {
        let find = move |conn: &mut _| {
            let events = AuditEvent::list_after(conn, id - 1, 1)?;
            Ok((AuditHead::find(conn)?, events.into_iter().next()))
        };
        let (head, event) = self.0.store.read(find).await?;
        let is_pruned = head.is_some_and(|head| {
            id < head.pruned_id || (id == head.pruned_id && digest == head.pruned_digest)
        });
        Ok(is_pruned || event.is_some_and(|event| event.id == id && event.digest == digest))
    }

    /// The events after this id, the oldest first, `limit` at most: to follow the trail.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn follow_events(&self, after: i64, limit: i64) -> Result<Vec<AuditEvent>, Error> {
        let list = move |conn: &mut _| AuditEvent::list_after(conn, after, limit);
        Ok(self.0.store.read(list).await?)
    }
}

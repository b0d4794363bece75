//! The audit trail: who did what, on whom, by which right, and from where.
//!
//! An event is written in the transaction of the change that it tells of, so that there is never
//! the one without the other. Refusals change nothing; they are written by themselves, and summed
//! up while there is a flood of them.

mod adopt;
mod begin;
mod bounds;
mod budgets;
mod chain;
mod event;
mod origin;
mod problem;
mod refusals;
mod retention;
mod trail;
mod verify;
mod walk;

use std::sync::atomic::{AtomicBool, Ordering};

use diesel::QueryResult;
use diesel::result::Error as DieselError;

pub use adopt::Adoption;
use chain::{digest_of_event, digest_of_head};
pub use event::Action;
pub(super) use event::Event;
#[cfg(test)]
pub(super) use origin::CredentialMark;
pub use origin::Origin;
pub(super) use origin::Spender;
pub use problem::Problem;
pub(super) use refusals::Refusals;
pub(super) use trail::PageTurns;
pub use trail::{EventPage, MarkState, PageTurn};
pub use verify::Verification;

use super::Auth;
use super::instance_key::InstanceKey;
use crate::clock::Clock;
use crate::credential::keyed_digest::DigestKey;
use crate::error::Error;
use crate::store::{AuditEvent, AuditHead, Revoking, StoreError, Writing};

/// What happens in one transaction, in order.
#[derive(Default)]
pub(super) struct Events(Vec<(Option<Origin>, Event)>);

impl Events {
    /// One more.
    pub(super) fn record(&mut self, event: Event) {
        self.0.push((None, event));
    }

    /// One more, by somebody else than who the transaction is for.
    pub(super) fn record_by(&mut self, origin: Origin, event: Event) {
        self.0.push((Some(origin), event));
    }
}

/// The head, held against other writers, and what it takes to sign it anew.
struct LockedHead {
    head: AuditHead,
    key: DigestKey,
    /// What has to go into the trail first.
    found: Option<Event>,
}

/// What it takes to append to the trail.
pub(super) struct Trail {
    clock: Clock,
    configured: Option<DigestKey>,
    /// The key for when the settings give none.
    own: InstanceKey,
    /// Whether this process has found that it may append.
    begun: AtomicBool,
}

impl Trail {
    /// A trail that goes by `clock`, and is chained with `key` or with one that is kept in the
    /// database.
    pub(super) fn new(clock: Clock, key: Option<DigestKey>) -> Self {
        Self {
            clock,
            configured: key,
            own: InstanceKey::new("audit"),
            begun: AtomicBool::new(false),
        }
    }

    fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    fn set_begun(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    /// Appends events, as the last thing that a transaction does: whoever appends keeps all others
    /// from it until the commit.
    pub(super) fn append(
        &self,
        tx: &mut Writing<'_>,
        origin: &Origin,
        events: Events,
    ) -> QueryResult<()> {
        if events.0.is_empty() {
            return Ok(());
        }
        self.extend(tx, origin, events)
    }

    /// As [`Self::append`], and looks at the head even when there is nothing to append.
    fn extend(&self, tx: &mut Writing<'_>, origin: &Origin, events: Events) -> QueryResult<()> {
        let LockedHead { head, key, found } = self.lock_head(tx)?;
        let found = found.map(|event| (Some(Origin::service()), event));
        let all = Events(found.into_iter().chain(events.0).collect());
        self.append_rows(tx, head, &key, origin, all).map(drop)
    }

    /// Appends to a head that was locked, and signs it. Returns it as it is then.
    fn append_rows(
        &self,
        tx: &mut Writing<'_>,
        mut head: AuditHead,
        key: &DigestKey,
        origin: &Origin,
        events: Events,
    ) -> QueryResult<AuditHead> {
        for (other, event) in events.0 {
            let row = self.next_row(key, &head, other.as_ref().unwrap_or(origin), &event);
            row.insert(tx)?;
            head.last_id = row.id;
            head.last_digest = row.digest;
        }
        head.digest = digest_of_head(key, &head);
        head.update(tx)?;
        Ok(head)
    }

    /// Takes the head to sign it anew. A head that somebody has altered must not become a good one
    /// by that: what is found goes into the trail, and stays there.
    fn lock_head(&self, tx: &mut Writing<'_>) -> QueryResult<LockedHead> {
        let head = AuditHead::lock(tx)?;
        let key = self.key(tx)?;
        let is_good = digest_of_head(&key, &head) == head.digest || self.is_fresh(tx, &head)?;
        let found = (!is_good).then(|| Event::refused(Action::AuditAltered));
        Ok(LockedHead { head, key, found })
    }

    fn next_row(
        &self,
        key: &DigestKey,
        head: &AuditHead,
        origin: &Origin,
        event: &Event,
    ) -> AuditEvent {
        let ip = origin.ip();
        let origin = origin.clone();
        let mut row = AuditEvent {
            id: head.last_id + 1,
            at: self.clock.now(),
            actor: origin.actor,
            credential: origin.credential,
            level: origin.level,
            action: event.action.name().to_owned(),
            target: event.target.clone(),
            result: event.result().to_owned(),
            ip,
            user_agent: origin.user_agent,
            request_id: origin.request_id,
            detail: event.detail_text(),
            previous_digest: head.last_digest.clone(),
            digest: String::new(),
            client_request_id: origin.client_request_id,
        };
        bounds::cut_texts(&mut row);
        row.digest = digest_of_event(key, &row);
        row
    }

    /// The key to go by.
    fn key(&self, tx: &mut Writing<'_>) -> QueryResult<DigestKey> {
        match &self.configured {
            Some(key) => Ok(key.clone()),
            None => self.own.get(tx),
        }
    }
}

impl Auth {
    /// Makes a change and appends the events that it records, in one transaction: committed when
    /// `work` returns `Ok`, rolled back when it returns `Err`. When this returns, the change is
    /// effective on every process. A change by a principal is taken out of its user's budget.
    ///
    /// # Errors
    /// What `work` returns; [`Error::TooManyAttempts`] when the budget is used up;
    /// [`Error::Unavailable`].
    pub(super) async fn change<T: Send + 'static>(
        &self,
        origin: &Origin,
        work: impl FnOnce(&mut Revoking<'_>, &mut Events) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.count_change(origin)?;
        self.require_trail().await?;
        let (auth, origin) = (self.clone(), origin.clone());
        let change = move |tx: &mut Revoking<'_>| {
            let mut events = Events::default();
            let value = work(tx, &mut events)?;
            auth.0.trail.append(tx, &origin, events)?;
            Ok(value)
        };
        self.0.store.revoking(change).await
    }

    /// As [`Self::change`], for what ends no credential and is not requested by a principal.
    pub(super) async fn note<T, E>(
        &self,
        origin: &Origin,
        work: impl FnOnce(&mut Writing<'_>, &mut Events) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + From<DieselError> + Send + 'static,
    {
        self.require_trail().await?;
        let (auth, origin) = (self.clone(), origin.clone());
        let write = move |tx: &mut Writing<'_>| {
            let mut events = Events::default();
            let value = work(tx, &mut events)?;
            auth.0.trail.append(tx, &origin, events)?;
            Ok(value)
        };
        self.0.store.writing(write).await
    }

    /// Writes an event that changes nothing. One of a principal is taken out of the budget of its
    /// user, unless it is a refusal: those have their own.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] when the budget is used up; [`Error::Unavailable`] when the database
    /// does not answer: then the caller must not have what would not be on record.
    pub(super) async fn note_event(&self, origin: &Origin, event: Event) -> Result<(), Error> {
        if !event.refused {
            self.count_change(origin)?;
        }
        self.note(origin, |_tx, events| {
            events.record(event);
            Ok(())
        })
        .await
    }
}

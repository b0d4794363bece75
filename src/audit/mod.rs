//! The audit trail: who did what, to whom, by which authority, and from where.
//!
//! An event is written in the transaction of the change that it describes, so neither exists
//! without the other. Denials change nothing: they are written separately, and as sums in a flood.

mod chain;
mod context;
mod denials;
mod event;
mod group;
mod query;
mod records;
mod refusal_limit;
mod retention;
mod signing_key;
#[cfg(feature = "pages")]
pub(crate) mod statistics;
mod unnamed_proxy;
mod verify;
mod walk;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel::QueryResult;

use chain::{cut_texts, digest_of_event, digest_of_head};
pub use context::AuditContext;
#[cfg(test)]
pub(crate) use context::CredentialId;
pub(crate) use context::{Named, Spender, named};
pub use event::Action;
pub(crate) use event::Event;
pub use query::{EventPage, MarkState, PagePermit};
pub use signing_key::Adoption;
#[cfg(any(feature = "cli", feature = "server"))]
pub(crate) use unnamed_proxy::is_near;
pub use verify::Verification;
pub use walk::Problem;

use crate::clock::Clock;
use crate::credential::keyed_digest::DigestKey;
use crate::error::Error;
use crate::store::{
    AuditEvent, AuditHead, Claims, Ends, InstanceKey, Revoking, Shared, Store, StoreError, Writing,
};
use denials::Denials;
use query::PagePermits;
use records::PendingStart;
use unnamed_proxy::UnnamedProxies;
use writer::Writer;

/// The events of one transaction, in order.
#[derive(Default)]
pub(crate) struct Events(Vec<(Option<AuditContext>, Event)>);

impl Events {
    /// Adds an event.
    pub(crate) fn record(&mut self, event: Event) {
        self.0.push((None, event));
    }

    /// Adds an event of a different actor than the transaction's.
    pub(crate) fn record_by(&mut self, context: AuditContext, event: Event) {
        self.0.push((Some(context), event));
    }

    /// Adds the events of an operation whose actor is in `context`.
    fn add_all(&mut self, context: &AuditContext, events: Self) {
        let events = events.0.into_iter();
        self.0.extend(
            events.map(|(other, event)| (Some(other.unwrap_or_else(|| context.clone())), event)),
        );
    }
}

/// The locked head, and what is needed to sign it again.
struct LockedHead {
    head: AuditHead,
    key: DigestKey,
    /// An event that must be appended first.
    found: Option<Event>,
}

/// The keys that chain the trail.
struct Keys {
    configured: Option<DigestKey>,
    /// The key in the database, used when none is configured.
    own: InstanceKey,
}

impl Keys {
    /// Returns the current key.
    fn present(&self, tx: &mut Writing<'_>) -> QueryResult<DigestKey> {
        match &self.configured {
            Some(key) => Ok(key.clone()),
            None => self.own.get(tx),
        }
    }
}

/// The audit trail of a service. Cheap to clone.
#[derive(Clone)]
pub struct AuditTrail(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    keys: Keys,
    /// How long events are kept; `None` for an unlimited time.
    retention: Option<Duration>,
    /// Whether this process has verified that it may append.
    has_begun: AtomicBool,
    denials: Denials,
    page_permits: PagePermits,
    start: PendingStart,
    unnamed_proxies: UnnamedProxies,
    writer: Writer,
}

impl AuditTrail {
    /// Creates a trail in `store`, chained with `key`, or without one, with a key that is kept in
    /// the database.
    pub(crate) fn new(
        store: Store,
        clock: Clock,
        key: Option<DigestKey>,
        retention: Option<Duration>,
    ) -> Self {
        let writer = Writer::new(store.has_one_writer());
        Self(Arc::new(Inner {
            store,
            clock,
            keys: Keys {
                configured: key,
                own: InstanceKey::new("audit"),
            },
            retention,
            has_begun: AtomicBool::new(false),
            denials: Denials::default(),
            page_permits: PagePermits::default(),
            start: PendingStart::default(),
            unnamed_proxies: UnnamedProxies::default(),
            writer,
        }))
    }

    /// Makes a change that may end credentials of the users in `ends`, and appends the events that
    /// it records, in one transaction: committed when `work` returns `Ok`, rolled back when it
    /// returns `Err`. When this returns, the change is effective on every process.
    ///
    /// # Errors
    /// What `work` returns; [`StoreError::Unavailable`].
    pub(crate) async fn revoking<T, E>(
        &self,
        context: &AuditContext,
        ends: Ends,
        work: impl FnOnce(&mut Revoking<'_>, &mut Events) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.require_begun().await?;
        let (trail, context) = (self.clone(), context.clone());
        let change = move |tx: &mut Revoking<'_>| trail.run_recorded(tx, &context, work);
        self.0.store.revoking(ends, change).await
    }

    /// Like [`Self::revoking`], for changes that revoke no credential.
    pub(crate) async fn writing<T, E>(
        &self,
        context: &AuditContext,
        work: impl FnOnce(&mut Writing<'_>, &mut Events) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.require_begun().await?;
        let (trail, context) = (self.clone(), context.clone());
        let change = move |tx: &mut Writing<'_>| trail.run_recorded(tx, &context, work);
        self.0.store.writing(change).await
    }

    /// Runs `work` in a transaction of either kind, and appends the events that it records.
    fn run_recorded<'a, X, T, E>(
        &self,
        tx: &mut X,
        context: &AuditContext,
        work: impl FnOnce(&mut X, &mut Events) -> Result<T, E>,
    ) -> Result<T, E>
    where
        X: AsMut<Writing<'a>>,
        E: From<StoreError>,
    {
        let mut events = Events::default();
        let value = work(tx, &mut events)?;
        self.append(tx.as_mut(), context, events)?;
        Ok(value)
    }

    /// Records an event without a change.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer: then the caller must not receive
    /// anything, because it would not be recorded.
    pub(crate) async fn record(&self, context: &AuditContext, event: Event) -> Result<(), Error> {
        let record = |_shared: &mut Shared, events: &mut Events| {
            events.record(event);
            Ok(())
        };
        self.grouped_in_memory(context, Claims::default(), record)
            .await
    }

    /// Appends events as the last step of a transaction: the head stays locked until the commit.
    pub(crate) fn append(
        &self,
        tx: &mut Writing<'_>,
        context: &AuditContext,
        events: Events,
    ) -> Result<(), StoreError> {
        if events.0.is_empty() {
            return Ok(());
        }
        Ok(self.extend(tx, context, events)?)
    }

    /// Like [`Self::append`], but checks the head even when there is nothing to append.
    fn extend(
        &self,
        tx: &mut Writing<'_>,
        context: &AuditContext,
        events: Events,
    ) -> QueryResult<()> {
        let LockedHead { head, key, found } = self.lock_head(tx)?;
        let found = found.map(|event| (Some(AuditContext::service()), event));
        let all = Events(found.into_iter().chain(events.0).collect());
        self.append_rows(tx, head, &key, context, all).map(drop)
    }

    /// Appends to a locked head and signs it. Returns the new head.
    fn append_rows(
        &self,
        tx: &mut Writing<'_>,
        mut head: AuditHead,
        key: &DigestKey,
        context: &AuditContext,
        events: Events,
    ) -> QueryResult<AuditHead> {
        let mut rows = Vec::new();
        for (other, event) in events.0 {
            let row = self.next_row(key, &head, other.as_ref().unwrap_or(context), &event);
            head.last_id = row.id;
            head.last_digest.clone_from(&row.digest);
            rows.push(row);
        }
        AuditEvent::insert_all(tx, &rows)?;
        head.digest = digest_of_head(key, &head);
        head.update(tx)?;
        Ok(head)
    }

    /// Locks the head in order to sign it again. Signing must not make an altered head look valid:
    /// the finding is appended, and stays in the trail.
    fn lock_head(&self, tx: &mut Writing<'_>) -> QueryResult<LockedHead> {
        let head = AuditHead::lock(tx)?;
        let key = self.0.keys.present(tx)?;
        let is_valid = digest_of_head(&key, &head) == head.digest || self.is_fresh(tx, &head)?;
        let found = (!is_valid).then(|| Event::refused(Action::AuditAltered));
        Ok(LockedHead { head, key, found })
    }

    fn next_row(
        &self,
        key: &DigestKey,
        head: &AuditHead,
        context: &AuditContext,
        event: &Event,
    ) -> AuditEvent {
        let ip = context.ip();
        let context = context.clone();
        let mut row = AuditEvent {
            id: head.last_id + 1,
            at: self.0.clock.now(),
            actor: context.actor,
            credential: context.credential,
            level: context.authority,
            action: event.action.name().to_owned(),
            target: event.target.clone(),
            result: event.result().to_owned(),
            ip,
            user_agent: context.user_agent,
            request_id: context.request_id,
            detail: event.detail_text(),
            previous_digest: head.last_digest.clone(),
            digest: String::new(),
            client_request_id: context.client_request_id,
        };
        cut_texts(&mut row);
        row.digest = digest_of_event(key, &row);
        row
    }

    fn has_begun(&self) -> bool {
        self.0.has_begun.load(Ordering::Relaxed)
    }

    fn set_begun(&self) {
        self.0.has_begun.store(true, Ordering::Relaxed);
    }
}

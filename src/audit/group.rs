//! Group commit: operations that wait for the database at the same time share one transaction, with
//! one fence, one pass over the head of the trail and one commit. Each runs in a savepoint, so that
//! a refusal undoes only its own operation, and each is answered after the commit.
//!
//! What the operations lock is locked at the beginning, in one order: users by id, then the
//! counters of the throttle, and at the end the head of the trail. Operations that lock anything
//! else, such as administration, have transactions of their own.

use diesel::QueryResult;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{AuditContext, AuditTrail, Event, Events};
use crate::clock::Clock;
use crate::store::{CounterKey, Ends, LockedCounters, QUERY_TIMEOUT, Revoking, StoreError, User};

/// What an operation of a group locks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    /// The users whose rows it locks. It may end their credentials.
    pub(crate) users: Vec<i64>,
    /// The counters that it may read and change.
    pub(crate) counters: Vec<CounterKey>,
    /// The unique value that it stores, or empty: groups of several processes store such values in
    /// one order, so that they do not wait for each other.
    pub(crate) unique: String,
}

type InTransaction<T, E> =
    Box<dyn FnOnce(&mut Revoking<'_>, &mut LockedCounters, &mut Events) -> Result<T, E> + Send>;

type InMemory<T, E> = Box<dyn FnOnce(&mut LockedCounters, &mut Events) -> Result<T, E> + Send>;

enum Work<T, E> {
    /// Executes statements.
    InTransaction(InTransaction<T, E>),
    /// Only changes counters and records events, so it needs no savepoint.
    InMemory(InMemory<T, E>),
}

/// An operation and its caller.
struct Pending<T, E> {
    context: AuditContext,
    claims: Claims,
    work: Option<Work<T, E>>,
    outcome: Option<Result<T, E>>,
    /// `None` if no caller waits.
    reply: Option<oneshot::Sender<Result<T, E>>>,
}

/// An operation of a group. Dropping it before the answer refuses its caller.
pub(super) trait Operation: Send {
    fn claims(&self) -> &Claims;

    /// Whether the caller no longer waits.
    fn is_abandoned(&self) -> bool;

    /// Runs the operation. Returns whether what it did is to be committed; otherwise that is undone,
    /// except the statements of an operation that `is_alone` in its transaction.
    ///
    /// # Errors
    /// If the transaction cannot go on.
    fn run(
        &mut self,
        tx: &mut Revoking<'_>,
        counters: &mut LockedCounters,
        events: &mut Events,
        is_alone: bool,
    ) -> Result<bool, StoreError>;

    /// Sends the outcome to the caller.
    fn answer(self: Box<Self>);
}

impl<T: Send, E: Send> Operation for Pending<T, E> {
    fn claims(&self) -> &Claims {
        &self.claims
    }

    fn is_abandoned(&self) -> bool {
        self.reply.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    fn run(
        &mut self,
        tx: &mut Revoking<'_>,
        counters: &mut LockedCounters,
        events: &mut Events,
        is_alone: bool,
    ) -> Result<bool, StoreError> {
        let saved = counters.save(&self.claims.counters);
        let mut own = Events::default();
        let outcome = match self.work.take() {
            None => return Ok(true),
            Some(Work::InMemory(work)) => work(counters, &mut own),
            Some(Work::InTransaction(work)) if is_alone => work(tx, counters, &mut own),
            Some(Work::InTransaction(work)) => {
                tx.in_savepoint(|tx| work(tx, counters, &mut own))?
            }
        };
        let is_kept = outcome.is_ok();
        if is_kept {
            events.add_all(&self.context, own);
        } else {
            counters.restore(saved);
        }
        self.outcome = Some(outcome);
        Ok(is_kept)
    }

    fn answer(self: Box<Self>) {
        if let (Some(reply), Some(outcome)) = (self.reply, self.outcome) {
            // If the caller has gone, the outcome is dropped.
            let _ = reply.send(outcome);
        }
    }
}

/// Operations that share a transaction.
pub(super) type Group = Vec<Box<dyn Operation>>;

/// Why a group was rolled back.
pub(super) enum GroupError {
    /// The only operation was refused.
    Refused(Group),
    /// The operations cannot have their locks at the same time; none has begun.
    Locked(Group),
    /// All callers are refused.
    Failed(StoreError),
}

impl From<StoreError> for GroupError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl AuditTrail {
    /// Runs an operation in a group: what it did is committed when it returns `Ok`, and undone when it
    /// returns `Err`. Its events are appended in the same transaction. When this returns, the
    /// change is effective on every process.
    ///
    /// # Errors
    /// What `work` returns. [`StoreError::Unavailable`], after [`QUERY_TIMEOUT`] at the latest; if
    /// the commit was in progress then, the change may or may not have been made.
    pub(crate) async fn grouped<T, E>(
        &self,
        context: &AuditContext,
        claims: Claims,
        work: impl FnOnce(&mut Revoking<'_>, &mut LockedCounters, &mut Events) -> Result<T, E>
        + Send
        + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.require_begun().await?;
        let work = Work::InTransaction(Box::new(work));
        self.submit_and_wait(context, claims, work).await
    }

    /// Records an event without a change.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database does not answer: then the caller must not
    /// receive anything, because it would not be recorded.
    pub(super) async fn record_in_group(
        &self,
        context: &AuditContext,
        event: Event,
    ) -> Result<(), StoreError> {
        self.require_begun().await?;
        let record = |_counters: &mut LockedCounters, events: &mut Events| {
            events.record(event);
            Ok(())
        };
        let work = Work::InMemory(Box::new(record));
        self.submit_and_wait(context, Claims::default(), work).await
    }

    /// Changes counters of the throttle in a group, and records nothing.
    ///
    /// # Errors
    /// The same as [`Self::grouped`].
    pub(crate) async fn count<T: Send + 'static>(
        &self,
        counters: Vec<CounterKey>,
        work: impl FnOnce(&mut LockedCounters) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let claims = Claims {
            counters,
            ..Claims::default()
        };
        let work = |counters: &mut LockedCounters, _events: &mut Events| Ok(work(counters)?);
        let work = Work::InMemory(Box::new(work));
        self.submit_and_wait(&AuditContext::service(), claims, work)
            .await
    }

    /// Like [`Self::count`], but does not wait.
    pub(crate) fn count_later(
        &self,
        counters: Vec<CounterKey>,
        work: impl FnOnce(&mut LockedCounters) -> QueryResult<()> + Send + 'static,
    ) {
        let work = |counters: &mut LockedCounters, _events: &mut Events| {
            work(counters).map_err(StoreError::from)
        };
        self.submit(Box::new(Pending {
            context: AuditContext::service(),
            claims: Claims {
                counters,
                ..Claims::default()
            },
            work: Some(Work::InMemory(Box::new(work))),
            outcome: None,
            reply: None,
        }));
    }

    async fn submit_and_wait<T, E>(
        &self,
        context: &AuditContext,
        claims: Claims,
        work: Work<T, E>,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.submit(Box::new(Pending {
            context: context.clone(),
            claims,
            work: Some(work),
            outcome: None,
            reply: Some(reply),
        }));
        match timeout(QUERY_TIMEOUT, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_dropped)) => Err(StoreError::group_failed().into()),
            Err(_elapsed) => Err(StoreError::timeout().into()),
        }
    }

    /// Runs a group in one transaction, and returns its operations after the commit.
    pub(super) async fn commit(&self, mut group: Group) -> Result<Group, GroupError> {
        group.sort_by(|one, other| one.claims().unique.cmp(&other.claims().unique));
        let claims = || group.iter().map(|operation| operation.claims());
        let mut users: Vec<i64> = claims().flat_map(|claims| claims.users.clone()).collect();
        users.sort_unstable();
        users.dedup();
        let keys: Vec<_> = claims()
            .flat_map(|claims| claims.counters.clone())
            .collect();
        let (trail, ends) = (self.clone(), Ends::Users(users.clone()));
        let work = move |tx: &mut Revoking<'_>| {
            let locked = lock(tx, &users, &keys, &trail.0.clock);
            match locked {
                Ok(counters) => trail.run_group(tx, counters, group),
                Err(_) if group.len() > 1 => Err(GroupError::Locked(group)),
                Err(error) => Err(GroupError::Failed(error.into())),
            }
        };
        self.0.store.revoking(ends, work).await
    }

    fn run_group(
        &self,
        tx: &mut Revoking<'_>,
        mut counters: LockedCounters,
        mut group: Group,
    ) -> Result<Group, GroupError> {
        // The locks may have taken long.
        group.retain(|operation| !operation.is_abandoned());
        let mut events = Events::default();
        let is_alone = group.len() == 1;
        for operation in &mut group {
            let is_kept = operation.run(tx, &mut counters, &mut events, is_alone)?;
            if is_alone && !is_kept {
                return Err(GroupError::Refused(group));
            }
        }
        counters.store(tx).map_err(StoreError::from)?;
        self.append(tx, &AuditContext::service(), events)?;
        Ok(group)
    }
}

fn lock(
    tx: &mut Revoking<'_>,
    users: &[i64],
    counters: &[CounterKey],
    clock: &Clock,
) -> QueryResult<LockedCounters> {
    User::lock_all(tx, users)?;
    LockedCounters::lock(tx, counters, clock.now())
}

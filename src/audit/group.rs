//! Group commit: operations that wait for the database at the same time share one transaction, with
//! one fence, one pass over the head of the trail and one commit. Each runs in a savepoint, so that
//! a refusal undoes only its own operation, and each is answered after the commit.
//!
//! What the operations lock is locked at the beginning, in one order: users by id, then the
//! counters of the throttle, and at the end the head of the trail. In between, an operation locks only
//! rows of users whom it claims, such as their sessions: others lock the user first. Operations that
//! lock anything else, such as administration, have transactions of their own. What many operations do, such as
//! sign-ins, they do in memory ([`Shared`]), and one statement stores it for all.

use diesel::QueryResult;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{AuditContext, AuditTrail, Events};
use crate::store::{
    Claims, CounterKey, Ends, LockedCounters, QUERY_TIMEOUT, Revoking, Shared, StoreError, users_of,
};

type InTransaction<T, E> = Box<dyn FnOnce(&mut Revoking<'_>, &mut Events) -> Result<T, E> + Send>;

type InMemory<T, E> = Box<dyn FnOnce(&mut Shared, &mut Events) -> Result<T, E> + Send>;

type Counting<T, E> = Box<dyn FnOnce(&mut Shared) -> Result<T, E> + Send>;

enum Work<T, E> {
    /// Executes statements, in a savepoint.
    InTransaction(InTransaction<T, E>),
    /// Only changes what the group shares, and records events.
    InMemory(InMemory<T, E>),
    /// Only changes what the group shares, ends no credential, and records nothing.
    Counting(Counting<T, E>),
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

    /// Whether it executes statements.
    fn has_statements(&self) -> bool;

    /// Whether it may end credentials or record events.
    fn is_change(&self) -> bool;

    /// Runs the operation. Returns whether it succeeded. If not, its changes are undone, except the
    /// statements of an operation that `is_alone`: the caller rolls back the transaction.
    ///
    /// # Errors
    /// If the transaction cannot go on.
    fn run(
        &mut self,
        tx: &mut Revoking<'_>,
        shared: &mut Shared,
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

    fn has_statements(&self) -> bool {
        matches!(self.work, Some(Work::InTransaction(_)))
    }

    fn is_change(&self) -> bool {
        !matches!(self.work, Some(Work::Counting(_)))
    }

    fn run(
        &mut self,
        tx: &mut Revoking<'_>,
        shared: &mut Shared,
        events: &mut Events,
        is_alone: bool,
    ) -> Result<bool, StoreError> {
        let saved = shared.save(&self.claims);
        let mut own = Events::default();
        let outcome = match self.work.take() {
            None => return Ok(true),
            Some(Work::Counting(work)) => work(shared),
            Some(Work::InMemory(work)) => work(shared, &mut own),
            Some(Work::InTransaction(work)) if is_alone => work(tx, &mut own),
            Some(Work::InTransaction(work)) => tx.in_savepoint(|tx| work(tx, &mut own))?,
        };
        let is_kept = outcome.is_ok();
        if is_kept {
            events.add_all(&self.context, own);
        } else {
            shared.restore(saved);
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
        work: impl FnOnce(&mut Revoking<'_>, &mut Events) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.require_begun().await?;
        let work = Work::InTransaction(Box::new(work));
        self.submit_and_wait(context, claims, work).await
    }

    /// Like [`Self::grouped`], for an operation that executes no statements of its own.
    ///
    /// # Errors
    /// The same.
    pub(crate) async fn grouped_in_memory<T, E>(
        &self,
        context: &AuditContext,
        claims: Claims,
        work: impl FnOnce(&mut Shared, &mut Events) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.require_begun().await?;
        let work = Work::InMemory(Box::new(work));
        self.submit_and_wait(context, claims, work).await
    }

    /// Like [`Self::grouped_in_memory`], and records nothing.
    ///
    /// # Errors
    /// The same.
    pub(crate) async fn share<T: Send + 'static>(
        &self,
        claims: Claims,
        work: impl FnOnce(&mut Shared) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let work = |shared: &mut Shared| Ok(work(shared)?);
        let work = Work::Counting(Box::new(work));
        self.submit_and_wait(&AuditContext::service(), claims, work)
            .await
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
        self.share(claims, |shared| work(&mut shared.counters))
            .await
    }

    /// Like [`Self::count`], but does not wait.
    pub(crate) fn count_later(
        &self,
        counters: Vec<CounterKey>,
        work: impl FnOnce(&mut LockedCounters) -> QueryResult<()> + Send + 'static,
    ) {
        let work = |shared: &mut Shared| work(&mut shared.counters).map_err(StoreError::from);
        self.submit(Box::new(Pending {
            context: AuditContext::service(),
            claims: Claims {
                counters,
                ..Claims::default()
            },
            work: Some(Work::Counting(Box::new(work))),
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
        // What is changed in memory is stored at the end, so these operations are also the last.
        group.sort_by(|one, other| place(one.as_ref()).cmp(&place(other.as_ref())));
        let ends = Ends::Users(users_of(group.iter().map(|one| one.claims())));
        let trail = self.clone();
        let work = move |tx: &mut Revoking<'_>| {
            let claims: Vec<&Claims> = group.iter().map(|one| one.claims()).collect();
            match Shared::lock(tx, &claims, trail.0.clock.now()) {
                Ok(shared) => trail.run_group(tx, shared, group),
                Err(_) if group.len() > 1 => Err(GroupError::Locked(group)),
                Err(error) => Err(GroupError::Failed(error.into())),
            }
        };
        self.0.store.revoking(ends, work).await
    }

    fn run_group(
        &self,
        tx: &mut Revoking<'_>,
        mut shared: Shared,
        mut group: Group,
    ) -> Result<Group, GroupError> {
        // The locks may have taken long.
        group.retain(|operation| !operation.is_abandoned());
        let mut events = Events::default();
        let is_alone = group.len() == 1;
        for operation in &mut group {
            if !operation.has_statements() {
                shared.read_sessions(tx).map_err(StoreError::from)?;
            }
            let is_kept = operation.run(tx, &mut shared, &mut events, is_alone)?;
            if is_alone && !is_kept {
                return Err(GroupError::Refused(group));
            }
        }
        shared.store(tx).map_err(StoreError::from)?;
        self.append(tx, &AuditContext::service(), events)?;
        Ok(group)
    }
}

/// The place of an operation in its group.
fn place(operation: &dyn Operation) -> (bool, &str) {
    (!operation.has_statements(), &operation.claims().unique)
}

//! Runs queries and transactions on pooled connections: their time limits, retries, and commit or
//! rollback.

use std::sync::Arc;
use std::time::Duration;

use diesel::QueryResult;
use diesel::connection::SimpleConnection;
use diesel::result::Error as DieselError;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::connection::is_lost;
use super::principal_cache::{Ended, Fence};
use super::{
    Ends, QUERY_TIMEOUT, REWRITE_TIMEOUT, Revoking, Store, StoreConnection, StoreError, Writing,
};

/// Maximum number of rows that [`Store::delete_in_batches`] deletes per transaction, so that other
/// writers wait only briefly.
const BATCH_LIMIT: i64 = 1_000;

/// The outcome of one use of a connection.
pub(super) enum Outcome<T, E = StoreError> {
    /// The connection is intact, whether or not the work succeeded.
    Done(Result<T, E>),
    /// The connection must not be used again.
    Spoiled(Result<T, E>),
    /// The connection was dead before anything happened: another one may work.
    NotStarted(DieselError),
}

impl<T, E: From<StoreError>> Outcome<T, E> {
    /// The work could not begin.
    fn not_started(error: DieselError) -> Self {
        if is_lost(&error) {
            Self::NotStarted(error)
        } else {
            Self::Spoiled(Err(StoreError::from(error).into()))
        }
    }

    /// A statement failed, and perhaps the connection with it.
    fn failed(error: DieselError) -> Self {
        let is_lost = is_lost(&error);
        let outcome = Err(StoreError::from(error).into());
        if is_lost {
            Self::Spoiled(outcome)
        } else {
            Self::Done(outcome)
        }
    }
}

/// An [`Outcome`] without the result.
enum After {
    Done,
    Spoiled,
    NotStarted(DieselError),
}

/// One use of a connection, which passes on its result by itself.
type Attempt = Box<dyn FnMut(&mut StoreConnection) -> After + Send>;

impl Store {
    /// Uses a connection. Acquires `first` before a connection's permit, if given.
    pub(super) async fn run<T, E>(
        &self,
        timeout: Duration,
        first: Option<&Arc<Semaphore>>,
        mut attempt: impl FnMut(&mut StoreConnection) -> Outcome<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (sender, mut receiver) = oneshot::channel();
        let mut sender = Some(sender);
        let attempt: Attempt = Box::new(move |conn| {
            let (result, after) = match attempt(conn) {
                Outcome::Done(result) => (result, After::Done),
                Outcome::Spoiled(result) => (result, After::Spoiled),
                Outcome::NotStarted(error) => return After::NotStarted(error),
            };
            // Fails when the caller has stopped waiting.
            sender.take().map(|sender| sender.send(result));
            after
        });
        self.run_attempt(timeout, first, attempt).await?;
        receiver.try_recv().unwrap_or_else(|_panicked| {
            Err(StoreError::Unavailable("the query panicked".to_owned()).into())
        })
    }

    /// The part of [`Self::run`] that is compiled once, and not for each query.
    async fn run_attempt(
        &self,
        timeout: Duration,
        first: Option<&Arc<Semaphore>>,
        mut attempt: Attempt,
    ) -> Result<(), StoreError> {
        self.check_usable()?;
        let deadline = Instant::now() + timeout;
        let timed_out = |_elapsed| StoreError::timeout();
        let mut permits = Vec::new();
        for semaphore in first.into_iter().chain([&self.permits]) {
            let permit = timeout_at(deadline, Arc::clone(semaphore).acquire_owned()).await;
            permits.push(permit.map_err(timed_out)?);
        }
        let pool = self.pool.clone();
        let job = spawn_blocking(move || {
            // Held until the query ends, even after the caller has stopped waiting.
            let _permits = permits;
            let mut error = StoreError::no_connection();
            // Each attempt may discard one dead connection, so the loop ends with a live one or
            // none.
            for _ in 0..=pool.max_size() {
                let mut pooled = pool.get().map_err(|_logged| StoreError::no_connection())?;
                match attempt(&mut pooled.conn) {
                    After::Done => return Ok(()),
                    After::Spoiled => {
                        pooled.is_lost = true;
                        return Ok(());
                    }
                    After::NotStarted(lost) => {
                        pooled.is_lost = true;
                        error = StoreError::from(lost);
                    }
                }
            }
            Err(error)
        });
        let ended = timeout_at(deadline, job).await.map_err(timed_out)?;
        // After a panic there is no result.
        ended.unwrap_or(Ok(()))
    }

    /// Runs a query that changes nothing. It may run again on another connection if the first turns
    /// out to be dead, for example after a restart of Postgres.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], after [`QUERY_TIMEOUT`] at the latest.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl Fn(&mut StoreConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(QUERY_TIMEOUT, None, move |conn| run_query(conn, &query))
            .await
    }

    /// Runs `work` in one transaction: committed when it returns `Ok`, rolled back when it returns
    /// `Err`. `work` cannot end a credential; see [`Self::revoking`].
    ///
    /// # Errors
    /// What `work` returns. [`StoreError::Conflict`] when a UNIQUE constraint is violated;
    /// [`StoreError::Unavailable`], after [`QUERY_TIMEOUT`] at the latest. If the commit was in
    /// progress then, the change may or may not have been made.
    pub async fn writing<T, E>(
        &self,
        work: impl FnOnce(&mut Writing<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let fence = self.principals.fence(&Ends::Users(Vec::new()));
        self.transact(QUERY_TIMEOUT, fence, |conn| work(&mut Writing::new(conn)))
            .await
    }

    /// Like [`Self::writing`], for work that may end credentials of the users in `ends`. When this
    /// returns, no process accepts a credential that `work` has ended.
    ///
    /// # Errors
    /// Same as [`Self::writing`]; [`StoreError::Unavailable`] for a change of another user.
    pub async fn revoking<T, E>(
        &self,
        ends: Ends,
        work: impl FnOnce(&mut Revoking<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let fence = self.principals.fence(&ends);
        self.transact(QUERY_TIMEOUT, fence, move |conn| {
            work(&mut Revoking::new(conn, &ends))
        })
        .await
    }

    /// Like [`Self::revoking`], for an operator's work on whole tables, which may take up to
    /// [`REWRITE_TIMEOUT`]. No other process can write in the meantime.
    ///
    /// # Errors
    /// Same as [`Self::writing`].
    pub async fn rewriting<T, E>(
        &self,
        work: impl FnOnce(&mut Revoking<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let ends = Ends::Everyone;
        let fence = self.principals.fence(&ends);
        self.transact(REWRITE_TIMEOUT, fence, move |conn| {
            lift_statement_timeout(conn).map_err(StoreError::from)?;
            work(&mut Revoking::new(conn, &ends))
        })
        .await
    }

    /// Runs `delete`, which deletes at most as many rows as its argument says and returns how many,
    /// in one transaction after another until no rows are left. Passes the number of each committed
    /// batch to `on_batch`. Returns the sum.
    ///
    /// The rows must be ones that no process accepts any more: no cache is fenced.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database does not answer; earlier batches stay deleted.
    pub(crate) async fn delete_in_batches(
        &self,
        delete: impl Fn(&mut Writing<'_>, i64) -> QueryResult<usize> + Copy + Send + 'static,
        mut on_batch: impl FnMut(usize),
    ) -> Result<usize, StoreError> {
        let mut deleted = 0;
        loop {
            let batch = move |conn: &mut StoreConnection| {
                Ok::<_, StoreError>(delete(&mut Writing::new(conn), BATCH_LIMIT)?)
            };
            // Without the fence of `writing`: the cache of this process may hold such a row.
            match self.transact(QUERY_TIMEOUT, None, batch).await? {
                0 => return Ok(deleted),
                rows => {
                    on_batch(rows);
                    deleted += rows;
                }
            }
        }
    }

    async fn transact<T, E>(
        &self,
        timeout: Duration,
        mut fence: Option<Fence>,
        work: impl FnOnce(&mut StoreConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let mut work = Some(work);
        self.run(timeout, self.write_permit.as_ref(), move |conn| {
            run_transaction(conn, fence.as_mut(), |conn| match work.take() {
                Some(work) => work(conn),
                // After BEGIN there is no second attempt.
                None => Err(StoreError::from(DieselError::NotFound).into()),
            })
        })
        .await
    }
}

/// Runs a query that may be repeated.
pub(super) fn run_query<T>(
    conn: &mut StoreConnection,
    query: impl FnOnce(&mut StoreConnection) -> QueryResult<T>,
) -> Outcome<T> {
    match query(conn) {
        Ok(value) => Outcome::Done(Ok(value)),
        Err(error) if is_lost(&error) => Outcome::NotStarted(error),
        Err(error) => Outcome::Done(Err(error.into())),
    }
}

/// Runs `work` in one transaction, which an error rolls back. The `fence` makes it effective on all
/// processes at the same moment.
fn run_transaction<T, E: From<StoreError>>(
    conn: &mut StoreConnection,
    fence: Option<&mut Fence>,
    work: impl FnOnce(&mut StoreConnection) -> Result<T, E>,
) -> Outcome<T, E> {
    let Some(fence) = fence else {
        return match conn.begin_write() {
            Err(error) => Outcome::not_started(error),
            Ok(()) => {
                let outcome = work(conn);
                end(conn, outcome)
            }
        };
    };
    if let Err(error) = fence.begin(conn).and_then(|()| conn.begin_write()) {
        return Outcome::not_started(error);
    }
    let begun = fence.after_begin(conn);
    let outcome = begun
        .map_err(|error| StoreError::from(error).into())
        .and_then(|()| work(conn))
        .inspect(|_value| fence.before_commit(conn));
    let outcome = end(conn, outcome);
    let ended = match &outcome {
        Outcome::Done(Ok(_)) => Ended::Committed,
        Outcome::Done(Err(_)) => Ended::RolledBack,
        Outcome::Spoiled(_) | Outcome::NotStarted(_) => Ended::Unknown,
    };
    match (fence.end(conn, ended), outcome) {
        (Err(error), Outcome::Done(Ok(_))) => Outcome::Spoiled(Err(StoreError::from(error).into())),
        (Err(_), Outcome::Done(result)) => Outcome::Spoiled(result),
        (_, outcome) => outcome,
    }
}

/// Commits a success, and rolls back an error.
fn end<T, E: From<StoreError>>(conn: &mut StoreConnection, outcome: Result<T, E>) -> Outcome<T, E> {
    match outcome {
        Ok(value) => match conn.commit_write() {
            Ok(()) => Outcome::Done(Ok(value)),
            Err(error) => Outcome::failed(error),
        },
        // The first error is the one to report.
        Err(error) => match conn.roll_back_write() {
            Ok(()) => Outcome::Done(Err(error)),
            Err(_) => {
                log::debug!("database: a rollback failed");
                Outcome::Spoiled(Err(error))
            }
        },
    }
}

fn lift_statement_timeout(conn: &mut StoreConnection) -> QueryResult<()> {
    match conn {
        StoreConnection::Postgres(conn) => conn.batch_execute("SET LOCAL statement_timeout = 0"),
        StoreConnection::Sqlite(_) => Ok(()),
    }
}

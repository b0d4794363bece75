//! How a query gets a connection from the pool, how long it may take, and when it may be repeated.

use std::sync::Arc;
use std::time::Duration;

use diesel::QueryResult;
use diesel::result::Error as DieselError;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::connection::is_lost;
use super::principal_cache::Revocation;
use super::{Store, StoreConnection, StoreError};

/// The outcome of one use of a connection.
pub(super) enum Outcome<T, E = StoreError> {
    /// The connection is intact, whether or not the work has succeeded.
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
        self.check_files()?;
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
                    Outcome::Done(outcome) => return outcome,
                    Outcome::Spoiled(outcome) => {
                        pooled.is_lost = true;
                        return outcome;
                    }
                    Outcome::NotStarted(lost) => {
                        pooled.is_lost = true;
                        error = StoreError::from(lost);
                    }
                }
            }
            Err(error.into())
        });
        timeout_at(deadline, job)
            .await
            .map_err(timed_out)?
            .unwrap_or_else(|_panic| {
                Err(StoreError::Unavailable("the query panicked".to_owned()).into())
            })
    }
}

/// Runs a query that may be repeated.
pub(super) fn read<T>(
    conn: &mut StoreConnection,
    query: impl FnOnce(&mut StoreConnection) -> QueryResult<T>,
) -> Outcome<T> {
    match query(conn) {
        Ok(value) => Outcome::Done(Ok(value)),
        Err(error) if is_lost(&error) => Outcome::NotStarted(error),
        Err(error) => Outcome::Done(Err(error.into())),
    }
}

/// Runs `work` in one transaction, which an error rolls back. On Postgres the `revocation` makes it
/// effective on all processes at the same moment.
pub(super) fn transact<T, E: From<StoreError>>(
    conn: &mut StoreConnection,
    revocation: Option<&mut Revocation>,
    work: impl FnOnce(&mut StoreConnection) -> Result<T, E>,
) -> Outcome<T, E> {
    let Some(revocation) = revocation else {
        return match conn.begin_write() {
            Err(error) => Outcome::not_started(error),
            Ok(()) => {
                let outcome = work(conn);
                end(conn, outcome)
            }
        };
    };
    if let Err(error) = revocation.begin(conn).and_then(|()| conn.begin_write()) {
        return Outcome::not_started(error);
    }
    let outcome = work(conn).and_then(|value| {
        let announced = revocation.announce_end(conn);
        announced.map_err(StoreError::from)?;
        Ok(value)
    });
    let outcome = end(conn, outcome);
    let is_committed = matches!(outcome, Outcome::Done(Ok(_)));
    match (revocation.end(conn, is_committed), outcome) {
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

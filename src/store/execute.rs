//! How a query gets a connection of the pool, how long it may take, and when it may be repeated.

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

/// How one use of a connection ended.
pub(super) enum Attempt<T, E = StoreError> {
    /// The connection is intact, whether or not the work succeeded.
    Done(Result<T, E>),
    /// The connection must not be used again.
    Spoiled(Result<T, E>),
    /// The connection was dead before anything happened: another one may work.
    NotBegun(DieselError),
}

impl<T, E: From<StoreError>> Attempt<T, E> {
    /// The work could not be begun.
    fn not_begun(error: DieselError) -> Self {
        if is_lost(&error) {
            Self::NotBegun(error)
        } else {
            Self::Spoiled(Err(StoreError::from(error).into()))
        }
    }

    /// A statement failed, with the connection or without it.
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
    /// Uses a connection, after acquiring `first` if there is something else to wait for.
    pub(super) async fn run<T, E>(
        &self,
        timeout: Duration,
        first: Option<&Arc<Semaphore>>,
        mut attempt: impl FnMut(&mut StoreConnection) -> Attempt<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.refuse_other_files()?;
        let deadline = Instant::now() + timeout;
        let too_slow = |_elapsed| StoreError::timeout();
        let mut held = Vec::new();
        for semaphore in first.into_iter().chain([&self.turns]) {
            let turn = timeout_at(deadline, Arc::clone(semaphore).acquire_owned()).await;
            held.push(turn.map_err(too_slow)?);
        }
        let pool = self.pool.clone();
        let job = spawn_blocking(move || {
            // Held until the query ends, even after the caller has given up.
            let _held = held;
            let mut error = StoreError::no_connection();
            // Each attempt may use up one dead connection, so this ends with a live one or none.
            for _ in 0..=pool.max_size() {
                let mut pooled = pool.get().map_err(|_logged| StoreError::no_connection())?;
                match attempt(&mut pooled.conn) {
                    Attempt::Done(outcome) => return outcome,
                    Attempt::Spoiled(outcome) => {
                        pooled.lost = true;
                        return outcome;
                    }
                    Attempt::NotBegun(lost) => {
                        pooled.lost = true;
                        error = StoreError::from(lost);
                    }
                }
            }
            Err(error.into())
        });
        timeout_at(deadline, job)
            .await
            .map_err(too_slow)?
            .unwrap_or_else(|_panic| {
                Err(StoreError::Unavailable("the query panicked".to_owned()).into())
            })
    }
}

/// Runs a query that may be repeated.
pub(super) fn read<T>(
    conn: &mut StoreConnection,
    query: impl FnOnce(&mut StoreConnection) -> QueryResult<T>,
) -> Attempt<T> {
    match query(conn) {
        Ok(value) => Attempt::Done(Ok(value)),
        Err(error) if is_lost(&error) => Attempt::NotBegun(error),
        Err(error) => Attempt::Done(Err(error.into())),
    }
}

/// Runs `work` in one transaction, which an error rolls back. On Postgres it takes effect on all
/// processes at once, through the `revocation`.
pub(super) fn transact<T, E: From<StoreError>>(
    conn: &mut StoreConnection,
    revocation: Option<&mut Revocation>,
    work: impl FnOnce(&mut StoreConnection) -> Result<T, E>,
) -> Attempt<T, E> {
    let Some(revocation) = revocation else {
        return match conn.begin_write() {
            Err(error) => Attempt::not_begun(error),
            Ok(()) => {
                let outcome = work(conn);
                end(conn, outcome)
            }
        };
    };
    if let Err(error) = revocation.begin(conn).and_then(|()| conn.begin_write()) {
        return Attempt::not_begun(error);
    }
    let outcome = work(conn).and_then(|value| {
        let announced = revocation.announce_end(conn);
        announced.map_err(StoreError::from)?;
        Ok(value)
    });
    let attempt = end(conn, outcome);
    let is_committed = matches!(attempt, Attempt::Done(Ok(_)));
    match (revocation.end(conn, is_committed), attempt) {
        (Err(error), Attempt::Done(Ok(_))) => Attempt::Spoiled(Err(StoreError::from(error).into())),
        (Err(_), Attempt::Done(outcome)) => Attempt::Spoiled(outcome),
        (_, attempt) => attempt,
    }
}

/// Commits what succeeded, and rolls back the rest.
fn end<T, E: From<StoreError>>(conn: &mut StoreConnection, outcome: Result<T, E>) -> Attempt<T, E> {
    match outcome {
        Ok(value) => match conn.commit_write() {
            Ok(()) => Attempt::Done(Ok(value)),
            Err(error) => Attempt::failed(error),
        },
        // The first error is the one to report.
        Err(error) => match conn.roll_back_write() {
            Ok(()) => Attempt::Done(Err(error)),
            Err(_) => {
                log::debug!("database: a rollback failed");
                Attempt::Spoiled(Err(error))
            }
        },
    }
}

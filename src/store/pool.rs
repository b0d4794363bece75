//! How a query gets a connection of the pool, and how long it may take.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::execute::{Attempt, is_lost};
use super::{ANSWER_WITHIN, Store, StoreConnection, StoreError};

impl Store {
    /// Uses a connection, after `first` if there is something else to wait for.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        first: Option<&Arc<Semaphore>>,
        attempt: impl FnMut(&mut StoreConnection) -> Attempt<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run_within(ANSWER_WITHIN, first, attempt).await
    }

    pub(super) async fn run_within<T: Send + 'static>(
        &self,
        timeout: Duration,
        first: Option<&Arc<Semaphore>>,
        mut attempt: impl FnMut(&mut StoreConnection) -> Attempt<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.refuse_other_files()?;
        let deadline = Instant::now() + timeout;
        let too_slow = |_elapsed| StoreError::Unavailable("no answer in time".to_owned());
        let mut held = Vec::new();
        for semaphore in first.into_iter().chain([&self.turns]) {
            let turn = timeout_at(deadline, Arc::clone(semaphore).acquire_owned()).await;
            held.push(turn.map_err(too_slow)?);
        }
        let pool = self.pool.clone();
        let job = spawn_blocking(move || {
            // Until the query ends, even when nobody waits for its answer any more.
            let _held = held;
            let mut error = unreachable_database();
            // Each attempt may use up one dead connection, so this ends with a live one or none.
            for _ in 0..=pool.max_size() {
                let mut pooled = pool.get().map_err(|_logged| unreachable_database())?;
                match attempt(&mut pooled.conn) {
                    Attempt::Done(outcome) => {
                        pooled.lost = outcome.as_ref().is_err_and(is_lost);
                        return outcome.map_err(StoreError::from);
                    }
                    Attempt::Spoiled(outcome) => {
                        pooled.lost = true;
                        return outcome.map_err(StoreError::from);
                    }
                    Attempt::NotBegun(lost) => {
                        pooled.lost = true;
                        error = StoreError::from(lost);
                    }
                }
            }
            Err(error)
        });
        timeout_at(deadline, job)
            .await
            .map_err(too_slow)?
            .unwrap_or_else(|_panic| Err(StoreError::Unavailable("the query panicked".to_owned())))
    }
}

pub(super) fn unreachable_database() -> StoreError {
    StoreError::Unavailable("no connection".to_owned())
}

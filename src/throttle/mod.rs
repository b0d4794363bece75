//! Throttling of password guesses, by account and by address, and of other operations that clients
//! can repeat.
//!
//! An attempt is counted in the database before the password is compared, so that the count covers
//! concurrent guesses, all processes, and processes that are killed. Until it is decided, other
//! attempts wait for it instead of being refused: a right password must not fail because of
//! concurrent attempts. The failures of an account do not lock out its owner: an address from which
//! the owner has signed in has a budget of its own, and so does the network around it.

mod addresses;
mod attempt;
mod changes;
mod factors;
#[cfg(feature = "mail")]
mod mail;
mod passwords;
mod rate;
mod reservation;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use diesel::QueryResult;

pub(crate) use attempt::Attempt;

use crate::audit::AuditTrail;
use crate::clock::Clock;
use crate::config::{AuthConfig, Limits};
use crate::credential::keyed_digest::DigestKey;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::store::{InstanceKey, LockedCounters, Store, StoreError, ThrottleCounter, Writing};
use changes::ChangeBudgets;
use waiting::{BlockedNetworks, WaitingLines};

/// The throttle of a service. Cheap to clone.
#[derive(Clone)]
pub struct Throttle(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    limits: Limits,
    /// The longest time that a password waits for a hash thread.
    hash_queue: Duration,
    /// The key of the digests that attempts are counted under.
    key: InstanceKey,
    blocked: BlockedNetworks,
    waiting: WaitingLines,
    changes: ChangeBudgets,
    audit: AuditTrail,
    metrics: Arc<Metrics>,
}

impl Throttle {
    /// Creates a throttle with the configured limits.
    pub(crate) fn new(
        store: Store,
        clock: Clock,
        config: &AuthConfig,
        audit: AuditTrail,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self(Arc::new(Inner {
            store,
            clock,
            limits: config.limits,
            hash_queue: config.hash_queue,
            key: InstanceKey::new("throttle"),
            blocked: BlockedNetworks::default(),
            waiting: WaitingLines::default(),
            changes: ChangeBudgets::default(),
            audit,
            metrics,
        }))
    }

    /// The key of the digests that attempts are counted under.
    async fn key(&self) -> Result<DigestKey, StoreError> {
        if let Some(key) = self.0.key.cached() {
            return Ok(key);
        }
        let key = self.0.key.clone();
        self.0
            .store
            .writing(move |tx| Ok::<_, StoreError>(key.get(tx)?))
            .await
    }

    /// Clears the failures of the account with this canonical name. Returns whether there were any.
    pub(crate) fn clear_failures(&self, tx: &mut Writing<'_>, name: &str) -> QueryResult<bool> {
        let key = self.0.key.get(tx)?;
        let account = key.digest(&["account", name]);
        let now = self.0.clock.now();
        LockedCounters::reset_account(tx, &account, now).map(|rows| rows > 0)
    }

    /// Moves the wait of an account, and the sign-ins that it has used up, to another name, when the
    /// user gets another address. The known networks are learned again.
    pub(crate) fn move_account(
        &self,
        tx: &mut Writing<'_>,
        old: &str,
        new: &str,
    ) -> QueryResult<()> {
        let key = self.0.key.get(tx)?;
        let digest = |name| key.digest(&["account", name]);
        LockedCounters::move_account(tx, &digest(old), &digest(new), self.0.clock.now())
    }

    /// Deletes expired counts and returns their number; deletes none while the clock is not trusted
    /// ([`crate::Auth::check_clock`]).
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer; earlier batches stay deleted.
    pub async fn prune(&self) -> Result<usize, Error> {
        if !self.0.store.observe_time(&self.0.clock).await? {
            return Ok(0);
        }
        let now = self.0.clock.now();
        let prune = move |tx: &mut Writing<'_>, limit| ThrottleCounter::prune(tx, now, limit);
        Ok(self.0.store.delete_in_batches(prune, |_rows| ()).await?)
    }
}

fn too_many(wait: TimeDelta) -> Error {
    let retry_after = wait.to_std().unwrap_or_default();
    Error::TooManyAttempts { retry_after }
}

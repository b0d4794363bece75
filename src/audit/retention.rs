//! Deletes old events without breaking the chain: the head keeps the digest of the last deleted event,
//! so the remaining rows still begin where they must.

use chrono::{NaiveDateTime, TimeDelta};

use super::chain::{digest_of_earlier, digest_of_head};
use super::{Action, AuditContext, AuditTrail, Event, Events, LockedHead};
use crate::error::Error;
use crate::store::{AuditEvent, Writing};

/// Maximum number of rows deleted per transaction, so that other transactions can write in between.
const PRUNE_LIMIT: i64 = 1_000;

impl AuditTrail {
    /// Deletes the events that are older than the configured retention and returns their number;
    /// deletes none while the clock is not trusted ([`crate::Auth::check_clock`]).
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer; earlier batches stay deleted.
    pub async fn prune(&self) -> Result<usize, Error> {
        let pruned = self.delete_old().await?;
        if pruned > 0 {
            self.record_pruning(&AuditContext::service(), pruned)
                .await?;
        }
        Ok(pruned)
    }

    /// Like [`Self::prune`], for an operator; records an event even when nothing was deleted.
    ///
    /// # Errors
    /// The same as [`Self::prune`].
    pub async fn prune_by(&self, operator: &AuditContext) -> Result<usize, Error> {
        let pruned = self.delete_old().await?;
        self.record_pruning(operator, pruned).await?;
        Ok(pruned)
    }

    async fn record_pruning(&self, context: &AuditContext, pruned: usize) -> Result<(), Error> {
        let event = Event::new(Action::AuditPrune).with("count", pruned);
        self.record(context, event).await
    }

    async fn delete_old(&self) -> Result<usize, Error> {
        let Some(age) = self.0.retention else {
            return Ok(0);
        };
        if !self.0.store.observe_time(&self.0.clock).await? {
            return Ok(0);
        }
        let age = TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
        let Some(before) = self.0.clock.now().checked_sub_signed(age) else {
            return Ok(0);
        };
        let mut pruned = 0;
        loop {
            let trail = self.clone();
            let prune = move |tx: &mut Writing<'_>, events: &mut Events| {
                trail.delete_batch(tx, events, before)
            };
            match self.writing(&AuditContext::service(), prune).await? {
                0 => return Ok(pruned),
                rows => pruned += rows,
            }
        }
    }

    fn delete_batch(
        &self,
        tx: &mut Writing<'_>,
        events: &mut Events,
        before: NaiveDateTime,
    ) -> Result<usize, Error> {
        let LockedHead {
            mut head,
            key,
            found,
        } = self.lock_head(tx)?;
        let old = AuditEvent::list_older_than(tx, head.pruned_id, before, PRUNE_LIMIT)?;
        // The head keeps a digest of the deleted events that an earlier key has signed.
        for event in old.iter().filter(|event| event.id <= head.adopted_id) {
            head.adopted_start = digest_of_earlier(&key, &head.adopted_start, event);
        }
        let Some(last) = old.into_iter().last() else {
            return Ok(0);
        };
        if let Some(found) = found {
            events.record(found);
        }
        head.pruned_id = last.id;
        head.pruned_digest = last.digest;
        head.digest = digest_of_head(&key, &head);
        head.update(tx)?;
        Ok(AuditEvent::delete_through(tx, last.id)?)
    }
}

//! Deleting old events, without breaking the chain: the head keeps the digest of the last one that
//! was deleted, so that what is left still begins where it has to.

use chrono::TimeDelta;

use super::chain::{digest_of_earlier, digest_of_head};
use super::{Action, Event, Events, LockedHead, Origin};
use crate::auth::{Administrator, Auth};
use crate::error::Error;
use crate::store::{AuditEvent, Writing};

/// Rows that are deleted in one transaction: others write between two of them.
const PRUNED_AT_ONCE: i64 = 1_000;

impl Auth {
    /// Deletes the events that are older than the settings want to keep, and returns how many: none
    /// while the clock is not trusted ([`Auth::check_clock`]).
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer; what was deleted stays deleted.
    pub async fn prune_events(&self) -> Result<usize, Error> {
        let pruned = self.delete_old_events().await?;
        if pruned > 0 {
            self.note_pruning(&Origin::service(), pruned).await?;
        }
        Ok(pruned)
    }

    /// As [`Self::prune_events`], for an operator, which is an event whether there were any or not.
    ///
    /// # Errors
    /// As [`Self::prune_events`].
    pub async fn prune_events_for(&self, operator: &Administrator) -> Result<usize, Error> {
        let pruned = self.delete_old_events().await?;
        self.note_pruning(&operator.origin, pruned).await?;
        Ok(pruned)
    }

    async fn note_pruning(&self, origin: &Origin, pruned: usize) -> Result<(), Error> {
        let event = Event::new(Action::AuditPrune).with("count", pruned);
        self.note_event(origin, event).await
    }

    async fn delete_old_events(&self) -> Result<usize, Error> {
        let Some(age) = self.0.config.audit_retention else {
            return Ok(0);
        };
        if !self.check_clock().await? {
            return Ok(0);
        }
        let age = TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
        let Some(before) = self.0.clock.now().checked_sub_signed(age) else {
            return Ok(0);
        };
        let mut pruned = 0;
        loop {
            let auth = self.clone();
            let prune = move |tx: &mut Writing<'_>, events: &mut Events| {
                let LockedHead {
                    mut head,
                    key,
                    found,
                } = auth.0.trail.lock_head(tx)?;
                let old = AuditEvent::list_older_than(tx, head.pruned_id, before, PRUNED_AT_ONCE)?;
                // Of what an earlier key has made, the head keeps the digest of what is deleted.
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
                Ok::<_, Error>(AuditEvent::delete_through(tx, last.id)?)
            };
            match self.note(&Origin::service(), prune).await? {
                0 => return Ok(pruned),
                rows => pruned += rows,
            }
        }
    }
}

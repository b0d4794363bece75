//! Deleting old events, without breaking the chain: the head keeps the digest of the last one that
//! was deleted, so that what is left still begins where it has to.

use chrono::TimeDelta;

use super::chain::{digest_of_earlier, digest_of_head};
use super::{Action, Event, Events, LockedHead, Origin};
use crate::auth::Auth;
use crate::error::Error;
use crate::store::{AuditEvent, StoreConnection};

/// Rows that are deleted in one transaction: others write between two of them.
const PRUNED_AT_ONCE: i64 = 1_000;

impl Auth {
    /// Deletes the events that are older than the settings want to keep, and returns how many.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer; what was deleted stays deleted.
    pub async fn prune_events(&self) -> Result<usize, Error> {
        let Some(age) = self.0.config.audit_retention else {
            return Ok(0);
        };
        let age = TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
        let Some(before) = self.0.clock.now().checked_sub_signed(age) else {
            return Ok(0);
        };
        let mut pruned = 0;
        loop {
            let auth = self.clone();
            let prune = move |conn: &mut StoreConnection, events: &mut Events| {
                let LockedHead {
                    mut head,
                    key,
                    found,
                } = auth.0.trail.lock_head(conn)?;
                let old =
                    AuditEvent::list_older_than(conn, head.pruned_id, before, PRUNED_AT_ONCE)?;
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
                head.update(conn)?;
                AuditEvent::delete_through(conn, last.id)
            };
            match self.note(&Origin::service(), prune).await? {
                0 => break,
                rows => pruned += rows,
            }
        }
        if pruned > 0 {
            let event = Event::new(Action::AuditPrune).with("count", pruned);
            self.note_event(&Origin::service(), event).await?;
        }
        Ok(pruned)
    }
}

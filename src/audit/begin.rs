//! Checks the trail before a process appends to it for the first time.

use diesel::QueryResult;

use super::chain::{digest_of_event, digest_of_head};
use super::{AuditContext, AuditTrail, Events};
use crate::error::Error;
use crate::store::{AuditEvent, AuditHead, StoreConnection, StoreError, User, Writing};

/// What the log says when this process must not append to the trail.
const OTHER_KEY: &str = "the audit trail was signed with another key than the present one";

/// The state of the trail, according to the present key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The head is valid.
    Signed,
    /// The head has to be signed: the trail begins, or the head was altered, which will be on record.
    Unsigned,
    /// The last event and the head were signed with another key. Appending would make a forged trail
    /// look like ours, and one whose key was changed look forged.
    OtherKey,
}

impl AuditTrail {
    /// Begins the trail of a new database, so that a trail that was deleted whole does not look like
    /// one that never began. For the start of the service; without it, the first event does this.
    ///
    /// # Errors
    /// [`Error::OtherAuditKey`] when another key than the present one has signed the trail:
    /// [`AuditTrail::adopt_key`] adopts the present one. [`Error::Unavailable`] when the database does
    /// not answer, or is not migrated yet.
    pub async fn begin(&self) -> Result<(), Error> {
        match self.prepare().await? {
            State::OtherKey => Err(Error::OtherAuditKey),
            State::Signed | State::Unsigned => Ok(()),
        }
    }

    /// As [`Self::begin`], for an operation that is about to append.
    pub(super) async fn require_begun(&self) -> Result<(), StoreError> {
        match self.prepare().await? {
            State::OtherKey => Err(StoreError::Unavailable(OTHER_KEY.to_owned())),
            State::Signed | State::Unsigned => Ok(()),
        }
    }

    async fn prepare(&self) -> Result<State, StoreError> {
        if self.has_begun() {
            return Ok(State::Signed);
        }
        let trail = self.clone();
        let read = move |conn: &mut StoreConnection| trail.state(conn);
        let state = self.0.store.read(read).await?;
        match state {
            State::OtherKey => return Ok(state),
            State::Signed => {}
            State::Unsigned => {
                let trail = self.clone();
                let sign = move |tx: &mut Writing<'_>| {
                    trail.extend(tx, &AuditContext::service(), Events::default())?;
                    Ok::<_, StoreError>(())
                };
                self.0.store.writing(sign).await?;
            }
        }
        // Before the first event: its time must not be what the clock is compared with.
        self.0.store.observe_time(&self.0.clock).await?;
        self.set_begun();
        Ok(state)
    }

    fn state(&self, conn: &mut StoreConnection) -> QueryResult<State> {
        let Some(head) = AuditHead::find(conn)? else {
            return Ok(State::Unsigned);
        };
        let keys = &self.0.keys;
        let key = match &keys.configured {
            Some(key) => Some(key.clone()),
            None => keys.own.find(conn)?,
        };
        let is_signed = |head: &AuditHead| {
            key.as_ref()
                .is_some_and(|key| digest_of_head(key, head) == head.digest)
        };
        if is_signed(&head) {
            return Ok(State::Signed);
        }
        if self.is_fresh(conn, &head)? {
            return Ok(State::Unsigned);
        }
        let is_ours = |event: &AuditEvent| {
            key.as_ref()
                .is_some_and(|key| digest_of_event(key, event) == event.digest)
        };
        let last = AuditEvent::find(conn, head.last_id)?;
        Ok(match last {
            Some(last) if !is_ours(&last) => State::OtherKey,
            _ => State::Unsigned,
        })
    }

    /// Whether nothing can have happened yet, so that the head has nothing to hide. Without a key in
    /// the settings, a head as the migration creates it is taken for fresh: an attacker who can write
    /// it can also read the key in the database.
    pub(super) fn is_fresh(
        &self,
        conn: &mut StoreConnection,
        head: &AuditHead,
    ) -> QueryResult<bool> {
        if self.0.keys.configured.is_none() && head.is_new() {
            return Ok(true);
        }
        Ok(head.last_id == 0 && User::list_after(conn, 0, 1)?.is_empty())
    }
}

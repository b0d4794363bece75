//! Before a process appends to the trail for the first time, it looks at what it would append to.

use diesel::QueryResult;

use super::chain::{digest_of_event, digest_of_head};
use super::{Events, Origin, Trail};
use crate::auth::Auth;
use crate::error::Error;
use crate::store::{AuditEvent, AuditHead, StoreConnection, StoreError, User, Writing};

/// What the log says when the trail cannot be appended to.
const OTHER_KEY: &str = "the audit trail was signed with another key than the present one";

/// The state of the trail, as the present key tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The head is good.
    Signed,
    /// The head has to be signed: the trail begins, or the head was altered, which will be on record.
    ToSign,
    /// The last event and the head were made with another key. Going on would make a trail that a
    /// stranger has forged look like ours, and one whose key was changed look forged.
    OtherKey,
}

impl Trail {
    fn state(&self, conn: &mut StoreConnection) -> QueryResult<State> {
        let Some(head) = AuditHead::find(conn)? else {
            return Ok(State::ToSign);
        };
        let key = match &self.configured {
            Some(key) => Some(key.clone()),
            None => self.own.find(conn)?,
        };
        let is_signed = |head: &AuditHead| {
            key.as_ref()
                .is_some_and(|key| digest_of_head(key, head) == head.digest)
        };
        if is_signed(&head) {
            return Ok(State::Signed);
        }
        if self.is_fresh(conn, &head)? {
            return Ok(State::ToSign);
        }
        let is_ours = |event: &AuditEvent| {
            key.as_ref()
                .is_some_and(|key| digest_of_event(key, event) == event.digest)
        };
        let last = AuditEvent::find(conn, head.last_id)?;
        Ok(match last {
            Some(last) if !is_ours(&last) => State::OtherKey,
            _ => State::ToSign,
        })
    }

    /// Whether nothing can have happened yet, so that the head has nothing to hide. Without a key
    /// of the settings, a head as the migration made it is taken for that: who can write it can
    /// read the key in the database too.
    pub(super) fn is_fresh(
        &self,
        conn: &mut StoreConnection,
        head: &AuditHead,
    ) -> QueryResult<bool> {
        if self.configured.is_none() && head.is_new() {
            return Ok(true);
        }
        Ok(head.last_id == 0 && User::list_after(conn, 0, 1)?.is_empty())
    }
}

impl Auth {
    /// Begins the trail of a new database, so that one that was cut off whole does not look like
    /// one that never began. For the start of the service; without it, the first event does this.
    ///
    /// # Errors
    /// [`Error::OtherAuditKey`] when another key than the present one has signed the trail:
    /// [`Auth::adopt_audit_key`] goes over to another one. [`Error::Unavailable`] when the database
    /// does not answer, or is not migrated yet.
    pub async fn begin_trail(&self) -> Result<(), Error> {
        match self.prepare_trail().await? {
            State::OtherKey => Err(Error::OtherAuditKey),
            State::Signed | State::ToSign => Ok(()),
        }
    }

    /// As [`Self::begin_trail`], for what is about to append.
    pub(super) async fn require_trail(&self) -> Result<(), StoreError> {
        match self.prepare_trail().await? {
            State::OtherKey => Err(StoreError::Unavailable(OTHER_KEY.to_owned())),
            State::Signed | State::ToSign => Ok(()),
        }
    }

    async fn prepare_trail(&self) -> Result<State, StoreError> {
        let trail = &self.0.trail;
        if trail.has_begun() {
            return Ok(State::Signed);
        }
        let auth = self.clone();
        let look = move |conn: &mut StoreConnection| auth.0.trail.state(conn);
        let state = self.0.store.read(look).await?;
        match state {
            State::OtherKey => return Ok(state),
            State::Signed => {}
            State::ToSign => {
                let auth = self.clone();
                let sign = move |tx: &mut Writing<'_>| {
                    let trail = &auth.0.trail;
                    trail.extend(tx, &Origin::service(), Events::default())?;
                    Ok::<_, StoreError>(())
                };
                self.0.store.writing(sign).await?;
            }
        }
        // Before the first event: its time must not be what the clock is compared with.
        self.keep_time().await?;
        trail.set_begun();
        Ok(state)
    }
}

//! The key that signs the trail. Before a process appends for the first time, it checks that the
//! current key has signed the trail. Only an operator adopts another key, and this is recorded:
//! earlier events are verified with the earlier key, and from then on by a digest that the new key
//! computes over all of them.

use diesel::QueryResult;
use secrecy::SecretString;

use super::chain::{digest_of_event, digest_of_head};
use super::verify::Verifier;
use super::walk::Walk;
use super::{Action, AuditContext, AuditTrail, Event, Events, Problem};
use crate::credential::keyed_digest::DigestKey;
use crate::error::Error;
use crate::store::{AuditEvent, AuditHead, StoreConnection, StoreError, User, Writing};

/// Logged when this process must not append to the trail.
const OTHER_KEY: &str = "the audit trail was signed with a different key";

/// Maximum number of attempts to adopt a key; each fails when another process has appended in the
/// meantime.
const MAX_ATTEMPTS: usize = 3;

/// The state of the trail, according to the current key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The head is valid.
    Signed,
    /// The head must be signed: the trail begins, or the head was altered, which is recorded then.
    Unsigned,
    /// The last event and the head were signed with another key. Appending would make a forged
    /// trail look genuine, and one whose key was changed look forged.
    OtherKey,
}

/// The outcome of an adoption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// The number of events that were read.
    pub events: u64,
    /// The problems of the trail.
    pub problems: Vec<Problem>,
    /// The event that records the adoption; `None` when no key was adopted, because of the problems
    /// or because the current key has signed the whole trail.
    pub event: Option<i64>,
}

impl AuditTrail {
    /// Begins the trail of a new database, so that a trail that was deleted completely does not
    /// look like one that never began. The service calls this when it starts; otherwise the first
    /// event does it.
    ///
    /// # Errors
    /// [`Error::OtherAuditKey`] when a key other than the current one has signed the trail:
    /// [`AuditTrail::adopt_key`] adopts the current one. [`Error::Unavailable`] when the database
    /// does not answer, or is not migrated yet.
    pub async fn begin(&self) -> Result<(), Error> {
        match self.prepare().await? {
            State::OtherKey => Err(Error::OtherAuditKey),
            State::Signed | State::Unsigned => Ok(()),
        }
    }

    /// Like [`Self::begin`], for an operation that is about to append.
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
        // Runs before the first event, so that the clock is not compared with the time of that
        // event.
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

    /// Whether nothing can have been recorded yet, so that the head cannot hide anything. Without a
    /// configured key, a head as the migration creates it counts as fresh: an attacker who can
    /// write it can also read the key in the database.
    pub(super) fn is_fresh(
        &self,
        conn: &mut StoreConnection,
        head: &AuditHead,
    ) -> QueryResult<bool> {
        if self.0.keys.configured.is_none() && head.is_new() {
            return Ok(true);
        }
        Ok(head.last_id == 0 && User::is_none_stored(conn)?)
    }

    /// Verifies the trail with the earlier keys, which are the one in the database and `old`, and
    /// signs it with the current key from here on. A problem prevents the adoption unless
    /// `despite_problems` is set; then every later verification reports it. No process with the
    /// earlier key may be running.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer, or while other processes append.
    pub async fn adopt_key(
        &self,
        old: Option<SecretString>,
        despite_problems: bool,
    ) -> Result<Adoption, Error> {
        let present = self.verify().await?;
        if present.problems.is_empty() {
            return Ok(Adoption {
                events: present.events,
                problems: Vec::new(),
                event: None,
            });
        }
        let old = old.map(DigestKey::new);
        for _ in 0..MAX_ATTEMPTS {
            let trail = self.clone();
            let find = move |tx: &mut Writing<'_>| Ok::<_, Error>(trail.0.keys.present(tx)?);
            let new = self.0.store.writing(find).await?;
            let verifier = Verifier::for_adoption(self, old.clone(), new).await?;
            let Some(verifier) = verifier else {
                return Err(Error::Unavailable);
            };
            let (head, walk) = verifier.run(self).await?;
            let event = if walk.problems.is_empty() || despite_problems {
                let event = self.write_adoption(head, &walk).await?;
                if event.is_none() {
                    continue;
                }
                event
            } else {
                None
            };
            return Ok(Adoption {
                events: walk.events,
                problems: walk.problems,
                event,
            });
        }
        log::error!("other processes append to the audit trail: stop them first");
        Err(Error::Unavailable)
    }

    /// Signs the head that was verified, and returns the id of the event; `None` when the head has
    /// changed.
    async fn write_adoption(&self, verified: AuditHead, walk: &Walk) -> Result<Option<i64>, Error> {
        let (trail, digest) = (self.clone(), walk.commitment.clone());
        let is_valid = walk.problems.is_empty();
        let write = move |tx: &mut Writing<'_>| {
            let mut head = AuditHead::lock(tx)?;
            if head != verified {
                return Ok(None);
            }
            let mut events = Events::default();
            if !is_valid {
                events.record(Event::refused(Action::AuditAltered));
            }
            let event = Event::new(Action::AuditAdoptKey).with("through", head.last_id);
            events.record(event.with("digest", digest.as_str()));
            head.adopted_id = head.last_id;
            head.adopted_start = String::new();
            head.adopted_digest = digest;
            let key = trail.0.keys.present(tx)?;
            let operator = AuditContext::operator();
            let head = trail.append_rows(tx, head, &key, &operator, events)?;
            Ok(Some(head.last_id))
        };
        self.0.store.writing(write).await
    }
}

//! Adopts another key: an operator's act, which is on record. What was written before is verified with
//! the earlier key, and from then on by a digest that the new key computes over all of it.

use secrecy::SecretString;

use super::verify::Verifier;
use super::walk::Walk;
use super::{Action, AuditContext, AuditTrail, Event, Events, Problem};
use crate::credential::keyed_digest::DigestKey;
use crate::error::Error;
use crate::store::{AuditHead, Writing};

/// Attempts, of which each fails when a process has appended in the meantime.
const MAX_ATTEMPTS: usize = 3;

/// The outcome of an adoption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// Events that were read.
    pub events: u64,
    /// What is wrong with the trail.
    pub problems: Vec<Problem>,
    /// The event that records it; `None` when nothing was adopted, because of the problems or
    /// because the present key has signed all of the trail.
    pub event: Option<i64>,
}

impl AuditTrail {
    /// Verifies the trail with the earlier keys, which are the one in the database and `old`, and signs
    /// it with the present one from here on. A problem prevents that, unless `despite_problems`: then
    /// every later verification reports it. No process with the earlier key may be running.
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

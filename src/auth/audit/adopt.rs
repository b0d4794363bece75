//! Going over to another key: an operator's act, which is on record. What stands before it is
//! verified with the earlier key, and from then on by a digest that the new key makes of all of it.

use secrecy::SecretString;

use super::verify::Verifier;
use super::walk::Walk;
use super::{Action, Event, Events, Origin, Problem};
use crate::auth::Auth;
use crate::credential::keyed_digest::DigestKey;
use crate::error::Error;
use crate::store::{AuditHead, Writing};

/// How often it begins again when a process has appended meanwhile.
const MAX_ATTEMPTS: usize = 3;

/// What became of an adoption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// Events that were looked at.
    pub events: u64,
    /// What is wrong with what stands in the trail.
    pub problems: Vec<Problem>,
    /// The event that records it; `None` when nothing was adopted, because of the problems or
    /// because the present key has signed all of the trail.
    pub event: Option<i64>,
}

impl Auth {
    /// Verifies the trail with the earlier keys, which are the one in the database and `old`, and
    /// has it signed with the present one from here on. What is wrong with it keeps it from that,
    /// unless `despite_problems`: then it goes on and is reported for ever. No process that has
    /// the earlier key may run.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer, or while other processes go on
    /// appending.
    pub async fn adopt_audit_key(
        &self,
        old: Option<SecretString>,
        despite_problems: bool,
    ) -> Result<Adoption, Error> {
        let present = self.verify_trail().await?;
        if present.problems.is_empty() {
            return Ok(Adoption {
                events: present.events,
                problems: Vec::new(),
                event: None,
            });
        }
        let old = old.map(DigestKey::new);
        for _ in 0..MAX_ATTEMPTS {
            let auth = self.clone();
            let make = move |tx: &mut Writing<'_>| Ok::<_, Error>(auth.0.trail.key(tx)?);
            let new = self.0.store.writing(make).await?;
            let verifier = Verifier::of_adoption(self, old.clone(), new).await?;
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
        log::error!("processes append to the audit trail: stop them first");
        Err(Error::Unavailable)
    }

    /// Signs the head that was verified, and returns the id of the event; `None` when the head is
    /// another one by now.
    async fn write_adoption(&self, verified: AuditHead, walk: &Walk) -> Result<Option<i64>, Error> {
        let (auth, digest) = (self.clone(), walk.commitment.clone());
        let is_good = walk.problems.is_empty();
        let write = move |tx: &mut Writing<'_>| {
            let mut head = AuditHead::lock(tx)?;
            if head != verified {
                return Ok(None);
            }
            let mut events = Events::default();
            if !is_good {
                events.record(Event::refused(Action::AuditAltered));
            }
            let event = Event::new(Action::AuditAdoptKey).with("through", head.last_id);
            events.record(event.with("digest", digest.as_str()));
            head.adopted_id = head.last_id;
            head.adopted_start = String::new();
            head.adopted_digest = digest;
            let trail = &auth.0.trail;
            let key = trail.key(tx)?;
            let head = trail.append_rows(tx, head, &key, &Origin::operator(), events)?;
            Ok(Some(head.last_id))
        };
        self.0.store.writing(write).await
    }
}

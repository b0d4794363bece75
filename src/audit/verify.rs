//! Verifies the trail: finds rows that were changed, removed, moved, or cut off.

use super::chain::digest_of_head;
use super::walk::{VerificationKeys, Walk};
use super::{AuditTrail, Problem};
use crate::credential::keyed_digest::DigestKey;
use crate::error::Error;
use crate::store::{AuditEvent, AuditHead, StoreConnection, User};

/// Maximum number of rows per query.
const PAGE: i64 = 1_000;

/// The outcome of a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// The number of events that were read.
    pub events: u64,
    /// The last event and its digest. Kept elsewhere, they let a later verification detect that the
    /// trail was reset to an earlier state.
    pub last: (i64, String),
    /// The events by which an operator adopted another key.
    pub key_changes: Vec<i64>,
    /// The problems, in the order of the trail.
    pub problems: Vec<Problem>,
}

/// The head and keys that a verification relies on.
#[derive(Clone)]
pub(super) struct Verifier {
    head: AuditHead,
    keys: VerificationKeys,
    /// Whether there are no users, so that nothing can have happened.
    is_unused: bool,
}

impl AuditTrail {
    /// Reads the whole trail and finds its problems. Events that are written in the meantime are
    /// left to the next verification.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn verify(&self) -> Result<Verification, Error> {
        let Some(verifier) = Verifier::with_present_key(self).await? else {
            return Ok(Verification {
                events: 0,
                last: (0, String::new()),
                key_changes: Vec::new(),
                problems: vec![Problem::NoHead],
            });
        };
        let (_, walk) = verifier.run(self).await?;
        Ok(Verification {
            events: walk.events,
            last: (walk.last_id, walk.last_digest),
            key_changes: walk.key_changes,
            problems: walk.problems,
        })
    }

    /// Whether the whole trail is valid by the key in the database, as it is before an operator adopts
    /// the configured one. Anyone who can read and write the database can make it so.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn is_valid_by_stored_key(&self) -> Result<bool, Error> {
        let Some((head, Some(own), is_unused)) = self.read_head().await? else {
            return Ok(false);
        };
        let keys = VerificationKeys {
            accepted: vec![own.clone()],
            signer: Some(own),
            ..VerificationKeys::default()
        };
        let verifier = Verifier {
            head,
            keys,
            is_unused,
        };
        let (_, walk) = verifier.run(self).await?;
        Ok(walk.problems.is_empty())
    }

    /// Reads the head, the key in the database, and whether there are no users.
    async fn read_head(&self) -> Result<Option<(AuditHead, Option<DigestKey>, bool)>, Error> {
        let trail = self.clone();
        let read = move |conn: &mut StoreConnection| {
            let Some(head) = AuditHead::find(conn)? else {
                return Ok(None);
            };
            let own = trail.0.keys.own.find(conn)?;
            let is_unused = User::is_none_stored(conn)?;
            Ok(Some((head, own, is_unused)))
        };
        Ok(self.0.store.read(read).await?)
    }
}

impl Verifier {
    /// Creates a verifier that accepts only the current key: an attacker who can write to the
    /// database can replace the key in it. Returns `None` without a head.
    async fn with_present_key(trail: &AuditTrail) -> Result<Option<Self>, Error> {
        let Some((head, own, is_unused)) = trail.read_head().await? else {
            return Ok(None);
        };
        let (present, known) = match &trail.0.keys.configured {
            Some(configured) => (Some(configured.clone()), own),
            None => (own, None),
        };
        let keys = VerificationKeys {
            accepted: present.clone().into_iter().collect(),
            known,
            signer: present,
            new: None,
        };
        Ok(Some(Self {
            head,
            keys,
            is_unused,
        }))
    }

    /// Creates a verifier that accepts the key in the database, then `old`, then `new`, which is
    /// being adopted. Returns `None` without a head.
    pub(super) async fn for_adoption(
        trail: &AuditTrail,
        old: Option<DigestKey>,
        new: DigestKey,
    ) -> Result<Option<Self>, Error> {
        let Some((head, own, is_unused)) = trail.read_head().await? else {
            return Ok(None);
        };
        let own = own.filter(|_| trail.0.keys.configured.is_some());
        let accepted: Vec<_> = own.into_iter().chain(old).chain([new.clone()]).collect();
        let signer = accepted.iter().find(|key| is_signed(key, &head)).cloned();
        let keys = VerificationKeys {
            accepted,
            known: None,
            signer,
            new: Some(new),
        };
        Ok(Some(Self {
            head,
            keys,
            is_unused,
        }))
    }

    /// Reads the trail, and repeats this when rows pruned in the meantime seem to be missing.
    /// Returns the outcome, and the head for which it is valid.
    pub(super) async fn run(mut self, trail: &AuditTrail) -> Result<(AuditHead, Walk), Error> {
        loop {
            let walk = self.walk(trail).await?;
            let now = trail.read_head().await?;
            match now {
                Some((now, ..))
                    if now.pruned_id != self.head.pruned_id && !walk.problems.is_empty() =>
                {
                    self.head = now;
                }
                _ => return Ok((self.head, walk)),
            }
        }
    }

    async fn walk(&self, trail: &AuditTrail) -> Result<Walk, Error> {
        let head = &self.head;
        let mut walk = Walk::new(self.keys.clone(), head);
        check_before(trail, head, &mut walk).await?;
        while walk.last_id < head.last_id {
            let (after, through) = (walk.last_id, head.last_id);
            let list = move |conn: &mut _| AuditEvent::list_ids(conn, after, through, PAGE);
            let ids = trail.0.store.read(list).await?;
            if ids.is_empty() {
                break;
            }
            let list = move |conn: &mut _| AuditEvent::list_after(conn, after, PAGE);
            match trail.0.store.read(list).await {
                Ok(page) => {
                    let is_due = |event: &&AuditEvent| event.id > after && event.id <= through;
                    page.iter()
                        .filter(is_due)
                        .for_each(|event| walk.step(event));
                }
                // The database has just answered, so a row is unreadable.
                Err(_unreadable) => walk_row_by_row(trail, &ids, &mut walk).await?,
            }
        }
        walk.finish(head);
        check_after(trail, head, &mut walk).await?;
        let is_signed = self
            .keys
            .signer
            .as_ref()
            .is_some_and(|key| is_signed(key, head));
        let is_fresh = self.is_unused && head.last_id == 0 && head.pruned_id == 0;
        if !is_signed && !is_fresh {
            walk.problems.push(Problem::HeadAltered);
        }
        Ok(walk)
    }
}

fn is_signed(key: &DigestKey, head: &AuditHead) -> bool {
    digest_of_head(key, head) == head.digest
}

/// Reads the rows one by one, because one is unreadable: it has an invalid time or invalid text.
async fn walk_row_by_row(trail: &AuditTrail, ids: &[i64], walk: &mut Walk) -> Result<(), Error> {
    for id in ids.iter().copied() {
        let find = move |conn: &mut _| AuditEvent::find(conn, id);
        match trail.0.store.read(find).await {
            Ok(event) => event.iter().for_each(|event| walk.step(event)),
            Err(_unreadable) => {
                // Fails if the database no longer answers: then the row may be readable.
                trail.read_head().await?;
                walk.skip(id);
            }
        }
    }
    Ok(())
}

/// Checks that pruned rows do not exist.
async fn check_before(trail: &AuditTrail, head: &AuditHead, walk: &mut Walk) -> Result<(), Error> {
    let through = head.pruned_id;
    let list = move |conn: &mut _| AuditEvent::list_ids(conn, i64::MIN, through, PAGE);
    let before = trail.0.store.read(list).await?;
    walk.problems
        .extend(before.into_iter().map(Problem::Before));
    Ok(())
}

/// Finds rows after the end. They are valid if the head has moved on since.
async fn check_after(trail: &AuditTrail, head: &AuditHead, walk: &mut Walk) -> Result<(), Error> {
    let end = head.last_id;
    let read = move |conn: &mut StoreConnection| {
        // In this order, a row that is appended between the two queries is not reported.
        let behind = AuditEvent::list_ids(conn, end, i64::MAX, PAGE)?;
        let last = AuditHead::find(conn)?.map_or(0, |head| head.last_id);
        Ok(behind.into_iter().filter(move |id| *id > last))
    };
    let behind = trail.0.store.read(read).await?;
    walk.problems.extend(behind.map(Problem::Surplus));
    Ok(())
}

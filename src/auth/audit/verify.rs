//! Looking for rows that were changed, taken out, moved, or cut off.

use super::Problem;
use super::chain::digest_of_head;
use super::walk::{Keys, Walk};
use crate::auth::Auth;
use crate::credential::keyed_digest::DigestKey;
use crate::error::Error;
use crate::store::{AuditEvent, AuditHead, StoreConnection, User};

/// Rows that are read at once.
const PAGE: i64 = 1_000;

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Events that were looked at.
    pub events: u64,
    /// The last event and its digest, to be kept somewhere else: a later verification that is
    /// given them finds out whether the trail was put back to an earlier state.
    pub last: (i64, String),
    /// The events by which an operator went over to another key.
    pub key_changes: Vec<i64>,
    /// What is wrong, in the order of the trail; empty when nothing is.
    pub problems: Vec<Problem>,
}

/// What the verification goes by.
#[derive(Clone)]
pub(super) struct Verifier {
    head: AuditHead,
    keys: Keys,
    /// Whether there are no users: then nothing can have happened.
    is_unused: bool,
}

impl Auth {
    /// Reads the whole trail and looks for what is wrong with it. Events that are written meanwhile
    /// are left to the next time.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn verify_trail(&self) -> Result<Verification, Error> {
        let Some(verifier) = Verifier::of_present(self).await? else {
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

    /// The head, the key in the database, and whether there are no users.
    async fn read_head(&self) -> Result<Option<(AuditHead, Option<DigestKey>, bool)>, Error> {
        let auth = self.clone();
        let read = move |conn: &mut StoreConnection| {
            let Some(head) = AuditHead::find(conn)? else {
                return Ok(None);
            };
            let own = auth.0.trail.own.find(conn)?;
            let is_unused = User::list_after(conn, 0, 1)?.is_empty();
            Ok(Some((head, own, is_unused)))
        };
        Ok(self.0.store.read(read).await?)
    }
}

impl Verifier {
    /// By the present key alone: who can write into the database can put another one there.
    async fn of_present(auth: &Auth) -> Result<Option<Self>, Error> {
        let Some((head, own, is_unused)) = auth.read_head().await? else {
            return Ok(None);
        };
        let (present, known) = match &auth.0.trail.configured {
            Some(configured) => (Some(configured.clone()), own),
            None => (own, None),
        };
        let keys = Keys {
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

    /// By the key in the database, then `old`, then `new`, which is to take over. `None` without a
    /// head.
    pub(super) async fn of_adoption(
        auth: &Auth,
        old: Option<DigestKey>,
        new: DigestKey,
    ) -> Result<Option<Self>, Error> {
        let Some((head, own, is_unused)) = auth.read_head().await? else {
            return Ok(None);
        };
        let own = own.filter(|_| auth.0.trail.configured.is_some());
        let accepted: Vec<_> = own.into_iter().chain(old).chain([new.clone()]).collect();
        let signer = accepted.iter().find(|key| is_signed(key, &head)).cloned();
        let keys = Keys {
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

    /// Goes through the trail, again when rows were pruned meanwhile: they would seem to be missing.
    /// Returns the head that this holds for.
    pub(super) async fn run(mut self, auth: &Auth) -> Result<(AuditHead, Walk), Error> {
        loop {
            let walk = self.walk(auth).await?;
            let now = auth.read_head().await?;
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

    async fn walk(&self, auth: &Auth) -> Result<Walk, Error> {
        let head = &self.head;
        let mut walk = Walk::new(self.keys.clone(), head);
        look_before(auth, head, &mut walk).await?;
        while walk.last_id < head.last_id {
            let (after, through) = (walk.last_id, head.last_id);
            let list = move |conn: &mut _| AuditEvent::list_ids(conn, after, through, PAGE);
            let ids = auth.0.store.read(list).await?;
            if ids.is_empty() {
                break;
            }
            let list = move |conn: &mut _| AuditEvent::list_after(conn, after, PAGE);
            match auth.0.store.read(list).await {
                Ok(page) => {
                    let is_due = |event: &&AuditEvent| event.id > after && event.id <= through;
                    page.iter()
                        .filter(is_due)
                        .for_each(|event| walk.step(event));
                }
                // The database has answered a moment ago, so it is a row that cannot be read.
                Err(_unreadable) => walk_singly(auth, &ids, &mut walk).await?,
            }
        }
        walk.finish(head);
        look_behind(auth, head, &mut walk).await?;
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

/// Row by row, as one of them cannot be read: a time that is none, or no text.
async fn walk_singly(auth: &Auth, ids: &[i64], walk: &mut Walk) -> Result<(), Error> {
    for id in ids.iter().copied() {
        let find = move |conn: &mut _| AuditEvent::find(conn, id);
        match auth.0.store.read(find).await {
            Ok(event) => event.iter().for_each(|event| walk.step(event)),
            Err(_unreadable) => {
                // Unless the database does not answer any more.
                auth.read_head().await?;
                walk.step_over(id);
            }
        }
    }
    Ok(())
}

/// Rows that were deleted for their age are not there.
async fn look_before(auth: &Auth, head: &AuditHead, walk: &mut Walk) -> Result<(), Error> {
    let through = head.pruned_id;
    let list = move |conn: &mut _| AuditEvent::list_ids(conn, i64::MIN, through, PAGE);
    let before = auth.0.store.read(list).await?;
    walk.problems
        .extend(before.into_iter().map(Problem::Before));
    Ok(())
}

/// Rows behind the end are fine if the head has moved on since.
async fn look_behind(auth: &Auth, head: &AuditHead, walk: &mut Walk) -> Result<(), Error> {
    let end = head.last_id;
    let read = move |conn: &mut StoreConnection| {
        // In this order: what is appended between the two is behind neither.
        let behind = AuditEvent::list_ids(conn, end, i64::MAX, PAGE)?;
        let last = AuditHead::find(conn)?.map_or(0, |head| head.last_id);
        Ok(behind.into_iter().filter(move |id| *id > last))
    };
    let behind = auth.0.store.read(read).await?;
    walk.problems.extend(behind.map(Problem::Surplus));
    Ok(())
}

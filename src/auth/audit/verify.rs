//! Looking for rows that were changed, taken out, moved, or cut off.

use std::fmt;

use super::chain::{digest_of_event, digest_of_head};
use crate::auth::Auth;
use crate::error::Error;
use crate::keyed_digest::DigestKey;
use crate::store::{AuditEvent, AuditHead, StoreConnection};

/// Rows that are read at once.
const PAGE: i64 = 1_000;

/// Something that is wrong with the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The row that says where the trail begins and ends is not there.
    NoHead,
    /// That row was changed, or never signed.
    HeadAltered,
    /// These rows are not there, from the first to the last.
    Missing(i64, i64),
    /// This row is not as it was written.
    Altered(i64),
    /// This row was written after another row than the one before it.
    OutOfOrder(i64),
    /// This row is behind the end.
    Surplus(i64),
    /// The head knows another digest of the last row, or of the last one that was pruned.
    EndsDiffer(i64),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHead => write!(f, "the head of the trail is missing"),
            Self::HeadAltered => write!(
                f,
                "the head of the trail was altered, or was made with another key"
            ),
            Self::Missing(first, last) if first == last => write!(f, "event {first} is missing"),
            Self::Missing(first, last) => write!(f, "events {first} to {last} are missing"),
            Self::Altered(id) => write!(f, "event {id} was altered, or was made with another key"),
            Self::OutOfOrder(id) => write!(f, "event {id} does not follow the one before it"),
            Self::Surplus(id) => write!(f, "event {id} is behind the end of the trail"),
            Self::EndsDiffer(id) => write!(f, "event {id} is not the one that the head knows"),
        }
    }
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Events that were looked at.
    pub events: u64,
    /// The last event and its digest, to be kept somewhere else: a later verification that is
    /// given them finds out whether the trail was put back to an earlier state.
    pub last: (i64, String),
    /// What is wrong, in the order of the trail; empty when nothing is.
    pub problems: Vec<Problem>,
}

/// How far the verification has come.
struct Walk {
    keys: Vec<DigestKey>,
    last_id: i64,
    last_digest: String,
    events: u64,
    problems: Vec<Problem>,
}

impl Auth {
    /// Reads the whole trail and looks for what is wrong with it. Events that are written meanwhile
    /// are left to the next time.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn verify_trail(&self) -> Result<Verification, Error> {
        let auth = self.clone();
        let read = move |conn: &mut StoreConnection| {
            Ok((AuditHead::find(conn)?, auth.0.trail.own.find(conn)?))
        };
        let (head, own) = self.0.store.read(read).await?;
        // A trail may begin with the key in the database and go on with that of the settings, and
        // not the other way round.
        let keys = own.into_iter().chain(self.0.trail.configured.clone());
        let keys: Vec<_> = keys.collect();
        let Some(head) = head else {
            return Ok(Verification {
                events: 0,
                last: (0, String::new()),
                problems: vec![Problem::NoHead],
            });
        };
        let mut walk = Walk {
            last_id: head.pruned_id,
            last_digest: head.pruned_digest.clone(),
            events: 0,
            problems: Vec::new(),
            keys: keys.clone(),
        };
        loop {
            let after = walk.last_id;
            let list = move |conn: &mut _| AuditEvent::list_after(conn, after, PAGE);
            let page = self.0.store.read(list).await?;
            let is_last = page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
            for event in page.iter().take_while(|event| event.id <= head.last_id) {
                walk.step(event);
            }
            if is_last || walk.last_id >= head.last_id {
                break;
            }
        }
        self.look_behind(&head, &mut walk).await?;
        if !keys
            .iter()
            .any(|key| digest_of_head(key, &head) == head.digest)
        {
            walk.problems.push(Problem::HeadAltered);
        }
        Ok(Verification {
            events: walk.events,
            last: (walk.last_id, walk.last_digest),
            problems: walk.problems,
        })
    }

    /// Compares the end with what the head says of it. Rows behind it are fine if the head has
    /// moved on since.
    async fn look_behind(&self, head: &AuditHead, walk: &mut Walk) -> Result<(), Error> {
        if walk.last_id < head.last_id {
            let first = walk.last_id + 1;
            walk.problems.push(Problem::Missing(first, head.last_id));
        } else if walk.last_digest != head.last_digest {
            walk.problems.push(Problem::EndsDiffer(head.last_id));
        }
        let end = head.last_id;
        let read = move |conn: &mut StoreConnection| {
            // In this order: what is appended between the two is behind neither.
            let behind = AuditEvent::list_after(conn, end, PAGE)?;
            let last = AuditHead::find(conn)?.map_or(0, |head| head.last_id);
            Ok(behind.into_iter().filter(move |event| event.id > last))
        };
        for event in self.0.store.read(read).await? {
            walk.problems.push(Problem::Surplus(event.id));
        }
        Ok(())
    }
}

impl Walk {
    fn step(&mut self, event: &AuditEvent) {
        self.events += 1;
        let expected = self.last_id + 1;
        let follows = event.id == expected;
        if !follows {
            self.problems.push(Problem::Missing(expected, event.id - 1));
        }
        let made_with = self
            .keys
            .iter()
            .position(|key| digest_of_event(key, event) == event.digest);
        match made_with {
            // What is made with a key stands after all that was made with an earlier one.
            Some(index) => drop(self.keys.drain(..index)),
            None => self.problems.push(Problem::Altered(event.id)),
        }
        if made_with.is_some() && follows && event.previous_digest != self.last_digest {
            self.problems.push(Problem::OutOfOrder(event.id));
        }
        self.last_id = event.id;
        self.last_digest.clone_from(&event.digest);
    }
}

//! Looking for rows that were changed, taken out, moved, or cut off.

use std::fmt;

use super::Action;
use super::chain::{digest_of_event, digest_of_head};
use crate::auth::Auth;
use crate::error::Error;
use crate::keyed_digest::DigestKey;
use crate::store::{AuditEvent, AuditHead, StoreConnection, User};

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
    /// This row is before the beginning: those up to there were deleted for their age.
    Before(i64),
    /// The head knows another digest of the last row, or of the last one that was pruned.
    EndsDiffer(i64),
    /// When this row was written, the head was found altered.
    FoundAltered(i64),
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
            Self::Before(id) => write!(f, "event {id} is before the beginning of the trail"),
            Self::FoundAltered(id) => write!(
                f,
                "before event {id} the head of the trail was altered, or made with another key"
            ),
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
    /// The events at which the key of the settings took over from the one in the database: one,
    /// if that was ever done.
    pub key_changes: Vec<i64>,
    /// What is wrong, in the order of the trail; empty when nothing is.
    pub problems: Vec<Problem>,
}

/// What the verification goes by.
#[derive(Clone)]
struct Start {
    head: AuditHead,
    /// The key in the database, if one was made, and that of the settings, if there is one: a trail
    /// may begin with the former and go on with the latter, and not the other way round.
    keys: Vec<DigestKey>,
    /// Whether there are no users: then nothing can have happened.
    is_unused: bool,
}

/// How far the verification has come.
struct Walk {
    keys: Vec<DigestKey>,
    last_id: i64,
    last_digest: String,
    events: u64,
    key_changes: Vec<i64>,
    problems: Vec<Problem>,
}

impl Auth {
    /// Reads the whole trail and looks for what is wrong with it. Events that are written meanwhile
    /// are left to the next time.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn verify_trail(&self) -> Result<Verification, Error> {
        loop {
            let Some(start) = self.start_of_verification().await? else {
                return Ok(Verification {
                    events: 0,
                    last: (0, String::new()),
                    key_changes: Vec::new(),
                    problems: vec![Problem::NoHead],
                });
            };
            let walk = self.walk(&start).await?;
            let now = self.start_of_verification().await?;
            let is_pruned = now.is_some_and(|now| now.head.pruned_id != start.head.pruned_id);
            // Rows that were deleted for their age meanwhile would seem to be missing.
            if !is_pruned || walk.problems.is_empty() {
                return Ok(Verification {
                    events: walk.events,
                    last: (walk.last_id, walk.last_digest),
                    key_changes: walk.key_changes,
                    problems: walk.problems,
                });
            }
        }
    }

    async fn start_of_verification(&self) -> Result<Option<Start>, Error> {
        let auth = self.clone();
        let read = move |conn: &mut StoreConnection| {
            let is_unused = User::list_after(conn, 0, 1)?.is_empty();
            Ok((
                AuditHead::find(conn)?,
                auth.0.trail.own.find(conn)?,
                is_unused,
            ))
        };
        let (head, own, is_unused) = self.0.store.read(read).await?;
        let keys = own.into_iter().chain(self.0.trail.configured.clone());
        let keys = keys.collect();
        Ok(head.map(|head| Start {
            head,
            keys,
            is_unused,
        }))
    }

    async fn walk(&self, start: &Start) -> Result<Walk, Error> {
        let head = &start.head;
        let mut walk = Walk {
            keys: start.keys.clone(),
            last_id: head.pruned_id,
            last_digest: head.pruned_digest.clone(),
            events: 0,
            key_changes: Vec::new(),
            problems: Vec::new(),
        };
        self.look_before(head, &mut walk).await?;
        while walk.last_id < head.last_id {
            let (after, through) = (walk.last_id, head.last_id);
            let list = move |conn: &mut _| AuditEvent::list_ids(conn, after, through, PAGE);
            let ids = self.0.store.read(list).await?;
            if ids.is_empty() {
                break;
            }
            let list = move |conn: &mut _| AuditEvent::list_after(conn, after, PAGE);
            match self.0.store.read(list).await {
                Ok(page) => {
                    let is_due = |event: &&AuditEvent| event.id > after && event.id <= through;
                    page.iter()
                        .filter(is_due)
                        .for_each(|event| walk.step(event));
                }
                // The database has answered a moment ago, so it is a row that cannot be read.
                Err(_unreadable) => self.walk_singly(&ids, &mut walk).await?,
            }
        }
        self.look_behind(head, &mut walk).await?;
        // The last key only: who can write into the database can put another one there.
        let is_signed = |key: &DigestKey| digest_of_head(key, head) == head.digest;
        let is_new = start.is_unused && head.is_new();
        if !is_new && !start.keys.last().is_some_and(is_signed) {
            walk.problems.push(Problem::HeadAltered);
        }
        Ok(walk)
    }

    /// Row by row, as one of them cannot be read: a time that is none, or no text.
    async fn walk_singly(&self, ids: &[i64], walk: &mut Walk) -> Result<(), Error> {
        for id in ids.iter().copied() {
            let find = move |conn: &mut _| AuditEvent::find(conn, id);
            match self.0.store.read(find).await {
                Ok(event) => event.iter().for_each(|event| walk.step(event)),
                Err(_unreadable) => {
                    // Unless the database does not answer any more.
                    self.start_of_verification().await?;
                    walk.step_over(id);
                }
            }
        }
        Ok(())
    }

    /// Rows that were deleted for their age are not there.
    async fn look_before(&self, head: &AuditHead, walk: &mut Walk) -> Result<(), Error> {
        let through = head.pruned_id;
        let list = move |conn: &mut _| AuditEvent::list_ids(conn, i64::MIN, through, PAGE);
        let before = self.0.store.read(list).await?;
        walk.problems
            .extend(before.into_iter().map(Problem::Before));
        Ok(())
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
            let behind = AuditEvent::list_ids(conn, end, i64::MAX, PAGE)?;
            let last = AuditHead::find(conn)?.map_or(0, |head| head.last_id);
            Ok(behind.into_iter().filter(move |id| *id > last))
        };
        let behind = self.0.store.read(read).await?;
        walk.problems.extend(behind.map(Problem::Surplus));
        Ok(())
    }
}

impl Walk {
    fn step(&mut self, event: &AuditEvent) {
        let follows = self.move_to(event.id);
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
        if event.action == Action::AuditKey.name() {
            self.key_changes.push(event.id);
        }
        if event.action == Action::AuditAltered.name() {
            self.problems.push(Problem::FoundAltered(event.id));
        }
        self.last_digest.clone_from(&event.digest);
    }

    /// Goes past a row that cannot be read.
    fn step_over(&mut self, id: i64) {
        self.move_to(id);
        self.problems.push(Problem::Altered(id));
        self.last_digest.clear();
    }

    /// Returns whether this row is the next one.
    fn move_to(&mut self, id: i64) -> bool {
        self.events += 1;
        let expected = self.last_id + 1;
        if id != expected {
            self.problems.push(Problem::Missing(expected, id - 1));
        }
        self.last_id = id;
        id == expected
    }
}

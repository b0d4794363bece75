//! The state of a verification that reads the trail row by row, and the problems that it finds.

use std::fmt;

use super::Action;
use super::chain::{digest_of_earlier, digest_of_event};
use crate::credential::keyed_digest::DigestKey;
use crate::store::{AuditEvent, AuditHead};

/// The keys that rows may have been signed with.
#[derive(Clone, Default)]
pub(super) struct VerificationKeys {
    /// In order: the rows of a key come after all rows of the keys before it.
    pub(super) accepted: Vec<DigestKey>,
    /// The key in the database, when it is not accepted: to recognize rows that it has signed.
    pub(super) known: Option<DigestKey>,
    /// The key that has signed the head, and with it the rows of earlier keys.
    pub(super) signer: Option<DigestKey>,
    /// The key that is being adopted, if any.
    pub(super) new: Option<DigestKey>,
}

/// The progress of a verification.
pub(super) struct Walk {
    keys: VerificationKeys,
    /// The last row that the head's digest of adopted rows covers.
    adopted_id: i64,
    /// The digest of the adopted rows that were read or pruned so far.
    earlier: String,
    pub(super) last_id: i64,
    pub(super) last_digest: String,
    pub(super) events: u64,
    pub(super) key_changes: Vec<i64>,
    pub(super) problems: Vec<Problem>,
    /// The digest of all rows by the key that is being adopted.
    pub(super) commitment: String,
}

impl Walk {
    /// Begins at the first row that was not pruned.
    pub(super) fn new(keys: VerificationKeys, head: &AuditHead) -> Self {
        Self {
            keys,
            adopted_id: head.adopted_id,
            earlier: head.adopted_start.clone(),
            last_id: head.pruned_id,
            last_digest: head.pruned_digest.clone(),
            events: 0,
            key_changes: Vec::new(),
            problems: Vec::new(),
            commitment: String::new(),
        }
    }

    /// Checks one row.
    pub(super) fn step(&mut self, event: &AuditEvent) {
        let follows = self.move_to(event.id);
        let is_valid = if event.id <= self.adopted_id {
            if let Some(key) = &self.keys.signer {
                self.earlier = digest_of_earlier(key, &self.earlier, event);
            }
            true
        } else {
            self.has_accepted_signature(event)
        };
        if is_valid && follows && event.previous_digest != self.last_digest {
            self.problems.push(Problem::OutOfOrder(event.id));
        }
        self.check_keys(event);
        if event.action == Action::AuditAltered.name() {
            self.problems.push(Problem::FoundAltered(event.id));
        }
        if let Some(new) = &self.keys.new {
            self.commitment = digest_of_earlier(new, &self.commitment, event);
        }
        self.last_digest.clone_from(&event.digest);
    }

    fn has_accepted_signature(&mut self, event: &AuditEvent) -> bool {
        let is_signed_with = |key: &DigestKey| digest_of_event(key, event) == event.digest;
        if let Some(index) = self.keys.accepted.iter().position(is_signed_with) {
            self.keys.accepted.drain(..index);
            return true;
        }
        if !self.keys.known.as_ref().is_some_and(is_signed_with) {
            self.problems.push(Problem::Altered(event.id));
            return false;
        }
        match self.problems.last_mut() {
            Some(Problem::OtherKey(_, last)) if *last + 1 == event.id => *last = event.id,
            _ => self.problems.push(Problem::OtherKey(event.id, event.id)),
        }
        true
    }

    /// Checks a row that records a change of the key. A switch that no operator requested is valid
    /// only if an operator has confirmed it since, or confirms it now.
    fn check_keys(&mut self, event: &AuditEvent) {
        if event.action == Action::AuditAdoptKey.name() {
            self.key_changes.push(event.id);
        }
        let is_confirmed = event.id <= self.adopted_id || self.keys.new.is_some();
        if event.action == Action::AuditKey.name() && !is_confirmed {
            self.problems.push(Problem::KeyChanged(event.id));
        }
    }

    /// Skips an unreadable row.
    pub(super) fn skip(&mut self, id: i64) {
        self.move_to(id);
        self.problems.push(Problem::Altered(id));
        self.last_digest.clear();
    }

    /// Compares what was read with the head.
    pub(super) fn finish(&mut self, head: &AuditHead) {
        if self.last_id < head.last_id {
            let first = self.last_id + 1;
            self.problems.push(Problem::Missing(first, head.last_id));
        } else if self.last_digest != head.last_digest {
            self.problems.push(Problem::EndsDiffer(head.last_id));
        }
        if head.pruned_id < head.adopted_id && self.earlier != head.adopted_digest {
            let first = head.pruned_id + 1;
            let earlier = Problem::EarlierAltered(first, head.adopted_id);
            self.problems.push(earlier);
        }
    }

    /// Advances to this row. Returns whether it is the next one.
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

/// A problem with the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The head, the row that records where the trail begins and ends, is missing.
    NoHead,
    /// The head was changed, or was never signed.
    HeadAltered,
    /// These rows are missing, from the first to the last.
    Missing(i64, i64),
    /// This row was altered.
    Altered(i64),
    /// These rows, from the first to the last, were signed with the key in the database, and no operator
    /// has adopted another one since.
    OtherKey(i64, i64),
    /// At this row another key took over, which no operator has adopted.
    KeyChanged(i64),
    /// These rows, from the first to the last, were signed with an earlier key, and some have
    /// changed since the current key was adopted.
    EarlierAltered(i64, i64),
    /// This row does not follow the one before it.
    OutOfOrder(i64),
    /// This row is after the end.
    Surplus(i64),
    /// This row is before the beginning: rows up to there were pruned.
    Before(i64),
    /// The head has a different digest for the last row, or for the last pruned row.
    EndsDiffer(i64),
    /// When this row was written, the head had been altered.
    FoundAltered(i64),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHead => write!(f, "the head of the trail is missing"),
            Self::HeadAltered => write!(
                f,
                "the head of the trail was altered, or was signed with another key"
            ),
            Self::Missing(first, last) => {
                write!(f, "{} missing", Rows(*first, *last))
            }
            Self::Altered(id) => {
                write!(f, "event {id} was altered, or was signed with another key")
            }
            Self::OtherKey(first, last) => write!(
                f,
                "{} signed with the key in the database, and no operator has adopted another one \
                 since (tokenhouse audit adopt-key)",
                Rows(*first, *last)
            ),
            Self::KeyChanged(id) => write!(
                f,
                "at event {id} another key took over, which no operator has adopted (tokenhouse \
                 audit adopt-key)"
            ),
            Self::EarlierAltered(first, last) => write!(
                f,
                "{} not as they were when the operator adopted the present key",
                Rows(*first, *last)
            ),
            Self::OutOfOrder(id) => write!(f, "event {id} does not follow the one before it"),
            Self::Surplus(id) => write!(f, "event {id} is after the end of the trail"),
            Self::Before(id) => write!(f, "event {id} is before the beginning of the trail"),
            Self::FoundAltered(id) => write!(
                f,
                "before event {id} the head of the trail was altered, or signed with another key"
            ),
            Self::EndsDiffer(id) => write!(f, "event {id} does not match the head"),
        }
    }
}

/// A range of rows, as the beginning of a sentence.
struct Rows(i64, i64);

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(first, last) if first == last => write!(f, "event {first} is"),
            Self(first, last) => write!(f, "events {first} to {last} are"),
        }
    }
}

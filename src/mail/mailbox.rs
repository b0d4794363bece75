//! Mails in memory, for tests of apps.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use super::letter::{Letter, Outcome, Rendered};

/// The number of mails that are kept.
const MAX_MAILS: usize = 10_000;

/// The id of the latest mail of all mailboxes, so that an id that a test has kept stays usable when its
/// mailbox is replaced.
static LATEST: AtomicU64 = AtomicU64::new(0);

/// A mail as it arrived.
#[derive(Clone, Debug)]
pub struct ReceivedMail {
    /// Greater than that of every earlier mail of the process.
    pub id: u64,
    /// The address of the recipient, as stored.
    pub to: String,
    /// The name of the [`Kind`](super::Kind).
    pub purpose: &'static str,
    /// The language.
    pub locale: String,
    /// The time of the service, in UTC.
    pub sent_at: DateTime<Utc>,
    /// The `Message-ID` without its angle brackets.
    pub message_id: String,
    /// The subject.
    pub subject: String,
    /// The text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// The links with tokens, as they were made.
    pub links: Vec<String>,
    /// The codes.
    pub codes: Vec<String>,
}

/// Which mails are wanted.
#[derive(Clone, Debug, Default)]
pub struct MailFilter {
    /// Those to this address, in any case.
    pub to: Option<String>,
    /// Those of this kind.
    pub purpose: Option<String>,
    /// Those with a greater id.
    pub after: u64,
}

impl MailFilter {
    fn matches(&self, mail: &ReceivedMail) -> bool {
        let is_to = |to: &String| to.to_lowercase() == mail.to.to_lowercase();
        mail.id > self.after
            && self.to.as_ref().is_none_or(is_to)
            && self
                .purpose
                .as_ref()
                .is_none_or(|purpose| purpose == mail.purpose)
    }
}

/// How a mailbox refuses mails, as a mail server might.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailRefusal {
    /// For now, by a reply 450 (RFC 5321 section 4.2.1): the service tries again.
    Temporary,
    /// For good, by a reply 550: the mail has failed.
    Permanent,
}

impl MailRefusal {
    fn outcome(self) -> Outcome {
        match self {
            Self::Temporary => Outcome::Temporary("450 4.2.0 refused by the test".to_owned()),
            Self::Permanent => Outcome::Permanent("550 5.1.1 refused by the test".to_owned()),
        }
    }
}

/// A mailbox. Clones share their mails.
#[derive(Clone, Debug)]
pub struct Mailbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    mails: Mutex<VecDeque<ReceivedMail>>,
    /// How the next mails are refused, and how many.
    refusal: Mutex<Option<(MailRefusal, u32)>>,
    /// Told of every mail.
    arrived: watch::Sender<()>,
}

impl Default for Mailbox {
    fn default() -> Self {
        Self(Arc::new(Inner {
            mails: Mutex::default(),
            refusal: Mutex::default(),
            arrived: watch::Sender::new(()),
        }))
    }
}

impl Mailbox {
    /// Refuses the next `count` mails in this way; 0 ends it.
    pub fn refuse_next(&self, refusal: MailRefusal, count: u32) {
        *self.refusal() = Some((refusal, count));
    }

    /// Keeps a mail, unless it is to be refused; the oldest one is dropped if there are too many.
    pub(super) fn receive(&self, letter: &Letter, text: Rendered, now: DateTime<Utc>) -> Outcome {
        if let Some((refusal, left @ 1..)) = &mut *self.refusal() {
            *left -= 1;
            return refusal.outcome();
        }
        let mut mails = self.mails();
        let id = LATEST.fetch_add(1, Ordering::Relaxed) + 1;
        let owned = |text: Option<&str>| text.map(str::to_owned).into_iter().collect();
        mails.push_back(ReceivedMail {
            id,
            to: letter.to.to_owned(),
            purpose: letter.kind.name(),
            locale: text.locale,
            sent_at: now,
            message_id: letter.message_id.to_owned(),
            subject: text.subject,
            text: text.text,
            html: text.html,
            links: owned(letter.link),
            codes: owned(letter.code),
        });
        if mails.len() > MAX_MAILS {
            mails.pop_front();
        }
        self.0.arrived.send_replace(());
        Outcome::Accepted("kept in memory".to_owned())
    }

    /// The id of the latest mail of all mailboxes, for [`MailFilter::after`]; 0 before the first one.
    pub fn latest() -> u64 {
        LATEST.load(Ordering::Relaxed)
    }

    /// The mails that match, oldest first.
    pub fn find(&self, filter: &MailFilter) -> Vec<ReceivedMail> {
        let mails = self.mails();
        mails
            .iter()
            .filter(|mail| filter.matches(mail))
            .cloned()
            .collect()
    }

    /// As [`Mailbox::find`], but waits until there is at least one mail.
    pub async fn wait_for(&self, filter: &MailFilter) -> Vec<ReceivedMail> {
        let mut arrived = self.0.arrived.subscribe();
        loop {
            arrived.mark_unchanged();
            let found = self.find(filter);
            if !found.is_empty() {
                return found;
            }
            if arrived.changed().await.is_err() {
                return Vec::new();
            }
        }
    }

    /// Removes the mails to an address, or all.
    pub fn clear(&self, to: Option<&str>) {
        let to = to.map(str::to_lowercase);
        let is_kept =
            |mail: &ReceivedMail| to.as_ref().is_some_and(|to| *to != mail.to.to_lowercase());
        self.mails().retain(is_kept);
    }

    fn refusal(&self) -> MutexGuard<'_, Option<(MailRefusal, u32)>> {
        let refusal = self.0.refusal.lock();
        refusal.unwrap_or_else(PoisonError::into_inner)
    }

    fn mails(&self) -> MutexGuard<'_, VecDeque<ReceivedMail>> {
        self.0.mails.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

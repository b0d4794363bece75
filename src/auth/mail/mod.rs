//! What is done by mail: the queue of mails, their delivery, and the links and codes that come back.

mod delivery;
mod kind;
mod link;
mod notice;
mod proof;
mod queue;

use std::sync::{Arc, Mutex, PoisonError};

use chrono::NaiveDateTime;
use tokio::sync::Notify;

pub(in crate::auth) use kind::lifetime_of;
pub(in crate::auth) use link::MailedLink;
pub use link::PrintedLink;
pub(in crate::auth) use notice::NoticeDetail;
pub use proof::ProofInput;
pub(in crate::auth) use proof::Proven;
pub(in crate::auth) use queue::MailRequest;

use super::Auth;
use crate::error::Error;
use crate::mail::Mailer;

/// What sends mails.
pub(super) struct MailState {
    /// `None` if mail is off.
    mailer: Option<Arc<Mailer>>,
    /// Wakes the worker of this process.
    queued: Notify,
    /// UTC; until then no mail may be sent, because the budget of the hour is used up.
    paused_until: Mutex<Option<NaiveDateTime>>,
}

impl MailState {
    pub(super) fn new(mailer: Option<Mailer>) -> Self {
        Self {
            mailer: mailer.map(Arc::new),
            queued: Notify::new(),
            paused_until: Mutex::default(),
        }
    }
}

impl Auth {
    /// What sends mails; `None` if mail is off.
    pub(crate) fn mailer(&self) -> Option<&Arc<Mailer>> {
        self.0.mail.mailer.as_ref()
    }

    /// Whether the service sends mail.
    pub fn is_mail_on(&self) -> bool {
        self.0.mail.mailer.is_some()
    }

    /// Refuses what needs a mail.
    ///
    /// # Errors
    /// [`Error::MailOff`]
    pub(crate) fn require_mail(&self) -> Result<(), Error> {
        match self.is_mail_on() {
            true => Ok(()),
            false => Err(Error::MailOff),
        }
    }

    /// Sends no mail before this time, UTC.
    fn pause_mails(&self, until: NaiveDateTime) {
        let paused = self.0.mail.paused_until.lock();
        *paused.unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    fn are_mails_paused(&self, now: NaiveDateTime) -> bool {
        let paused = self.0.mail.paused_until.lock();
        let until = *paused.unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| now < until)
    }

    /// Tells the worker of this process that a mail is queued.
    pub(in crate::auth) fn wake_mail(&self) {
        self.0.mail.queued.notify_one();
    }

    /// Waits until this process queues a mail.
    pub(crate) async fn mail_queued(&self) {
        self.0.mail.queued.notified().await;
    }
}

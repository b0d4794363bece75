//! The mails that have failed, and what mails look like.

use askama::Template;
use chrono::NaiveDateTime;

use crate::auth::MailPage as FailedMails;
use crate::mail::{Kind, Rendered};
use crate::pages::Frame;
use crate::pages::language::fill;
use crate::pages::plot::short;
use crate::pages::texts::console::ConsoleTexts;
use crate::pages::texts::console_mail::MailTexts;
use crate::pages::time::{ago, iso};
use crate::scope;
use crate::store::{MailCounts, OutboxMail};

use super::{ConsoleHead, Section};

/// The queue of mails, and a mail with sample data with the choice of another one.
#[derive(Template)]
#[template(path = "console/mail.html")]
pub(crate) struct MailPage {
    frame: Frame,
    t: &'static MailTexts,
    c: &'static ConsoleTexts,
    head: ConsoleHead,
    /// Whether the viewer may try mails again and drop them.
    can_write: bool,
    waiting: String,
    failed: String,
    is_first: bool,
    mails: Vec<MailRow>,
    /// The `before` of the next page.
    next: Option<i64>,
    locales: Vec<String>,
    kind: Kind,
    /// `None` if the service sends no mail.
    shown: Option<Rendered>,
}

/// A mail that has failed.
struct MailRow {
    id: i64,
    to: String,
    purpose: String,
    reason: String,
    failed: String,
    failed_at: String,
    retry_label: String,
    drop_label: String,
}

/// What has happened on the page of mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MailNotice {
    Retried,
    Dropped,
}

impl MailNotice {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::Retried, Self::Dropped];

    /// The query of the page after it.
    pub(crate) fn query(self) -> &'static str {
        match self {
            Self::Retried => "retried",
            Self::Dropped => "dropped",
        }
    }

    fn text(self, t: &MailTexts) -> &'static str {
        match self {
            Self::Retried => t.is_retried,
            Self::Dropped => t.is_dropped,
        }
    }
}

impl MailPage {
    /// The page of a service that sends no mail.
    pub(crate) fn new(frame: Frame, scopes: &str) -> Self {
        Self {
            t: MailTexts::of(frame.language),
            c: ConsoleTexts::of(frame.language),
            head: ConsoleHead::new(Section::Mail, scopes),
            can_write: scope::contains(scopes, scope::USERS_WRITE),
            waiting: String::new(),
            failed: String::new(),
            is_first: true,
            mails: Vec::new(),
            next: None,
            locales: Vec::new(),
            kind: Kind::ResetPassword,
            shown: None,
            frame,
        }
    }

    /// With a mail of this kind.
    pub(crate) fn with(self, kind: Kind, shown: Rendered, locales: &[String]) -> Self {
        Self {
            kind,
            shown: Some(shown),
            locales: locales.to_owned(),
            ..self
        }
    }

    /// With the queue at `now`: the numbers, and a page of the mails that have failed.
    pub(crate) fn with_queue(
        self,
        counts: MailCounts,
        failed: &FailedMails,
        is_first: bool,
        now: NaiveDateTime,
    ) -> Self {
        let (t, language) = (self.t, self.frame.language);
        let row = |mail: &OutboxMail| {
            let at = mail.failed_at.unwrap_or(mail.queued_at);
            MailRow {
                id: mail.id,
                to: mail.to_address.clone(),
                purpose: mail.purpose.clone(),
                reason: mail.last_reply.clone(),
                failed: ago(at, now, language),
                failed_at: iso(at),
                retry_label: fill(t.retry_named, "address", &mail.to_address),
                drop_label: fill(t.drop_named, "address", &mail.to_address),
            }
        };
        let number = |count: i64| short(u64::try_from(count).unwrap_or(0));
        Self {
            waiting: number(counts.waiting),
            failed: number(counts.failed),
            is_first,
            mails: failed.mails.iter().map(row).collect(),
            next: failed.next,
            ..self
        }
    }

    /// The same after a change.
    pub(crate) fn after(mut self, notice: Option<MailNotice>) -> Self {
        self.head.notice = notice.map(|notice| notice.text(self.t));
        self
    }

    fn kinds(&self) -> [Kind; 16] {
        Kind::ALL
    }
}

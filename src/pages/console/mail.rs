//! What the mails look like.

use askama::Template;

use crate::mail::{Kind, Rendered};
use crate::pages::Frame;
use crate::pages::texts::console_mail::MailTexts;

use super::{ConsoleHead, Section};

/// A mail with sample data, and the choice of another one.
#[derive(Template)]
#[template(path = "console/mail.html")]
pub(crate) struct MailPage {
    frame: Frame,
    t: &'static MailTexts,
    head: ConsoleHead,
    locales: Vec<String>,
    kind: Kind,
    /// `None` if the service sends no mail.
    shown: Option<Rendered>,
}

impl MailPage {
    /// The page of a service that sends no mail.
    pub(crate) fn new(frame: Frame, scopes: &str) -> Self {
        Self {
            t: MailTexts::of(frame.language),
            head: ConsoleHead::new(Section::Mail, scopes),
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

    fn kinds(&self) -> [Kind; 11] {
        Kind::ALL
    }
}

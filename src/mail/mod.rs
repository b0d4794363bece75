//! Mails: a letter becomes a message in the language of its recipient, which goes to a transport. Who gets
//! which letter, and when it is tried again, is decided elsewhere.
//!
//! The text part is a template; the HTML part is made of the text, or a template of the operator.

mod built_in;
pub mod duration;
mod folder;
mod html;
mod isolate;
mod letter;
mod mailbox;
mod message;
mod smtp;
mod templates;
mod values;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};

pub use letter::{Details, Kind, Letter, MAX_REPLY, Notice, Outcome, Rendered};
pub use mailbox::{MailFilter, MailRefusal, Mailbox, ReceivedMail};
pub use smtp::Delivery;

use crate::config::{Config, MailConfig, MailTransport};
use crate::credential::token::{NoRandomness, generate_token};
use crate::printable::printable;
use smtp::Smtp;
use templates::{Format, Templates};

/// Sends mails. Cheap to clone.
#[derive(Clone)]
pub struct Mailer(Arc<Inner>);

struct Inner {
    config: MailConfig,
    templates: Templates,
    transport: Transport,
}

/// Where mails go.
enum Transport {
    Log,
    Folder(PathBuf),
    Smtp(Smtp),
    Mailbox(Mailbox),
}

impl Mailer {
    /// The mailer of a configuration; `None` if mail is off.
    ///
    /// # Errors
    /// A template that cannot be used, with its file and line, or a mail server to which no encrypted
    /// connection is possible.
    pub fn new(config: &Config) -> Result<Option<Self>, MailError> {
        config.mail.as_ref().map(Self::start).transpose()
    }

    /// Like [`Mailer::new`], with the settings of mails alone.
    ///
    /// # Errors
    /// The same.
    pub fn start(config: &MailConfig) -> Result<Self, MailError> {
        let transport = match &config.transport {
            MailTransport::Log => Transport::Log,
            MailTransport::Folder(folder) => Transport::Folder(folder.clone()),
            MailTransport::Smtp(server) => {
                Transport::Smtp(Smtp::new(server.clone(), &config.public_url)?)
            }
            MailTransport::Memory => Transport::Mailbox(Mailbox::default()),
        };
        let templates = Templates::load(config.templates.as_deref(), &config.locales)?;
        Ok(Self(Arc::new(Inner {
            config: config.clone(),
            templates,
            transport,
        })))
    }

    /// The mailbox of [`MailTransport::Memory`].
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match &self.0.transport {
            Transport::Mailbox(mailbox) => Some(mailbox),
            _ => None,
        }
    }

    /// The settings.
    pub fn config(&self) -> &MailConfig {
        &self.0.config
    }

    /// A new `Message-ID` without its angle brackets.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn message_id(&self) -> Result<String, NoRandomness> {
        let token = generate_token()?;
        Ok(format!("{}@{}", token.expose(), self.0.config.from.domain))
    }

    /// Sends a mail, dated `now`. Blocks for at most 30 s.
    pub fn send(&self, letter: &Letter, now: DateTime<Utc>) -> Outcome {
        match self.render(letter) {
            Ok(text) => self.deliver(letter.kind.name(), letter, text, now).outcome,
            Err(error) => Outcome::Permanent(one_line(&error.to_string())),
        }
    }

    /// Sends a test mail, and reports how it was delivered: a mail of this kind in this language with sample
    /// data, or a short text without a kind. Blocks as [`Mailer::send`] does.
    pub fn send_test(
        &self,
        to: &str,
        name: &str,
        sample: Option<(Kind, &str)>,
        now: DateTime<Utc>,
    ) -> Delivery {
        let brand = &self.0.config.brand_name;
        let (kind, locale) = sample.unwrap_or((Kind::VerifyAddress, "en"));
        let link = self.sample_link(kind);
        let message_id = match self.message_id() {
            Ok(id) => id,
            Err(error) => return Outcome::Temporary(error.to_string()).into(),
        };
        let mut letter = Letter {
            to,
            name,
            message_id: &message_id,
            ..values::sample_letter(kind, locale, &link)
        };
        let text = if sample.is_some() {
            self.render(&letter)
        } else {
            (letter.link, letter.code) = (None, None);
            let text = format!("This is a test: mails from {brand} reach {to}.");
            self.laid_out(locale, &format!("Test mail from {brand}"), &text, &letter)
        };
        match text {
            Ok(text) => {
                let purpose = sample.map_or("test", |(kind, _)| kind.name());
                self.deliver(purpose, &letter, text, now)
            }
            Err(error) => Outcome::Permanent(one_line(&error.to_string())).into(),
        }
    }

    fn deliver(
        &self,
        purpose: &str,
        letter: &Letter,
        text: Rendered,
        now: DateTime<Utc>,
    ) -> Delivery {
        let message = match message::build(&self.0.config, letter, &text, now) {
            Ok(message) => message,
            Err(problem) => return Outcome::Permanent(one_line(&problem)).into(),
        };
        match &self.0.transport {
            Transport::Log => {
                let line = format!(
                    "mail to {}: {}; link {}, code {}",
                    letter.to,
                    text.subject,
                    letter.link.unwrap_or("none"),
                    letter.code.unwrap_or("none")
                );
                log::info!("{}", printable(&line));
                Outcome::Accepted("written to the log".to_owned()).into()
            }
            Transport::Folder(path) => folder::write(path, purpose, &message, now).into(),
            Transport::Smtp(smtp) => smtp.send(&message),
            Transport::Mailbox(mailbox) => mailbox.receive(letter, text, now).into(),
        }
    }

    /// What a mail of this kind looks like to a user with this locale, with sample data.
    ///
    /// # Errors
    /// When a template of the operator refuses the data.
    pub fn preview(&self, kind: Kind, locale: &str) -> Result<Rendered, MailError> {
        self.render(&values::sample_letter(
            kind,
            locale,
            &self.sample_link(kind),
        ))
    }

    /// A link without a token that works, long enough to be folded.
    fn sample_link(&self, kind: Kind) -> String {
        let url = &self.0.config.public_url;
        format!("{url}/{kind}?t=56EF3D0yLk7qVw2mZ8tHc4bXs9-3Dp56mZ8tHc4bXs9EF0yLk")
    }

    fn render(&self, letter: &Letter) -> Result<Rendered, MailError> {
        let Inner {
            config, templates, ..
        } = &*self.0;
        let locale = templates.locale(letter.locale);
        let of = |format| values::of_letter(letter, locale, config, format);
        let (subject, text) = templates.text(letter.kind, locale, &of(Format::Text))?;
        let html = templates.own_html(letter.kind, locale, &of(Format::Html));
        match html.transpose()? {
            None => self.laid_out(locale, &subject, &text, letter),
            Some(html) => Ok(Rendered {
                html,
                ..self.laid_out(locale, &subject, &text, letter)?
            }),
        }
    }

    /// A text within the layouts, and the HTML that is made of it.
    fn laid_out(
        &self,
        locale: &str,
        subject: &str,
        text: &str,
        letter: &Letter,
    ) -> Result<Rendered, MailError> {
        let Inner {
            config, templates, ..
        } = &*self.0;
        let content = html::from_text(text, letter.link, letter.code, config.brand_colour);
        let around = |content: &str, format| {
            let values = values::of_layout(content, subject, locale, config, format);
            templates.layout(format, &values)
        };
        Ok(Rendered {
            locale: locale.to_owned(),
            subject: subject.to_owned(),
            text: around(text, Format::Text)?,
            html: around(&content, Format::Html)?,
        })
    }
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer").finish_non_exhaustive()
    }
}

/// A reply or an error on one printable line of bounded length.
fn one_line(text: &str) -> String {
    let text = printable(text);
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(MAX_REPLY).collect()
}

/// Why no mail can be sent with these settings. `Display` begins with the setting, as for
/// [`ConfigError`](crate::config::ConfigError).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct MailError {
    /// The setting.
    pub setting: &'static str,
    /// What is wrong, with the file and the line if it is a template.
    pub problem: String,
}

impl MailError {
    fn new(setting: &'static str, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        Self { setting, problem }
    }

    /// A problem with a template, and perhaps a line of it.
    fn at(path: &Path, line: Option<usize>, problem: impl fmt::Display) -> Self {
        let path = path.display();
        let problem = match line {
            Some(line) => format!("{path}:{line}: {problem}"),
            None => format!("{path}: {problem}"),
        };
        Self::new("TOKENHOUSE_MAIL_TEMPLATES", problem)
    }
}

#[cfg(test)]
mod tests;

//! The settings of mails.

use std::fmt;
use std::path::PathBuf;

use secrecy::ExposeSecret;
use url::Host;

use super::smtp::SmtpServer;
use super::values::Values;
use super::{Colour, ConfigError, PagesConfig, PublicUrl};

/// The setting that links begin with.
const PUBLIC_URL: &str = "TOKENHOUSE_PUBLIC_URL";

/// The longest name of a sender, in characters.
const MAX_SENDER_NAME: usize = 80;

/// The longest locale: a language, a script, a region and a variant (RFC 5646).
const MAX_LOCALE: usize = 35;

/// The settings of mails.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MailConfig {
    /// `TOKENHOUSE_MAIL` and `TOKENHOUSE_SMTP_URL`: where mails go.
    pub transport: MailTransport,
    /// `TOKENHOUSE_MAIL_FROM`: the sender.
    pub from: MailAddress,
    /// `TOKENHOUSE_MAIL_REPLY_TO`: who gets answers, if not the sender.
    pub reply_to: Option<MailAddress>,
    /// `TOKENHOUSE_MAIL_TEMPLATES`: a folder whose templates replace built-in ones.
    pub templates: Option<PathBuf>,
    /// `TOKENHOUSE_MAIL_LOCALES`: the languages of mails. The first one is for users of any other.
    pub locales: Vec<String>,
    /// `TOKENHOUSE_PUBLIC_URL`: what links begin with.
    pub public_url: PublicUrl,
    /// `TOKENHOUSE_BRAND_NAME`: what mails call the service.
    pub brand_name: String,
    /// `TOKENHOUSE_BRAND_COLOUR`: the colour of buttons.
    pub brand_colour: Colour,
}

/// Where mails go.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum MailTransport {
    /// Into the log, with their links, for development.
    Log,
    /// Into this folder, a file for each, for development.
    Folder(PathBuf),
    /// To a mail server.
    Smtp(SmtpServer),
    /// Into the memory of the process, for tests of apps.
    Memory,
}

/// A name and an address. `Display` writes them as in a header, but not encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailAddress {
    /// The name that recipients see.
    pub name: Option<String>,
    /// The part before the `@`: letters, digits and other characters that need no quotes.
    pub local: String,
    /// The domain in ASCII.
    pub domain: String,
}

impl MailAddress {
    /// Parses `no-reply@example.com` or `Example, Inc. <no-reply@example.com>`. The name is taken as it
    /// stands, without the rules for quotes and comments of RFC 5322.
    ///
    /// # Errors
    /// What is expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str =
            "expected an address such as no-reply@example.com or Example <no-reply@example.com>";
        let text = text.trim();
        let (name, address) = match text.strip_suffix('>') {
            Some(rest) => rest.rsplit_once('<').ok_or(EXPECTED)?,
            None => ("", text),
        };
        let name = name.trim();
        let unquoted = name
            .strip_prefix('"')
            .and_then(|name| name.strip_suffix('"'));
        let name = unquoted.unwrap_or(name).trim();
        if name.chars().count() > MAX_SENDER_NAME || name.chars().any(char::is_control) {
            return Err("expected a name of at most 80 characters on one line");
        }
        let (local, domain) = address.trim().rsplit_once('@').ok_or(EXPECTED)?;
        let is_atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
        let is_local = !local.is_empty() && local.len() <= 64 && local.chars().all(is_atom);
        match Host::parse(domain) {
            Ok(Host::Domain(domain)) if is_local && !domain.ends_with('.') => Ok(Self {
                name: Some(name.to_owned()).filter(|name| !name.is_empty()),
                local: local.to_owned(),
                domain,
            }),
            _ => Err(EXPECTED),
        }
    }
}

impl fmt::Display for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            local,
            domain,
        } = self;
        match name {
            Some(name) => write!(f, "{name} <{local}@{domain}>"),
            None => write!(f, "{local}@{domain}"),
        }
    }
}

impl MailConfig {
    /// The settings, or `None` if mail is off.
    pub(super) fn from_values(
        values: &Values,
        public_url: Option<&PublicUrl>,
        pages: &PagesConfig,
    ) -> Result<Option<Self>, ConfigError> {
        let Some(transport) = transport(values)? else {
            return Ok(None);
        };
        let public_url = match (public_url, &transport) {
            (Some(url), _) => url.clone(),
            // Until `Config::link_to` names the address of a server for tests.
            (None, MailTransport::Memory) => parse_public_url("http://localhost")?,
            (None, _) => {
                let problem = "set it as well: links in mails begin with it";
                return Err(ConfigError::new(PUBLIC_URL, problem));
            }
        };
        let name = "TOKENHOUSE_MAIL_FROM";
        let from = match address(values, name)? {
            Some(from) => from,
            None if matches!(transport, MailTransport::Smtp(_)) => {
                return Err(ConfigError::new(
                    name,
                    "set it as well: mails need a sender",
                ));
            }
            None => default_sender(),
        };
        Ok(Some(Self {
            transport,
            from: MailAddress {
                name: from.name.or_else(|| Some(pages.brand_name.clone())),
                ..from
            },
            reply_to: address(values, "TOKENHOUSE_MAIL_REPLY_TO")?,
            templates: Some(values.text("TOKENHOUSE_MAIL_TEMPLATES"))
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            locales: locales(values)?,
            public_url,
            brand_name: pages.brand_name.clone(),
            brand_colour: pages.brand_colour,
        }))
    }
}

/// The URL that links begin with.
pub(super) fn parse_public_url(text: &str) -> Result<PublicUrl, ConfigError> {
    PublicUrl::parse(text).map_err(|problem| ConfigError::new(PUBLIC_URL, problem))
}

/// The sender of mails that reach nobody.
fn default_sender() -> MailAddress {
    MailAddress {
        name: None,
        local: "no-reply".to_owned(),
        domain: "tokenhouse.invalid".to_owned(),
    }
}

fn transport(values: &Values) -> Result<Option<MailTransport>, ConfigError> {
    let (name, url_name) = ("TOKENHOUSE_MAIL", "TOKENHOUSE_SMTP_URL");
    let url = values.secret(url_name);
    let mode = values.text(name);
    if mode != "off" && !cfg!(feature = "mail") {
        return Err(ConfigError::new(
            name,
            "expected off: this build sends no mail",
        ));
    }
    match (mode.as_str(), url) {
        ("smtp", Some(url)) => match SmtpServer::parse(url.expose_secret()) {
            Ok(server) => Ok(Some(MailTransport::Smtp(server))),
            Err(problem) => Err(ConfigError::new(url_name, problem)),
        },
        ("smtp", None) => Err(ConfigError::new(name, format!("set {url_name} as well"))),
        ("off", _) => Ok(None),
        ("log", _) => Ok(Some(MailTransport::Log)),
        ("memory", _) => Ok(Some(MailTransport::Memory)),
        (mode, _) => match mode.strip_prefix("file:") {
            Some(folder) if !folder.is_empty() => Ok(Some(MailTransport::Folder(folder.into()))),
            _ => Err(ConfigError::new(
                name,
                "expected off, log, file:FOLDER or smtp",
            )),
        },
    }
}

fn address(values: &Values, name: &'static str) -> Result<Option<MailAddress>, ConfigError> {
    match values.text(name).as_str() {
        "" => Ok(None),
        text => MailAddress::parse(text)
            .map(Some)
            .map_err(|problem| ConfigError::new(name, problem)),
    }
}

fn locales(values: &Values) -> Result<Vec<String>, ConfigError> {
    let name = "TOKENHOUSE_MAIL_LOCALES";
    let locales = values.list(name);
    let is_locale = |locale: &String| {
        let mut parts = locale.split('-');
        let language = parts.next().unwrap_or_default();
        let is_plain = |part: &str| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        (2..=3).contains(&language.len())
            && language.bytes().all(|byte| byte.is_ascii_lowercase())
            && locale.len() <= MAX_LOCALE
            && parts.all(is_plain)
    };
    if locales.is_empty() || !locales.iter().all(is_locale) {
        let problem = "expected languages such as en,de or de-AT, separated by commas";
        return Err(ConfigError::new(name, problem));
    }
    Ok(locales)
}

#[cfg(test)]
mod tests {
    use super::MailAddress;

    #[test]
    fn names_of_senders_need_no_quotes() {
        for (text, name, address) in [
            ("no-reply@example.com", None, "no-reply@example.com"),
            (
                "Example, Inc. (Billing) <no-reply@example.com>",
                Some("Example, Inc. (Billing)"),
                "no-reply@example.com",
            ),
            (
                "\"Doe, Jane\" <jane+x@Example.com>",
                Some("Doe, Jane"),
                "jane+x@example.com",
            ),
            ("<a@b\u{fc}cher.example>", None, "a@xn--bcher-kva.example"),
            ("a < b <a@mail.internal>", Some("a < b"), "a@mail.internal"),
        ] {
            let parsed = MailAddress::parse(text).unwrap();
            assert_eq!(parsed.name.as_deref(), name, "{text}");
            assert_eq!(
                format!("{}@{}", parsed.local, parsed.domain),
                address,
                "{text}"
            );
        }
        for text in [
            "example.com",
            "@example.com",
            "a b@example.com",
            "a@",
            "a@b c.example",
            "a@10.0.0.1",
            "a@example.com, b@example.com",
            "A\r\nBcc: x <a@example.com>",
            "a@example.com>",
        ] {
            assert!(MailAddress::parse(text).is_err(), "{text}");
        }
    }
}

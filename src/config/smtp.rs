//! The mail server that takes our mails, as a URL.

use std::fmt;
use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

const EXPECTED: &str = "expected smtps://USER:PASSWORD@HOST, or smtp://USER:PASSWORD@HOST:587 for STARTTLS; \
                        in user and password, write @ / : ? # % as %40 %2F %3A %3F %23 %25";

/// A mail server. `Display` omits the user and the password.
#[derive(Clone)]
#[non_exhaustive]
pub struct SmtpServer {
    /// A name in ASCII, or an IP address.
    pub host: String,
    /// The port; 587 by default, and 465 for `smtps`.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub tls: SmtpTls,
    /// The name that the certificate must be for, if it is not `host`.
    pub certificate_host: Option<String>,
    /// The user and the password; `None` for a server that needs none.
    pub credentials: Option<(String, SecretString)>,
}

/// When a connection to the mail server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SmtpTls {
    /// From the first byte (RFC 8314 section 3.3).
    Implicit,
    /// With STARTTLS (RFC 3207); without it nothing is sent.
    Required,
    /// With STARTTLS if the server offers it; the password is never sent without it.
    Opportunistic,
    /// Never. The password is sent in the clear.
    Off,
}

impl SmtpServer {
    /// Parses `smtps://HOST` or `smtp://HOST`, with the parameters `tls` (`required`, `opportunistic` or
    /// `none`) and `tls-host`, the name on the certificate.
    ///
    /// # Errors
    /// What is expected, without the value.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|_error| EXPECTED.to_owned())?;
        let is_implicit = match url.scheme() {
            "smtps" => true,
            "smtp" => false,
            _ => return Err(EXPECTED.to_owned()),
        };
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(EXPECTED.to_owned());
        }
        let host = url.host_str().ok_or(EXPECTED).and_then(host)?;
        let (mut tls, mut certificate_host) = (None, None);
        for (name, value) in url.query_pairs() {
            match &*name {
                "tls" => tls = Some(mode(&value, is_implicit)?),
                "tls-host" => {
                    let problem = "tls-host: expected the name on the certificate";
                    certificate_host = Some(self::host(&value).map_err(|_error| problem)?);
                }
                _ => return Err("expected the parameters tls and tls-host only".to_owned()),
            }
        }
        let default = if is_implicit {
            SmtpTls::Implicit
        } else {
            SmtpTls::Required
        };
        Ok(Self {
            host,
            port: url.port().unwrap_or(if is_implicit { 465 } else { 587 }),
            tls: tls.unwrap_or(default),
            certificate_host,
            credentials: credentials(&url)?,
        })
    }

    /// Whether the password is readable in the network: it is sent without encryption to another machine.
    pub fn exposes_password(&self) -> bool {
        let is_loopback = self.host == "localhost"
            || self
                .host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback());
        self.tls == SmtpTls::Off && self.credentials.is_some() && !is_loopback
    }
}

/// A host in ASCII; an IPv6 address without brackets.
fn host(text: &str) -> Result<String, &'static str> {
    let text = percent_decode_str(text)
        .decode_utf8()
        .map_err(|_error| EXPECTED)?;
    match Host::parse(&text).map_err(|_error| EXPECTED)? {
        Host::Domain(name) => Ok(name),
        Host::Ipv4(address) => Ok(address.to_string()),
        Host::Ipv6(address) => Ok(address.to_string()),
    }
}

fn mode(value: &str, is_implicit: bool) -> Result<SmtpTls, &'static str> {
    match (value, is_implicit) {
        ("required", true) => Ok(SmtpTls::Implicit),
        ("required", false) => Ok(SmtpTls::Required),
        (_, true) => Err("tls: smtps:// is always encrypted; write smtp:// for other choices"),
        ("opportunistic", false) => Ok(SmtpTls::Opportunistic),
        ("none", false) => Ok(SmtpTls::Off),
        _ => Err("tls: expected required, opportunistic or none"),
    }
}

/// The user and the password. An empty user is none, as in `smtp://:@relay`.
fn credentials(url: &Url) -> Result<Option<(String, SecretString)>, String> {
    let decoded = |text| {
        let text = percent_decode_str(text).decode_utf8();
        // They would end the line of the command.
        text.ok().filter(|text| !text.contains(['\r', '\n', '\0']))
    };
    let user = decoded(url.username()).ok_or(EXPECTED)?;
    let password = decoded(url.password().unwrap_or_default()).ok_or(EXPECTED)?;
    match (&*user, &*password) {
        ("", "") => Ok(None),
        ("", _) | (_, "") => Err("expected both a user and a password, or neither".to_owned()),
        _ => Ok(Some((user.into_owned(), password.into_owned().into()))),
    }
}

impl fmt::Display for SmtpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.tls {
            SmtpTls::Implicit => "smtps",
            _ => "smtp",
        };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Debug for SmtpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ({:?})", self.tls)
    }
}

impl PartialEq for SmtpServer {
    fn eq(&self, other: &Self) -> bool {
        let exposed = |server: &Self| {
            let credentials = server.credentials.as_ref();
            credentials.map(|(user, password)| (user.clone(), password.expose_secret().to_owned()))
        };
        (&self.host, self.port, self.tls, &self.certificate_host)
            == (&other.host, other.port, other.tls, &other.certificate_host)
            && exposed(self) == exposed(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_server_encryption_and_credentials() {
        for (text, shown, tls, name, user) in [
            (
                "smtps://mail.example",
                "smtps://mail.example:465",
                SmtpTls::Implicit,
                None,
                None,
            ),
            (
                "smtp://mail.example",
                "smtp://mail.example:587",
                SmtpTls::Required,
                None,
                None,
            ),
            (
                "smtp://relay:25?tls=none",
                "smtp://relay:25",
                SmtpTls::Off,
                None,
                None,
            ),
            (
                "smtp://:@relay/?tls=opportunistic",
                "smtp://relay:587",
                SmtpTls::Opportunistic,
                None,
                None,
            ),
            (
                "smtp://10.0.0.5?tls=required&tls-host=mail.example",
                "smtp://10.0.0.5:587",
                SmtpTls::Required,
                Some("mail.example"),
                None,
            ),
            (
                "smtps://ada%40example.com:p%40ss%3Aw%2Frd@[::1]:4650",
                "smtps://[::1]:4650",
                SmtpTls::Implicit,
                None,
                Some(("ada@example.com", "p@ss:w/rd")),
            ),
            (
                "smtp://u:p@B\u{fc}cher.example",
                "smtp://xn--bcher-kva.example:587",
                SmtpTls::Required,
                None,
                Some(("u", "p")),
            ),
        ] {
            let server = SmtpServer::parse(text).unwrap();
            assert_eq!(server.to_string(), shown, "{text}");
            assert_eq!(
                (server.tls, server.certificate_host.as_deref()),
                (tls, name),
                "{text}"
            );
            let given = server.credentials.as_ref();
            let given = given.map(|(user, password)| (user.as_str(), password.expose_secret()));
            assert_eq!(given, user, "{text}");
        }
    }

    #[test]
    fn other_urls_are_refused_without_their_text() {
        for text in [
            "hush",
            "hush.example:587",
            "http://hush.example",
            "smtp://",
            "smtp:///hush",
            "smtp://u:hush/hush@relay",
            "smtp://u:hu?sh@relay",
            "smtp://u:hush@relay/path",
            "smtp://u:hush@relay#hush",
            "smtp://hush@relay",
            "smtp://:hush@relay",
            "smtp://u:hu%0D%0Ash@relay",
            "smtp://relay:hush",
            "smtp://relay?tls=hush",
            "smtp://relay?tls-host=",
            "smtp://relay?hush=1",
            "smtps://hush.example?tls=none",
        ] {
            let problem = SmtpServer::parse(text).unwrap_err();
            assert!(!problem.contains("hush"), "{text}: {problem}");
        }
    }

    #[test]
    fn password_is_neither_shown_nor_sent_in_the_clear_unnoticed() {
        let server = SmtpServer::parse("smtp://u:hush@relay?tls=none").unwrap();
        assert!(!format!("{server} {server:?}").contains("hush"));
        assert!(server.exposes_password());
        for text in [
            "smtp://u:p@localhost?tls=none",
            "smtp://u:p@relay",
            "smtp://relay?tls=none",
        ] {
            assert!(
                !SmtpServer::parse(text).unwrap().exposes_password(),
                "{text}"
            );
        }
    }
}

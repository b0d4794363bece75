//! The hosts to which a sign-in may lead: those that a reverse proxy guards with `/verify`.

use url::{Host, Url};

use super::origins;
use super::public_suffix::is_public_suffix;

/// The longest URL to which a sign-in leads back, in bytes.
const MAX_URL: usize = 10 * 1024;

/// The longest name of a host with its port, in bytes: longer than any name of the DNS.
const MAX_AUDIENCE: usize = 300;

/// `TOKENHOUSE_SIGNIN_HOSTS`: the hosts to which a sign-in may lead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignInHosts(Vec<Entry>);

/// One entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// As in a URL: in lower case, in Punycode, in brackets.
    host: String,
    /// Whether it means the names below the host instead of the host.
    is_below: bool,
    /// `None` for the default of the scheme.
    port: Option<u16>,
}

impl SignInHosts {
    /// Parses names, each perhaps with a port, and with a dot in front for all names below it:
    /// `app.example.com`, `.example.com`, `app.example.com:8443`, `[2001:db8::1]:8443`.
    ///
    /// # Errors
    /// The number of the invalid entry, counted from 1, and what is expected, but not the entry itself.
    pub fn parse(list: &[String]) -> Result<Self, String> {
        let entries = (1..).zip(list).map(|(number, text)| {
            Entry::parse(text).map_err(|problem| format!("entry {number}: {problem}"))
        });
        Ok(Self(entries.collect::<Result<_, _>>()?))
    }

    /// Whether a sign-in may lead to this URL.
    pub fn allows(&self, url: &GuardedUrl) -> bool {
        self.0.iter().any(|entry| entry.allows(url))
    }

    /// Whether every entry is this domain or below it.
    pub(super) fn are_within(&self, domain: &str) -> bool {
        self.0.iter().all(|entry| is_within(&entry.host, domain))
    }
}

/// Whether a host is a domain, or below it.
pub(super) fn is_within(host: &str, domain: &str) -> bool {
    host == domain || is_below(host, domain)
}

/// Whether a host is below a domain.
pub(super) fn is_below(host: &str, domain: &str) -> bool {
    let before = host.strip_suffix(domain);
    before.is_some_and(|name| name.len() > 1 && name.ends_with('.'))
}

impl Entry {
    fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "expected a host such as app.example.com, with a dot in front for all names below it (.example.com), and with the port unless it is 443";
        let (is_below, name) = match text.strip_prefix('.') {
            Some(name) => (true, name),
            None => (false, text),
        };
        if name.contains("://") || name.contains('/') {
            return Err("remove the scheme and the path; an entry is a host, perhaps with a port");
        }
        let origin = origins::normalise_http("https", name).ok_or(EXPECTED)?;
        let url = Url::parse(&origin).map_err(|_error| EXPECTED)?;
        let host = url.host_str().ok_or(EXPECTED)?;
        if host.starts_with('.') || host.ends_with('.') || host.len() > MAX_AUDIENCE {
            return Err(EXPECTED);
        }
        // Anybody can have a name below a public suffix, and would be sent codes there.
        if is_below && (!matches!(url.host(), Some(Host::Domain(_))) || is_public_suffix(host)) {
            return Err(
                "a dot in front needs a domain such as .example.com, and no public suffix such as .com or .co.uk",
            );
        }
        Ok(Self {
            host: host.to_owned(),
            is_below,
            port: url.port(),
        })
    }

    fn allows(&self, url: &GuardedUrl) -> bool {
        let host = url.host();
        let is_host = match self.is_below {
            true => is_below(host, &self.host),
            false => host == self.host,
        };
        // An entry with the port 443 is one without a port.
        is_host && self.port == url.0.port()
    }
}

/// A URL of a guarded host, to which a browser may return: of https, or of http on this machine. Whether a
/// sign-in may lead there, [`SignInHosts`] decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardedUrl(Url);

impl GuardedUrl {
    /// Parses an absolute URL. `None` unless browsers and this parser agree on its host for certain.
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
        let is_absolute = ["https://", "http://"].iter().any(|scheme| {
            let rest = text.strip_prefix(scheme);
            rest.is_some_and(|rest| !rest.starts_with('/'))
        });
        if text.len() > MAX_URL || !is_absolute || !text.bytes().all(is_plain) {
            return None;
        }
        let authority = text.split_once("://")?.1.split(['/', '?', '#']).next()?;
        let url = Url::parse(text).ok()?;
        let is_anonymous = url.username().is_empty() && url.password().is_none();
        let host = url.host()?;
        let is_secure = url.scheme() == "https" || origins::is_this_machine(&host);
        let is_good = is_anonymous
            && !authority.contains('@')
            && is_secure
            && url.as_str().len() <= MAX_URL
            && url.host_str()?.len() <= MAX_AUDIENCE - ":65535".len();
        is_good.then_some(Self(url))
    }

    /// The URL as browsers write it.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The name or address of the host.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The port, if it is not the default of the scheme.
    pub fn port(&self) -> Option<u16> {
        self.0.port()
    }

    /// Whether the host is reached by TLS.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The host for which a cookie counts: with the port unless that is 443. Cookies do not tell ports
    /// apart, so this does.
    pub fn audience(&self) -> String {
        match self.0.port_or_known_default() {
            None | Some(443) => self.host().to_owned(),
            Some(port) => format!("{}:{port}", self.host()),
        }
    }

    /// Scheme, host and port, as in the header `Origin`.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The URL with another path.
    pub fn with_path(&self, path_and_query: &str) -> String {
        format!("{}{path_and_query}", self.origin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(list: &str) -> SignInHosts {
        let list: Vec<_> = list.split(' ').map(str::to_owned).collect();
        SignInHosts::parse(&list).unwrap()
    }

    #[test]
    fn only_listed_hosts_and_ports_are_allowed() {
        let listed = "app.example.com .example.org .corp.internal wiki.example.com:8443 [2001:db8::1]:8443 \
                      Caf\u{e9}.example:443 localhost:3000 127.0.0.1";
        let listed = hosts(listed);
        for url in [
            "https://app.example.com/",
            "https://app.example.com:443/a?b=c&d=%20#e",
            "https://a.example.org",
            "https://a.b.example.org/",
            "https://a.corp.internal/",
            "https://wiki.example.com:8443/x",
            "https://[2001:db8::1]:8443/",
            "https://[2001:db8:0:0::1]:8443/",
            "https://xn--caf-dma.example/",
            "http://localhost:3000/",
            "https://localhost:3000/",
            "http://127.0.0.1/",
            "https://APP.example.com/",
        ] {
            assert!(
                GuardedUrl::parse(url).is_some_and(|url| listed.allows(&url)),
                "{url}"
            );
        }
        for url in [
            "",
            "/",
            "//app.example.com/",
            "app.example.com",
            "https:app.example.com",
            "https:/app.example.com",
            "https:///app.example.com",
            "http://app.example.com/",
            "ftp://app.example.com/",
            "javascript://app.example.com/%0aalert(1)",
            "https://example.org/",
            "https://.example.org/",
            "https://evilexample.org/",
            "https://app.example.com.evil.example/",
            "https://app.example.com:8443/",
            "https://wiki.example.com/",
            "https://app.example.com./",
            "https://user@app.example.com/",
            "https://@app.example.com/",
            "https://app.example.com@evil.example/",
            "https://app.example.com:x@evil.example/",
            "https://evil.example\\.app.example.com/",
            "https://evil.example\\@app.example.com/",
            "https://evil.example#@app.example.com/",
            "https://evil.example?@app.example.com/",
            "https://app.example.com/\r\nX: y",
            "https://app.example.com/ x",
            "https://app.example.com/\u{e9}",
            "https://app\u{3002}example.com/",
            " https://app.example.com/",
            "https://app.example.com:99999/",
            "https://[2001:db8::1]/",
            "http://localhost:3001/",
            "http://127.0.0.1:3000/",
            "https://xn--a/",
        ] {
            assert!(
                !GuardedUrl::parse(url).is_some_and(|url| listed.allows(&url)),
                "{url}"
            );
        }
        assert!(
            !hosts("app.example.com")
                .allows(&GuardedUrl::parse("https://x.app.example.com").unwrap())
        );
    }

    #[test]
    fn audience_has_the_port_unless_it_is_443() {
        for (url, audience) in [
            ("https://app.example.com/x", "app.example.com"),
            ("https://app.example.com:8443", "app.example.com:8443"),
            ("http://localhost", "localhost:80"),
            ("http://localhost:3000/", "localhost:3000"),
            ("https://[2001:db8::1]:8443", "[2001:db8::1]:8443"),
        ] {
            assert_eq!(GuardedUrl::parse(url).unwrap().audience(), audience);
        }
    }

    #[test]
    fn url_is_kept_to_the_letter() {
        let query = "a=1&b=%26&c=%C3%BC;d=%2B+e%20f&redirect=https://x.example/?y=z";
        let url = format!("https://app.example.com/path/%7e%2f/;x?{query}#part");
        assert_eq!(GuardedUrl::parse(&url).unwrap().as_str(), url);
        let long = |length| format!("https://app.example.com/?{}", "x".repeat(length));
        assert!(GuardedUrl::parse(&long(8 * 1024)).is_some());
        assert!(GuardedUrl::parse(&long(11 * 1024)).is_none());
    }

    #[test]
    fn entries_that_mean_too_much_are_refused_without_their_text() {
        for text in [
            "*",
            "*.hush.example",
            ".hush",
            ".hush.ck",
            ".co.uk",
            ".github.io",
            ".",
            "..hush.example",
            ".127.0.0.1",
            ".[::1]",
            "https://hush.example",
            "hush.example/x",
            "user@hush.example",
            "hush.example:99999",
            "hush.example.",
            "hush example",
            "",
            "hush\\.example",
        ] {
            let problem = SignInHosts::parse(&[text.to_owned()]).unwrap_err();
            assert!(!problem.contains("hush"), "{text}: {problem}");
        }
    }
}

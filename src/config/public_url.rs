//! The URL by which clients reach the service.

use std::fmt;

use url::Url;

use super::origins;

/// The URL of the service for clients, which may have a path, as behind a proxy that serves other apps on
/// the same host. `Display` writes it without a trailing slash: `https://example.com/auth`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    origin: String,
    path: String,
}

impl PublicUrl {
    /// Parses an absolute URL of `http` or `https`. Scheme, host and port are normalized as in an origin.
    ///
    /// # Errors
    /// What is expected, without the value.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str =
            "expected a URL such as https://auth.example or https://app.example/auth";
        let (scheme, rest) = text.split_once("://").ok_or(EXPECTED)?;
        if rest.contains(['?', '#']) {
            return Err("remove everything from the ? or # on; clients append paths to this URL");
        }
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let origin = origins::normalise_http(scheme, host).ok_or(EXPECTED)?;
        let path = path.strip_suffix('/').unwrap_or(path);
        let is_plain = |segment: &str| {
            let mut bytes = segment.bytes();
            let is_dots = matches!(segment, "" | "." | "..");
            !is_dots && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
        };
        if !path.split('/').skip(1).all(is_plain) {
            return Err("expected a path of letters, digits and - . _ ~ between single slashes");
        }
        Ok(Self {
            origin,
            path: path.to_owned(),
        })
    }

    /// Scheme, host and port, as browsers write them: `https://example.com`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether clients reach the service by TLS.
    pub fn is_https(&self) -> bool {
        self.origin.starts_with("https:")
    }

    /// Whether the host is this machine itself, where browsers trust plain HTTP.
    pub fn is_loopback(&self) -> bool {
        let url = Url::parse(&self.origin).ok();
        let host = url.as_ref().and_then(Url::host);
        host.is_some_and(|host| origins::is_this_machine(&host))
    }

    /// The path without a trailing slash: `/auth`, or empty.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::PublicUrl;

    #[test]
    fn origin_is_normalized_and_path_kept() {
        for (text, origin, path) in [
            ("https://auth.example", "https://auth.example", ""),
            ("https://auth.example/", "https://auth.example", ""),
            ("HTTPS://Auth.Example:443/", "https://auth.example", ""),
            ("http://localhost:8000", "http://localhost:8000", ""),
            ("http://[::1]:8000/x", "http://[::1]:8000", "/x"),
            (
                "https://b\u{fc}cher.example",
                "https://xn--bcher-kva.example",
                "",
            ),
            ("https://app.example/auth", "https://app.example", "/auth"),
            (
                "https://app.example/Auth/v1.0/",
                "https://app.example",
                "/Auth/v1.0",
            ),
        ] {
            let url = PublicUrl::parse(text).unwrap();
            assert_eq!((url.origin(), url.path()), (origin, path), "{text}");
            assert_eq!(url.to_string(), format!("{origin}{path}"), "{text}");
        }
    }

    #[test]
    fn other_urls_are_refused_without_their_text() {
        for text in [
            "hush",
            "hush.example",
            "//hush.example",
            "ftp://hush.example",
            "https:/hush.example",
            "https://",
            "https:///hush",
            "https://user:hush@hush.example",
            "https://hush.example?x",
            "https://hush.example/auth#hush",
            "https://hush.example/a//b",
            "https://hush.example//",
            "https://hush.example/../hush",
            "https://hush.example/%61uth",
            "https://hush.example/a b",
            "https://hush.example\\hush",
            "https://hush.example:99999",
            "https://*.hush.example",
            "\"https://hush.example\"",
            "https://hush.example/\u{e9}",
        ] {
            let problem = PublicUrl::parse(text).unwrap_err();
            assert!(!problem.contains("hush"), "{text}: {problem}");
        }
    }
}

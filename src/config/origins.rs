//! Origins as browsers write them in the header `Origin` (RFC 6454 section 6.2). They are compared
//! as strings, so configured origins are normalized.

use url::{Host, Url};

const EXPECTED: &str = "expected an origin such as https://app.example";

/// Parses origins, and returns them as browsers write them: in lower case, with an internationalized
/// domain in Punycode, without a trailing slash or the scheme's default port.
///
/// # Errors
/// The number of the invalid entry, counted from 1, and what is expected, but not the entry itself.
pub(super) fn parse(list: &[String]) -> Result<Vec<String>, String> {
    let origins = (1..).zip(list).map(|(number, text)| {
        normalise(text).map_err(|problem| format!("entry {number}: {problem}"))
    });
    origins.collect()
}

fn normalise(text: &str) -> Result<String, &'static str> {
    if text == "*" {
        return Err("* would allow every site; list the origins one by one");
    }
    if text.eq_ignore_ascii_case("null") {
        return Err("null is the origin of any sandboxed frame; list the origins one by one");
    }
    let (scheme, host) = text.split_once("://").ok_or(EXPECTED)?;
    let host = host.strip_suffix('/').unwrap_or(host);
    if host.contains(['/', '?', '#', '\\']) {
        return Err("an origin has no path; remove everything after the host and port");
    }
    if host.contains('*') {
        return Err("* is not supported in an origin; list the origins one by one");
    }
    let url = parse_url(scheme, host).ok_or(EXPECTED)?;
    if is_http(&url) {
        return Ok(url.origin().ascii_serialization());
    }
    // Apps in a web view use their own schemes, as in capacitor://localhost.
    match (url.scheme(), url.host_str()) {
        ("file" | "ftp" | "ws" | "wss" | "blob" | "data" | "about" | "javascript", _) => {
            Err(EXPECTED)
        }
        (scheme, Some(host)) if host.is_ascii() && !host.is_empty() => {
            let port = url.port().map(|port| format!(":{port}"));
            Ok(format!("{scheme}://{host}{}", port.unwrap_or_default()))
        }
        _ => Err(EXPECTED),
    }
}

/// The origin of a URL of `http` or `https`, from its scheme and the text up to the path; `None` if it is
/// not one, or has a user or a wildcard.
pub(super) fn normalise_http(scheme: &str, host: &str) -> Option<String> {
    let url = parse_url(scheme, host).filter(is_http)?;
    Some(url.origin().ascii_serialization())
}

/// Whether a host is this machine itself, where browsers trust plain HTTP.
pub(super) fn is_this_machine(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

fn parse_url(scheme: &str, host: &str) -> Option<Url> {
    let is_part =
        |c: char| !c.is_whitespace() && !c.is_control() && !"/?#\\*@%'\"<>`^|{}".contains(c);
    if host.is_empty() || !host.chars().all(is_part) {
        return None;
    }
    Url::parse(&format!("{scheme}://{host}")).ok()
}

#[cfg(test)]
mod tests {
    use super::{normalise, parse};

    #[test]
    fn origins_are_normalized_like_in_browsers() {
        for (text, origin) in [
            ("https://app.example", "https://app.example"),
            ("https://app.example/", "https://app.example"),
            ("HTTPS://App.Example", "https://app.example"),
            ("https://app.example:443", "https://app.example"),
            ("http://app.example:80/", "http://app.example"),
            ("https://app.example:8443", "https://app.example:8443"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            (
                "https://b\u{fc}cher.example",
                "https://xn--bcher-kva.example",
            ),
            (
                "https://B\u{dc}CHER.example/",
                "https://xn--bcher-kva.example",
            ),
            ("capacitor://localhost", "capacitor://localhost"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ] {
            assert_eq!(normalise(text), Ok(origin.to_owned()), "{text}");
        }
    }

    #[test]
    fn invalid_origins_are_reported_by_number() {
        for text in [
            "*",
            "null",
            "NULL",
            "app.example",
            "//app.example",
            "https:app.example",
            "https://",
            "https:///",
            "https://app.example/path",
            "https://app.example//",
            "https://app.example?x",
            "https://app.example#x",
            "https://app.example\\x",
            "https://user@app.example",
            "https://*.app.example",
            "\"https://app.example\"",
            "https://\"app.example\"",
            "'https://app.example'",
            "https://app .example",
            "https://app.example:99999",
            "https://app.example:x",
            "https://app%2eexample",
            "file://app.example",
            "file:///",
            "data://x",
        ] {
            let good = "https://app.example".to_owned();
            let error = parse(&[good, text.to_owned()]).unwrap_err();
            assert!(error.starts_with("entry 2: "), "{text}: {error}");
        }
        let named = |text: &str| normalise(text).unwrap_err();
        assert!(named("*").starts_with("* ") && named("null").starts_with("null "));
    }
}

//! The request that a reverse proxy asks about, as the proxy's headers describe it.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderName};
use percent_encoding::{AsciiSet, percent_encode};

use crate::config::{GuardedUrl, TrustedProxies};

const ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
const FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");

/// The longest value in a line of the log, in bytes.
const MAX_LOGGED: usize = 100;

/// Nothing but bytes that are not ASCII: some clients send them as they are.
const NOT_ASCII: &AsciiSet = &AsciiSet::EMPTY;

/// A request to a guarded host.
#[derive(Clone, Debug)]
pub(crate) struct Original {
    /// What was requested. Only scheme and host, if the whole is no URL to which a browser could return.
    pub(crate) url: GuardedUrl,
    /// How.
    pub(crate) method: Method,
}

/// Why it is not known what was requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ForwardProblem {
    /// The peer is not a trusted proxy, so that any client could have written the headers.
    UntrustedPeer,
    /// A header cannot be used.
    Header {
        /// Its name.
        name: String,
        /// Its value, shortened; empty if it is missing.
        value: String,
    },
}

impl std::fmt::Display for ForwardProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UntrustedPeer => f.write_str(
                "its peer is not in TOKENHOUSE_TRUSTED_PROXIES, so its headers do not count",
            ),
            Self::Header { name, value } if value.is_empty() => write!(f, "{name} is missing"),
            Self::Header { name, value } => write!(f, "{name} cannot be used: {value}"),
        }
    }
}

impl Original {
    /// The request that a trusted proxy describes: in `X-Original-URL`, or in `X-Forwarded-Proto`, `-Host`
    /// and `-Uri`; in both only if they name the same host, as a proxy may pass on the one that it does
    /// not write itself.
    ///
    /// # Errors
    /// If the host is not known for certain.
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, ForwardProblem> {
        let proxies = request.app_data::<TrustedProxies>();
        let peer = request.peer_addr().map(|peer| peer.ip());
        let is_trusted = proxies
            .zip(peer)
            .is_some_and(|(proxies, peer)| proxies.contains(peer));
        if !is_trusted {
            return Err(ForwardProblem::UntrustedPeer);
        }
        let headers = request.headers();
        let whole = parse_original_url(headers)?;
        let parts = parse_parts(headers, whole.is_none())?;
        let url = match (whole, parts) {
            (Some(whole), Some(parts)) if whole.origin() != parts.origin() => {
                return Err(unusable(headers, &FORWARDED_HOST));
            }
            (Some(url), _) | (None, Some(url)) => url,
            (None, None) => return Err(unusable(headers, &FORWARDED_HOST)),
        };
        let method = first(headers, &FORWARDED_METHOD);
        let method = method.and_then(|method| Method::from_bytes(method.as_bytes()).ok());
        Ok(Self {
            url,
            method: method.unwrap_or_else(|| request.method().clone()),
        })
    }
}

fn parse_original_url(headers: &HeaderMap) -> Result<Option<GuardedUrl>, ForwardProblem> {
    let Some(text) = only(headers, &ORIGINAL_URL)? else {
        return Ok(None);
    };
    let end = text
        .match_indices('/')
        .nth(2)
        .map_or(text.len(), |(end, _)| end);
    let (origin, path) = text.split_at(end);
    parse_url(origin, path)
        .map(Some)
        .ok_or_else(|| unusable(headers, &ORIGINAL_URL))
}

/// The URL of the three headers; `None` without a host. A proxy that writes `X-Original-URL` need not write
/// them.
fn parse_parts(
    headers: &HeaderMap,
    is_required: bool,
) -> Result<Option<GuardedUrl>, ForwardProblem> {
    let Some(host) = only(headers, &FORWARDED_HOST)? else {
        return Ok(None);
    };
    // Proxies append to this header. The first value is that of the outermost one.
    let proto = first(headers, &FORWARDED_PROTO).map(|proto| proto.to_ascii_lowercase());
    let proto = match proto.as_deref() {
        Some(proto @ ("https" | "http")) => proto,
        None if !is_required => return Ok(None),
        _ => return Err(unusable(headers, &FORWARDED_PROTO)),
    };
    let path = headers
        .get(FORWARDED_URI)
        .map(|uri| escaped(uri.as_bytes()));
    let url = parse_url(&format!("{proto}://{host}"), path.as_deref().unwrap_or("/"));
    url.map(Some).ok_or_else(|| {
        // The host is good, so it is the scheme: only this machine is reached without TLS.
        match parse_url(&format!("https://{host}"), "/") {
            Some(_) => unusable(headers, &FORWARDED_PROTO),
            None => unusable(headers, &FORWARDED_HOST),
        }
    })
}

/// The URL of an origin and a path, or of the root if browsers cannot return to the path.
fn parse_url(origin: &str, path: &str) -> Option<GuardedUrl> {
    let authority = origin.split_once("://")?.1;
    if authority.is_empty() || authority.contains(['/', '?', '#', '\\', '@']) {
        return None;
    }
    let root = GuardedUrl::parse(&format!("{origin}/"))?;
    let whole = GuardedUrl::parse(&format!("{origin}{path}"));
    let is_same_host = |url: &GuardedUrl| path.starts_with('/') && url.origin() == root.origin();
    Some(whole.filter(is_same_host).unwrap_or(root))
}

/// The first value of a header that may be a list; `None` if it is missing or empty.
fn first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let value = headers.get(name)?.to_str().ok()?;
    let first = value.split(',').next().unwrap_or_default().trim();
    (!first.is_empty()).then_some(first)
}

/// The value of a header that decides for which host a cookie counts. Of several different values, a client
/// may have written one.
fn only(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, ForwardProblem> {
    let mut values = headers
        .get_all(name)
        .map(|value| value.as_bytes().trim_ascii());
    let Some(value) = values.next().filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    if !values.all(|other| other == value) {
        return Err(unusable(headers, name));
    }
    Ok(Some(escaped(value)))
}

fn escaped(value: &[u8]) -> String {
    percent_encode(value, NOT_ASCII).to_string()
}

fn unusable(headers: &HeaderMap, name: &HeaderName) -> ForwardProblem {
    let values: Vec<&[u8]> = headers
        .get_all(name)
        .map(|value| value.as_bytes())
        .collect();
    let value = values.join(&b", "[..]);
    // A query may have a secret.
    let shown = value.split(|byte| *byte == b'?').next().unwrap_or_default();
    let shown = shown.get(..MAX_LOGGED).unwrap_or(shown);
    ForwardProblem::Header {
        name: name.as_str().to_owned(),
        value: shown.escape_ascii().to_string(),
    }
}

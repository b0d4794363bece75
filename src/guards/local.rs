//! Clients on the same machine that call the service directly, as in development.

use std::net::{Ipv4Addr, Ipv6Addr};

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderMap};

/// The origin by which a client on this machine calls the service without a proxy, for development. A
/// proxy on this machine, which may terminate TLS, is recognised by a header or by the host name.
pub(crate) fn local_origin(request: &HttpRequest) -> Option<String> {
    let is_local_peer = request.peer_addr()?.ip().to_canonical().is_loopback();
    let host = request.headers().get(header::HOST)?.to_str().ok()?;
    (is_local_peer && !is_forwarded(request.headers()) && is_loopback(host))
        .then(|| format!("http://{host}"))
}

/// Whether a header shows that a proxy forwarded the request.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        let name = name.as_str();
        name.starts_with("x-forwarded-") || ["forwarded", "via", "x-real-ip"].contains(&name)
    })
}

/// Whether a `Host` (RFC 9110 section 7.2) is a loopback address.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    let in_brackets = name.strip_prefix('[').and_then(|ip| ip.strip_suffix(']'));
    match in_brackets {
        Some(ip) => ip.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback()),
        None => {
            name.eq_ignore_ascii_case("localhost")
                || name.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        }
    }
}

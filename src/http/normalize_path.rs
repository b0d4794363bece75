//! Paths as Starlette handles them: percent-decoded before they are matched, and redirected to the path
//! without trailing slashes.

use actix_web::dev::ServiceRequest;
use actix_web::http::header;
use actix_web::http::uri::PathAndQuery;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use percent_encoding::percent_decode_str;

use super::request_error::{Error, RequestError};
use crate::guards::local::is_forwarded;

/// Replaces a path with percent escapes by the decoded path, so that `/%70age` is `/page` and
/// `/users%2Fme` is `/users/me`. actix-web does not decode slashes.
pub(super) fn decode(request: &mut ServiceRequest) {
    if !request.path().contains('%') {
        return;
    }
    let decoded: Vec<u8> = percent_decode_str(request.path()).collect();
    // No route has other characters, so a path with one is not found in any case.
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(byte);
    let Some(path) = String::from_utf8(decoded)
        .ok()
        .filter(|path| path.bytes().all(|byte| is_plain(&byte)))
    else {
        return;
    };
    let sent = SentDepth(depth(request.path()));
    request.extensions_mut().insert(sent);
    let target = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = PathAndQuery::from_maybe_shared(target).ok();
    if let Ok(uri) = actix_web::http::Uri::from_parts(parts) {
        request.match_info_mut().get_mut().update(&uri);
        request.head_mut().uri = uri;
    }
}

/// The number of slashes in the path of a request as the client sent it, if decoding has changed it.
struct SentDepth(usize);

fn depth(path: &str) -> usize {
    path.bytes().filter(|byte| *byte == b'/').count()
}

/// Handles paths without a route: redirects any method when only trailing slashes are wrong; 404
/// otherwise.
///
/// `Location` has no scheme and no host (RFC 9110 section 10.2.2): behind a proxy the service knows
/// neither, and the client sends its credential to that location. The proxy may also serve it below a
/// path, so a forwarded request gets a location that is relative to its own path.
pub(super) async fn not_found(request: HttpRequest) -> Result<HttpResponse, Error> {
    let path = request.path().trim_end_matches('/');
    let is_known = path.len() < request.path().len()
        && is_local(path)
        && request.resource_map().has_resource(path);
    if !is_known {
        return Err(RequestError::NotFound.into());
    }
    let mut location = path.to_owned();
    if is_forwarded(request.headers()) {
        let sent = request.extensions().get().map(|SentDepth(depth)| *depth);
        let ups = sent
            .unwrap_or_else(|| depth(request.path()))
            .saturating_sub(1);
        location = format!("{}{}", "../".repeat(ups), path.trim_start_matches('/'));
    }
    if !request.query_string().is_empty() {
        let query = request.query_string().replace('\\', "%5C");
        location.push_str(&format!("?{query}"));
    }
    Ok(HttpResponse::TemporaryRedirect()
        .insert_header((header::LOCATION, location))
        .finish())
}

/// Whether every client treats the text as a path on this host. Two slashes begin a host, and browsers
/// treat a backslash as a slash.
fn is_local(path: &str) -> bool {
    path.starts_with('/') && !path.starts_with("//") && !path.contains('\\')
}

//! Paths as Starlette handles them: percent-decoded before they are matched, and redirected to the path
//! without trailing slashes.

use actix_web::dev::ServiceRequest;
use actix_web::http::header;
use actix_web::http::uri::PathAndQuery;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use percent_encoding::percent_decode_str;

use super::request_error::{Error, RequestError};
use crate::config::PublicUrl;
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
    replace(request, &path);
}

/// Removes the path of the public URL from a path that begins with it: a proxy may remove it, or pass it
/// on. A path that the service has itself stays.
pub(super) fn remove_base(request: &mut ServiceRequest) {
    let public = request.app_data::<web::Data<Option<PublicUrl>>>();
    let base = public.and_then(|url| url.get_ref().as_ref().map(PublicUrl::path));
    let Some(base) = base.filter(|base| !base.is_empty()) else {
        return;
    };
    let rest = request.path().strip_prefix(base);
    let Some(rest) = rest.filter(|rest| rest.starts_with('/')) else {
        return;
    };
    if request.resource_map().has_resource(request.path()) {
        return;
    }
    let (rest, base_depth) = (rest.to_owned(), depth(base));
    let sent = request.extensions().get().map(|SentDepth(depth)| *depth);
    let sent = sent.unwrap_or_else(|| depth(request.path()));
    request
        .extensions_mut()
        .insert(SentDepth(sent.saturating_sub(base_depth)));
    replace(request, &rest);
}

/// Routes the request as if it had this path.
fn replace(request: &mut ServiceRequest, path: &str) {
    let target = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = PathAndQuery::from_maybe_shared(target).ok();
    if let Ok(uri) = actix_web::http::Uri::from_parts(parts) {
        request.match_info_mut().get_mut().update(&uri);
        request.head_mut().uri = uri;
    }
}

/// The number of slashes in the path of a request as the client sent it, after the path of the public URL,
/// if the path was replaced.
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

//! The metadata that OAuth2 clients discover (RFC 8414).

use std::net::{Ipv4Addr, Ipv6Addr};

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Auth;
use crate::config::{PublicUrl, RefreshMode};
use crate::http::error_responses;
use crate::http::request_error::{Error, RequestError};
use crate::scope;

/// The metadata of the authorization server.
#[derive(Serialize, ToSchema)]
pub(crate) struct Metadata {
    #[schema(example = "https://auth.example")]
    issuer: String,
    token_endpoint: String,
    revocation_endpoint: String,
    introspection_endpoint: String,
    grant_types_supported: &'static [&'static str],
    /// Empty: there is no authorization endpoint.
    response_types_supported: [&'static str; 0],
    token_endpoint_auth_methods_supported: [&'static str; 1],
    revocation_endpoint_auth_methods_supported: [&'static str; 1],
    /// Includes `Bearer`, a type of access token, as RFC 8414 section 2 allows.
    introspection_endpoint_auth_methods_supported: [&'static str; 2],
    scopes_supported: [&'static str; 4],
}

/// The metadata for OAuth2 clients
///
/// 404 unless the service knows its own URL: from `TOKENHOUSE_PUBLIC_URL`, or because the client runs on
/// the same machine and calls it directly.
#[utoipa::path(
    get,
    path = "/.well-known/oauth-authorization-server",
    tag = "OAuth2",
    operation_id = "read_metadata",
    responses(
        (status = 200, description = "RFC 8414", body = Metadata),
        error_responses::NotFound,
    )
)]
pub(crate) async fn metadata(
    request: HttpRequest,
    auth: Auth,
    url: web::Data<Option<PublicUrl>>,
) -> Result<HttpResponse, Error> {
    let public = url.get_ref().as_ref().map(ToString::to_string);
    let issuer = public.or_else(|| local_url(&request));
    let issuer = issuer.ok_or(RequestError::NotFound)?;
    let endpoint = |path: &str| format!("{issuer}{path}");
    Ok(HttpResponse::Ok().json(Metadata {
        token_endpoint: endpoint("/token"),
        revocation_endpoint: endpoint("/revoke"),
        introspection_endpoint: endpoint("/introspect"),
        issuer,
        grant_types_supported: match auth.config().sessions.refresh {
            RefreshMode::Off => &["password"],
            RefreshMode::Asked | RefreshMode::Always => &["password", "refresh_token"],
        },
        response_types_supported: [],
        token_endpoint_auth_methods_supported: ["none"],
        revocation_endpoint_auth_methods_supported: ["none"],
        introspection_endpoint_auth_methods_supported: ["client_secret_basic", "Bearer"],
        scopes_supported: scope::RESERVED,
    }))
}

/// The same where RFC 8414 section 3.1 puts it for a service below a path of its host, for proxies
/// that forward the well-known paths of the host. 404 for another path than that of
/// `TOKENHOUSE_PUBLIC_URL`.
pub(crate) async fn metadata_of_path(
    request: HttpRequest,
    auth: Auth,
    url: web::Data<Option<PublicUrl>>,
    path: web::Path<String>,
) -> Result<HttpResponse, Error> {
    let own = url.get_ref().as_ref().map(PublicUrl::path);
    // The captured path has no slash before it.
    if own.and_then(|own| own.strip_prefix('/')) == Some(path.as_str()) {
        metadata(request, auth, url).await
    } else {
        Err(RequestError::NotFound.into())
    }
}

/// The URL by which a client on this machine calls the service without a proxy, for development. A
/// proxy on this machine, which may terminate TLS, is recognised by a header or by the host name.
fn local_url(request: &HttpRequest) -> Option<String> {
    let is_local_peer = request.peer_addr()?.ip().to_canonical().is_loopback();
    let host = request.headers().get(header::HOST)?.to_str().ok()?;
    // The path of the scope, if the app of another program contains the service.
    let scope = request
        .path()
        .strip_suffix(super::METADATA)
        .unwrap_or_default();
    (is_local_peer && !is_forwarded(request.headers()) && is_loopback(host))
        .then(|| format!("http://{host}{scope}"))
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

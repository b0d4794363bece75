//! What an OAuth2 client can find out by itself (RFC 8414).

use std::net::{Ipv4Addr, Ipv6Addr};

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::http::error_responses;
use crate::scope;

/// Where clients find the service, as the settings say; `None` when they do not.
#[derive(Clone, Debug)]
pub(crate) struct PublicUrl(pub(crate) Option<String>);

/// The metadata of the authorization server.
#[derive(Serialize, ToSchema)]
pub(crate) struct Metadata {
    #[schema(example = "https://auth.example")]
    issuer: String,
    token_endpoint: String,
    revocation_endpoint: String,
    introspection_endpoint: String,
    grant_types_supported: [&'static str; 1],
    /// Empty: there is no authorization endpoint.
    response_types_supported: [&'static str; 0],
    token_endpoint_auth_methods_supported: [&'static str; 1],
    revocation_endpoint_auth_methods_supported: [&'static str; 1],
    /// Of an access token too, which RFC 8414 section 2 allows here.
    introspection_endpoint_auth_methods_supported: [&'static str; 2],
    scopes_supported: [&'static str; 4],
}

/// The metadata for OAuth2 clients
///
/// 404 unless the service knows its own address: from `TOKENHOUSE_PUBLIC_URL`, or because the client
/// calls it directly on the machine that it runs on.
#[utoipa::path(
    get,
    path = "/.well-known/oauth-authorization-server",
    tag = "OAuth2",
    operation_id = "metadata",
    responses(
        (status = 200, description = "RFC 8414", body = Metadata),
        error_responses::NotFound,
    )
)]
pub(crate) async fn metadata(
    request: HttpRequest,
    url: web::Data<PublicUrl>,
) -> Result<HttpResponse, Error> {
    let issuer = url.0.clone().or_else(|| on_this_machine(&request));
    let issuer = issuer.ok_or(Error::NotFound)?;
    let endpoint = |path: &str| format!("{issuer}{path}");
    Ok(HttpResponse::Ok().json(Metadata {
        token_endpoint: endpoint("/token"),
        revocation_endpoint: endpoint("/revoke"),
        introspection_endpoint: endpoint("/introspect"),
        issuer,
        grant_types_supported: ["password"],
        response_types_supported: [],
        token_endpoint_auth_methods_supported: ["none"],
        revocation_endpoint_auth_methods_supported: ["none"],
        introspection_endpoint_auth_methods_supported: ["client_secret_basic", "Bearer"],
        scopes_supported: scope::RESERVED,
    }))
}

/// The address by which a client on this machine calls the service without a proxy, for
/// development. A proxy on this machine, which may have TLS, shows itself by a header or by the
/// name that its client used.
fn on_this_machine(request: &HttpRequest) -> Option<String> {
    let is_peer_here = request.peer_addr()?.ip().to_canonical().is_loopback();
    let host = request.headers().get(header::HOST)?.to_str().ok()?;
    (is_peer_here && !is_forwarded(request.headers()) && is_loopback(host))
        .then(|| format!("http://{host}"))
}

/// Whether a proxy says that it passed the request on.
fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        let name = name.as_str();
        name.starts_with("x-forwarded-") || ["forwarded", "via", "x-real-ip"].contains(&name)
    })
}

/// Whether a `Host` (RFC 9110 section 7.2) names the machine of the client itself.
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

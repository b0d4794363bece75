//! The metadata that OAuth2 clients discover (RFC 8414).

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Auth;
use crate::config::{PublicUrl, RefreshMode};
use crate::guards::local::local_origin;
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

/// The URL by which a client on this machine calls the service without a proxy, for development.
fn local_url(request: &HttpRequest) -> Option<String> {
    let origin = local_origin(request)?;
    // The path of the scope, if the app of another program contains the service.
    let scope = request.path().strip_suffix(super::METADATA);
    Some(format!("{origin}{}", scope.unwrap_or_default()))
}

//! What an OAuth2 client can find out by itself (RFC 8414).

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::scope;

/// Where clients find the service; `None` for what they call it themselves.
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
#[utoipa::path(
    get,
    path = "/.well-known/oauth-authorization-server",
    tag = "OAuth2",
    operation_id = "metadata",
    responses((status = 200, description = "RFC 8414", body = Metadata))
)]
pub(crate) async fn metadata(request: HttpRequest, url: web::Data<PublicUrl>) -> HttpResponse {
    let issuer = url.0.clone().unwrap_or_else(|| as_called(&request));
    let endpoint = |path: &str| format!("{issuer}{path}");
    HttpResponse::Ok().json(Metadata {
        token_endpoint: endpoint("/token"),
        revocation_endpoint: endpoint("/revoke"),
        introspection_endpoint: endpoint("/introspect"),
        issuer,
        grant_types_supported: ["password"],
        response_types_supported: [],
        token_endpoint_auth_methods_supported: ["none"],
        revocation_endpoint_auth_methods_supported: ["none"],
        introspection_endpoint_auth_methods_supported: ["client_secret_basic", "Bearer"],
        scopes_supported: scope::OWN,
    })
}

/// What the client calls us, in the header that is for that. What proxies say of it is not asked:
/// everybody can write such headers.
fn as_called(request: &HttpRequest) -> String {
    let host = request.headers().get(header::HOST);
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(byte);
    let host = host
        .and_then(|host| host.to_str().ok())
        .filter(|host| host.as_bytes().iter().all(is_plain));
    format!("http://{}", host.unwrap_or("localhost"))
}

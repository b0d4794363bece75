//! Token introspection (RFC 7662).

use actix_web::{HttpRequest, HttpResponse};
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;

use super::revoke::CredentialRequest;
use crate::auth::{Origin, Principal};
use crate::error::Error;
use crate::guards::auth;
use crate::http::body::form::CredentialForm;
use crate::http::error_responses;
use crate::http::introspection_client::IntrospectionClient;

/// What a credential is (RFC 7662 section 2.2). Of one that is not good for whatever reason, only
/// that it is not.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct Introspection<'a> {
    active: bool,
    /// Separated by spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "orders:read")]
    scope: Option<String>,
    /// The e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "andres@example.com")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Bearer")]
    token_type: Option<&'static str>,
    /// Seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exp: Option<i64>,
    /// Seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    iat: Option<i64>,
    /// The id of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "1")]
    sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Andres Cruz")]
    name: Option<&'a str>,
}

impl<'a> From<&'a Principal> for Introspection<'a> {
    fn from(principal: &'a Principal) -> Self {
        Self {
            active: true,
            scope: Some(principal.scopes()),
            username: Some(&principal.user.email),
            token_type: Some("Bearer"),
            exp: Some(principal.expires_at()),
            iat: Some(principal.issued_at()),
            sub: Some(principal.user.id.to_string()),
            name: Some(&principal.user.name),
        }
    }
}

/// Ask what a credential is
///
/// For apps that were shown one. They prove who they are by a credential with the scope
/// `introspect`, or by the static key as `Bearer` or as the password of HTTP Basic.
#[utoipa::path(
    post,
    path = "/introspect",
    tag = "OAuth2",
    operation_id = "introspect",
    security(("OAuth2PasswordBearer" = ["introspect"]), ("StaticKeyBasic" = [])),
    request_body(
        content = CredentialRequest,
        content_type = "application/x-www-form-urlencoded",
    ),
    responses(
        (status = 200, description = "What it is", body = Introspection),
        error_responses::BadCredentialForm,
        error_responses::ClientRefused,
        error_responses::InsufficientScope,
        error_responses::BodyLate,
        error_responses::BodyTooLarge,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn introspect(
    request: HttpRequest,
    client: IntrospectionClient,
    origin: Origin,
    form: CredentialForm,
) -> Result<HttpResponse, Error> {
    let auth = auth(&request)?;
    auth.note_introspection(&origin, client.principal.as_deref())
        .await?;
    let presented = form.token.expose_secret().as_bytes();
    let principal = auth.introspect(presented).await?;
    let told = principal.as_deref().map(Introspection::from);
    // Nothing but `active`, whatever the reason is.
    Ok(HttpResponse::Ok().json(told.unwrap_or_default()))
}

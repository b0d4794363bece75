//! Token introspection (RFC 7662).

use actix_web::{HttpRequest, HttpResponse};
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;

use super::revoke::CredentialRequest;
use crate::auth::Session;
use crate::error::Error;
use crate::http::answers;
use crate::http::body::form::CredentialForm;
use crate::http::extract::{IntrospectionClient, auth};

/// What a credential is (RFC 7662 section 2.2). Of one that is not good for whatever reason, only
/// that it is not.
#[derive(Serialize, ToSchema)]
pub(crate) struct Introspection<'a> {
    active: bool,
    #[serde(flatten)]
    #[schema(inline)]
    of: Option<Active<'a>>,
}

/// Who a good credential stands for, and what it allows.
#[derive(Serialize, ToSchema)]
pub(crate) struct Active<'a> {
    /// Separated by spaces.
    #[schema(example = "orders:read")]
    scope: String,
    /// The e-mail address.
    #[schema(example = "andres@example.com")]
    username: &'a str,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds since 1970.
    exp: i64,
    /// Seconds since 1970.
    iat: i64,
    /// The id of the user.
    #[schema(example = "1")]
    sub: String,
    #[schema(example = "Andres Cruz")]
    name: &'a str,
}

impl<'a> From<&'a Session> for Active<'a> {
    fn from(session: &'a Session) -> Self {
        Self {
            scope: session.scopes(),
            username: &session.user.email,
            token_type: "Bearer",
            exp: session.expires_at(),
            iat: session.issued_at(),
            sub: session.user.id.to_string(),
            name: &session.user.name,
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
        answers::BadCredentialForm,
        answers::ClientRefused,
        answers::InsufficientScope,
        answers::BodyLate,
        answers::BodyTooLarge,
        answers::Unavailable,
    )
)]
pub(crate) async fn introspect(
    request: HttpRequest,
    _client: IntrospectionClient,
    form: CredentialForm,
) -> Result<HttpResponse, Error> {
    let presented = form.token.expose_secret().as_bytes();
    let session = auth(&request)?.introspect(presented).await?;
    Ok(HttpResponse::Ok().json(Introspection {
        active: session.is_some(),
        of: session.as_deref().map(Active::from),
    }))
}

//! Token revocation (RFC 7009).

use actix_web::{HttpRequest, HttpResponse};
use secrecy::ExposeSecret;
use utoipa::ToSchema;

use crate::auth::Origin;
use crate::error::Error;
use crate::guards::MaybeAuthenticated;
use crate::guards::auth;
use crate::http::body::form::CredentialForm;
use crate::http::error_responses;

// Read by `body/form.rs`; this is for the OpenAPI document.
/// A credential, and what it may be.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form for the OpenAPI document")]
pub(crate) struct CredentialRequest {
    /// A login token or an API key.
    #[schema(format = "password", min_length = 1)]
    token: String,
    /// Taken for the clients that send it; means nothing.
    #[schema(nullable = false, example = "access_token")]
    token_type_hint: Option<String>,
}

/// Revoke a credential
///
/// Ends the login token or API key for whoever has it; with a credential in the header, only one of
/// the same user. The answer is the same when there was nothing to end.
#[utoipa::path(
    post,
    path = "/revoke",
    tag = "OAuth2",
    operation_id = "revoke",
    security((), ("OAuth2PasswordBearer" = [])),
    request_body(
        content = CredentialRequest,
        content_type = "application/x-www-form-urlencoded",
    ),
    responses(
        (status = 200, description = "Nobody accepts it any more"),
        error_responses::BadCredentialForm,
        error_responses::NotAuthenticated,
        error_responses::BodyLate,
        error_responses::BodyTooLarge,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn revoke(
    request: HttpRequest,
    caller: MaybeAuthenticated,
    origin: Origin,
    form: CredentialForm,
) -> Result<HttpResponse, Error> {
    let caller = caller.0.as_ref().map(|caller| caller.0.as_ref());
    let presented = form.token.expose_secret().as_bytes();
    auth(&request)?.revoke(&origin, presented, caller).await?;
    Ok(HttpResponse::Ok().finish())
}

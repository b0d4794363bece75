//! Signing in.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{Auth, IssuedToken, Origin};
use crate::error::Error;
use crate::guards::auth;
use crate::http::body::form::TokenForm;
use crate::http::error_responses;

// Read by `body/form.rs`; this is for the OpenAPI document.
/// The password form of OAuth2 (RFC 6749 section 4.3.2).
#[derive(ToSchema)]
#[schema(as = Body_create_token_token_post)]
#[expect(dead_code, reason = "describes the form for the OpenAPI document")]
pub(crate) struct TokenRequest {
    /// Counts as `password` when it is left out or empty.
    #[schema(nullable = false, pattern = "^(password)?$", example = "password")]
    grant_type: Option<String>,
    /// The e-mail address, in any spelling.
    #[schema(min_length = 1, example = "andres@example.com")]
    username: String,
    #[schema(format = "password", min_length = 1, example = "correct-horse-9!")]
    password: String,
    /// The scopes that the token shall have, separated by spaces; all of the user's when empty.
    /// One that the user does not hold is refused.
    // Empty, as Swagger UI sends "string" for a field without an example.
    #[schema(nullable = false, example = "")]
    scope: Option<String>,
    /// Taken for the clients that send it; means nothing.
    #[schema(nullable = false, example = "")]
    client_id: Option<String>,
    /// Taken for the clients that send it; means nothing.
    #[schema(nullable = false, format = "password", example = "")]
    client_secret: Option<String>,
}

/// A successful sign-in (RFC 6749 section 5.1).
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenResponse<'a> {
    /// 43 characters; shown this once.
    #[schema(example = "Q2hhbmdlIG1lLCBJIGFtIG9ubHkgYW4gZXhhbXBsZSE")]
    access_token: &'a str,
    /// Always `bearer`.
    #[schema(example = "bearer")]
    token_type: &'static str,
    /// Seconds.
    #[schema(example = 86_400)]
    expires_in: i64,
    /// What the token allows, separated by spaces.
    #[schema(example = "")]
    scope: &'a str,
}

/// Sign in
///
/// Gives a new access token for the OAuth2 password form, and ends the user's earlier one.
#[utoipa::path(
    post,
    path = "/token",
    tag = "sign-in",
    operation_id = "create_token_token_post",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "A new access token", body = TokenResponse),
        error_responses::BadForm,
        error_responses::BadCredentials,
        error_responses::BodyLate,
        error_responses::BodyTooLarge,
        error_responses::InvalidForm,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn create_token(
    request: HttpRequest,
    origin: Origin,
    form: Result<TokenForm, Error>,
) -> Result<HttpResponse, Error> {
    let auth = auth(&request)?;
    let issued = sign_in(auth, &origin, form).await.map_err(|error| {
        if auth.config().oauth_strict_status {
            error.strict()
        } else {
            error
        }
    })?;
    Ok(HttpResponse::Ok()
        // HTTP/1.0's word for no-store, which RFC 6749 section 5.1 asks for beside it.
        .insert_header((header::PRAGMA, "no-cache"))
        .json(TokenResponse {
            access_token: issued.secret.expose(),
            token_type: "bearer",
            expires_in: issued.lifetime.num_seconds(),
            scope: &issued.token.scopes,
        }))
}

async fn sign_in(
    auth: &Auth,
    origin: &Origin,
    form: Result<TokenForm, Error>,
) -> Result<IssuedToken, Error> {
    let TokenForm {
        username,
        password,
        scope,
    } = form?;
    // On the heap, or there would be room for it in each connection that is still reading its form.
    Box::pin(auth.sign_in(origin, &username, password, scope.as_deref())).await
}

//! Signing out.

use actix_web::{HttpRequest, HttpResponse};

use crate::error::Error;
use crate::http::Authenticated;
use crate::http::extract::auth;
use crate::http::openapi::answers;

/// Sign out
///
/// Ends the login token. Once this is answered, nobody accepts it any more.
#[utoipa::path(
    post,
    path = "/logout",
    tag = "sign-in",
    operation_id = "logout_logout_post",
    // Not the header `Token` too: Swagger UI would send a static key in it beside the token.
    security(("OAuth2PasswordBearer" = [])),
    responses(
        (status = 204, description = "The token has ended"),
        answers::NotAuthenticated,
        answers::TwoCredentials,
        answers::Unavailable,
    )
)]
pub(crate) async fn logout(
    request: HttpRequest,
    caller: Authenticated,
) -> Result<HttpResponse, Error> {
    auth(&request)?.revoke_token(&caller.token).await?;
    Ok(HttpResponse::NoContent().finish())
}

//! Signing out.

use actix_web::{HttpRequest, HttpResponse};

use crate::error::Error;
use crate::http::Authenticated;
use crate::http::extract::auth;
use crate::http::openapi::answers;

/// Ends the login token. Once this is answered, nobody accepts it any more.
#[utoipa::path(
    post,
    path = "/logout",
    tag = "sign-in",
    operation_id = "logout_logout_post",
    security(("OAuth2PasswordBearer" = []), ("APIKeyHeader" = [])),
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
    auth(&request)?.revoke_token(caller.token).await?;
    Ok(HttpResponse::NoContent().finish())
}

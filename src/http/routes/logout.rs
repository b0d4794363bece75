//! Signing out.

use actix_web::{HttpRequest, HttpResponse};

use crate::auth::Origin;
use crate::error::Error;
use crate::guards::SignedIn;
use crate::guards::auth;
use crate::http::error_responses;

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
        error_responses::NotAuthenticated,
        error_responses::LoginTokenRequired,
        error_responses::TwoCredentials,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn logout(
    request: HttpRequest,
    caller: SignedIn,
    origin: Origin,
) -> Result<HttpResponse, Error> {
    let origin = origin.by_owner(&caller);
    auth(&request)?
        .revoke_token(&origin, caller.token())
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

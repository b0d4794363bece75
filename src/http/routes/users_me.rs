//! The user's own account.

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::guards::Authenticated;
use crate::http::error_responses;
use crate::store::User;

/// A user as shown to clients; nothing else of the stored row ever is.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub(crate) struct UserRead<'a> {
    /// Never given to another user.
    #[schema(example = 1)]
    id: i64,
    #[schema(example = "Andres Cruz")]
    name: &'a str,
    #[schema(example = "Cruz")]
    surname: &'a str,
    /// The address, its domain in lower case.
    #[schema(format = "email", example = "andres@example.com")]
    email: &'a str,
    #[schema(example = "https://example.com/me")]
    website: &'a str,
}

impl<'a> From<&'a User> for UserRead<'a> {
    fn from(user: &'a User) -> Self {
        Self {
            id: user.id,
            name: &user.name,
            surname: &user.surname,
            email: &user.email,
            website: &user.website,
        }
    }
}

/// Who am I?
///
/// Shows the user whose token is sent.
#[utoipa::path(
    get,
    path = "/users/me",
    tag = "users",
    operation_id = "read_users_me_users_me_get",
    // Not the header `Token` too: Swagger UI would send a static key in it beside the token.
    security(("OAuth2PasswordBearer" = [])),
    responses(
        (status = 200, description = "The user whose token this is", body = UserRead),
        error_responses::NotAuthenticated,
        error_responses::TwoCredentials,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn read_users_me(caller: Authenticated) -> HttpResponse {
    HttpResponse::Ok().json(UserRead::from(&caller.user))
}

//! Becoming a user.

use actix_web::{HttpRequest, HttpResponse};
use utoipa::ToSchema;

use super::users_me::UserRead;
use crate::auth::{Origin, RegistrationForm};
use crate::error::Error;
use crate::guards::auth;
use crate::http::body::json::JsonBody;
use crate::http::error_responses;

// Read by `body/forms.rs`; this is for the OpenAPI document.
/// A registration.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct UserCreate {
    #[schema(min_length = 5, example = "Andres Cruz")]
    name: String,
    #[schema(example = "Cruz")]
    surname: String,
    /// What pydantic's `EmailStr` takes. All spellings of an address are one account.
    #[schema(format = "email", example = "andres@example.com")]
    email: String,
    #[schema(example = "https://example.com/me")]
    website: String,
    /// At least 8 characters and at most 72 bytes, and not a common one.
    #[schema(format = "password", max_length = 72, example = "correct-horse-9!")]
    password: String,
}

/// Register
///
/// Creates a user, who can sign in at once.
#[utoipa::path(
    post,
    path = "/register",
    tag = "users",
    operation_id = "register_register_post",
    request_body = UserCreate,
    responses(
        (status = 201, description = "The new user", body = UserRead),
        error_responses::UnreadableBody,
        error_responses::RegistrationRefused,
        error_responses::EmailTaken,
        error_responses::BodyLate,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn register(
    request: HttpRequest,
    origin: Origin,
    form: JsonBody<RegistrationForm>,
) -> Result<HttpResponse, Error> {
    let user = auth(&request)?.register(&origin, form.0).await?;
    Ok(HttpResponse::Created().json(UserRead::from(&user)))
}

//! Registration.

use actix_web::HttpResponse;
use utoipa::ToSchema;

use crate::auth::{AuditContext, Auth, RegistrationInput};
#[cfg(feature = "mail")]
use crate::config::RegisterAnswer;
use crate::http::body::json::{FromMembers, JsonBody, Members};
use crate::http::error_responses;
use crate::http::request_error::Error;
use crate::views::UserRead;

/// A registration.
#[derive(ToSchema)]
#[schema(as = UserCreate)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct RegistrationRequest {
    #[schema(example = "Andres Cruz")]
    name: String,
    #[schema(example = "Cruz")]
    surname: String,
    /// An address that pydantic's `EmailStr` accepts. All spellings of an address are one account.
    #[schema(format = "email", example = "andres@example.com")]
    email: String,
    #[schema(example = "https://example.com/me")]
    website: String,
    #[schema(format = "password", max_length = 72, example = "correct-horse-9!")]
    password: String,
}

/// Ignores unknown members, as the tutorial does.
impl FromMembers for RegistrationInput {
    const REQUIRES_HASH: bool = true;

    fn from_members(members: &Members) -> Result<Self, Error> {
        Ok(Self {
            name: members.text("name"),
            surname: members.text("surname"),
            email: members.text("email"),
            website: members.text("website"),
            password: members.secret("password"),
        })
    }
}

/// Register
///
/// Creates a user, who can sign in immediately.
#[utoipa::path(
    post,
    path = "/register",
    tag = "users",
    operation_id = "register",
    request_body = RegistrationRequest,
    responses(
        (status = 201, description = "The new user", body = UserRead),
        (status = 202, description = "With `TOKENHOUSE_REGISTER_ANSWER=uniform`: a mail tells the rest", body = ()),
        error_responses::UnreadableBody,
        error_responses::RegistrationRefused,
        error_responses::EmailTaken,
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn register(
    auth: Auth,
    context: AuditContext,
    input: JsonBody<RegistrationInput>,
) -> Result<HttpResponse, Error> {
    #[cfg(feature = "mail")]
    if auth.config().flows.register_answer == RegisterAnswer::Uniform {
        auth.register_uniformly(&context, input.0).await?;
        return Ok(HttpResponse::Accepted().json(()));
    }
    let user = auth.register(&context, input.0).await?;
    Ok(HttpResponse::Created().json(UserRead::new(&user, auth.config())))
}

//! What users change about their own accounts.

use actix_web::{HttpRequest, HttpResponse};
use utoipa::ToSchema;

use super::users_me::UserRead;
use crate::auth::{Origin, PasswordForm, ProfileForm};
use crate::error::Error;
use crate::guards::SignedIn;
use crate::guards::auth;
use crate::http::body::forms::DeletionForm;
use crate::http::body::json::JsonBody;
use crate::http::error_responses;

/// What a user wants to change; what is left out stays as it is.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct ProfileUpdate {
    #[schema(nullable = false, min_length = 5, example = "Andres Cruz")]
    name: Option<String>,
    #[schema(nullable = false, example = "Cruz")]
    surname: Option<String>,
    #[schema(nullable = false, example = "https://example.com/me")]
    website: Option<String>,
}

/// A change of the password.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct PasswordUpdate {
    #[schema(format = "password", example = "correct-horse-9!")]
    current_password: String,
    #[schema(format = "password", example = "battery-staple-7?")]
    new_password: String,
    /// The API keys that stay: `true` for all, or their ids. The others end with the old password.
    #[schema(nullable = false)]
    keep_keys: Option<KeepKeys>,
}

/// `true`, `false` or a list of ids.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
#[serde(untagged)]
pub(crate) enum KeepKeys {
    AllOrNone(bool),
    These(Vec<i64>),
}

/// The proof that the account may be deleted.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct AccountDeletion {
    #[schema(format = "password", example = "correct-horse-9!")]
    current_password: String,
}

/// Change my name, surname or website
#[utoipa::path(
    patch,
    path = "/users/me",
    tag = "users",
    operation_id = "update_users_me",
    security(("OAuth2PasswordBearer" = [])),
    request_body = ProfileUpdate,
    responses(
        (status = 200, description = "The user as they are now", body = UserRead),
        error_responses::UnreadableRequest,
        error_responses::NotAuthenticated,
        error_responses::LoginTokenRequired,
        error_responses::BodyLate,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn update(
    request: HttpRequest,
    caller: SignedIn,
    origin: Origin,
    form: JsonBody<ProfileForm>,
) -> Result<HttpResponse, Error> {
    let origin = origin.by_owner(&caller);
    let user = auth(&request)?
        .update_profile(&origin, caller.principal(), form.0)
        .await?;
    Ok(HttpResponse::Ok().json(UserRead::from(&user)))
}

/// Change my password
///
/// Ends every other session, and every API key that is not to be kept.
#[utoipa::path(
    post,
    path = "/users/me/password",
    tag = "users",
    operation_id = "change_password",
    security(("OAuth2PasswordBearer" = [])),
    request_body = PasswordUpdate,
    responses(
        (status = 204, description = "The new password is in force"),
        error_responses::UnreadableRequest,
        error_responses::NotAuthenticated,
        error_responses::PasswordWanted,
        error_responses::BodyLate,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn change_password(
    request: HttpRequest,
    caller: SignedIn,
    origin: Origin,
    form: JsonBody<PasswordForm>,
) -> Result<HttpResponse, Error> {
    let origin = origin.by_owner(&caller);
    auth(&request)?
        .change_password(&origin, caller.principal(), form.0)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Delete my account
///
/// With it go all tokens and keys. What the audit trail holds stays.
#[utoipa::path(
    delete,
    path = "/users/me",
    tag = "users",
    operation_id = "delete_users_me",
    security(("OAuth2PasswordBearer" = [])),
    request_body = AccountDeletion,
    responses(
        (status = 204, description = "The account is no more"),
        error_responses::UnreadableRequest,
        error_responses::NotAuthenticated,
        error_responses::PasswordWanted,
        error_responses::LastAdministrator,
        error_responses::BodyLate,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn delete(
    request: HttpRequest,
    caller: SignedIn,
    origin: Origin,
    form: JsonBody<DeletionForm>,
) -> Result<HttpResponse, Error> {
    let origin = origin.by_owner(&caller);
    auth(&request)?
        .delete_account(&origin, caller.principal(), form.0.current_password)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

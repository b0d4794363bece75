//! Users' own accounts.

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::auth::{AuditContext, Auth, Field, KeptKeys, PasswordInput, ProfileInput};
use crate::error::{Error as DomainError, FieldType};
use crate::guards::{Authenticated, SignedIn};
use crate::http::body::json::{FromMembers, JsonBody, Members};
use crate::http::error_responses;
use crate::http::extractors::Admitted;
use crate::http::request_error::Error;
use crate::views::UserRead;

/// What a user wants to change; missing fields stay unchanged.
#[derive(ToSchema)]
#[schema(as = ProfileUpdate)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct ProfileRequest {
    #[schema(nullable = false, example = "Andres Cruz")]
    name: Option<String>,
    #[schema(nullable = false, example = "Cruz")]
    surname: Option<String>,
    #[schema(nullable = false, example = "https://example.com/me")]
    website: Option<String>,
}

impl FromMembers for ProfileInput {
    const REQUIRES_HASH: bool = false;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&["name", "surname", "website"])?;
        Ok(parse_profile(members))
    }
}

/// Parses the fields that users may change in their own account, and administrators in others.
pub(super) fn parse_profile(members: &Members) -> ProfileInput {
    ProfileInput {
        name: members.optional_text("name"),
        surname: members.optional_text("surname"),
        website: members.optional_text("website"),
    }
}

/// A change of the password.
#[derive(ToSchema)]
#[schema(as = PasswordUpdate)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct PasswordRequest {
    #[schema(format = "password", example = "correct-horse-9!")]
    current_password: String,
    #[schema(format = "password", example = "battery-staple-7?")]
    new_password: String,
    /// The API keys that stay: `true` for all, or their ids. The others end with the old password.
    #[schema(nullable = false)]
    keep_keys: Option<KeepKeys>,
}

/// `true`, `false` or a list of ids.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum KeepKeys {
    AllOrNone(bool),
    These(Vec<i64>),
}

impl From<KeepKeys> for KeptKeys {
    fn from(keys: KeepKeys) -> Self {
        match keys {
            KeepKeys::AllOrNone(true) => Self::All,
            KeepKeys::AllOrNone(false) => Self::default(),
            KeepKeys::These(ids) => Self::These(ids),
        }
    }
}

impl FromMembers for PasswordInput {
    const REQUIRES_HASH: bool = true;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&["current_password", "new_password", "keep_keys"])?;
        let kept = members.optional::<KeepKeys>("keep_keys", FieldType::BooleanOrIntegers);
        Ok(Self {
            current_password: members.secret("current_password"),
            new_password: members.secret("new_password"),
            keep_keys: kept.map(|kept| kept.map(KeptKeys::from)),
        })
    }
}

/// The confirmation that the account may be deleted.
#[derive(ToSchema)]
#[schema(as = AccountDeletion)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct DeletionRequest {
    #[schema(format = "password", example = "correct-horse-9!")]
    current_password: String,
}

/// A parsed [`DeletionRequest`].
pub(crate) struct DeletionInput {
    /// The password.
    pub(crate) current_password: Field<SecretString>,
}

impl FromMembers for DeletionInput {
    const REQUIRES_HASH: bool = true;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&["current_password"])?;
        Ok(Self {
            current_password: members.secret("current_password"),
        })
    }
}

/// Who am I?
///
/// Returns the user whose token is sent.
#[utoipa::path(
    get,
    path = "/users/me",
    tag = "users",
    operation_id = "read_current_user",
    // Without the header `Token`: Swagger UI would send a static key in it along with the token.
    security(("OAuth2PasswordBearer" = [])),
    responses(
        (status = 200, description = "The user whose token this is", body = UserRead),
        error_responses::NotAuthenticated,
        error_responses::TwoCredentials,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn read(auth: Auth, caller: Authenticated) -> Result<HttpResponse, Error> {
    // The most frequent request, mostly of cached principals: only the first one serializes the user.
    let body = caller.prepared(|user| serde_json::to_vec(&UserRead::new(user, auth.config())));
    let body = body.map_err(|error| {
        log::error!("a user cannot be serialized: {error}");
        DomainError::Internal
    })?;
    let json = HeaderValue::from_static("application/json");
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, json))
        .body(body))
}

/// Change my name, surname or website
#[utoipa::path(
    patch,
    path = "/users/me",
    tag = "users",
    operation_id = "update_current_user",
    security(("OAuth2PasswordBearer" = [])),
    request_body = ProfileRequest,
    responses(
        (status = 200, description = "The user after the change", body = UserRead),
        error_responses::UnreadableRequest,
        error_responses::NotAuthenticated,
        error_responses::LoginTokenRequired,
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn update(
    auth: Auth,
    context: AuditContext,
    Admitted(caller, input): Admitted<SignedIn, JsonBody<ProfileInput>>,
) -> Result<HttpResponse, Error> {
    let context = context.by_owner(&caller);
    let user = auth
        .update_profile(&context, caller.principal(), input.0)
        .await?;
    Ok(HttpResponse::Ok().json(UserRead::new(&user, auth.config())))
}

/// Change my password
///
/// Ends every other session, and every API key that is not listed in `keep_keys`.
#[utoipa::path(
    post,
    path = "/users/me/password",
    tag = "users",
    operation_id = "change_password",
    security(("OAuth2PasswordBearer" = [])),
    request_body = PasswordRequest,
    responses(
        (status = 204, description = "The new password is in force"),
        error_responses::UnreadableRequest,
        error_responses::NotAuthenticated,
        error_responses::PasswordRequired,
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn change_password(
    auth: Auth,
    context: AuditContext,
    Admitted(caller, input): Admitted<SignedIn, JsonBody<PasswordInput>>,
) -> Result<HttpResponse, Error> {
    let context = context.by_owner(&caller);
    auth.change_password(&context, caller.principal(), input.0)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Delete my account
///
/// Deletes all its tokens and keys as well. The audit trail stays unchanged.
#[utoipa::path(
    delete,
    path = "/users/me",
    tag = "users",
    operation_id = "delete_current_user",
    security(("OAuth2PasswordBearer" = [])),
    request_body = DeletionRequest,
    responses(
        (status = 204, description = "The account is deleted"),
        error_responses::UnreadableRequest,
        error_responses::NotAuthenticated,
        error_responses::PasswordRequired,
        error_responses::LastAdministrator,
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn delete(
    auth: Auth,
    context: AuditContext,
    Admitted(caller, input): Admitted<SignedIn, JsonBody<DeletionInput>>,
) -> Result<HttpResponse, Error> {
    let context = context.by_owner(&caller);
    auth.delete_account(&context, caller.principal(), input.0.current_password)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

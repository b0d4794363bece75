//! Personal API keys.

use actix_web::{HttpRequest, HttpResponse};
use secrecy::SecretString;
use serde::Serialize;
use utoipa::ToSchema;

use super::path_id;
use crate::auth::{AuditContext, Auth, Field, KeyInput};
use crate::error::{Error as DomainError, FieldType};
use crate::guards::SignedIn;
use crate::http::body::json::{FromMembers, JsonBody, Members};
use crate::http::error_responses;
use crate::http::extractors::Admitted;
use crate::http::request_error::Error;
use crate::views::{KeyCreated, KeyRead};

/// A new API key.
#[derive(ToSchema)]
#[schema(as = KeyCreate)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct NewKeyRequest {
    /// A name for you to recognise the key.
    #[schema(min_length = 1, max_length = 100, example = "backup script")]
    name: String,
    /// What the key allows, separated by spaces: no more than you hold, and nothing when it is missing.
    #[schema(nullable = false, example = "")]
    scopes: Option<String>,
    /// The lifetime in days.
    #[schema(nullable = false, minimum = 1, maximum = 366, default = 90)]
    expires_in_days: Option<i64>,
    /// Your password; not required within 15 minutes of a sign-in.
    #[schema(nullable = false, format = "password", example = "correct-horse-9!")]
    current_password: Option<String>,
}

/// A parsed [`NewKeyRequest`].
pub(crate) struct NewKeyInput {
    /// The key.
    pub(crate) key: KeyInput,
    /// The user's password.
    pub(crate) current_password: Field<Option<SecretString>>,
}

impl FromMembers for NewKeyInput {
    const REQUIRES_HASH: bool = false;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&["name", "scopes", "expires_in_days", "current_password"])?;
        Ok(Self {
            key: KeyInput {
                name: members.text("name"),
                scopes: members.optional_text("scopes"),
                expires_in_days: members.optional("expires_in_days", FieldType::Integer),
            },
            current_password: members.optional_secret("current_password"),
        })
    }
}

/// All keys of a user.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyList<'a> {
    keys: Vec<KeyRead<'a>>,
}

/// Create an API key
///
/// The key is shown in this response only. Requires the password, or a sign-in with it in the last 15
/// minutes.
#[utoipa::path(
    post,
    path = "/users/me/keys",
    tag = "keys",
    operation_id = "create_key",
    security(("OAuth2PasswordBearer" = [])),
    request_body = NewKeyRequest,
    responses(
        (status = 201, description = "The new key", body = KeyCreated),
        error_responses::UnreadableRequest,
        error_responses::NotAuthenticated,
        error_responses::ProofRequired,
        error_responses::TooManyKeys,
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn create(
    auth: Auth,
    context: AuditContext,
    Admitted(caller, input): Admitted<SignedIn, JsonBody<NewKeyInput>>,
) -> Result<HttpResponse, Error> {
    let context = context.by_owner(&caller);
    let NewKeyInput {
        key,
        current_password,
    } = input.0;
    let current_password = current_password.map_err(DomainError::from)?;
    let issued = auth
        .create_key(&context, caller.principal(), key, current_password)
        .await?;
    Ok(HttpResponse::Created().json(KeyCreated::from(&issued)))
}

/// List my API keys
///
/// All keys that are not revoked, oldest first.
#[utoipa::path(
    get,
    path = "/users/me/keys",
    tag = "keys",
    operation_id = "list_keys",
    security(("OAuth2PasswordBearer" = [])),
    responses(
        (status = 200, description = "The keys", body = KeyList),
        error_responses::NotAuthenticated,
        error_responses::LoginTokenRequired,
        error_responses::TwoCredentials,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn list(auth: Auth, caller: SignedIn) -> Result<HttpResponse, Error> {
    let keys = auth.list_keys(caller.user.id).await?;
    let keys = keys.iter().map(KeyRead::from).collect();
    Ok(HttpResponse::Ok().json(KeyList { keys }))
}

/// Revoke an API key
///
/// The key is rejected everywhere once this responds.
#[utoipa::path(
    delete,
    path = "/users/me/keys/{id}",
    tag = "keys",
    operation_id = "revoke_key",
    params(("id" = i64, Path, description = "The id of the key")),
    security(("OAuth2PasswordBearer" = [])),
    responses(
        (status = 204, description = "The key has ended"),
        error_responses::NotAuthenticated,
        error_responses::LoginTokenRequired,
        error_responses::TwoCredentials,
        error_responses::NotFound,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn revoke(
    request: HttpRequest,
    auth: Auth,
    caller: SignedIn,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    let context = context.by_owner(&caller);
    auth.revoke_key(&context, caller.principal(), path_id(&request)?)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

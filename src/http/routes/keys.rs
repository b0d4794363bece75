//! Personal API keys.

use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::{path_id, utc};
use crate::auth::{IssuedKey, Origin};
use crate::error::Error;
use crate::guards::SignedIn;
use crate::guards::auth;
use crate::http::body::forms::NewKeyForm;
use crate::http::body::json::JsonBody;
use crate::http::error_responses;
use crate::store::ApiKey;

/// A new API key.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct KeyCreate {
    /// What to call it.
    #[schema(min_length = 1, max_length = 100, example = "backup script")]
    name: String,
    /// What it shall allow, separated by spaces; no more than you hold, and nothing when it is left
    /// out.
    #[schema(nullable = false, example = "")]
    scopes: Option<String>,
    /// Days that it lives.
    #[schema(nullable = false, minimum = 1, maximum = 366, default = 90)]
    expires_in_days: Option<i64>,
    /// Your password; not needed within 15 minutes of a sign-in.
    #[schema(nullable = false, format = "password", example = "correct-horse-9!")]
    current_password: Option<String>,
}

/// An API key, without the key itself.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyRead<'a> {
    #[schema(example = 1)]
    id: i64,
    #[schema(example = "backup script")]
    name: &'a str,
    /// The first characters of the key.
    #[schema(example = "tkh_Q2hh")]
    hint: &'a str,
    /// What it allows, separated by spaces.
    #[schema(example = "")]
    scopes: &'a str,
    #[schema(format = "date-time")]
    created_at: String,
    #[schema(format = "date-time")]
    pub(crate) expires_at: String,
    /// Up to a minute old; null for a key that was never used.
    #[schema(format = "date-time")]
    pub(crate) last_used_at: Option<String>,
}

/// A key just made.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyCreated<'a> {
    /// 53 characters; shown this once.
    key: &'a str,
    #[serde(flatten)]
    of: KeyRead<'a>,
}

impl<'a> From<&'a IssuedKey> for KeyCreated<'a> {
    fn from(issued: &'a IssuedKey) -> Self {
        Self {
            key: issued.secret.expose(),
            of: KeyRead::from(&issued.key),
        }
    }
}

/// All keys of a user.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyList<'a> {
    keys: Vec<KeyRead<'a>>,
}

impl<'a> From<&'a ApiKey> for KeyRead<'a> {
    fn from(key: &'a ApiKey) -> Self {
        Self {
            id: key.id,
            name: &key.name,
            hint: &key.hint,
            scopes: &key.scopes,
            created_at: utc(key.created_at),
            expires_at: utc(key.expires_at),
            last_used_at: key.last_used_at.map(utc),
        }
    }
}

/// Make an API key
///
/// The key is shown in this answer and never again. It takes the password, or a sign-in with it in
/// the last 15 minutes.
#[utoipa::path(
    post,
    path = "/users/me/keys",
    tag = "keys",
    operation_id = "create_key",
    security(("OAuth2PasswordBearer" = [])),
    request_body = KeyCreate,
    responses(
        (status = 201, description = "The new key", body = KeyCreated),
        error_responses::UnreadableRequest,
        error_responses::NotAuthenticated,
        error_responses::ProofWanted,
        error_responses::TooManyKeys,
        error_responses::BodyLate,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn create(
    request: HttpRequest,
    caller: SignedIn,
    origin: Origin,
    form: JsonBody<NewKeyForm>,
) -> Result<HttpResponse, Error> {
    let origin = origin.by_owner(&caller);
    let NewKeyForm {
        key,
        current_password,
    } = form.0;
    let current_password = current_password.map_err(|error| Error::InvalidBody(vec![error]))?;
    let issued = auth(&request)?
        .create_key(&origin, caller.principal(), key, current_password)
        .await?;
    Ok(HttpResponse::Created().json(KeyCreated::from(&issued)))
}

/// List my API keys
///
/// Those that were not revoked, the oldest first.
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
pub(crate) async fn list(request: HttpRequest, caller: SignedIn) -> Result<HttpResponse, Error> {
    let keys = auth(&request)?.list_keys(caller.user.id).await?;
    let keys = keys.iter().map(KeyRead::from).collect();
    Ok(HttpResponse::Ok().json(KeyList { keys }))
}

/// Revoke an API key
///
/// Once this is answered, nobody accepts it any more.
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
    caller: SignedIn,
    origin: Origin,
) -> Result<HttpResponse, Error> {
    let origin = origin.by_owner(&caller);
    auth(&request)?
        .revoke_key(&origin, caller.principal(), path_id(&request)?)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

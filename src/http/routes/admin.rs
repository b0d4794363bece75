//! Other people's accounts.

use actix_web::http::header::{ETag, EntityTag};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use serde::Serialize;
use utoipa::ToSchema;

use super::{path_id, utc};
use crate::auth::{Origin, Precondition, UserPatch, version};
use crate::error::Error;
use crate::guards::{Authorized, auth};
use crate::http::admin_scopes::{UsersRead, UsersWrite};
use crate::http::body::forms::NewUserForm;
use crate::http::body::json::JsonBody;
use crate::http::body::query::Query;
use crate::http::error_responses;
use crate::store::User;

/// Users on a page, unless more or fewer are asked for.
const PAGE: i64 = 50;

/// The most users on a page.
const MAX_PAGE: i64 = 500;

/// A new user, made by an administrator.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct AdminUserCreate {
    #[schema(min_length = 5, example = "Andres Cruz")]
    name: String,
    #[schema(example = "Cruz")]
    surname: String,
    #[schema(format = "email", example = "andres@example.com")]
    email: String,
    #[schema(example = "https://example.com/me")]
    website: String,
    #[schema(format = "password", example = "correct-horse-9!")]
    password: String,
    /// What the user may do, separated by spaces.
    #[schema(nullable = false, example = "")]
    scopes: Option<String>,
}

/// What an administrator wants to change; what is left out stays as it is.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct AdminUserUpdate {
    #[schema(nullable = false, min_length = 5)]
    name: Option<String>,
    #[schema(nullable = false)]
    surname: Option<String>,
    #[schema(nullable = false)]
    website: Option<String>,
    /// Whether the user is kept out.
    #[schema(nullable = false)]
    disabled: Option<bool>,
    /// Everything that the user may do, separated by spaces. Needs `If-Match`.
    #[schema(nullable = false)]
    scopes: Option<String>,
    /// What the user may do from now on, too, separated by spaces.
    #[schema(nullable = false, example = "orders:read")]
    scopes_add: Option<String>,
    /// What the user may do no more, separated by spaces.
    #[schema(nullable = false, example = "orders:write")]
    scopes_remove: Option<String>,
}

/// A user as administrators see one.
#[derive(Serialize, ToSchema)]
pub(crate) struct AdminUser<'a> {
    #[schema(example = 1)]
    id: i64,
    #[schema(example = "Andres Cruz")]
    name: &'a str,
    #[schema(example = "Cruz")]
    surname: &'a str,
    #[schema(format = "email", example = "andres@example.com")]
    email: &'a str,
    #[schema(example = "https://example.com/me")]
    website: &'a str,
    /// What the user may do, separated by spaces.
    #[schema(example = "orders:read")]
    scopes: &'a str,
    #[schema(format = "date-time")]
    created_at: String,
    /// Since when the user is kept out; null for one who is not.
    #[schema(format = "date-time")]
    disabled_at: Option<String>,
}

/// A page of users.
#[derive(Serialize, ToSchema)]
pub(crate) struct AdminUserList<'a> {
    users: Vec<AdminUser<'a>>,
    /// Where the next page is; null after the last one.
    next: Option<String>,
}

impl<'a> From<&'a User> for AdminUser<'a> {
    fn from(user: &'a User) -> Self {
        Self {
            id: user.id,
            name: &user.name,
            surname: &user.surname,
            email: &user.email,
            website: &user.website,
            scopes: &user.scopes,
            created_at: utc(user.created_at),
            disabled_at: user.disabled_at.map(utc),
        }
    }
}

/// The user, with the version as the entity tag that `If-Match` takes.
fn shown(mut response: HttpResponseBuilder, user: &User) -> HttpResponse {
    response
        .insert_header(ETag(EntityTag::new_strong(version(user))))
        .json(AdminUser::from(user))
}

/// List users
///
/// In the order of their ids; with `search`, those whose address begins with it, in the order of
/// their addresses.
#[utoipa::path(
    get,
    path = "/admin/users",
    tag = "administration",
    operation_id = "list_users",
    params(
        ("search" = Option<String>, Query, description = "The beginning of an address"),
        ("after" = Option<String>, Query, description = "Where the page begins, as in `next`"),
        ("limit" = Option<i64>, Query, description = "How many at most", minimum = 1, maximum = 500),
    ),
    security(("OAuth2PasswordBearer" = ["users:read"])),
    responses(
        (status = 200, description = "A page of users", body = AdminUserList),
        error_responses::NotAuthenticated,
        error_responses::InsufficientScope,
        error_responses::TwoCredentials,
        error_responses::InvalidQuery,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn list(
    request: HttpRequest,
    caller: Authorized<UsersRead>,
    origin: Origin,
) -> Result<HttpResponse, Error> {
    let mut query = Query::of(&request);
    let (search, after) = (query.text("search"), query.text("after"));
    let limit = query.limit(PAGE, MAX_PAGE);
    query.check()?;
    let page = auth(&request)?
        .list_users(
            &caller.administrator(origin),
            search.as_deref(),
            after.as_deref(),
            limit,
        )
        .await?;
    Ok(HttpResponse::Ok().json(AdminUserList {
        users: page.users.iter().map(AdminUser::from).collect(),
        next: page.next.map(|after| query.link("after", &after)),
    }))
}

/// Make a user
///
/// Whatever the settings say of registration. Administrators give the scopes that they hold, and
/// those that the settings name; API keys make no users.
#[utoipa::path(
    post,
    path = "/admin/users",
    tag = "administration",
    operation_id = "create_user",
    security(("OAuth2PasswordBearer" = ["users:write"])),
    request_body = AdminUserCreate,
    responses(
        (
            status = 201,
            description = "The new user",
            body = AdminUser,
            headers(("ETag" = String, description = "The version, for `If-Match`")),
        ),
        error_responses::UnreadableRequest,
        error_responses::NotAuthenticated,
        error_responses::InsufficientScope,
        error_responses::EmailTaken,
        error_responses::BodyLate,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn create(
    request: HttpRequest,
    caller: Authorized<UsersWrite>,
    origin: Origin,
    form: JsonBody<NewUserForm>,
) -> Result<HttpResponse, Error> {
    let NewUserForm {
        registration,
        scopes,
    } = form.0;
    let user = auth(&request)?
        .create_user(&caller.administrator(origin), registration, scopes)
        .await?;
    Ok(shown(HttpResponse::Created(), &user))
}

/// Show a user
#[utoipa::path(
    get,
    path = "/admin/users/{id}",
    tag = "administration",
    operation_id = "read_user",
    params(("id" = i64, Path, description = "The id of the user")),
    security(("OAuth2PasswordBearer" = ["users:read"])),
    responses(
        (
            status = 200,
            description = "The user",
            body = AdminUser,
            headers(("ETag" = String, description = "The version, for `If-Match`")),
        ),
        error_responses::NotAuthenticated,
        error_responses::InsufficientScope,
        error_responses::TwoCredentials,
        error_responses::NotFound,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn read(
    request: HttpRequest,
    caller: Authorized<UsersRead>,
    origin: Origin,
) -> Result<HttpResponse, Error> {
    let user = auth(&request)?
        .find_user(&caller.administrator(origin), path_id(&request)?)
        .await?;
    Ok(shown(HttpResponse::Ok(), &user))
}

/// Change a user
///
/// Disable or enable, give or take scopes, correct a name. Holds on every process once it is
/// answered. Disabling ends the login token and all API keys for good.
///
/// `scopes_add` and `scopes_remove` change the scopes that the user holds at that moment. `scopes`
/// replaces all of them and needs `If-Match`: 428 without it, 412 when the user was changed since.
/// Other fields take `If-Match` too. API keys change nothing but `disabled`. No administrator changes a user
/// who holds a scope of this service that the caller does not hold.
#[utoipa::path(
    patch,
    path = "/admin/users/{id}",
    tag = "administration",
    operation_id = "update_user",
    params(
        ("id" = i64, Path, description = "The id of the user"),
        ("If-Match" = Option<String>, Header, description = "The version that is to be changed"),
    ),
    security(("OAuth2PasswordBearer" = ["users:write"])),
    request_body = AdminUserUpdate,
    responses(
        (
            status = 200,
            description = "The user as they are now",
            body = AdminUser,
            headers(("ETag" = String, description = "The version, for `If-Match`")),
        ),
        error_responses::UnreadableRequest,
        error_responses::NotAuthenticated,
        error_responses::InsufficientScope,
        error_responses::NotFound,
        error_responses::LastAdministrator,
        error_responses::PreconditionFailed,
        error_responses::PreconditionRequired,
        error_responses::BodyLate,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn update(
    request: HttpRequest,
    caller: Authorized<UsersWrite>,
    origin: Origin,
    only_if: Precondition,
    form: JsonBody<UserPatch>,
) -> Result<HttpResponse, Error> {
    let patch = UserPatch { only_if, ..form.0 };
    let user = auth(&request)?
        .update_user(&caller.administrator(origin), path_id(&request)?, patch)
        .await?;
    Ok(shown(HttpResponse::Ok(), &user))
}

/// Delete a user
///
/// With all tokens and keys. What the audit trail holds stays. API keys delete no users.
#[utoipa::path(
    delete,
    path = "/admin/users/{id}",
    tag = "administration",
    operation_id = "delete_user",
    params(
        ("id" = i64, Path, description = "The id of the user"),
        ("If-Match" = Option<String>, Header, description = "The version that is to be deleted"),
    ),
    security(("OAuth2PasswordBearer" = ["users:write"])),
    responses(
        (status = 204, description = "The user is no more"),
        error_responses::NotAuthenticated,
        error_responses::InsufficientScope,
        error_responses::TwoCredentials,
        error_responses::NotFound,
        error_responses::LastAdministrator,
        error_responses::PreconditionFailed,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn delete(
    request: HttpRequest,
    caller: Authorized<UsersWrite>,
    origin: Origin,
    only_if: Precondition,
) -> Result<HttpResponse, Error> {
    auth(&request)?
        .delete_user(&caller.administrator(origin), path_id(&request)?, only_if)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Sign a user out everywhere
///
/// Ends the login token and all keys.
#[utoipa::path(
    delete,
    path = "/admin/users/{id}/tokens",
    tag = "administration",
    operation_id = "sign_out_user",
    params(("id" = i64, Path, description = "The id of the user")),
    security(("OAuth2PasswordBearer" = ["users:write"])),
    responses(
        (status = 204, description = "The token and the keys have ended"),
        error_responses::NotAuthenticated,
        error_responses::InsufficientScope,
        error_responses::TwoCredentials,
        error_responses::NotFound,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn sign_out(
    request: HttpRequest,
    caller: Authorized<UsersWrite>,
    origin: Origin,
) -> Result<HttpResponse, Error> {
    auth(&request)?
        .sign_out_user(&caller.administrator(origin), path_id(&request)?)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Forget wrong passwords
///
/// For a user whose account refuses the right password because of the wrong ones before it.
#[utoipa::path(
    post,
    path = "/admin/users/{id}/unlock",
    tag = "administration",
    operation_id = "unlock_user",
    params(("id" = i64, Path, description = "The id of the user")),
    security(("OAuth2PasswordBearer" = ["users:write"])),
    responses(
        (status = 204, description = "No wrong password is held against the user"),
        error_responses::NotAuthenticated,
        error_responses::InsufficientScope,
        error_responses::TwoCredentials,
        error_responses::NotFound,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn unlock(
    request: HttpRequest,
    caller: Authorized<UsersWrite>,
    origin: Origin,
) -> Result<HttpResponse, Error> {
    auth(&request)?
        .unlock_user(&caller.administrator(origin), path_id(&request)?)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

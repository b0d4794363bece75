//! Administrators list, create, change and delete other users.

use actix_web::http::header::{ETag, EntityTag};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use serde::Serialize;
use utoipa::ToSchema;

use super::account::parse_profile;
use super::path_id;
use crate::auth::{
    AuditContext, Auth, Field, MAX_SEARCH, Precondition, RegistrationInput, UserPatch, version,
};
use crate::error::FieldType;
use crate::guards::Authorized;
use crate::http::body::json::{FromMembers, JsonBody, Members};
use crate::http::body::query::Query;
use crate::http::error_responses;
use crate::http::extractors::{Admitted, UsersRead, UsersWrite};
use crate::http::request_error::Error;
use crate::store::User;
use crate::views::AdminUser;

/// A new user, created by an administrator.
#[derive(ToSchema)]
#[schema(as = AdminUserCreate)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct NewUserRequest {
    #[schema(example = "Andres Cruz")]
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

/// A parsed [`NewUserRequest`].
pub(crate) struct NewUserInput {
    /// The fields of a registration.
    pub(crate) registration: RegistrationInput,
    /// The scopes of the user, separated by spaces.
    pub(crate) scopes: Field<Option<String>>,
}

impl FromMembers for NewUserInput {
    const REQUIRES_HASH: bool = true;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&["name", "surname", "email", "website", "password", "scopes"])?;
        Ok(Self {
            registration: RegistrationInput::from_members(members)?,
            scopes: members.optional_text("scopes"),
        })
    }
}

/// What an administrator wants to change; missing fields stay unchanged.
#[derive(ToSchema)]
#[schema(as = AdminUserUpdate)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct UserUpdateRequest {
    #[schema(nullable = false)]
    name: Option<String>,
    #[schema(nullable = false)]
    surname: Option<String>,
    #[schema(nullable = false)]
    website: Option<String>,
    /// Whether the user is disabled.
    #[schema(nullable = false)]
    disabled: Option<bool>,
    /// Everything that the user may do, separated by spaces. Requires `If-Match`.
    #[schema(nullable = false)]
    scopes: Option<String>,
    /// Scopes to grant in addition, separated by spaces.
    #[schema(nullable = false, example = "orders:read")]
    scopes_add: Option<String>,
    /// Scopes to revoke, separated by spaces.
    #[schema(nullable = false, example = "orders:write")]
    scopes_remove: Option<String>,
}

impl FromMembers for UserPatch {
    const REQUIRES_HASH: bool = false;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&[
            "name",
            "surname",
            "website",
            "disabled",
            "scopes",
            "scopes_add",
            "scopes_remove",
        ])?;
        Ok(Self {
            profile: parse_profile(members),
            email: Ok(None),
            disabled: members.optional("disabled", FieldType::Boolean),
            scopes: members.optional_text("scopes"),
            scopes_add: members.optional_text("scopes_add"),
            scopes_remove: members.optional_text("scopes_remove"),
            only_if: Precondition::None,
        })
    }
}

/// A page of users.
#[derive(Serialize, ToSchema)]
pub(crate) struct AdminUserList<'a> {
    users: Vec<AdminUser<'a>>,
    /// The link to the next page; null on the last page.
    next: Option<String>,
}

/// The user, with the version as the entity tag that `If-Match` takes.
fn with_etag(mut response: HttpResponseBuilder, user: &User) -> HttpResponse {
    response
        .insert_header(ETag(EntityTag::new_strong(version(user))))
        .json(AdminUser::from(user))
}

/// List users
///
/// Ordered by id; with `search`, those whose address, name or surname contains it. A page of a search
/// can be shorter than `limit`, even empty, and have a next one.
#[utoipa::path(
    get,
    path = "/admin/users",
    tag = "administration",
    operation_id = "list_users",
    params(
        ("search" = Option<String>, Query, description = "A part of an address, name or surname, at most 500 bytes"),
        ("after" = Option<String>, Query, description = "The start of the page, as in `next`"),
        ("limit" = Option<i64>, Query, description = "The maximum number of users", minimum = 1, maximum = 500),
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
    auth: Auth,
    caller: Authorized<UsersRead>,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    let mut query = Query::from_request(&request);
    let (search, after) = (query.text_up_to("search", MAX_SEARCH), query.text("after"));
    let limit = query.limit();
    query.check()?;
    let page = auth
        .list_users(
            &caller.administrator(context),
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

/// Create a user
///
/// Even when registration is closed. Administrators can grant the scopes that they hold and those
/// that the settings list. API keys cannot create users.
#[utoipa::path(
    post,
    path = "/admin/users",
    tag = "administration",
    operation_id = "create_user",
    security(("OAuth2PasswordBearer" = ["users:write"])),
    request_body = NewUserRequest,
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
    Admitted(caller, input): Admitted<Authorized<UsersWrite>, JsonBody<NewUserInput>>,
) -> Result<HttpResponse, Error> {
    let NewUserInput {
        registration,
        scopes,
    } = input.0;
    let user = auth
        .create_user(&caller.administrator(context), registration, scopes)
        .await?;
    Ok(with_etag(HttpResponse::Created(), &user))
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
    auth: Auth,
    caller: Authorized<UsersRead>,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    let user = auth
        .find_user(&caller.administrator(context), path_id(&request)?)
        .await?;
    Ok(with_etag(HttpResponse::Ok(), &user))
}

/// Change a user
///
/// Disables or enables the user, grants or revokes scopes, corrects names. The change is effective
/// everywhere once this responds. Disabling ends the login token and all API keys permanently.
///
/// `scopes_add` and `scopes_remove` change the scopes that the user holds at that moment. `scopes`
/// replaces all of them and requires `If-Match`: 428 without it, 412 when the user was changed since.
/// Other fields accept `If-Match` as well. API keys can only change `disabled`. A caller cannot change
/// a user who holds a scope of this service that the caller does not hold.
#[utoipa::path(
    patch,
    path = "/admin/users/{id}",
    tag = "administration",
    operation_id = "update_user",
    params(
        ("id" = i64, Path, description = "The id of the user"),
        ("If-Match" = Option<String>, Header, description = "The version to change"),
    ),
    security(("OAuth2PasswordBearer" = ["users:write"])),
    request_body = UserUpdateRequest,
    responses(
        (
            status = 200,
            description = "The user after the change",
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
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn update(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    only_if: Precondition,
    Admitted(caller, input): Admitted<Authorized<UsersWrite>, JsonBody<UserPatch>>,
) -> Result<HttpResponse, Error> {
    let patch = UserPatch { only_if, ..input.0 };
    let user = auth
        .update_user(&caller.administrator(context), path_id(&request)?, patch)
        .await?;
    Ok(with_etag(HttpResponse::Ok(), &user))
}

/// Delete a user
///
/// Deletes all their tokens and keys as well. The audit trail stays unchanged. API keys cannot delete
/// users.
#[utoipa::path(
    delete,
    path = "/admin/users/{id}",
    tag = "administration",
    operation_id = "delete_user",
    params(
        ("id" = i64, Path, description = "The id of the user"),
        ("If-Match" = Option<String>, Header, description = "The version to delete"),
    ),
    security(("OAuth2PasswordBearer" = ["users:write"])),
    responses(
        (status = 204, description = "The user is deleted"),
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
    auth: Auth,
    caller: Authorized<UsersWrite>,
    context: AuditContext,
    only_if: Precondition,
) -> Result<HttpResponse, Error> {
    auth.delete_user(&caller.administrator(context), path_id(&request)?, only_if)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

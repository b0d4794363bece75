//! Administrators end and restore the access of other users.

use actix_web::{HttpRequest, HttpResponse};

use super::{path_id, path_number};
use crate::auth::{AuditContext, Auth};
use crate::guards::Authorized;
use crate::http::error_responses;
use crate::http::extractors::UsersWrite;
use crate::http::request_error::Error;

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
    auth: Auth,
    caller: Authorized<UsersWrite>,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    auth.sign_out_user(&caller.administrator(context), path_id(&request)?)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Reset failed sign-ins
///
/// For a user whose account refuses the correct password because of failed sign-ins before.
#[utoipa::path(
    post,
    path = "/admin/users/{id}/unlock",
    tag = "administration",
    operation_id = "unlock_user",
    params(("id" = i64, Path, description = "The id of the user")),
    security(("OAuth2PasswordBearer" = ["users:write"])),
    responses(
        (status = 204, description = "The account has no failed sign-ins"),
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
    auth: Auth,
    caller: Authorized<UsersWrite>,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    auth.unlock_user(&caller.administrator(context), path_id(&request)?)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Reset the second factors of a user
///
/// For a user who has lost them: removes all factors and recovery codes, and ends all sessions of the user.
#[utoipa::path(
    delete,
    path = "/admin/users/{id}/factors",
    tag = "administration",
    operation_id = "reset_factors",
    params(("id" = i64, Path, description = "The id of the user")),
    security(("OAuth2PasswordBearer" = ["users:write"])),
    responses(
        (status = 204, description = "The user has no second factor"),
        error_responses::NotAuthenticated,
        error_responses::InsufficientScope,
        error_responses::TwoCredentials,
        error_responses::NotFound,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn reset_factors(
    request: HttpRequest,
    auth: Auth,
    caller: Authorized<UsersWrite>,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    let admin = caller.administrator(context);
    auth.reset_factors(&admin, path_id(&request)?, None).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Remove a second factor of a user
///
/// Ends all sessions of the user.
#[utoipa::path(
    delete,
    path = "/admin/users/{id}/factors/{factor}",
    tag = "administration",
    operation_id = "reset_factor",
    params(
        ("id" = i64, Path, description = "The id of the user"),
        ("factor" = i64, Path, description = "The id of the factor"),
    ),
    security(("OAuth2PasswordBearer" = ["users:write"])),
    responses(
        (status = 204, description = "The factor has ended"),
        error_responses::NotAuthenticated,
        error_responses::InsufficientScope,
        error_responses::TwoCredentials,
        error_responses::NotFound,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn reset_factor(
    request: HttpRequest,
    auth: Auth,
    caller: Authorized<UsersWrite>,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    let (id, factor) = (path_id(&request)?, path_number(&request, "factor")?);
    let admin = caller.administrator(context);
    auth.reset_factors(&admin, id, Some(factor)).await?;
    Ok(HttpResponse::NoContent().finish())
}

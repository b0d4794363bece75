//! The mails that wait, were sent or have failed.

use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::path_id;
use crate::auth::{AuditContext, Auth};
use crate::guards::Authorized;
use crate::http::body::query::Query;
use crate::http::error_responses;
use crate::http::extractors::{UsersRead, UsersWrite};
use crate::http::request_error::Error;
use crate::store::MailState;
use crate::views::MailRead;

/// A page of mails.
#[derive(Serialize, ToSchema)]
pub(crate) struct MailList<'a> {
    mails: Vec<MailRead<'a>>,
    /// The path and query of the next page; null after the last one.
    next: Option<String>,
}

/// List the mails
///
/// The last ones first. Sent and failed mails are listed for 30 days. No mail is stored: only to whom it
/// went, and what the mail server said.
#[utoipa::path(
    get,
    path = "/admin/mail",
    tag = "administration",
    operation_id = "list_mails",
    params(
        ("state" = Option<String>, Query, description = "`waiting`, `sent` or `failed`"),
        ("before" = Option<i64>, Query, description = "Only mails before this id"),
        ("limit" = Option<i64>, Query, description = "The maximum number of mails", minimum = 1, maximum = 500),
    ),
    security(("OAuth2PasswordBearer" = ["users:read"])),
    responses(
        (status = 200, description = "A page of mails", body = MailList),
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
    let state = query.one_of("state", &MailState::NAMES);
    let (before, limit) = (query.number("before"), query.limit());
    query.check()?;
    auth.require_mail()?;
    let page = auth
        .list_mails(
            &caller.administrator(context),
            state.and_then(MailState::of_name),
            before,
            limit,
        )
        .await?;
    Ok(HttpResponse::Ok().json(MailList {
        mails: page.mails.iter().map(MailRead::from).collect(),
        next: page.next.map(|id| query.link("before", &id.to_string())),
    }))
}

/// Send a failed mail again
#[utoipa::path(
    post,
    path = "/admin/mail/{id}/retry",
    tag = "administration",
    operation_id = "retry_mail",
    params(("id" = i64, Path, description = "The id of the mail")),
    security(("OAuth2PasswordBearer" = ["users:write"])),
    responses(
        (status = 202, description = "The mail is queued", body = ()),
        error_responses::NotAuthenticated,
        error_responses::InsufficientScope,
        error_responses::TwoCredentials,
        error_responses::NotFound,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn retry(
    request: HttpRequest,
    auth: Auth,
    caller: Authorized<UsersWrite>,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    auth.require_mail()?;
    auth.retry_mail(&caller.administrator(context), path_id(&request)?)
        .await?;
    Ok(HttpResponse::Accepted().json(()))
}

/// Delete a failed mail
#[utoipa::path(
    delete,
    path = "/admin/mail/{id}",
    tag = "administration",
    operation_id = "drop_mail",
    params(("id" = i64, Path, description = "The id of the mail")),
    security(("OAuth2PasswordBearer" = ["users:write"])),
    responses(
        (status = 204, description = "The mail is deleted"),
        error_responses::NotAuthenticated,
        error_responses::InsufficientScope,
        error_responses::TwoCredentials,
        error_responses::NotFound,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn delete(
    request: HttpRequest,
    auth: Auth,
    caller: Authorized<UsersWrite>,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    auth.require_mail()?;
    auth.drop_mail(&caller.administrator(context), path_id(&request)?)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

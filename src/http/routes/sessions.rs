//! The sessions of a user: listed, renamed and ended by the user and by administrators.

use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::{path_id, path_number};
use crate::auth::{AuditContext, Auth, Field};
use crate::guards::{Authorized, SignedIn};
use crate::http::body::json::{FromMembers, JsonBody, Members};
use crate::http::body::query::Query;
use crate::http::error_responses;
use crate::http::extractors::{Admitted, UsersRead, UsersWrite};
use crate::http::request_error::Error;
use crate::store::Session;
use crate::views::SessionRead;

/// All sessions of a user.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionList<'a> {
    sessions: Vec<SessionRead<'a>>,
}

fn listed(sessions: &[Session], current: Option<i64>) -> HttpResponse {
    let sessions = sessions.iter();
    HttpResponse::Ok().json(SessionList {
        sessions: sessions
            .map(|session| SessionRead::new(session, current))
            .collect(),
    })
}

/// List my sessions
///
/// Each sign-in is one. The one used last comes first.
#[utoipa::path(
    get,
    path = "/users/me/sessions",
    tag = "sessions",
    operation_id = "list_sessions",
    security(("OAuth2PasswordBearer" = [])),
    responses(
        (status = 200, description = "The sessions", body = SessionList),
        error_responses::NotAuthenticated,
        error_responses::LoginTokenRequired,
        error_responses::TwoCredentials,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn list(auth: Auth, caller: SignedIn) -> Result<HttpResponse, Error> {
    let sessions = auth.list_sessions(caller.user.id).await?;
    Ok(listed(&sessions, Some(caller.token().session.id)))
}

/// Another name for a session or second factor.
#[derive(ToSchema)]
#[schema(as = NameUpdate)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct RenameRequest {
    /// Shortened to 100 characters.
    #[schema(min_length = 1, example = "Ada's phone")]
    name: String,
}

/// A parsed [`RenameRequest`].
pub(crate) struct RenameInput {
    pub(super) name: Field<String>,
}

impl FromMembers for RenameInput {
    const REQUIRES_HASH: bool = false;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&["name"])?;
        Ok(Self {
            name: members.text("name"),
        })
    }
}

/// Rename a session
#[utoipa::path(
    patch,
    path = "/users/me/sessions/{id}",
    tag = "sessions",
    operation_id = "rename_session",
    params(("id" = i64, Path, description = "The id of the session")),
    security(("OAuth2PasswordBearer" = [])),
    request_body = RenameRequest,
    responses(
        (status = 200, description = "The session after the change", body = SessionRead),
        error_responses::UnreadableRequest,
        error_responses::NotAuthenticated,
        error_responses::LoginTokenRequired,
        error_responses::NotFound,
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn rename(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    Admitted(caller, input): Admitted<SignedIn, JsonBody<RenameInput>>,
) -> Result<HttpResponse, Error> {
    let context = context.by_owner(&caller);
    let renamed = auth.rename_session(
        &context,
        caller.principal(),
        path_id(&request)?,
        input.0.name,
    );
    let current = Some(caller.token().session.id);
    Ok(HttpResponse::Ok().json(SessionRead::new(&renamed.await?, current)))
}

/// End a session
///
/// Its tokens are rejected everywhere once this responds.
#[utoipa::path(
    delete,
    path = "/users/me/sessions/{id}",
    tag = "sessions",
    operation_id = "end_session",
    params(("id" = i64, Path, description = "The id of the session")),
    security(("OAuth2PasswordBearer" = [])),
    responses(
        (status = 204, description = "The session has ended"),
        error_responses::NotAuthenticated,
        error_responses::LoginTokenRequired,
        error_responses::TwoCredentials,
        error_responses::NotFound,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn end(
    request: HttpRequest,
    auth: Auth,
    caller: SignedIn,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    let context = context.by_owner(&caller);
    auth.end_session(&context, caller.principal(), path_id(&request)?)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// End my sessions
///
/// All of them, or with `keep=current` all but this one. API keys stay.
#[utoipa::path(
    delete,
    path = "/users/me/sessions",
    tag = "sessions",
    operation_id = "end_sessions",
    params(
        ("keep" = Option<String>, Query, description = "`current` keeps the session of this request"),
    ),
    security(("OAuth2PasswordBearer" = [])),
    responses(
        (status = 204, description = "The sessions have ended"),
        error_responses::NotAuthenticated,
        error_responses::LoginTokenRequired,
        error_responses::TwoCredentials,
        error_responses::InvalidQuery,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn end_all(
    request: HttpRequest,
    auth: Auth,
    caller: SignedIn,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    let mut query = Query::from_request(&request);
    let keep = query.one_of("keep", &["current"]);
    query.check()?;
    let context = context.by_owner(&caller);
    auth.end_sessions(&context, caller.principal(), keep.is_some())
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// List the sessions of a user
#[utoipa::path(
    get,
    path = "/admin/users/{id}/sessions",
    tag = "administration",
    operation_id = "list_sessions_of_user",
    params(("id" = i64, Path, description = "The id of the user")),
    security(("OAuth2PasswordBearer" = ["users:read"])),
    responses(
        (status = 200, description = "The sessions", body = SessionList),
        error_responses::NotAuthenticated,
        error_responses::InsufficientScope,
        error_responses::TwoCredentials,
        error_responses::NotFound,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn list_of_user(
    request: HttpRequest,
    auth: Auth,
    caller: Authorized<UsersRead>,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    let admin = caller.administrator(context);
    let sessions = auth.list_sessions_of(&admin, path_id(&request)?).await?;
    Ok(listed(&sessions, None))
}

/// End the sessions of a user
///
/// API keys stay.
#[utoipa::path(
    delete,
    path = "/admin/users/{id}/sessions",
    tag = "administration",
    operation_id = "end_sessions_of_user",
    params(("id" = i64, Path, description = "The id of the user")),
    security(("OAuth2PasswordBearer" = ["users:write"])),
    responses(
        (status = 204, description = "The sessions have ended"),
        error_responses::NotAuthenticated,
        error_responses::InsufficientScope,
        error_responses::TwoCredentials,
        error_responses::NotFound,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn end_all_of_user(
    request: HttpRequest,
    auth: Auth,
    caller: Authorized<UsersWrite>,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    let admin = caller.administrator(context);
    auth.end_sessions_of(&admin, path_id(&request)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// End a session of a user
#[utoipa::path(
    delete,
    path = "/admin/users/{id}/sessions/{session}",
    tag = "administration",
    operation_id = "end_session_of_user",
    params(
        ("id" = i64, Path, description = "The id of the user"),
        ("session" = i64, Path, description = "The id of the session"),
    ),
    security(("OAuth2PasswordBearer" = ["users:write"])),
    responses(
        (status = 204, description = "The session has ended"),
        error_responses::NotAuthenticated,
        error_responses::InsufficientScope,
        error_responses::TwoCredentials,
        error_responses::NotFound,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn end_of_user(
    request: HttpRequest,
    auth: Auth,
    caller: Authorized<UsersWrite>,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    let (user, session) = (path_id(&request)?, path_number(&request, "session")?);
    auth.end_session_of(&caller.administrator(context), user, session)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

//! Invitations: made by administrators, accepted by the readers of the addresses.

use actix_web::{HttpRequest, HttpResponse};
use secrecy::SecretString;
use serde::Serialize;
use utoipa::ToSchema;

use super::path_id;
use crate::auth::{AcceptanceInput, AuditContext, Auth, InvitationInput};
use crate::error::FieldType;
use crate::guards::Authorized;
use crate::http::body::json::{FromMembers, JsonBody, Members};
use crate::http::body::query::Query;
use crate::http::error_responses;
use crate::http::extractors::{Admitted, UsersRead, UsersWrite};
use crate::http::request_error::Error;
use crate::store::InvitationState;
use crate::views::{InvitationRead, UserRead, utc};

/// An invitation to make.
#[derive(ToSchema)]
#[schema(as = InvitationCreate)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct InvitationRequest {
    #[schema(format = "email", example = "andres@example.com")]
    email: String,
    /// The name of the user, unless they choose another one.
    #[schema(nullable = false, example = "Andres Cruz")]
    name: Option<String>,
    /// What the user may do, separated by spaces.
    #[schema(nullable = false, example = "")]
    scopes: Option<String>,
    /// For how many seconds the invitation can be accepted.
    #[schema(nullable = false, minimum = 60, maximum = 2_592_000, example = 604_800)]
    expires_in: Option<i64>,
    /// `true`, the default, sends a mail; `false` returns the link, to be passed on.
    #[schema(nullable = false)]
    deliver: Option<bool>,
}

impl FromMembers for InvitationInput {
    const REQUIRES_HASH: bool = false;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&["email", "name", "scopes", "expires_in", "deliver"])?;
        Ok(Self {
            email: members.text("email"),
            name: members.optional_text("name"),
            scopes: members.optional_text("scopes"),
            expires_in: members.optional("expires_in", FieldType::Integer),
            deliver: members.optional("deliver", FieldType::Boolean),
        })
    }
}

/// Invite a user
///
/// Even when registration is closed. Administrators can grant the scopes that they hold and those that the
/// settings list. API keys cannot invite.
#[utoipa::path(
    post,
    path = "/admin/invitations",
    tag = "administration",
    operation_id = "create_invitation",
    security(("OAuth2PasswordBearer" = ["users:write"])),
    request_body = InvitationRequest,
    responses(
        (status = 201, description = "The invitation, with the link only if no mail is sent", body = InvitationRead),
        error_responses::UnreadableRequest,
        error_responses::NotAuthenticated,
        error_responses::InsufficientScope,
        error_responses::InvitationRefused,
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
    Admitted(caller, input): Admitted<Authorized<UsersWrite>, JsonBody<InvitationInput>>,
) -> Result<HttpResponse, Error> {
    let invited = auth.invite(&caller.administrator(context), input.0).await?;
    let now = auth.clock().now();
    let read = InvitationRead::new(&invited.invitation, now).with_url(invited.url.as_deref());
    Ok(HttpResponse::Created().json(read))
}

/// A page of invitations.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvitationList<'a> {
    invitations: Vec<InvitationRead<'a>>,
    /// The path and query of the next page; null after the last one.
    next: Option<String>,
}

/// List the invitations
///
/// The last ones first.
#[utoipa::path(
    get,
    path = "/admin/invitations",
    tag = "administration",
    operation_id = "list_invitations",
    params(
        ("state" = Option<String>, Query, description = "`pending`, `expired`, `accepted` or `revoked`"),
        ("before" = Option<i64>, Query, description = "Only invitations before this id"),
        ("limit" = Option<i64>, Query, description = "The maximum number of invitations", minimum = 1, maximum = 500),
    ),
    security(("OAuth2PasswordBearer" = ["users:read"])),
    responses(
        (status = 200, description = "A page of invitations", body = InvitationList),
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
    let state = query.one_of("state", &InvitationState::NAMES);
    let (before, limit) = (query.number("before"), query.limit());
    query.check()?;
    let state = state.and_then(InvitationState::of_name);
    let page = auth
        .list_invitations(&caller.administrator(context), state, before, limit)
        .await?;
    let now = auth.clock().now();
    Ok(HttpResponse::Ok().json(InvitationList {
        invitations: page
            .invitations
            .iter()
            .map(|invitation| InvitationRead::new(invitation, now))
            .collect(),
        next: page.next.map(|id| query.link("before", &id.to_string())),
    }))
}

/// Mail an invitation again
///
/// With another link; the one before ends. It can be accepted for as long as the settings say, from now on.
#[utoipa::path(
    post,
    path = "/admin/invitations/{id}/resend",
    tag = "administration",
    operation_id = "resend_invitation",
    params(("id" = i64, Path, description = "The id of the invitation")),
    security(("OAuth2PasswordBearer" = ["users:write"])),
    responses(
        (status = 202, description = "A mail is sent", body = ()),
        error_responses::NotAuthenticated,
        error_responses::InsufficientScope,
        error_responses::TwoCredentials,
        error_responses::NotFound,
        error_responses::InvitationRefused,
        error_responses::InvitationOver,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn resend(
    request: HttpRequest,
    auth: Auth,
    caller: Authorized<UsersWrite>,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    auth.resend_invitation(&caller.administrator(context), path_id(&request)?)
        .await?;
    Ok(HttpResponse::Accepted().json(()))
}

/// Revoke an invitation
#[utoipa::path(
    delete,
    path = "/admin/invitations/{id}",
    tag = "administration",
    operation_id = "revoke_invitation",
    params(("id" = i64, Path, description = "The id of the invitation")),
    security(("OAuth2PasswordBearer" = ["users:write"])),
    responses(
        (status = 204, description = "Nobody can accept it any more"),
        error_responses::NotAuthenticated,
        error_responses::InsufficientScope,
        error_responses::TwoCredentials,
        error_responses::NotFound,
        error_responses::InvitationOver,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn revoke(
    request: HttpRequest,
    auth: Auth,
    caller: Authorized<UsersWrite>,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    auth.revoke_invitation(&caller.administrator(context), path_id(&request)?)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// An invitation, as its reader sees it.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvitationShown {
    #[schema(format = "email", example = "andres@example.com")]
    email: String,
    /// May be empty.
    #[schema(example = "Andres Cruz")]
    name: String,
    #[schema(format = "date-time")]
    expires_at: String,
}

/// Show an invitation
///
/// Spends nothing.
#[utoipa::path(
    get,
    path = "/invitations/{token}",
    tag = "mail",
    operation_id = "show_invitation",
    params(("token" = String, Path, description = "From the link")),
    responses(
        (status = 200, description = "The invitation", body = InvitationShown),
        error_responses::BadMailToken,
        error_responses::InvitationOver,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn show(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    let token = request.match_info().get("token").unwrap_or_default();
    let token = SecretString::from(token);
    let invitation = auth.find_invitation(&context, &token).await?;
    Ok(HttpResponse::Ok().json(InvitationShown {
        email: invitation.email,
        name: invitation.name,
        expires_at: utc(invitation.expires_at),
    }))
}

/// The account that an invitation offers.
#[derive(ToSchema)]
#[schema(as = InvitationAcceptance)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct AcceptanceRequest {
    /// From the link.
    token: String,
    /// That of the invitation if it is missing.
    #[schema(nullable = false, example = "Andres Cruz")]
    name: Option<String>,
    #[schema(example = "Cruz")]
    surname: String,
    #[schema(format = "password", example = "correct-horse-9!")]
    password: String,
}

impl FromMembers for AcceptanceInput {
    const REQUIRES_HASH: bool = true;

    fn from_members(members: &Members) -> Result<Self, Error> {
        Ok(Self {
            token: members.secret("token"),
            name: members.optional_text("name"),
            surname: members.text("surname"),
            password: members.secret("password"),
        })
    }
}

/// Accept an invitation
///
/// The address of the new user is verified. Does not sign in.
#[utoipa::path(
    post,
    path = "/invitations/accept",
    tag = "mail",
    operation_id = "accept_invitation",
    request_body = AcceptanceRequest,
    responses(
        (status = 201, description = "The new user", body = UserRead),
        error_responses::BadMailToken,
        error_responses::EmailTaken,
        error_responses::InvitationOver,
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn accept(
    auth: Auth,
    context: AuditContext,
    input: JsonBody<AcceptanceInput>,
) -> Result<HttpResponse, Error> {
    let user = auth.accept_invitation(&context, input.0).await?;
    Ok(HttpResponse::Created().json(UserRead::verified(&user, auth.config())))
}

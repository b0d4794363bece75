//! Resetting a forgotten password.

use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::path_id;
use crate::auth::{AuditContext, Auth, Field, PrintedLink, ProofInput, ResetInput};
use crate::error::FieldType;
use crate::guards::Authorized;
use crate::http::body::json::{FromMembers, JsonBody, Members};
use crate::http::error_responses;
use crate::http::extractors::{Admitted, UsersWrite};
use crate::http::request_error::Error;
use crate::views::utc;

/// Who has forgotten the password.
#[derive(ToSchema)]
#[schema(as = ForgottenPassword)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct ForgotRequest {
    #[schema(format = "email", example = "andres@example.com")]
    email: String,
}

/// A parsed [`ForgotRequest`].
pub(crate) struct ForgotInput {
    email: Field<String>,
}

impl FromMembers for ForgotInput {
    const REQUIRES_HASH: bool = false;

    fn from_members(members: &Members) -> Result<Self, Error> {
        Ok(Self {
            email: members.text("email"),
        })
    }
}

/// Ask for a link to reset the password
///
/// The answer is the same whether or not a user has the address. The mail has a link to a page and a code
/// that can be typed instead. An address gets one mail a minute, and five an hour.
#[utoipa::path(
    post,
    path = "/forgot-password",
    tag = "mail",
    operation_id = "forgot_password",
    request_body = ForgotRequest,
    responses(
        (status = 202, description = "A mail is sent if a user has the address", body = ()),
        error_responses::UnreadableBody,
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn forgot(
    auth: Auth,
    context: AuditContext,
    input: JsonBody<ForgotInput>,
) -> Result<HttpResponse, Error> {
    auth.request_reset(&context, input.0.email).await?;
    Ok(HttpResponse::Accepted().json(()))
}

/// A new password: with the token of the link, or with the address and the code.
#[derive(ToSchema)]
#[schema(as = PasswordReset)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct ResetRequest {
    /// From the link.
    #[schema(nullable = false)]
    token: Option<String>,
    /// With `code`, in place of `token`.
    #[schema(nullable = false, format = "email", example = "andres@example.com")]
    email: Option<String>,
    /// Eight characters, in any case; `O` counts as `0`, `I` and `L` as `1`.
    #[schema(nullable = false, example = "7KQ2M9XD")]
    code: Option<String>,
    #[schema(format = "password", example = "battery-staple-7?")]
    password: String,
    /// Whether the API keys end too; they do by default.
    #[schema(nullable = false)]
    end_keys: Option<bool>,
}

impl FromMembers for ResetInput {
    const REQUIRES_HASH: bool = true;

    fn from_members(members: &Members) -> Result<Self, Error> {
        Ok(Self {
            proof: parse_proof(members),
            password: members.secret("password"),
            end_keys: members.optional("end_keys", FieldType::Boolean),
        })
    }
}

/// Parses what a client brings from a mail.
pub(super) fn parse_proof(members: &Members) -> ProofInput {
    ProofInput {
        token: members.optional_secret("token"),
        email: members.optional_text("email"),
        code: members.optional_secret("code"),
    }
}

/// Reset the password
///
/// Ends all sessions and, unless `end_keys` is false, all API keys. Does not sign in. A link is good once; a
/// password that is refused with 422 leaves it good.
#[utoipa::path(
    post,
    path = "/reset-password",
    tag = "mail",
    operation_id = "reset_password",
    request_body = ResetRequest,
    responses(
        (status = 200, description = "The new password is in force", body = ()),
        error_responses::BadMailToken,
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn reset(
    auth: Auth,
    context: AuditContext,
    input: JsonBody<ResetInput>,
) -> Result<HttpResponse, Error> {
    auth.reset_password(&context, input.0).await?;
    Ok(HttpResponse::Ok().json(()))
}

/// How a link reaches a user.
#[derive(ToSchema)]
#[schema(as = ResetLinkRequest)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct LinkRequest {
    /// `true`, the default, sends a mail; `false` returns the link, to be passed on.
    #[schema(nullable = false)]
    deliver: Option<bool>,
}

/// A parsed [`LinkRequest`].
pub(crate) struct LinkInput {
    deliver: Field<Option<bool>>,
}

impl FromMembers for LinkInput {
    const REQUIRES_HASH: bool = false;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&["deliver"])?;
        Ok(Self {
            deliver: members.optional("deliver", FieldType::Boolean),
        })
    }
}

/// A link to pass on.
#[derive(Serialize, ToSchema)]
#[schema(as = ResetLink)]
pub(crate) struct LinkRead {
    /// Good once, and in place of the link in any mail before.
    url: String,
    #[schema(format = "date-time")]
    expires_at: String,
}

impl From<PrintedLink> for LinkRead {
    fn from(link: PrintedLink) -> Self {
        Self {
            url: link.url,
            expires_at: utc(link.expires_at),
        }
    }
}

/// Send a user a link to reset the password
///
/// The administrator never learns the password. API keys cannot do this.
#[utoipa::path(
    post,
    path = "/admin/users/{id}/reset",
    tag = "administration",
    operation_id = "send_reset_link",
    params(("id" = i64, Path, description = "The id of the user")),
    security(("OAuth2PasswordBearer" = ["users:write"])),
    request_body = LinkRequest,
    responses(
        (status = 201, description = "The link, with `deliver: false`", body = LinkRead),
        (status = 202, description = "A mail is sent", body = ()),
        error_responses::UnreadableRequest,
        error_responses::NotAuthenticated,
        error_responses::InsufficientScope,
        error_responses::NotFound,
        error_responses::UserDisabled,
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn send_link(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    Admitted(caller, input): Admitted<Authorized<UsersWrite>, JsonBody<LinkInput>>,
) -> Result<HttpResponse, Error> {
    let (admin, id) = (caller.administrator(context), path_id(&request)?);
    if input.0.deliver.map_err(crate::error::Error::from)? == Some(false) {
        let link = auth.print_reset_link(&admin, id).await?;
        return Ok(HttpResponse::Created().json(LinkRead::from(link)));
    }
    auth.mail_reset_link(&admin, id).await?;
    Ok(HttpResponse::Accepted().json(()))
}

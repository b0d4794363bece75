//! Verifying the address of a user.

use actix_web::HttpResponse;
use utoipa::ToSchema;

use super::password_reset::parse_proof;
use crate::auth::{AuditContext, Auth, Field, ProofInput};
use crate::guards::{Authenticated, MaybeAuthenticated};
use crate::http::body::json::{FromMembers, JsonBody, Members};
use crate::http::error_responses;
use crate::http::extractors::Admitted;
use crate::http::request_error::Error;
use crate::views::UserRead;

/// Whose address is to be verified: that of the caller, or another one.
#[derive(ToSchema)]
#[schema(as = VerificationRequest)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct MailRequest {
    /// Without it, the address of the caller.
    #[schema(nullable = false, format = "email", example = "andres@example.com")]
    email: Option<String>,
}

/// A parsed [`MailRequest`].
pub(crate) struct MailInput {
    email: Field<Option<String>>,
}

impl FromMembers for MailInput {
    const REQUIRES_HASH: bool = false;

    fn from_members(members: &Members) -> Result<Self, Error> {
        Ok(Self {
            email: members.optional_text("email"),
        })
    }
}

/// Ask for a link to verify an address
///
/// The answer is the same whether or not a user has the address, and whether or not it is verified.
#[utoipa::path(
    post,
    path = "/verify-email/request",
    tag = "mail",
    operation_id = "request_verification",
    security((), ("OAuth2PasswordBearer" = [])),
    request_body = MailRequest,
    responses(
        (status = 202, description = "A mail is sent if a user has not verified the address", body = ()),
        error_responses::UnreadableRequest,
        error_responses::NotAuthenticated,
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn request(
    auth: Auth,
    context: AuditContext,
    Admitted(caller, input): Admitted<MaybeAuthenticated, JsonBody<MailInput>>,
) -> Result<HttpResponse, Error> {
    let caller = caller.0.map(|Authenticated(principal)| principal);
    auth.request_verification(&context, caller.as_deref(), input.0.email)
        .await?;
    Ok(HttpResponse::Accepted().json(()))
}

/// The token of the link, or the address and the code.
#[derive(ToSchema)]
#[schema(as = EmailVerification)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct ProofRequest {
    /// From the link.
    #[schema(nullable = false)]
    token: Option<String>,
    /// With `code`, in place of `token`.
    #[schema(nullable = false, format = "email", example = "andres@example.com")]
    email: Option<String>,
    /// Eight characters, in any case; `O` counts as `0`, `I` and `L` as `1`.
    #[schema(nullable = false, example = "7KQ2M9XD")]
    code: Option<String>,
}

impl FromMembers for ProofInput {
    const REQUIRES_HASH: bool = false;

    fn from_members(members: &Members) -> Result<Self, Error> {
        Ok(parse_proof(members))
    }
}

/// Verify an address
///
/// The first verification ends all sessions and keys of the user, since they may be of somebody else who has
/// registered the address; unless the request carries a login token of the user. 400 with the error
/// `already_verified` for a link that was used.
#[utoipa::path(
    post,
    path = "/verify-email",
    tag = "mail",
    operation_id = "verify_email",
    security((), ("OAuth2PasswordBearer" = [])),
    request_body = ProofRequest,
    responses(
        (status = 200, description = "The user, whose address is verified", body = UserRead),
        error_responses::BadMailToken,
        error_responses::NotAuthenticated,
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn verify(
    auth: Auth,
    context: AuditContext,
    Admitted(caller, input): Admitted<MaybeAuthenticated, JsonBody<ProofInput>>,
) -> Result<HttpResponse, Error> {
    let caller = caller.0.map(|Authenticated(principal)| principal);
    let user = auth.verify_email(&context, caller, input.0).await?;
    Ok(HttpResponse::Ok().json(UserRead::verified(&user, auth.config())))
}

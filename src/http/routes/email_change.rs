//! Another address for an account.

use actix_web::HttpResponse;
use secrecy::SecretString;
use serde::Serialize;
use utoipa::ToSchema;

use super::password_reset::parse_proof;
use crate::auth::{AuditContext, Auth, EmailChange, Field, ProofInput};
use crate::guards::SignedIn;
use crate::http::body::json::{FromMembers, JsonBody, Members};
use crate::http::error_responses;
use crate::http::extractors::Admitted;
use crate::http::request_error::Error;
use crate::views::UserRead;

/// Another address.
#[derive(ToSchema)]
#[schema(as = EmailUpdate)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct ChangeRequest {
    #[schema(format = "email", example = "andres@example.org")]
    email: String,
    /// The current password; not needed within 15 minutes of the sign-in.
    #[schema(nullable = false, format = "password", example = "correct-horse-9!")]
    password: Option<String>,
}

/// A parsed [`ChangeRequest`].
pub(crate) struct ChangeInput {
    email: Field<String>,
    password: Field<Option<SecretString>>,
}

impl FromMembers for ChangeInput {
    const REQUIRES_HASH: bool = true;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&["email", "password"])?;
        Ok(Self {
            email: members.text("email"),
            password: members.optional_secret("password"),
        })
    }
}

/// A change that waits for its confirmation.
#[derive(Serialize, ToSchema)]
pub(crate) struct PendingEmail {
    #[schema(format = "email", example = "andres@example.org")]
    pending_email: String,
    /// How long the link in the mail is good, in seconds.
    #[schema(example = 3600)]
    expires_in: i64,
}

/// Change my address
///
/// Needs the password, or a sign-in within the last 15 minutes. A mail with a link goes to the new address; the old one stays until the link is used. Another spelling of
/// the same address takes effect at once: then the answer is 200 with the user.
#[utoipa::path(
    post,
    path = "/users/me/email",
    tag = "mail",
    operation_id = "request_email_change",
    security(("OAuth2PasswordBearer" = [])),
    request_body = ChangeRequest,
    responses(
        (status = 200, description = "The user, with another spelling of the address", body = UserRead),
        (status = 202, description = "A mail is sent to the new address", body = PendingEmail),
        error_responses::UnreadableRequest,
        error_responses::NotAuthenticated,
        error_responses::ProofRequired,
        error_responses::EmailTaken,
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn request(
    auth: Auth,
    context: AuditContext,
    Admitted(caller, input): Admitted<SignedIn, JsonBody<ChangeInput>>,
) -> Result<HttpResponse, Error> {
    let context = context.by_owner(&caller);
    let ChangeInput { email, password } = input.0;
    let change = auth
        .request_email_change(&context, caller.principal(), email, password)
        .await?;
    Ok(match change {
        EmailChange::Done(user) => HttpResponse::Ok().json(UserRead::new(&user, auth.config())),
        EmailChange::Pending { email, expires_in } => HttpResponse::Accepted().json(PendingEmail {
            pending_email: email,
            expires_in: expires_in.num_seconds(),
        }),
    })
}

/// Withdraw a change of my address
#[utoipa::path(
    delete,
    path = "/users/me/email",
    tag = "mail",
    operation_id = "withdraw_email_change",
    security(("OAuth2PasswordBearer" = [])),
    responses(
        (status = 204, description = "No change of the address is pending"),
        error_responses::NotAuthenticated,
        error_responses::LoginTokenRequired,
        error_responses::TwoCredentials,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn withdraw(
    auth: Auth,
    caller: SignedIn,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    let context = context.by_owner(&caller);
    auth.withdraw_email_change(&context, caller.principal())
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The token of a link.
#[derive(ToSchema)]
#[schema(as = MailToken)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct TokenRequest {
    token: String,
}

/// A parsed [`TokenRequest`].
pub(crate) struct TokenInput(ProofInput);

impl FromMembers for TokenInput {
    const REQUIRES_HASH: bool = false;

    fn from_members(members: &Members) -> Result<Self, Error> {
        Ok(Self(parse_proof(members)))
    }
}

/// Confirm another address
///
/// The old box gets a mail with a link that leads back within seven days.
#[utoipa::path(
    post,
    path = "/change-email",
    tag = "mail",
    operation_id = "confirm_email_change",
    request_body = TokenRequest,
    responses(
        (status = 200, description = "The user, with the new address", body = UserRead),
        error_responses::BadMailToken,
        error_responses::EmailTaken,
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn confirm(
    auth: Auth,
    context: AuditContext,
    input: JsonBody<TokenInput>,
) -> Result<HttpResponse, Error> {
    let user = auth.confirm_email_change(&context, input.0.0).await?;
    Ok(HttpResponse::Ok().json(UserRead::verified(&user, auth.config())))
}

/// Return to the address before a change
///
/// With the token of the mail to the old box, within seven days. Ends all sessions and API keys, and mails a link to reset the password.
#[utoipa::path(
    post,
    path = "/change-email/undo",
    tag = "mail",
    operation_id = "undo_email_change",
    request_body = TokenRequest,
    responses(
        (status = 200, description = "The user, with the address before the change", body = UserRead),
        error_responses::BadMailToken,
        error_responses::EmailTaken,
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn undo(
    auth: Auth,
    context: AuditContext,
    input: JsonBody<TokenInput>,
) -> Result<HttpResponse, Error> {
    let user = auth.undo_email_change(&context, input.0.0).await?;
    Ok(HttpResponse::Ok().json(UserRead::verified(&user, auth.config())))
}

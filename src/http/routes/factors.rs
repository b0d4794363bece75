//! Second factors: users add and remove them.

use actix_web::{HttpRequest, HttpResponse};

use super::factor_bodies::{
    ConfirmInput, ConfirmRequest, Confirmation, FactorConfirmed, FactorCreated, FactorList,
    FactorRead, NewFactorInput, NewFactorRequest, NewKind, ProofOfPassword, ProofRequest,
    RecoveryCodesCreated,
};
use super::path_id;
use super::sessions::{RenameInput, RenameRequest};
use crate::auth::{AuditContext, Auth, Enroller};
use crate::error::Error as DomainError;
use crate::guards::SignedIn;
use crate::http::body::json::JsonBody;
use crate::http::error_responses;
use crate::http::extractors::Admitted;
use crate::http::request_error::Error;

/// List my second factors
///
/// Those that were confirmed, oldest first.
#[utoipa::path(
    get,
    path = "/users/me/factors",
    tag = "second factors",
    operation_id = "list_factors",
    security(("OAuth2PasswordBearer" = [])),
    responses(
        (status = 200, description = "The factors", body = FactorList),
        error_responses::NotAuthenticated,
        error_responses::LoginTokenRequired,
        error_responses::TwoCredentials,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn list(auth: Auth, caller: SignedIn) -> Result<HttpResponse, Error> {
    let factors = auth.list_factors(caller.user.id).await?;
    Ok(HttpResponse::Ok().json(FactorList::from(&factors)))
}

/// Add an authenticator app or a passkey
///
/// It counts once it is confirmed, within 10 minutes. Requires the password, or a sign-in with it in the
/// last 15 minutes; and for a user who has a second factor, a sign-in with it. The `mfa_token` of a 403
/// `mfa_enrollment_required` is accepted in place of a login token.
#[utoipa::path(
    post,
    path = "/users/me/factors",
    tag = "second factors",
    operation_id = "create_factor",
    security(("OAuth2PasswordBearer" = [])),
    request_body = NewFactorRequest,
    responses(
        (status = 201, description = "The seed of the app, or what the browser makes a passkey of", body = FactorCreated),
        error_responses::UnreadableRequest,
        error_responses::NotAuthenticated,
        error_responses::ProofRequired,
        error_responses::FactorConflict,
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
    Admitted(caller, input): Admitted<Enroller, JsonBody<NewFactorInput>>,
) -> Result<HttpResponse, Error> {
    let context = caller.context(context);
    let (kind, name, password) = input.0.check()?;
    Ok(match kind {
        NewKind::App => {
            let new = auth
                .begin_totp(&context, &caller, Ok(name), password)
                .await?;
            HttpResponse::Created().json(FactorCreated::from(&new))
        }
        NewKind::Passkey => {
            let begun = auth.begin_passkey(&context, &caller, Ok(name), password);
            let new = Box::pin(begun).await?;
            HttpResponse::Created().json(FactorCreated::from(&new))
        }
    })
}

/// Confirm an authenticator app or a passkey
///
/// From now on a sign-in asks for it. The code does not count again, and a passkey that is refused must be
/// begun again. A sign-in that waits for the factor is finished at `/token`, with the grant
/// `urn:tokenhouse:grant-type:mfa-enrollment`.
#[utoipa::path(
    post,
    path = "/users/me/factors/{id}/confirm",
    tag = "second factors",
    operation_id = "confirm_factor",
    params(("id" = i64, Path, description = "The id of the factor")),
    security(("OAuth2PasswordBearer" = [])),
    request_body = ConfirmRequest,
    responses(
        (status = 200, description = "The factor counts", body = FactorConfirmed),
        error_responses::BadPasskey,
        error_responses::NotAuthenticated,
        error_responses::WrongCode,
        error_responses::NotFound,
        error_responses::FactorConflict,
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn confirm(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    Admitted(caller, input): Admitted<Enroller, JsonBody<ConfirmInput>>,
) -> Result<HttpResponse, Error> {
    let context = caller.context(context);
    let id = path_id(&request)?;
    let (shown, ends_others) = input.0.check()?;
    let confirmed = match shown {
        Confirmation::Otp(otp) => {
            auth.confirm_totp(&context, &caller, id, &otp, ends_others)
                .await?
        }
        Confirmation::Credential(credential) => {
            let confirm = auth.confirm_passkey(&context, &caller, id, &credential, ends_others);
            Box::pin(confirm).await?
        }
    };
    Ok(HttpResponse::Ok().json(FactorConfirmed::from(confirmed)))
}

/// Rename a second factor
#[utoipa::path(
    patch,
    path = "/users/me/factors/{id}",
    tag = "second factors",
    operation_id = "rename_factor",
    params(("id" = i64, Path, description = "The id of the factor")),
    security(("OAuth2PasswordBearer" = [])),
    request_body = RenameRequest,
    responses(
        (status = 200, description = "The factor after the change", body = FactorRead),
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
    let (id, name) = (path_id(&request)?, input.0.name);
    auth.rename_factor(&context, caller.principal(), id, name)
        .await?;
    let factors = auth.list_factors(caller.user.id).await?;
    let renamed = factors.confirmed.iter().find(|factor| factor.id == id);
    // It may be gone meanwhile.
    let renamed = renamed.ok_or(DomainError::FactorNotFound)?;
    Ok(HttpResponse::Ok().json(FactorRead::new(renamed, &factors.backed_up)))
}

/// Remove a second factor
///
/// With the last one, the recovery codes end. Requires the same as adding one.
#[utoipa::path(
    delete,
    path = "/users/me/factors/{id}",
    tag = "second factors",
    operation_id = "delete_factor",
    params(("id" = i64, Path, description = "The id of the factor")),
    security(("OAuth2PasswordBearer" = [])),
    request_body = ProofRequest,
    responses(
        (status = 204, description = "The factor has ended"),
        error_responses::UnreadableRequest,
        error_responses::NotAuthenticated,
        error_responses::ProofRequired,
        error_responses::NotFound,
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn remove(
    request: HttpRequest,
    auth: Auth,
    context: AuditContext,
    Admitted(caller, input): Admitted<SignedIn, JsonBody<ProofOfPassword>>,
) -> Result<HttpResponse, Error> {
    let context = context.by_owner(&caller);
    let id = path_id(&request)?;
    let password = input.0.check()?;
    auth.remove_factor(&context, caller.principal(), id, password)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Make new recovery codes
///
/// Those from before count no more. Requires the same as adding a factor.
#[utoipa::path(
    post,
    path = "/users/me/recovery-codes",
    tag = "second factors",
    operation_id = "create_recovery_codes",
    security(("OAuth2PasswordBearer" = [])),
    request_body = ProofRequest,
    responses(
        (status = 200, description = "The codes", body = RecoveryCodesCreated),
        error_responses::UnreadableRequest,
        error_responses::NotAuthenticated,
        error_responses::ProofRequired,
        error_responses::NotFound,
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn create_recovery_codes(
    auth: Auth,
    context: AuditContext,
    Admitted(caller, input): Admitted<SignedIn, JsonBody<ProofOfPassword>>,
) -> Result<HttpResponse, Error> {
    let context = context.by_owner(&caller);
    let password = input.0.check()?;
    let codes = auth
        .replace_recovery_codes(&context, caller.principal(), password)
        .await?;
    Ok(HttpResponse::Ok().json(RecoveryCodesCreated::from(codes.as_slice())))
}

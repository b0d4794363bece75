//! Second factors: users add and remove them, administrators reset them.

use actix_web::{HttpRequest, HttpResponse};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use utoipa::ToSchema;

use super::{path_id, path_number};
use crate::auth::{AuditContext, Auth, ConfirmedFactor, Factors, Field, NewTotp};
use crate::credential::recovery_code::RecoveryCode;
use crate::credential::totp::OtpCode;
use crate::error::{Error as DomainError, ErrorCollector, FieldError, FieldType, InvalidField};
use crate::guards::{Authorized, SignedIn};
use crate::http::body::json::{FromMembers, JsonBody, Members};
use crate::http::error_responses;
use crate::http::extractors::UsersWrite;
use crate::http::request_error::Error;
use crate::store::{Factor, RecoveryCodesLeft};
use crate::views::utc;

/// A second factor.
#[derive(Serialize, ToSchema)]
#[schema(as = Factor)]
struct FactorRead<'a> {
    #[schema(example = 3)]
    id: i64,
    /// `totp`: an authenticator app.
    #[schema(example = "totp")]
    kind: &'a str,
    #[schema(example = "Phone")]
    name: &'a str,
    #[schema(format = "date-time")]
    created_at: String,
    /// Null for one that was never used.
    #[schema(format = "date-time")]
    last_used_at: Option<String>,
}

impl<'a> From<&'a Factor> for FactorRead<'a> {
    fn from(factor: &'a Factor) -> Self {
        Self {
            id: factor.id,
            kind: &factor.kind,
            name: &factor.name,
            created_at: utc(factor.created_at),
            last_used_at: factor.last_used_at.map(utc),
        }
    }
}

/// How many recovery codes are left.
#[derive(Serialize, ToSchema)]
#[schema(as = RecoveryCodesLeft)]
struct CodesLeftRead {
    #[schema(example = 7)]
    left: usize,
    #[schema(format = "date-time")]
    made_at: String,
}

impl From<RecoveryCodesLeft> for CodesLeftRead {
    fn from(codes: RecoveryCodesLeft) -> Self {
        Self {
            left: codes.left,
            made_at: utc(codes.made_at),
        }
    }
}

/// All second factors of a user.
#[derive(Serialize, ToSchema)]
pub(crate) struct FactorList<'a> {
    factors: Vec<FactorRead<'a>>,
    /// Null for a user who never had any.
    recovery_codes: Option<CodesLeftRead>,
}

impl<'a> From<&'a Factors> for FactorList<'a> {
    fn from(factors: &'a Factors) -> Self {
        Self {
            factors: factors.confirmed.iter().map(FactorRead::from).collect(),
            recovery_codes: factors.recovery_codes.map(CodesLeftRead::from),
        }
    }
}

/// A new authenticator app.
#[derive(ToSchema)]
#[schema(as = FactorCreate)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct NewFactorRequest {
    /// Always `totp`.
    #[schema(example = "totp")]
    kind: String,
    /// A name for you to recognise it, shortened to 100 characters.
    #[schema(nullable = false, example = "Phone")]
    name: Option<String>,
    /// Your password; not required within 15 minutes of a sign-in.
    #[schema(nullable = false, format = "password", example = "correct-horse-9!")]
    current_password: Option<String>,
}

/// A parsed [`NewFactorRequest`].
pub(crate) struct NewFactorInput {
    kind: Field<String>,
    name: Field<Option<String>>,
    current_password: Field<Option<SecretString>>,
}

impl FromMembers for NewFactorInput {
    const REQUIRES_HASH: bool = false;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&["kind", "name", "current_password"])?;
        Ok(Self {
            kind: members.text("kind").and_then(|kind| match kind.as_str() {
                "totp" => Ok(kind),
                _ => Err(FieldError::new("kind", InvalidField::UnknownFactor).with_value(kind)),
            }),
            name: members.optional_text("name"),
            current_password: members.optional_secret("current_password"),
        })
    }
}

impl NewFactorInput {
    fn check(self) -> Result<(Option<String>, Option<SecretString>), DomainError> {
        let mut errors = ErrorCollector::new();
        let kind = errors.take(self.kind);
        let name = errors.take(self.name);
        let password = errors.take(self.current_password);
        match (kind, name, password) {
            (Some(_), Some(name), Some(password)) => Ok((name, password)),
            _ => Err(errors.into()),
        }
    }
}

/// An authenticator app to confirm, with its seed.
#[derive(Serialize, ToSchema)]
#[schema(as = FactorCreated)]
pub(crate) struct FactorCreated<'a> {
    #[schema(example = 3)]
    id: i64,
    /// The seed in base32, to type it in; shown only once.
    #[schema(example = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")]
    secret: &'a str,
    /// The seed for an app on the same device.
    otpauth_uri: &'a str,
    /// The same as a picture in SVG, to scan.
    qr_svg: &'a str,
}

impl<'a> From<&'a NewTotp> for FactorCreated<'a> {
    fn from(new: &'a NewTotp) -> Self {
        Self {
            id: new.id,
            secret: &new.secret,
            otpauth_uri: &new.uri,
            qr_svg: &new.qr_svg,
        }
    }
}

/// The code of a new authenticator app.
#[derive(ToSchema)]
#[schema(as = FactorConfirm)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct ConfirmRequest {
    /// The code that the app shows: a text, which may begin with zeros.
    #[schema(format = "password", example = "287082")]
    otp: String,
    /// Whether the other sessions end.
    #[schema(nullable = false, default = false)]
    end_other_sessions: Option<bool>,
}

/// A parsed [`ConfirmRequest`].
pub(crate) struct ConfirmInput {
    otp: Field<OtpCode>,
    ends_others: Field<Option<bool>>,
}

impl FromMembers for ConfirmInput {
    const REQUIRES_HASH: bool = true;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&["otp", "end_other_sessions"])?;
        Ok(Self {
            otp: members.secret("otp").and_then(|typed| {
                OtpCode::parse(typed.expose_secret())
                    .ok_or_else(|| FieldError::new("otp", InvalidField::NoCode))
            }),
            ends_others: members.optional("end_other_sessions", FieldType::Boolean),
        })
    }
}

impl ConfirmInput {
    fn check(self) -> Result<(OtpCode, bool), DomainError> {
        let mut errors = ErrorCollector::new();
        match (errors.take(self.otp), errors.take(self.ends_others)) {
            (Some(otp), Some(ends_others)) => Ok((otp, ends_others.unwrap_or(false))),
            _ => Err(errors.into()),
        }
    }
}

/// A factor that counts from now on.
#[derive(Serialize, ToSchema)]
#[schema(as = FactorConfirmed)]
pub(crate) struct FactorConfirmed {
    #[schema(example = 3)]
    id: i64,
    /// Ten codes for a user without the app, each for one sign-in; only with the first factor, and shown only
    /// once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    recovery_codes: Option<Vec<String>>,
}

impl From<ConfirmedFactor> for FactorConfirmed {
    fn from(confirmed: ConfirmedFactor) -> Self {
        let codes = confirmed.recovery_codes;
        Self {
            id: confirmed.id,
            recovery_codes: codes.map(|codes| codes.iter().map(RecoveryCode::show).collect()),
        }
    }
}

/// The password of a user who changes second factors.
#[derive(ToSchema)]
#[schema(as = FactorProof)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct ProofRequest {
    /// Your password; not required within 15 minutes of a sign-in.
    #[schema(nullable = false, format = "password", example = "correct-horse-9!")]
    current_password: Option<String>,
}

/// A parsed [`ProofRequest`].
pub(crate) struct ProofOfPassword(Field<Option<SecretString>>);

impl FromMembers for ProofOfPassword {
    const REQUIRES_HASH: bool = false;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&["current_password"])?;
        Ok(Self(members.optional_secret("current_password")))
    }
}

/// New recovery codes.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecoveryCodesCreated {
    /// Ten codes, each for one sign-in; shown only once.
    recovery_codes: Vec<String>,
}

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

/// Add an authenticator app
///
/// It counts once it is confirmed, within 10 minutes. Requires the password, or a sign-in with it in the
/// last 15 minutes; and for a user who has a second factor, a sign-in with it.
#[utoipa::path(
    post,
    path = "/users/me/factors",
    tag = "second factors",
    operation_id = "create_factor",
    security(("OAuth2PasswordBearer" = [])),
    request_body = NewFactorRequest,
    responses(
        (status = 201, description = "The seed of the app", body = FactorCreated),
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
    caller: SignedIn,
    context: AuditContext,
    input: JsonBody<NewFactorInput>,
) -> Result<HttpResponse, Error> {
    let context = context.by_owner(&caller);
    let (name, password) = input.0.check()?;
    let new = auth
        .begin_totp(&context, caller.principal(), Ok(name), password)
        .await?;
    Ok(HttpResponse::Created().json(FactorCreated::from(&new)))
}

/// Confirm an authenticator app
///
/// From now on a sign-in asks for it. The code does not count again.
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
        error_responses::UnreadableRequest,
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
    caller: SignedIn,
    context: AuditContext,
    input: JsonBody<ConfirmInput>,
) -> Result<HttpResponse, Error> {
    let context = context.by_owner(&caller);
    let id = path_id(&request)?;
    let (otp, ends_others) = input.0.check()?;
    let confirmed = auth
        .confirm_totp(&context, caller.principal(), id, &otp, ends_others)
        .await?;
    Ok(HttpResponse::Ok().json(FactorConfirmed::from(confirmed)))
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
    caller: SignedIn,
    context: AuditContext,
    input: JsonBody<ProofOfPassword>,
) -> Result<HttpResponse, Error> {
    let context = context.by_owner(&caller);
    let id = path_id(&request)?;
    let password = input.0.0.map_err(DomainError::from)?;
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
    caller: SignedIn,
    context: AuditContext,
    input: JsonBody<ProofOfPassword>,
) -> Result<HttpResponse, Error> {
    let context = context.by_owner(&caller);
    let password = input.0.0.map_err(DomainError::from)?;
    let codes = auth
        .replace_recovery_codes(&context, caller.principal(), password)
        .await?;
    let recovery_codes = codes.iter().map(RecoveryCode::show).collect();
    Ok(HttpResponse::Ok().json(RecoveryCodesCreated { recovery_codes }))
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
pub(crate) async fn reset(
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
pub(crate) async fn reset_one(
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

//! Signed-in users show once more who they are.

use actix_web::HttpResponse;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use utoipa::ToSchema;

use super::token::{TokenResponse, signed_in};
use crate::auth::{AuditContext, Auth, FactorInput, Field, PasskeyAnswer, Proof};
use crate::credential::recovery_code::RecoveryCode;
use crate::credential::totp::OtpCode;
use crate::error::{Error as DomainError, ErrorCollector, FieldError, InvalidField};
use crate::guards::SignedIn;
use crate::http::body::json::{FromMembers, JsonBody, Members};
use crate::http::error_responses;
use crate::http::extractors::Admitted;
use crate::http::request_error::Error;

/// What the user shows: the password, a code or a passkey, or the password and one of the others.
#[derive(ToSchema)]
#[schema(as = Reauthenticate)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct RenewalRequest {
    #[schema(nullable = false, format = "password", example = "correct-horse-9!")]
    password: Option<String>,
    /// The code of an authenticator app.
    #[schema(nullable = false, format = "password", example = "287082")]
    otp: Option<String>,
    /// In place of `otp`.
    #[schema(nullable = false, format = "password", example = "3-ABCDE-FGHJK")]
    recovery_code: Option<String>,
    /// In place of `otp`: what `/users/me/reauthenticate/options` has returned; with `credential`.
    #[schema(nullable = false, example = "")]
    challenge_id: Option<String>,
    /// What `navigator.credentials.get` has returned, by its `toJSON()`.
    #[schema(nullable = false, value_type = Option<Object>)]
    credential: Option<Value>,
}

/// A parsed [`RenewalRequest`].
pub(crate) struct RenewalInput {
    password: Field<Option<SecretString>>,
    otp: Field<Option<OtpCode>>,
    recovery_code: Field<Option<RecoveryCode>>,
    challenge_id: Field<Option<SecretString>>,
    credential: Field<Option<SecretString>>,
}

impl FromMembers for RenewalInput {
    const REQUIRES_HASH: bool = false;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&[
            "password",
            "otp",
            "recovery_code",
            "challenge_id",
            "credential",
        ])?;
        Ok(Self {
            password: members.optional_secret("password"),
            otp: code(members, "otp", OtpCode::parse, InvalidField::NoCode),
            recovery_code: code(
                members,
                "recovery_code",
                RecoveryCode::parse,
                InvalidField::NoRecoveryCode,
            ),
            challenge_id: members.optional_secret("challenge_id"),
            credential: members.optional_object("credential"),
        })
    }
}

/// The code in a field. A malformed one costs no try.
fn code<T>(
    members: &Members,
    field: &'static str,
    parse: impl Fn(&str) -> Option<T>,
    reason: InvalidField,
) -> Field<Option<T>> {
    match members.optional_secret(field)? {
        Some(typed) => match parse(typed.expose_secret()) {
            Some(code) => Ok(Some(code)),
            None => Err(FieldError::new(field, reason)),
        },
        None => Ok(None),
    }
}

impl RenewalInput {
    fn check(self) -> Result<Proof, DomainError> {
        let mut errors = ErrorCollector::new();
        let password = errors.take(self.password);
        let otp = errors.take(self.otp);
        let recovery_code = errors.take(self.recovery_code);
        let passkey = errors.take(passkey(self.challenge_id, self.credential));
        let (Some(password), Some(otp), Some(recovery_code), Some(passkey)) =
            (password, otp, recovery_code, passkey)
        else {
            return Err(errors.into());
        };
        let shown = [
            ("otp", otp.map(FactorInput::Otp)),
            (
                "recovery_code",
                recovery_code.map(FactorInput::RecoveryCode),
            ),
            ("credential", passkey.map(FactorInput::Passkey)),
        ];
        let mut shown = shown
            .into_iter()
            .filter_map(|(field, input)| Some((field, input?)));
        let factor = shown.next().map(|(_, input)| input);
        if let Some((field, _)) = shown.next() {
            return Err(FieldError::new(field, InvalidField::SecondProof).into());
        }
        match (&password, &factor) {
            (None, None) => Err(FieldError::new("password", InvalidField::Missing).into()),
            _ => Ok(Proof { password, factor }),
        }
    }
}

/// What a browser has signed, with what it was asked.
fn passkey(
    challenge_id: Field<Option<SecretString>>,
    credential: Field<Option<SecretString>>,
) -> Field<Option<PasskeyAnswer>> {
    match (challenge_id?, credential?) {
        (Some(challenge_id), Some(credential)) => Ok(Some(PasskeyAnswer {
            challenge_id,
            credential,
        })),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(FieldError::new("challenge_id", InvalidField::Missing)),
        (Some(_), None) => Err(FieldError::new("credential", InvalidField::Missing)),
    }
}

/// Authenticate again
///
/// For a change that requires a recent sign-in, and to answer the challenge
/// `insufficient_user_authentication` (RFC 9470). The session goes on with a new access token, whose time of
/// authentication is now; with a code or a passkey, it counts as one with a second factor. The presented token ends. A refresh
/// token stays.
#[utoipa::path(
    post,
    path = "/users/me/reauthenticate",
    tag = "sign-in",
    operation_id = "reauthenticate",
    security(("OAuth2PasswordBearer" = [])),
    request_body = RenewalRequest,
    responses(
        (status = 200, description = "A new access token of the session", body = TokenResponse),
        error_responses::UnreadableRequest,
        error_responses::NotAuthenticated,
        error_responses::ProofRefused,
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn reauthenticate(
    auth: Auth,
    context: AuditContext,
    Admitted(caller, input): Admitted<SignedIn, JsonBody<RenewalInput>>,
) -> Result<HttpResponse, Error> {
    let context = context.by_owner(&caller);
    let proof = input.0.check()?;
    // Boxed, or every connection that is still reading its body would reserve the space.
    let renewed = Box::pin(auth.renew_session(&context, caller.principal(), proof)).await?;
    Ok(signed_in(&auth, &renewed.token))
}

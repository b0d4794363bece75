//! Passkeys: what browsers are asked to sign, and where.

use actix_web::HttpResponse;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::auth::{AuditContext, Auth, Field, PasskeyOptions};
use crate::guards::SignedIn;
use crate::http::body::json::{FromMembers, JsonBody, Members};
use crate::http::error_responses;
use crate::http::extractors::Admitted;
use crate::http::request_error::{Error, RequestError};

/// What a browser is asked to sign.
#[derive(Serialize, ToSchema)]
#[schema(as = PasskeyOptions)]
pub(crate) struct OptionsRead<'a> {
    /// 43 characters, to send back with the signature.
    #[schema(example = "Q2hhbmdlIG1lLCBJIGFtIG9ubHkgYW4gZXhhbXBsZSE")]
    challenge_id: &'a str,
    /// What `navigator.credentials.get` takes, with bytes in URL-safe base64
    /// (`PublicKeyCredential.parseRequestOptionsFromJSON`).
    #[serde(rename = "publicKey")]
    #[schema(value_type = Object)]
    public_key: &'a Value,
    /// Seconds.
    #[schema(example = 300)]
    expires_in: i64,
}

impl<'a> From<&'a PasskeyOptions> for OptionsRead<'a> {
    fn from(options: &'a PasskeyOptions) -> Self {
        Self {
            challenge_id: options.challenge_id.expose(),
            public_key: &options.public_key,
            expires_in: options.lifetime.num_seconds(),
        }
    }
}

/// A sign-in that waits for its second factor.
#[derive(ToSchema)]
#[schema(as = SecondFactorOptions)]
#[expect(dead_code, reason = "describes the body for the OpenAPI document")]
pub(crate) struct SecondOptionsRequest {
    /// What the 403 `mfa_required` has returned.
    #[schema(format = "password", example = "")]
    mfa_token: String,
}

/// A parsed [`SecondOptionsRequest`].
pub(crate) struct SecondOptionsInput(Field<SecretString>);

impl FromMembers for SecondOptionsInput {
    const REQUIRES_HASH: bool = false;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&["mfa_token"])?;
        Ok(Self(members.secret("mfa_token")))
    }
}

/// Nothing: an empty object.
pub(crate) struct NoInput;

impl FromMembers for NoInput {
    const REQUIRES_HASH: bool = false;

    fn from_members(members: &Members) -> Result<Self, Error> {
        members.only(&[])?;
        Ok(Self)
    }
}

/// Ask for a passkey as the second factor
///
/// The browser signs what this returns, and the signature goes to `/token` with the grant
/// `urn:tokenhouse:grant-type:mfa-webauthn`. It counts once.
#[utoipa::path(
    post,
    path = "/mfa/webauthn/options",
    tag = "sign-in",
    operation_id = "ask_for_second_passkey",
    request_body = SecondOptionsRequest,
    responses(
        (status = 200, description = "What to sign", body = OptionsRead),
        error_responses::BadMfaToken,
        error_responses::NotFound,
        error_responses::FactorConflict,
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn second_options(
    auth: Auth,
    context: AuditContext,
    input: JsonBody<SecondOptionsInput>,
) -> Result<HttpResponse, Error> {
    let token = input.0.0.map_err(crate::error::Error::from)?;
    let options = auth.ask_for_second_passkey(&context, token.expose_secret());
    let options = Box::pin(options).await?;
    Ok(HttpResponse::Ok().json(OptionsRead::from(&options)))
}

/// Ask for a passkey in place of a password
///
/// The browser signs what this returns, and the signature goes to `/token` with the grant
/// `urn:tokenhouse:grant-type:passkey`. It counts once.
#[utoipa::path(
    post,
    path = "/passkeys/options",
    tag = "sign-in",
    operation_id = "ask_for_passkey",
    request_body(content = Object, description = "An empty object"),
    responses(
        (status = 200, description = "What to sign", body = OptionsRead),
        error_responses::UnreadableBody,
        error_responses::FactorConflict,
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn options(
    auth: Auth,
    context: AuditContext,
    _input: JsonBody<NoInput>,
) -> Result<HttpResponse, Error> {
    let options = Box::pin(auth.ask_for_passkey(&context)).await?;
    Ok(HttpResponse::Ok().json(OptionsRead::from(&options)))
}

/// Ask for a passkey again
///
/// The browser signs what this returns, and the signature goes to `/users/me/reauthenticate`. It counts once, for
/// the session of the token.
#[utoipa::path(
    post,
    path = "/users/me/reauthenticate/options",
    tag = "sign-in",
    operation_id = "ask_for_passkey_again",
    security(("OAuth2PasswordBearer" = [])),
    request_body(content = Object, description = "An empty object"),
    responses(
        (status = 200, description = "What to sign", body = OptionsRead),
        error_responses::UnreadableRequest,
        error_responses::NotAuthenticated,
        error_responses::LoginTokenRequired,
        error_responses::NotFound,
        error_responses::FactorConflict,
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::InvalidBody,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn options_of_user(
    auth: Auth,
    context: AuditContext,
    Admitted(caller, _input): Admitted<SignedIn, JsonBody<NoInput>>,
) -> Result<HttpResponse, Error> {
    let context = context.by_owner(&caller);
    let options = auth.ask_for_passkey_again(&context, caller.principal());
    let options = Box::pin(options).await?;
    Ok(HttpResponse::Ok().json(OptionsRead::from(&options)))
}

/// On which origins the passkeys of this service work.
#[derive(Serialize, ToSchema)]
pub(crate) struct RelatedOrigins<'a> {
    origins: &'a [String],
}

/// The other origins on which passkeys work
///
/// For browsers (section 5.11 of `WebAuthn`). 404 without `TOKENHOUSE_PASSKEY_ORIGINS`.
#[utoipa::path(
    get,
    path = "/.well-known/webauthn",
    tag = "sign-in",
    operation_id = "read_related_origins",
    responses(
        (status = 200, description = "The origins", body = RelatedOrigins),
        error_responses::NotFound,
    )
)]
pub(crate) async fn related_origins(auth: Auth) -> Result<HttpResponse, Error> {
    let passkeys = auth.config().factors.passkeys.as_ref();
    let passkeys = passkeys.filter(|passkeys| !passkeys.related_origins().is_empty());
    let passkeys = passkeys.ok_or(RequestError::NotFound)?;
    Ok(HttpResponse::Ok().json(RelatedOrigins {
        origins: &passkeys.origins,
    }))
}

//! Signing in and out.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{
    AuditContext, Auth, Device, FactorInput, IssuedToken, PasskeyAnswer, PendingSignIn, SecondStep,
    SignIn, SignInKind, SignInStep,
};
use crate::config::RefreshMode;
use crate::credential::recovery_code::RecoveryCode;
use crate::credential::totp::OtpCode;
use crate::error::{Error as DomainError, ErrorCollector, FieldError, FieldType, InvalidField};
use crate::guards::SignedIn;
use crate::http::body::form::{Fields, FormBody, FromFields};
use crate::http::body::query::Query;
use crate::http::error_details::ErrorDetails;
use crate::http::error_responses;
use crate::http::request_error::{Error, RequestError};

/// The password form of OAuth2 (RFC 6749 section 4.3.2), or its refresh form (section 6).
#[derive(ToSchema)]
#[schema(as = Body_create_token_token_post)]
#[expect(dead_code, reason = "describes the form for the OpenAPI document")]
pub(crate) struct TokenRequest {
    /// Defaults to `password` when it is missing or empty.
    #[schema(
        nullable = false,
        pattern = "^(password|refresh_token|(urn:tokenhouse:|http://auth0.com/oauth/)grant-type[:/]mfa-(otp|recovery-code|enrollment)|urn:tokenhouse:grant-type:(mfa-webauthn|passkey))?$",
        example = "password"
    )]
    grant_type: Option<String>,
    /// The e-mail address, in any spelling; required for `password`.
    #[schema(min_length = 1, example = "andres@example.com")]
    username: String,
    /// Required for `password`.
    #[schema(format = "password", min_length = 1, example = "correct-horse-9!")]
    password: String,
    /// Required for `refresh_token`.
    #[schema(nullable = false, format = "password", example = "")]
    refresh_token: Option<String>,
    /// What the 403 `mfa_required` or `mfa_enrollment_required` has returned; required for the grants of second
    /// factors.
    #[schema(nullable = false, format = "password", example = "")]
    mfa_token: Option<String>,
    /// The code of the authenticator app, for `…:mfa-otp`, or together with the password.
    #[schema(nullable = false, format = "password", example = "")]
    otp: Option<String>,
    /// For `…:mfa-recovery-code`.
    #[schema(nullable = false, format = "password", example = "")]
    recovery_code: Option<String>,
    /// Whether this device is trusted from now on, so that its next sign-ins need no code; for the grants with
    /// a code.
    #[schema(nullable = false, default = false)]
    remember_device: Option<bool>,
    /// What a trusted device got, together with the password, in place of a code.
    #[schema(nullable = false, format = "password", example = "")]
    device_token: Option<String>,
    /// What the options for a passkey have returned; required for `…:mfa-webauthn` and `…:passkey`.
    #[schema(nullable = false, example = "")]
    challenge_id: Option<String>,
    /// What `navigator.credentials.get` has returned, as JSON; required for the same.
    #[schema(nullable = false, format = "password", example = "")]
    credential: Option<String>,
    /// The scopes of the token, separated by spaces; all of the user's when empty, and of the session's
    /// for `refresh_token`. A scope that the user does not hold is refused. With `offline_access`, the
    /// answer has a refresh token, and the access token is short-lived.
    // Empty, as Swagger UI sends "string" for a field without an example.
    #[schema(nullable = false, example = "")]
    scope: Option<String>,
    /// Accepted for clients that send it, and ignored.
    #[schema(nullable = false, example = "")]
    client_id: Option<String>,
    /// Accepted for clients that send it, and ignored.
    #[schema(nullable = false, format = "password", example = "")]
    client_secret: Option<String>,
    /// An id that the device has chosen: a sign-in with the same one replaces its session.
    #[schema(nullable = false, max_length = 200, example = "")]
    device_id: Option<String>,
    /// How the user recognises the device, shortened to 100 characters.
    #[schema(nullable = false, example = "")]
    device_name: Option<String>,
}

/// The parameters of [`TokenRequest`], which must not be repeated.
const PARAMETERS: [&str; 16] = [
    "grant_type",
    "username",
    "password",
    "refresh_token",
    "mfa_token",
    "otp",
    "recovery_code",
    "remember_device",
    "device_token",
    "challenge_id",
    "credential",
    "scope",
    "client_id",
    "client_secret",
    "device_id",
    "device_name",
];

/// What the body of a refresh contains, unless it is written in an unusual way.
const REFRESH_GRANT: &[u8] = b"grant_type=refresh_token";

/// What the body of the second step with a code contains, with a passkey, or after an enrolment, which need no
/// hash either.
const OTP_GRANT: &[u8] = b"mfa-otp&";
const ENROLMENT_GRANT: &[u8] = b"mfa-enrollment&";
const WEBAUTHN_GRANT: &[u8] = b"mfa-webauthn&";
const PASSKEY_GRANT: &[u8] = b"grant-type%3Apasskey&";

/// The grants of second factors, and of passkeys alone: ours, and those of Auth0, which many clients know.
const FACTOR_GRANTS: [(&str, Grant); 7] = [
    (
        "urn:tokenhouse:grant-type:mfa-webauthn",
        Grant::SecondPasskey,
    ),
    ("urn:tokenhouse:grant-type:passkey", Grant::Passkey),
    ("urn:tokenhouse:grant-type:mfa-otp", Grant::Otp),
    ("http://auth0.com/oauth/grant-type/mfa-otp", Grant::Otp),
    (
        "urn:tokenhouse:grant-type:mfa-recovery-code",
        Grant::RecoveryCode,
    ),
    (
        "http://auth0.com/oauth/grant-type/mfa-recovery-code",
        Grant::RecoveryCode,
    ),
    ("urn:tokenhouse:grant-type:mfa-enrollment", Grant::Enrolment),
];

/// A parsed [`TokenRequest`].
pub(crate) enum TokenForm {
    /// FastAPI's `OAuth2PasswordRequestForm`.
    Password(SignIn),
    /// RFC 6749 section 6.
    Refresh {
        token: SecretString,
        scope: Option<String>,
    },
    /// The second step of a sign-in.
    Factor {
        token: SecretString,
        input: FactorInput,
        remembers_device: bool,
    },
    /// The last step of a sign-in whose user has added a second factor.
    Enrolled { token: SecretString },
    /// A sign-in with a passkey alone. Only scopes and device are set.
    Passkey(PasskeyAnswer, SignIn),
}

impl FromFields for TokenForm {
    /// A refresh needs none, nor does a code or passkey: a flood of sign-ins must not sign out those who are
    /// signed in. A password in such a body is refused later.
    fn requires_hash(body: &[u8]) -> bool {
        let has = |grant: &[u8]| body.windows(grant.len()).any(|part| part == grant);
        let grants = [
            REFRESH_GRANT,
            OTP_GRANT,
            ENROLMENT_GRANT,
            WEBAUTHN_GRANT,
            PASSKEY_GRANT,
        ];
        !grants.into_iter().any(has)
    }

    /// Reports every invalid field.
    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        fields.refuse_repeated(&PARAMETERS)?;
        let mut errors = ErrorCollector::new();
        let grant = errors.take(check_grant_type(&mut fields));
        if grant == Some(Grant::Refresh) {
            let token = errors.take(fields.required("refresh_token").map(SecretString::from));
            let scope = errors.take(fields.optional("scope"));
            return match (token, scope) {
                (Some(token), Some(scope)) => Ok(Self::Refresh { token, scope }),
                _ => Err(RequestError::InvalidForm(errors.into())),
            };
        }
        if let Some(grant @ (Grant::Otp | Grant::RecoveryCode | Grant::SecondPasskey)) = grant {
            let token = errors.take(fields.required("mfa_token").map(SecretString::from));
            let input = errors.take(factor_input(grant, &mut fields));
            let remembers = errors.take(remembers_device(&mut fields));
            return match (token, input, remembers) {
                (Some(token), Some(input), Some(remembers_device)) => Ok(Self::Factor {
                    token,
                    input,
                    remembers_device,
                }),
                _ => Err(RequestError::InvalidForm(errors.into())),
            };
        }
        if grant == Some(Grant::Enrolment) {
            let token = errors.take(fields.required("mfa_token").map(SecretString::from));
            let token = token.ok_or_else(|| RequestError::InvalidForm(errors.into()))?;
            return Ok(Self::Enrolled { token });
        }
        let (name, password, answer) = match grant {
            Some(Grant::Passkey) => {
                let answer = errors.take(passkey_answer(&mut fields));
                (Some(String::new()), Some(SecretString::default()), answer)
            }
            _ => (
                errors.take(fields.required("username")),
                errors.take(fields.required("password").map(SecretString::from)),
                None,
            ),
        };
        let scope = errors.take(fields.optional("scope"));
        let device_id = errors.take(fields.optional("device_id"));
        let device_name = errors.take(fields.optional("device_name"));
        let otp = errors.take(optional_otp(&mut fields));
        let device_token = errors.take(fields.optional("device_token"));
        let (
            (Some(grant), Some(name), Some(password), Some(scope)),
            (Some(id), Some(device_name), Some(otp), Some(device_token)),
        ) = (
            (grant, name, password, scope),
            (device_id, device_name, otp, device_token),
        )
        else {
            return Err(RequestError::InvalidForm(errors.into()));
        };
        let request = SignIn {
            name,
            password,
            scope,
            device: Device {
                id,
                name: device_name,
            },
            kind: SignInKind::Client,
            otp,
            device_token: device_token.map(SecretString::from),
        };
        match (grant, answer) {
            (Grant::Passkey, Some(answer)) => Ok(Self::Passkey(answer, request)),
            (Grant::Passkey, None) => Err(RequestError::InvalidForm(errors.into())),
            _ => Ok(Self::Password(request)),
        }
    }
}

/// The code of a second step. A malformed one costs no try.
fn factor_input(grant: Grant, fields: &mut Fields) -> Result<FactorInput, ErrorDetails> {
    let (field, reason) = match grant {
        Grant::RecoveryCode => ("recovery_code", InvalidField::NoRecoveryCode),
        _ => ("otp", InvalidField::NoCode),
    };
    if grant == Grant::SecondPasskey {
        return passkey_answer(fields).map(FactorInput::Passkey);
    }
    let typed = Zeroizing::new(fields.required(field)?);
    let input = match grant {
        Grant::RecoveryCode => RecoveryCode::parse(&typed).map(FactorInput::RecoveryCode),
        _ => OtpCode::parse(&typed).map(FactorInput::Otp),
    };
    input.ok_or_else(|| ErrorDetails::from(&FieldError::new(field, reason)))
}

/// Whether the device is trusted from now on.
fn remembers_device(fields: &mut Fields) -> Result<bool, ErrorDetails> {
    match fields.optional("remember_device")?.as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => {
            let error = FieldError::new(
                "remember_device",
                InvalidField::WrongType(FieldType::Boolean),
            );
            Err(ErrorDetails::from(&error))
        }
    }
}

/// What a browser has signed with a passkey.
fn passkey_answer(fields: &mut Fields) -> Result<PasskeyAnswer, ErrorDetails> {
    Ok(PasskeyAnswer {
        challenge_id: fields.required("challenge_id")?.into(),
        credential: fields.required("credential")?.into(),
    })
}

/// The code beside the password.
fn optional_otp(fields: &mut Fields) -> Result<Option<SecretString>, ErrorDetails> {
    match fields.optional("otp")? {
        Some(typed) if OtpCode::parse(&typed).is_none() => Err(ErrorDetails::from(
            &FieldError::new("otp", InvalidField::NoCode),
        )),
        typed => Ok(typed.map(SecretString::from)),
    }
}

/// How a client proves who the user is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Grant {
    Password,
    Refresh,
    Otp,
    RecoveryCode,
    Enrolment,
    SecondPasskey,
    Passkey,
}

fn check_grant_type(fields: &mut Fields) -> Result<Grant, ErrorDetails> {
    match fields.optional("grant_type")? {
        Some(grant) if grant == "refresh_token" => Ok(Grant::Refresh),
        Some(grant) if grant != "password" => {
            let known = FACTOR_GRANTS.into_iter().find(|(name, _)| *name == grant);
            known
                .map(|(_, grant)| grant)
                .ok_or_else(|| unknown_grant(grant))
        }
        _ => Ok(Grant::Password),
    }
}

fn unknown_grant(grant: String) -> ErrorDetails {
    let message = "String should match pattern '^password$'";
    let error = ErrorDetails::new("grant_type", "string_pattern_mismatch", message);
    error.with_input(grant).with("pattern", "^password$")
}

/// A successful sign-in (RFC 6749 section 5.1).
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenResponse<'a> {
    /// 43 characters; shown only once.
    #[schema(example = "Q2hhbmdlIG1lLCBJIGFtIG9ubHkgYW4gZXhhbXBsZSE")]
    access_token: &'a str,
    /// Always `bearer`.
    #[schema(example = "bearer")]
    token_type: &'static str,
    /// Seconds.
    #[schema(example = 86_400)]
    expires_in: i64,
    /// What the token allows, separated by spaces.
    #[schema(example = "")]
    scope: &'a str,
    /// The id of the session; only if a user may have several.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 12)]
    session_id: Option<i64>,
    /// 84 characters; only for a session with refresh tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "")]
    refresh_token: Option<&'a str>,
    /// Until the session ends, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 2_592_000)]
    refresh_expires_in: Option<i64>,
    /// 47 characters, to send with the password in place of a code; only with `remember_device`, and shown only
    /// once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "")]
    device_token: Option<&'a str>,
    /// Until the device is trusted no longer, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 2_592_000)]
    device_expires_in: Option<i64>,
}

/// The password is right, and a second factor is missing (as Auth0 answers it), or has to be added first.
#[derive(Serialize, ToSchema)]
pub(crate) struct MfaRequired<'a> {
    #[schema(example = "Second factor required")]
    detail: &'static str,
    /// `mfa_required` or `mfa_enrollment_required`.
    #[schema(example = "mfa_required")]
    error: &'static str,
    error_description: &'static str,
    /// 47 characters, to send back with a code; or with which to add a factor.
    mfa_token: &'a str,
    /// Seconds.
    #[schema(example = 300)]
    expires_in: i64,
    /// What it takes: `totp`, `webauthn`, `recovery_code`; or the kinds of factors that may be added.
    methods: &'a [&'static str],
}

impl<'a> MfaRequired<'a> {
    fn code(pending: &'a PendingSignIn) -> Self {
        Self {
            detail: "Second factor required",
            error: "mfa_required",
            error_description: "The password is right: send mfa_token with a code of a second factor",
            mfa_token: pending.secret.expose(),
            expires_in: pending.lifetime.num_seconds(),
            methods: &pending.methods,
        }
    }

    fn enrolment(pending: &'a PendingSignIn) -> Self {
        Self {
            detail: "A second factor has to be added",
            error: "mfa_enrollment_required",
            error_description: "The password is right: add a second factor at /users/me/factors with \
                mfa_token as the bearer token",
            ..Self::code(pending)
        }
    }
}

/// Sign in
///
/// Begins a session with a new access token for the OAuth2 password form. It replaces the session of
/// the same `device_id`; beyond the number of sessions that the settings allow, which may be one, the
/// session that was unused longest ends.
#[utoipa::path(
    post,
    path = "/token",
    tag = "sign-in",
    operation_id = "create_token",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "A new access token", body = TokenResponse),
        error_responses::BadForm,
        error_responses::BadCredentials,
        (
            status = 403,
            description = "A second factor is required (`mfa_required`), has to be added first \
                (`mfa_enrollment_required`), or its code is wrong (`invalid_otp`)",
            body = MfaRequired,
        ),
        error_responses::BodyTimeout,
        error_responses::BodyTooLarge,
        error_responses::InvalidForm,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn create_token(
    auth: Auth,
    context: AuditContext,
    form: Result<FormBody<TokenForm>, Error>,
) -> Result<HttpResponse, Error> {
    let issued = match issue(&auth, &context, form).await {
        Ok(SignInStep::Done(issued)) => issued,
        Ok(SignInStep::SecondFactor(pending)) => {
            return Ok(unfinished(&MfaRequired::code(&pending)));
        }
        Ok(SignInStep::Enrolment(pending)) => {
            return Ok(unfinished(&MfaRequired::enrolment(&pending)));
        }
        Err(error) if auth.config().oauth_strict_status => return with_strict_status(error),
        Err(error) => return Err(error),
    };
    Ok(signed_in(&auth, &issued))
}

/// The response with a new access token.
pub(super) fn signed_in(auth: &Auth, issued: &IssuedToken) -> HttpResponse {
    let (refresh, device) = (issued.refresh.as_ref(), issued.device.as_ref());
    let is_shown = auth.config().sessions.per_user > 1 || refresh.is_some();
    HttpResponse::Ok()
        // HTTP/1.0's no-store, which RFC 6749 section 5.1 requires as well.
        .insert_header((header::PRAGMA, "no-cache"))
        .json(TokenResponse {
            access_token: issued.secret.expose(),
            token_type: "bearer",
            expires_in: issued.lifetime.num_seconds(),
            scope: &issued.scopes,
            session_id: is_shown.then_some(issued.session_id),
            refresh_token: refresh.map(|refresh| refresh.token.expose()),
            refresh_expires_in: refresh.map(|refresh| refresh.lifetime.num_seconds()),
            device_token: device.map(|device| device.secret.expose()),
            device_expires_in: device.map(|device| device.lifetime.num_seconds()),
        })
}

fn unfinished(body: &MfaRequired<'_>) -> HttpResponse {
    let mut response = HttpResponse::Forbidden();
    response
        .insert_header((header::PRAGMA, "no-cache"))
        .json(body)
}

async fn issue(
    auth: &Auth,
    context: &AuditContext,
    form: Result<FormBody<TokenForm>, Error>,
) -> Result<SignInStep, Error> {
    let FormBody(form) = form?;
    // Boxed, or every connection that is still reading its form would reserve the space.
    let issued = match form {
        TokenForm::Password(request) => {
            return Ok(Box::pin(auth.sign_in(context, request)).await?);
        }
        TokenForm::Factor {
            token,
            input,
            remembers_device,
        } => {
            let step = SecondStep {
                token: token.expose_secret(),
                input: &input,
                is_browser: false,
                remembers_device,
            };
            Box::pin(auth.continue_sign_in(context, step)).await
        }
        TokenForm::Enrolled { token } => {
            let token = token.expose_secret();
            Box::pin(auth.finish_enrolment(context, token, false)).await
        }
        TokenForm::Passkey(answer, request) => {
            Box::pin(auth.sign_in_with_passkey(context, &answer, &request)).await
        }
        TokenForm::Refresh { .. } if auth.config().sessions.refresh == RefreshMode::Off => {
            let error = unknown_grant("refresh_token".to_owned());
            return Err(RequestError::InvalidForm(vec![error]).into());
        }
        TokenForm::Refresh { token, scope } => {
            let token = token.expose_secret();
            Box::pin(auth.refresh(context, token, scope.as_deref())).await
        }
    };
    Ok(SignInStep::Done(issued?))
}

/// The status 400 of RFC 6749 section 5.2, where FastAPI responds with 401 or 422.
fn with_strict_status(error: Error) -> Result<HttpResponse, Error> {
    match &error {
        Error::Domain(DomainError::BadCredentials)
        | Error::Request(RequestError::InvalidForm(_)) => {
            Ok(HttpResponse::BadRequest().json(error.body()))
        }
        _ => Err(error),
    }
}

/// Sign out
///
/// Ends the session, or with `all=true` all sessions of the user. The tokens are rejected everywhere
/// once this responds. API keys stay.
#[utoipa::path(
    post,
    path = "/logout",
    tag = "sign-in",
    operation_id = "log_out",
    params(("all" = Option<bool>, Query, description = "Whether to end all sessions")),
    // Without the header `Token`: Swagger UI would send a static key in it along with the token.
    security(("OAuth2PasswordBearer" = [])),
    responses(
        (status = 204, description = "The session has ended"),
        error_responses::NotAuthenticated,
        error_responses::LoginTokenRequired,
        error_responses::TwoCredentials,
        error_responses::InvalidQuery,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn logout(
    request: HttpRequest,
    auth: Auth,
    caller: SignedIn,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    let mut query = Query::from_request(&request);
    let all = query.one_of("all", &["true", "false"]);
    query.check()?;
    let context = context.by_owner(&caller);
    if all == Some("true") {
        auth.end_sessions(&context, caller.principal(), false)
            .await?;
    } else {
        auth.revoke_token(&context, caller.token()).await?;
    }
    Ok(HttpResponse::NoContent().finish())
}

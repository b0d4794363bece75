//! Signing in and out.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;

use super::token_form::{TokenForm, TokenRequest, unknown_grant};
use crate::auth::{AuditContext, Auth, IssuedToken, PendingSignIn, SecondStep, SignInStep};
use crate::config::RefreshMode;
use crate::error::Error as DomainError;
use crate::guards::SignedIn;
use crate::http::body::form::FormBody;
use crate::http::body::query::Query;
use crate::http::error_responses;
use crate::http::request_error::{Error, RequestError};

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
        TokenForm::Passkey(answer, session) => {
            Box::pin(auth.sign_in_with_passkey(context, &answer, &session)).await
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

//! Signing in and out.

use actix_web::HttpResponse;
use actix_web::http::header;
use secrecy::SecretString;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{AuditContext, Auth, Device, IssuedToken, SignIn};
use crate::error::{Error as DomainError, ErrorCollector};
use crate::guards::SignedIn;
use crate::http::body::form::{Fields, FormBody, FromFields};
use crate::http::error_details::ErrorDetails;
use crate::http::error_responses;
use crate::http::request_error::{Error, RequestError};

/// The password form of OAuth2 (RFC 6749 section 4.3.2).
#[derive(ToSchema)]
#[schema(as = Body_create_token_token_post)]
#[expect(dead_code, reason = "describes the form for the OpenAPI document")]
pub(crate) struct TokenRequest {
    /// Defaults to `password` when it is missing or empty.
    #[schema(nullable = false, pattern = "^(password)?$", example = "password")]
    grant_type: Option<String>,
    /// The e-mail address, in any spelling.
    #[schema(min_length = 1, example = "andres@example.com")]
    username: String,
    #[schema(format = "password", min_length = 1, example = "correct-horse-9!")]
    password: String,
    /// The scopes of the token, separated by spaces; all of the user's when empty. A scope that the
    /// user does not hold is refused.
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
const PARAMETERS: [&str; 8] = [
    "grant_type",
    "username",
    "password",
    "scope",
    "client_id",
    "client_secret",
    "device_id",
    "device_name",
];

/// A parsed [`TokenRequest`]: FastAPI's `OAuth2PasswordRequestForm`.
pub(crate) struct TokenForm {
    /// The e-mail address.
    pub(crate) username: String,
    /// The password.
    pub(crate) password: SecretString,
    /// The requested scopes.
    pub(crate) scope: Option<String>,
    /// The device.
    pub(crate) device: Device,
}

impl FromFields for TokenForm {
    const REQUIRES_HASH: bool = true;

    /// Reports every invalid field.
    fn from_fields(mut fields: Fields) -> Result<Self, RequestError> {
        fields.refuse_repeated(&PARAMETERS)?;
        let mut errors = ErrorCollector::new();
        let grant_type = errors.take(check_grant_type(&mut fields));
        let username = errors.take(fields.required("username"));
        let password = errors.take(fields.required("password").map(SecretString::from));
        let scope = errors.take(fields.optional("scope"));
        let id = errors.take(fields.optional("device_id"));
        let name = errors.take(fields.optional("device_name"));
        match (grant_type, username, password, scope, id, name) {
            (Some(()), Some(username), Some(password), Some(scope), Some(id), Some(name)) => {
                Ok(Self {
                    username,
                    password,
                    scope,
                    device: Device { id, name },
                })
            }
            _ => Err(RequestError::InvalidForm(errors.into())),
        }
    }
}

fn check_grant_type(fields: &mut Fields) -> Result<(), ErrorDetails> {
    match fields.optional("grant_type")? {
        Some(other) if other != "password" => {
            let message = "String should match pattern '^password$'";
            let error = ErrorDetails::new("grant_type", "string_pattern_mismatch", message);
            Err(error.with_input(other).with("pattern", "^password$"))
        }
        _ => Ok(()),
    }
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
}

/// Sign in
///
/// Issues a new access token for the OAuth2 password form, and ends the user's previous one.
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
    let issued = match sign_in(&auth, &context, form).await {
        Ok(issued) => issued,
        Err(error) if auth.config().oauth_strict_status => return with_strict_status(error),
        Err(error) => return Err(error),
    };
    Ok(HttpResponse::Ok()
        // HTTP/1.0's no-store, which RFC 6749 section 5.1 requires as well.
        .insert_header((header::PRAGMA, "no-cache"))
        .json(TokenResponse {
            access_token: issued.secret.expose(),
            token_type: "bearer",
            expires_in: issued.lifetime.num_seconds(),
            scope: &issued.token.scopes,
        }))
}

async fn sign_in(
    auth: &Auth,
    context: &AuditContext,
    form: Result<FormBody<TokenForm>, Error>,
) -> Result<IssuedToken, Error> {
    let FormBody(form) = form?;
    let request = SignIn {
        name: form.username,
        password: form.password,
        scope: form.scope,
        device: form.device,
    };
    // Boxed, or every connection that is still reading its form would reserve the space.
    let issued = Box::pin(auth.sign_in(context, request));
    Ok(issued.await?)
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
/// Ends the login token. It is rejected everywhere once this responds.
#[utoipa::path(
    post,
    path = "/logout",
    tag = "sign-in",
    operation_id = "log_out",
    // Without the header `Token`: Swagger UI would send a static key in it along with the token.
    security(("OAuth2PasswordBearer" = [])),
    responses(
        (status = 204, description = "The token has ended"),
        error_responses::NotAuthenticated,
        error_responses::LoginTokenRequired,
        error_responses::TwoCredentials,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn logout(
    auth: Auth,
    caller: SignedIn,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    let context = context.by_owner(&caller);
    auth.revoke_token(&context, caller.token()).await?;
    Ok(HttpResponse::NoContent().finish())
}

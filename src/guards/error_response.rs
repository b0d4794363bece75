//! Converts each [`Error`] to a response: status, headers and body. For the routes of this service,
//! `http/request_error.rs` words the errors of single fields.

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde_json::{Value, json};

use crate::auth::MULTI_FACTOR;
use crate::error::Error;
use crate::password::Busy;
use crate::scope;

/// The challenge of a 401 response (RFC 6750 section 3).
const CHALLENGE: &str = r#"Bearer realm="tokenhouse""#;

/// The challenge when a credential was sent and is not valid.
const CHALLENGE_INVALID: &str = r#"Bearer realm="tokenhouse", error="invalid_token""#;

/// The challenge when the sign-in does not suffice (RFC 9470 section 3); what would follows.
const CHALLENGE_STEP_UP: &str =
    r#"Bearer realm="tokenhouse", error="insufficient_user_authentication""#;

/// The challenge when a valid credential does not allow the request (RFC 6750 section 3.1).
const CHALLENGE_INSUFFICIENT: &str = r#"Bearer realm="tokenhouse", error="insufficient_scope""#;

/// Seconds until a client may try again after the database did not respond.
const DATABASE_RETRY_AFTER: u64 = 1;

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::TwoCredentials
            | Self::InvalidScope
            | Self::InvalidGrant
            | Self::RefreshTokenReused
            | Self::BadMailToken
            | Self::BadMfaToken
            | Self::BadPasskey { .. }
            | Self::AlreadyVerified => StatusCode::BAD_REQUEST,
            Self::NotAuthenticated
            | Self::InvalidToken
            | Self::BadCredentials
            | Self::SecondFactorRequired
            | Self::FreshSignInRequired(_) => StatusCode::UNAUTHORIZED,
            Self::StaticKeyMissing
            | Self::StaticKeyWrong
            | Self::RegistrationRefused
            | Self::InsufficientScope(_)
            | Self::LoginTokenRequired
            | Self::UserRequired
            | Self::KeyWithoutScopes
            | Self::RecentSignInRequired
            | Self::WrongPassword
            | Self::WrongCode { .. }
            | Self::EmailNotVerified => StatusCode::FORBIDDEN,
            Self::UserNotFound
            | Self::KeyNotFound
            | Self::SessionNotFound
            | Self::FactorNotFound
            | Self::DeviceNotFound
            | Self::AppNotFound
            | Self::MailNotFound
            | Self::InvitationNotFound
            | Self::MailOff => StatusCode::NOT_FOUND,
            Self::InvitationOver(_) => StatusCode::GONE,
            Self::EmailTaken
            | Self::InvitationOpen
            | Self::AppTaken
            | Self::TooManyKeys
            | Self::TooManyFactors
            | Self::FactorsOff
            | Self::PasskeysOff
            | Self::Disabled
            | Self::LastAdministrator
            | Self::NoPublicUrl => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
            Self::InvalidInput(_) | Self::ScopeNotHeld(_) | Self::AppName => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::TooManyAttempts { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Busy(_) | Self::Unavailable | Self::OtherAuditKey => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        self.add_headers(&mut response);
        response.json(self.body())
    }
}

impl Error {
    pub(crate) fn add_headers(&self, response: &mut HttpResponseBuilder) {
        match self {
            Self::NotAuthenticated | Self::BadCredentials => {
                response.insert_header((header::WWW_AUTHENTICATE, CHALLENGE));
            }
            Self::SecondFactorRequired => {
                let challenge = format!(r#"{CHALLENGE_STEP_UP}, acr_values="{MULTI_FACTOR}""#);
                response.insert_header((header::WWW_AUTHENTICATE, challenge));
            }
            Self::FreshSignInRequired(seconds) => {
                let challenge = format!(r#"{CHALLENGE_STEP_UP}, max_age="{seconds}""#);
                response.insert_header((header::WWW_AUTHENTICATE, challenge));
            }
            Self::InvalidToken => {
                response.insert_header((header::WWW_AUTHENTICATE, CHALLENGE_INVALID));
            }
            Self::InsufficientScope(scope) if scope::is_name(scope) => {
                let challenge = format!(r#"{CHALLENGE_INSUFFICIENT}, scope="{scope}""#);
                response.insert_header((header::WWW_AUTHENTICATE, challenge));
            }
            // A malformed scope from a client is not echoed.
            Self::InsufficientScope(_)
            | Self::LoginTokenRequired
            | Self::UserRequired
            | Self::KeyWithoutScopes => {
                response.insert_header((header::WWW_AUTHENTICATE, CHALLENGE_INSUFFICIENT));
            }
            Self::Busy(Busy { retry_after }) | Self::TooManyAttempts { retry_after } => {
                // Whole seconds, rounded up: a client that comes back earlier is refused again. Never
                // 0, which would make clients retry in a busy loop.
                let seconds = retry_after.as_millis().div_ceil(1_000).max(1);
                response.insert_header((header::RETRY_AFTER, seconds.to_string()));
            }
            Self::Unavailable | Self::OtherAuditKey => {
                response.insert_header((header::RETRY_AFTER, DATABASE_RETRY_AFTER));
            }
            _ => {}
        }
    }

    pub(crate) fn body(&self) -> Value {
        match self {
            Self::BadCredentials => oauth_error(
                &"Unauthorized".into(),
                "invalid_grant",
                "Incorrect username or password",
            ),
            Self::InvalidGrant => {
                let description = "The refresh token is not valid: sign in again";
                oauth_error(&description.into(), "invalid_grant", description)
            }
            Self::RefreshTokenReused => {
                let description = "The refresh token was used before, and so was what it gave: the \
                     client has not stored that, or the token was copied. The session has ended";
                oauth_error(&description.into(), "invalid_grant", description)
            }
            Self::InvalidScope => {
                let description = "The user does not hold all requested scopes";
                oauth_error(&description.into(), "invalid_scope", description)
            }
            Self::BadMailToken => {
                let description = "The link or code is not valid: it is unknown, used, expired, or \
                     replaced by a later one";
                oauth_error(&description.into(), "bad_token", description)
            }
            Self::AlreadyVerified => {
                let description = "The address is verified already";
                oauth_error(&description.into(), "already_verified", description)
            }
            Self::EmailNotVerified => {
                let description = "The address is not verified: ask for a mail at \
                     /verify-email/request";
                oauth_error(&description.into(), "email_not_verified", description)
            }
            Self::BadMfaToken => {
                let description = "The mfa_token is not valid: sign in again";
                oauth_error(&description.into(), "invalid_grant", description)
            }
            Self::BadPasskey { is_unknown } => {
                let description = "The passkey is not accepted";
                let mut body = oauth_error(&description.into(), "invalid_grant", description);
                if *is_unknown {
                    body["unknown_credential"] = true.into();
                }
                body
            }
            Self::WrongCode { tries_left } => {
                let description = "The code is wrong, or was used before";
                let mut body = oauth_error(&description.into(), "invalid_otp", description);
                if let Some(left) = tries_left {
                    body["tries_left"] = (*left).into();
                }
                body
            }
            Self::InvitationOver(state) => json!({ "detail": self.detail(), "state": state }),
            Self::TwoCredentials => {
                let description = "Two different credentials in one request";
                oauth_error(&description.into(), "invalid_request", description)
            }
            _ => json!({ "detail": self.detail() }),
        }
    }

    /// The sentence for the client.
    fn detail(&self) -> &'static str {
        match self {
            Self::NotAuthenticated | Self::StaticKeyMissing => "Not authenticated",
            Self::InvalidToken => "Could not validate credentials",
            Self::StaticKeyWrong => "Forbidden",
            Self::RegistrationRefused => "Registration is not open to you",
            // From FastAPI's documentation of scopes.
            Self::InsufficientScope(_) => "Not enough permissions",
            Self::LoginTokenRequired => "Only a login token allows this",
            Self::UserRequired => "Only a user may do this, not an app",
            Self::KeyWithoutScopes => "An API key without scopes does not allow this",
            Self::RecentSignInRequired => {
                "Send the current password, or sign in again: the last sign-in is too long ago"
            }
            Self::LastAdministrator => "The last administrator who can sign in cannot be removed",
            Self::PreconditionRequired => {
                "Replacing all scopes needs If-Match with the user's ETag; \
                 scopes_add and scopes_remove do not"
            }
            Self::PreconditionFailed => "The user was changed meanwhile",
            Self::WrongPassword => "Incorrect password",
            Self::SecondFactorRequired => "A second factor is required: sign in with it",
            Self::FreshSignInRequired(_) => "The sign-in is too long ago: sign in again",
            Self::FactorsOff => {
                "The service offers no second factors: it has no TOKENHOUSE_SECRET_KEY"
            }
            Self::PasskeysOff => "The service offers no such passkeys: see TOKENHOUSE_PASSKEYS",
            Self::TooManyFactors => "The maximum number of second factors is reached",
            Self::Disabled => "The user is disabled",
            Self::TooManyKeys => "The maximum number of API keys is reached",
            // The tutorial's words, which its clients may compare.
            Self::AppTaken => "An app has this name",
            Self::EmailTaken => "User email already exist",
            Self::InvalidInput(_) | Self::ScopeNotHeld(_) | Self::AppName => "Unprocessable Entity",
            Self::UserNotFound
            | Self::KeyNotFound
            | Self::SessionNotFound
            | Self::FactorNotFound
            | Self::DeviceNotFound
            | Self::AppNotFound
            | Self::MailNotFound
            | Self::InvitationNotFound
            | Self::MailOff => "Not Found",
            Self::InvitationOpen => {
                "An invitation to this address is open: send it again, or revoke it"
            }
            Self::InvitationOver(_) => "The invitation cannot be accepted any more",
            Self::NoPublicUrl => "The service has no TOKENHOUSE_PUBLIC_URL, which links need",
            Self::Busy(_) => "Too many sign-ins at the moment",
            Self::TooManyAttempts { .. } => "Too many attempts",
            Self::Unavailable | Self::OtherAuditKey => "Service Unavailable",
            _ => "Internal Server Error",
        }
    }
}

/// The body of an error of an OAuth endpoint (RFC 6749 section 5.2), with FastAPI's `detail`.
pub(crate) fn oauth_error(detail: &Value, error: &str, description: &str) -> Value {
    json!({ "detail": detail, "error": error, "error_description": description })
}

//! What a client sees of each [`Error`]: status, headers and body, all in this file.

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde_json::{Value, json};

use crate::error::{Error, FieldError};
use crate::password::Busy;
use crate::scope;

/// The challenge of every 401 (RFC 6750 section 3).
const CHALLENGE: &str = r#"Bearer realm="tokenhouse""#;

/// The same for a credential that was sent and is no good.
const CHALLENGE_INVALID: &str = r#"Bearer realm="tokenhouse", error="invalid_token""#;

/// For a credential that does not allow this (RFC 6750 section 3.1).
const CHALLENGE_INSUFFICIENT: &str = r#"Bearer realm="tokenhouse", error="insufficient_scope""#;

/// For clients that authenticate with HTTP Basic (RFC 6749 section 5.2).
const CHALLENGE_BASIC: &str = r#"Basic realm="tokenhouse""#;

/// Seconds after which a client may come back to a database that did not answer.
const RETRY_DATABASE: u64 = 1;

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::TwoCredentials
            | Self::RepeatedParameter
            | Self::UnreadableBody
            | Self::BrokenBody
            | Self::UnreadableForm(_)
            | Self::InvalidScope
            | Self::ParameterMissing(_)
            | Self::StrictStatus(_) => StatusCode::BAD_REQUEST,
            Self::NotAuthenticated
            | Self::InvalidToken
            | Self::BadCredentials
            | Self::InvalidClient => StatusCode::UNAUTHORIZED,
            Self::StaticKeyMissing
            | Self::StaticKeyWrong
            | Self::RegistrationRefused
            | Self::InsufficientScope(_)
            | Self::LoginTokenRequired
            | Self::InvalidForwardAuthQuery
            | Self::KeyWithoutScopes
            | Self::RecentSignInRequired
            | Self::WrongPassword => StatusCode::FORBIDDEN,
            Self::NotFound | Self::UserNotFound | Self::KeyNotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::EmailTaken | Self::TooManyKeys | Self::Disabled | Self::LastAdministrator => {
                StatusCode::CONFLICT
            }
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::InvalidBody(_)
            | Self::InvalidForm(_)
            | Self::InvalidQuery(_)
            | Self::ScopeNotHeld(_)
            | Self::MalformedJson { .. } => StatusCode::UNPROCESSABLE_ENTITY,
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
    fn add_headers(&self, response: &mut HttpResponseBuilder) {
        match self {
            Self::NotAuthenticated | Self::BadCredentials => {
                response.insert_header((header::WWW_AUTHENTICATE, CHALLENGE));
            }
            Self::InvalidToken => {
                response.insert_header((header::WWW_AUTHENTICATE, CHALLENGE_INVALID));
            }
            Self::InsufficientScope(scope) if scope::is_name(scope) => {
                let challenge = format!(r#"{CHALLENGE_INSUFFICIENT}, scope="{scope}""#);
                response.insert_header((header::WWW_AUTHENTICATE, challenge));
            }
            // What a client asks for and is no scope is not repeated.
            Self::InsufficientScope(_) | Self::LoginTokenRequired | Self::KeyWithoutScopes => {
                response.insert_header((header::WWW_AUTHENTICATE, CHALLENGE_INSUFFICIENT));
            }
            Self::InvalidClient => {
                response.insert_header((header::WWW_AUTHENTICATE, CHALLENGE_BASIC));
            }
            Self::MethodNotAllowed { allow } => {
                response.insert_header((header::ALLOW, allow.as_str()));
            }
            Self::Busy(Busy { retry_after }) | Self::TooManyAttempts { retry_after } => {
                // In whole seconds, rounded up, or who comes back then is refused again; and never "at
                // once": that would be a busy loop.
                let seconds = retry_after.as_millis().div_ceil(1_000).max(1);
                response.insert_header((header::RETRY_AFTER, seconds.to_string()));
            }
            Self::Unavailable | Self::OtherAuditKey => {
                response.insert_header((header::RETRY_AFTER, RETRY_DATABASE));
            }
            // What is left of such a body is not waited for, or not known, so the connection has no
            // next request.
            Self::BodyTimeout | Self::BrokenBody => {
                response.force_close();
            }
            _ => {}
        }
    }

    fn body(&self) -> Value {
        match self {
            Self::InvalidBody(errors) => json!({ "detail": field_errors("body", errors) }),
            Self::InvalidQuery(errors) => json!({ "detail": field_errors("query", errors) }),
            Self::ScopeNotHeld(scope) => {
                let message = format!("Value error, you do not hold the scope {scope}");
                let error = FieldError::new("scopes", "value_error", message);
                json!({ "detail": field_errors("body", &[error]) })
            }
            Self::InvalidForm(errors) => {
                let error = form_error_code(errors);
                oauth(&field_errors("body", errors), error, &describe(errors))
            }
            Self::MalformedJson { position, problem } => json!({ "detail": [{
                "type": "json_invalid",
                "loc": ["body", position],
                "msg": "JSON decode error",
                "input": {},
                "ctx": { "error": problem },
            }]}),
            Self::BadCredentials => oauth(
                &"Unauthorized".into(),
                "invalid_grant",
                "Incorrect username or password",
            ),
            Self::InvalidScope => {
                let description = "The user does not hold every scope that was asked for";
                oauth(&description.into(), "invalid_scope", description)
            }
            Self::InvalidClient => {
                let description = "Client authentication failed";
                oauth(&description.into(), "invalid_client", description)
            }
            Self::ParameterMissing(name) => {
                let description = format!("The parameter {name} is missing");
                oauth(
                    &description.as_str().into(),
                    "invalid_request",
                    &description,
                )
            }
            Self::RepeatedParameter => {
                let description = "A parameter is repeated";
                oauth(&description.into(), "invalid_request", description)
            }
            Self::TwoCredentials => {
                let description = "Two different credentials in one request";
                oauth(&description.into(), "invalid_request", description)
            }
            Self::StrictStatus(error) => error.body(),
            _ => json!({ "detail": self.detail() }),
        }
    }

    /// The sentence for the client, where `detail` is one.
    fn detail(&self) -> &'static str {
        match self {
            Self::NotAuthenticated | Self::StaticKeyMissing => "Not authenticated",
            Self::InvalidToken => "Could not validate credentials",
            Self::StaticKeyWrong => "Forbidden",
            Self::RegistrationRefused => "Registration is not open to you",
            // FastAPI's words in its documentation of scopes.
            Self::InsufficientScope(_) => "Not enough permissions",
            Self::LoginTokenRequired => "Only a login token allows this",
            Self::InvalidForwardAuthQuery => "The reverse proxy asked a question that is not valid",
            Self::KeyWithoutScopes => "An API key without scopes does not allow this",
            Self::RecentSignInRequired => {
                "Send current_password, or sign in again: the last sign-in is too long ago"
            }
            Self::LastAdministrator => "The last administrator who can sign in has to stay",
            Self::PreconditionRequired => {
                "Replacing all scopes needs If-Match with the user's ETag; \
                 scopes_add and scopes_remove do not"
            }
            Self::PreconditionFailed => "The user was changed meanwhile",
            Self::WrongPassword => "Incorrect password",
            Self::Disabled => "The user is disabled",
            Self::TooManyKeys => "You have as many keys as one may have",
            // The tutorial's words, as its clients may compare them.
            Self::EmailTaken => "User email already exist",
            Self::UnreadableBody | Self::BrokenBody => "There was an error parsing the body",
            Self::UnreadableForm(reason) => reason,
            Self::BodyTooLarge => "Request Entity Too Large",
            Self::BodyTimeout => "Request Timeout",
            Self::NotFound | Self::UserNotFound | Self::KeyNotFound => "Not Found",
            Self::MethodNotAllowed { .. } => "Method Not Allowed",
            Self::Busy(_) => "Too many sign-ins at the moment",
            Self::TooManyAttempts { .. } => "Too many attempts",
            Self::Unavailable | Self::OtherAuditKey => "Service Unavailable",
            _ => "Internal Server Error",
        }
    }
}

/// The body of a refusal at an OAuth endpoint (RFC 6749 section 5.2), with FastAPI's `detail`.
fn oauth(detail: &Value, error: &str, description: &str) -> Value {
    json!({ "detail": detail, "error": error, "error_description": description })
}

fn form_error_code(errors: &[FieldError]) -> &'static str {
    match errors {
        [only] if only.field == Some("grant_type") => "unsupported_grant_type",
        _ => "invalid_request",
    }
}

fn describe(errors: &[FieldError]) -> String {
    let parts: Vec<String> = errors
        .iter()
        .map(|error| format!("{}: {}", error.field.unwrap_or("body"), error.message))
        .collect();
    // A description may hold printable ASCII but for these two (RFC 6749 section 5.2).
    parts.join("; ").replace(['"', '\\'], "'")
}

/// pydantic's list of errors, of what stood in the `body` or the `query`.
fn field_errors(place: &str, errors: &[FieldError]) -> Value {
    errors
        .iter()
        .map(|error| field_error(place, error))
        .collect()
}

fn field_error(place: &str, error: &FieldError) -> Value {
    let location = match error.field {
        Some(field) => json!([place, field]),
        None => json!([place]),
    };
    let mut shown = json!({
        "type": error.kind,
        "loc": location,
        "msg": error.message,
        "input": error.input,
    });
    if !error.context.is_empty() {
        shown["ctx"] = error
            .context
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
    }
    shown
}

//! What a client sees of each [`Error`]: status, headers and body, all in this file.

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde_json::{Value, json};

use crate::error::{Error, FieldError};

/// The challenge of every 401 (RFC 6750 section 3).
const CHALLENGE: &str = r#"Bearer realm="tokenhouse""#;

/// The same for a credential that was sent and is no good.
const CHALLENGE_INVALID: &str = r#"Bearer realm="tokenhouse", error="invalid_token""#;

/// Seconds after which a client may come back to a database that did not answer.
const RETRY_DATABASE: u64 = 1;

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::TwoCredentials
            | Self::RepeatedParameter
            | Self::UnreadableBody
            | Self::UnreadableForm(_)
            | Self::StrictStatus(_) => StatusCode::BAD_REQUEST,
            Self::NotAuthenticated | Self::InvalidToken | Self::BadCredentials => {
                StatusCode::UNAUTHORIZED
            }
            Self::StaticKeyMissing | Self::StaticKeyWrong | Self::RegistrationRefused => {
                StatusCode::FORBIDDEN
            }
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::EmailTaken => StatusCode::CONFLICT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::InvalidBody(_) | Self::InvalidForm(_) | Self::MalformedJson { .. } => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Busy(_) | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
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
            Self::MethodNotAllowed { allow } => {
                response.insert_header((header::ALLOW, *allow));
            }
            Self::Busy(busy) => {
                // In whole seconds, and never "at once": that would be a busy loop.
                let seconds = busy.retry_after.as_secs().max(1);
                response.insert_header((header::RETRY_AFTER, seconds));
            }
            Self::Unavailable => {
                response.insert_header((header::RETRY_AFTER, RETRY_DATABASE));
            }
            // What is left of such a body is not waited for, so the connection has no next request.
            Self::BodyTimeout => {
                response.force_close();
            }
            _ => {}
        }
    }

    fn body(&self) -> Value {
        match self {
            Self::InvalidBody(errors) => json!({ "detail": field_errors(errors) }),
            Self::InvalidForm(errors) => {
                let error = form_error_code(errors);
                oauth(&field_errors(errors), error, &describe(errors))
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
            // The tutorial's words, as its clients may compare them.
            Self::EmailTaken => "User email already exist",
            Self::UnreadableBody => "There was an error parsing the body",
            Self::UnreadableForm(reason) => reason,
            Self::BodyTooLarge => "Request Entity Too Large",
            Self::BodyTimeout => "Request Timeout",
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed { .. } => "Method Not Allowed",
            Self::Busy(_) => "Too many sign-ins at the moment",
            Self::Unavailable => "Service Unavailable",
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

/// pydantic's list of errors.
fn field_errors(errors: &[FieldError]) -> Value {
    errors.iter().map(field_error).collect()
}

fn field_error(error: &FieldError) -> Value {
    let location = match error.field {
        Some(field) => json!(["body", field]),
        None => json!(["body"]),
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

//! Errors in the framing of a request, and the error type of the handlers: a framing error or a
//! domain error.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde_json::{Value, json};

use super::error_details::ErrorDetails;
use crate::error::Error as DomainError;
use crate::guards::error_response::oauth_error;

/// The challenge for clients that authenticate with HTTP Basic (RFC 6749 section 5.2).
const BASIC_CHALLENGE: &str = r#"Basic realm="tokenhouse""#;

/// The reason why a handler does not respond with success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The request itself is wrong.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The operation is refused or fails.
    #[error(transparent)]
    Domain(#[from] DomainError),
}

/// An error in the path, the method, the query or the body of a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// No route has this path.
    #[error("not found")]
    NotFound,
    /// The path does not allow this method.
    #[error("method not allowed")]
    MethodNotAllowed {
        /// The allowed methods, as in the header `Allow`.
        allow: String,
    },
    /// The body did not arrive in time.
    #[error("the body did not arrive in time")]
    BodyTimeout,
    /// The body is larger than the route accepts.
    #[error("the body is too large")]
    BodyTooLarge,
    /// The body ends early, or its chunks are malformed.
    #[error("the body is broken")]
    BrokenBody,
    /// The body is not UTF-8, or is nested too deeply, or has numbers that are too long.
    #[error("the body cannot be read")]
    UnreadableBody,
    /// The body is not JSON.
    #[error("the body is not JSON")]
    MalformedJson {
        /// The position of the offending character, from 0.
        position: usize,
        /// The problem at that position.
        problem: String,
    },
    /// The JSON body as a whole is wrong.
    #[error("{}", .0.summary())]
    InvalidBody(Box<ErrorDetails>),
    /// The form cannot be read, for this reason.
    #[error("{0}")]
    UnreadableForm(&'static str),
    /// The form has a parameter twice (RFC 6749 section 3.2).
    #[error("a parameter is repeated")]
    RepeatedParameter,
    /// The form lacks this parameter (RFC 7009 section 2.1, RFC 7662 section 2.1).
    #[error("the parameter {0} is missing")]
    MissingParameter(&'static str),
    /// Fields of the form of `/token` are missing or wrong.
    #[error("{} form field(s) are not valid", .0.len())]
    InvalidForm(Vec<ErrorDetails>),
    /// Parameters of the query are wrong.
    #[error("{} parameter(s) are not valid", .0.len())]
    InvalidQuery(Vec<ErrorDetails>),
    /// A reverse proxy uses forward-auth with parameters that its operator cannot have intended.
    #[error("the query of the reverse proxy is not valid")]
    InvalidForwardAuthQuery,
    /// The credential of a client, in HTTP Basic, is not valid (RFC 6749 section 5.2).
    #[error("the client's credential is not valid")]
    InvalidClient,
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Domain(error) => error.status_code(),
            Self::Request(error) => error.status_code(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        match self {
            Self::Domain(error) => error.add_headers(&mut response),
            Self::Request(error) => error.add_headers(&mut response),
        }
        response.json(self.body())
    }
}

impl Error {
    /// The body of the response.
    pub(crate) fn body(&self) -> Value {
        match self {
            Self::Request(error) => error.body(),
            Self::Domain(DomainError::InvalidInput(errors)) => {
                let errors: Vec<ErrorDetails> = errors.iter().map(ErrorDetails::from).collect();
                json!({ "detail": details("body", &errors) })
            }
            Self::Domain(DomainError::ScopeNotHeld(scope)) => {
                json!({ "detail": details("body", &[ErrorDetails::scope_not_held(scope)]) })
            }
            Self::Domain(error) => error.body(),
        }
    }
}

impl RequestError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::BrokenBody
            | Self::UnreadableBody
            | Self::UnreadableForm(_)
            | Self::RepeatedParameter
            | Self::MissingParameter(_) => StatusCode::BAD_REQUEST,
            Self::InvalidClient => StatusCode::UNAUTHORIZED,
            Self::InvalidForwardAuthQuery => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MalformedJson { .. }
            | Self::InvalidBody(_)
            | Self::InvalidForm(_)
            | Self::InvalidQuery(_) => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    fn add_headers(&self, response: &mut HttpResponseBuilder) {
        match self {
            Self::InvalidClient => {
                response.insert_header((header::WWW_AUTHENTICATE, BASIC_CHALLENGE));
            }
            Self::MethodNotAllowed { allow } => {
                response.insert_header((header::ALLOW, allow.as_str()));
            }
            // The rest of such a body is not awaited, or its end is unknown, so no other request can
            // follow on the connection.
            Self::BodyTimeout | Self::BrokenBody => {
                response.force_close();
            }
            _ => {}
        }
    }

    fn body(&self) -> Value {
        match self {
            Self::NotFound => json!({ "detail": "Not Found" }),
            Self::MethodNotAllowed { .. } => json!({ "detail": "Method Not Allowed" }),
            Self::BodyTimeout => json!({ "detail": "Request Timeout" }),
            Self::BodyTooLarge => json!({ "detail": "Request Entity Too Large" }),
            Self::BrokenBody | Self::UnreadableBody => {
                json!({ "detail": "There was an error parsing the body" })
            }
            Self::MalformedJson { position, problem } => json!({ "detail": [{
                "type": "json_invalid",
                "loc": ["body", position],
                "msg": "JSON decode error",
                "input": {},
                "ctx": { "error": problem },
            }]}),
            Self::InvalidBody(error) => json!({ "detail": [error.to_json("body")] }),
            Self::UnreadableForm(reason) => json!({ "detail": reason }),
            Self::RepeatedParameter => invalid_request("A parameter is repeated"),
            Self::MissingParameter(name) => {
                invalid_request(&format!("The parameter {name} is missing"))
            }
            Self::InvalidForm(errors) => {
                let code = oauth_code(errors);
                oauth_error(&details("body", errors), code, &description(errors))
            }
            Self::InvalidQuery(errors) => json!({ "detail": details("query", errors) }),
            Self::InvalidForwardAuthQuery => {
                json!({ "detail": "The query of the reverse proxy is not valid" })
            }
            Self::InvalidClient => {
                let description = "Client authentication failed";
                oauth_error(&description.into(), "invalid_client", description)
            }
        }
    }
}

fn invalid_request(description: &str) -> Value {
    oauth_error(&description.into(), "invalid_request", description)
}

fn details(location: &str, errors: &[ErrorDetails]) -> Value {
    errors.iter().map(|error| error.to_json(location)).collect()
}

fn oauth_code(errors: &[ErrorDetails]) -> &'static str {
    match errors {
        [only] if only.field() == Some("grant_type") => "unsupported_grant_type",
        _ => "invalid_request",
    }
}

fn description(errors: &[ErrorDetails]) -> String {
    let parts: Vec<String> = errors.iter().map(ErrorDetails::summary).collect();
    // A description holds printable ASCII except for these two (RFC 6749 section 5.2).
    parts.join("; ").replace(['"', '\\'], "'")
}

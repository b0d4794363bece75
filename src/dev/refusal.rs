//! Bodies of the control routes, and why a control route refuses a request.

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::error::Error;
use crate::http::HttpError;
use crate::seed::parse_object;

/// The maximum size of a body, in bytes.
const MAX_BODY: usize = 64 << 10;

/// Why a control route refuses a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The operation of the service is refused or fails.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The body cannot be used, for this reason.
    #[error("{0}")]
    Body(String),
    /// The operation would disturb the other users of a shared server.
    #[error(
        "This server is shared: it refuses what affects all its users. Reset the users of one domain with \
         {{\"domain\":\"...\"}}, or start a server of your own"
    )]
    Shared,
    /// The service could not be replaced, for this reason.
    #[error("The reset failed: {0}")]
    Reset(String),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Http(error.into())
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Http(error) => error.status_code(),
            Self::Body(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Shared => StatusCode::CONFLICT,
            Self::Reset(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Http(error) => error.error_response(),
            _ => {
                let detail = json!({ "detail": self.to_string() });
                HttpResponse::build(self.status_code()).json(detail)
            }
        }
    }
}

/// A JSON body, whatever its content type. An empty one is `{}`.
pub(crate) struct Input<T>(pub(crate) T);

impl<T: DeserializeOwned + 'static> FromRequest for Input<T> {
    type Error = Refusal;
    type Future = LocalBoxFuture<'static, Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = Bytes::from_request(request, payload);
        Box::pin(async move {
            let bytes = bytes
                .await
                .map_err(|error| Refusal::Body(format!("The body cannot be read: {error}")))?;
            parse(&bytes).map(Self)
        })
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    if bytes.len() > MAX_BODY {
        return Err(Refusal::Body(format!(
            "The body is longer than {MAX_BODY} bytes"
        )));
    }
    let body = if bytes.is_empty() { b"{}" } else { bytes };
    parse_object(body).map_err(|problem| Refusal::Body(format!("The body: {problem}")))
}

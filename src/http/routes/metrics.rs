//! What the service has counted, for Prometheus.

use actix_web::{HttpRequest, HttpResponse};

use crate::error::Error;
use crate::guards::StaticKey;
use crate::guards::auth;
use crate::http::error_responses;

/// What was counted
///
/// In the text form of Prometheus, for whoever has the static key; on a listener of its own when the
/// settings say so, and then for everybody who reaches that.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    operation_id = "metrics",
    security(("APIKeyHeader" = [])),
    responses(
        (status = 200, description = "The metrics", body = String, content_type = "text/plain"),
        error_responses::TwoCredentials,
        error_responses::StaticKeyRefused,
        error_responses::TooManyAttempts,
    )
)]
pub(crate) async fn metrics(request: HttpRequest, _key: StaticKey) -> Result<HttpResponse, Error> {
    open_metrics(request).await
}

/// The same without a key.
pub(crate) async fn open_metrics(request: HttpRequest) -> Result<HttpResponse, Error> {
    let text = auth(&request)?.metrics_text();
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(text))
}

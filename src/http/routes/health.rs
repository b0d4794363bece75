//! Liveness, readiness and metrics, for load balancers, supervisors and Prometheus.

use actix_web::web::Json;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Auth;
use crate::error::Error;
use crate::guards::StaticKey;
use crate::http::error_responses;
use crate::http::shutdown::Shutdown;
use crate::metrics::Metrics;

/// The response of a healthy service.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`; any other state has another HTTP status.
    #[schema(example = "ok")]
    status: &'static str,
}

const HEALTHY: Health = Health { status: "ok" };

/// Is the process up?
///
/// Restart it when this does not respond.
#[utoipa::path(
    get,
    path = "/health/live",
    tag = "health",
    operation_id = "check_liveness",
    responses((status = 200, description = "The process is up", body = Health))
)]
pub(crate) async fn live() -> Json<Health> {
    Json(HEALTHY)
}

/// Can the service handle requests?
///
/// It can while the database responds and has the tables, and the service is not shutting down.
/// Send requests elsewhere while this is 503.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "health",
    operation_id = "check_readiness",
    responses(
        (status = 200, description = "The service can handle requests", body = Health),
        error_responses::Unavailable,
    )
)]
pub(crate) async fn ready(request: HttpRequest, auth: Auth) -> Result<Json<Health>, Error> {
    if Shutdown::is_draining(&request) {
        return Err(Error::Unavailable);
    }
    auth.check_ready().await?;
    Ok(Json(HEALTHY))
}

/// Metrics
///
/// In the text format of Prometheus, for clients with the static key. With a separate listener in the
/// settings, that listener requires no key.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    operation_id = "read_metrics",
    security(("APIKeyHeader" = [])),
    responses(
        (status = 200, description = "The metrics", body = String, content_type = "text/plain"),
        error_responses::TwoCredentials,
        error_responses::StaticKeyRefused,
        error_responses::TooManyAttempts,
    )
)]
pub(crate) async fn metrics(auth: Auth, _key: StaticKey) -> HttpResponse {
    open_metrics(auth).await
}

/// The metrics without a key, for the separate listener.
pub(crate) async fn open_metrics(auth: Auth) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(Metrics::CONTENT_TYPE)
        .body(auth.metrics_text())
}

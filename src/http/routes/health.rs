//! Liveness, readiness and metrics, for load balancers, supervisors and Prometheus.

use actix_web::dev::Payload;
use actix_web::web::Json;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::Auth;
use crate::error::Error;
use crate::guards::audit_context::audit_context;
use crate::guards::{self, presented};
use crate::http::error_responses;
use crate::http::introspection_client::{decode_static_key, password_of_basic};
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
/// In the text format of Prometheus, for clients with the static key: in the header `Token`, in
/// `Authorization` as `Bearer` or `Token`, or as the password of HTTP Basic with any name. With a
/// separate listener in the settings, that listener requires no key.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    operation_id = "read_metrics",
    security(("APIKeyHeader" = []), ("StaticKeyBasic" = [])),
    responses(
        (status = 200, description = "The metrics", body = String, content_type = "text/plain"),
        error_responses::TwoCredentials,
        error_responses::StaticKeyRefused,
        error_responses::TooManyAttempts,
    )
)]
pub(crate) async fn metrics(auth: Auth, _client: MetricsClient) -> HttpResponse {
    open_metrics(auth).await
}

/// The metrics without a key, for the separate listener.
pub(crate) async fn open_metrics(auth: Auth) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(Metrics::CONTENT_TYPE)
        .body(auth.metrics_text())
}

/// A client with the static key in any place where a scraper can put it.
pub(crate) struct MetricsClient(());

impl FromRequest for MetricsClient {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let auth = guards::auth(&request)?;
            let in_basic = match presented::find_static_key_of_client(&request)? {
                Some(_) => None,
                None => presented::find_basic(&request)?.map(|basic| {
                    // A malformed one is a wrong key.
                    let secret = password_of_basic(basic).unwrap_or_default();
                    decode_static_key(auth, secret)
                }),
            };
            let key = match &in_basic {
                Some(key) => Some(key.as_slice()),
                None => presented::find_static_key_of_client(&request)?,
            };
            auth.check_static_key(&audit_context(&request), key).await?;
            Ok(Self(()))
        })
    }
}

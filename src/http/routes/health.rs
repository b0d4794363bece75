//! Whether the process is up, and whether it can do its work.

use actix_web::HttpRequest;
use actix_web::web::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::guards::auth;
use crate::http::error_responses;
use crate::http::shutdown::Stopping;

/// The answer of a healthy service.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`; anything else is no 200.
    #[schema(example = "ok")]
    status: &'static str,
}

const HEALTHY: Health = Health { status: "ok" };

/// Is the process up?
///
/// Restart it when this does not answer.
#[utoipa::path(
    get,
    path = "/health/live",
    tag = "health",
    operation_id = "live_health_live_get",
    responses((status = 200, description = "The process is up", body = Health))
)]
pub(crate) async fn live() -> Json<Health> {
    Json(HEALTHY)
}

/// Can requests be answered?
///
/// They can when the database answers and has the tables, and the service is not about to stop. Send
/// them elsewhere while this is 503.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "health",
    operation_id = "ready_health_ready_get",
    responses((status = 200, description = "Requests can be answered", body = Health), error_responses::Unavailable)
)]
pub(crate) async fn ready(request: HttpRequest) -> Result<Json<Health>, Error> {
    if Stopping::has_begun_for(&request) {
        return Err(Error::Unavailable);
    }
    auth(&request)?.check_ready().await?;
    Ok(Json(HEALTHY))
}

//! The tutorial's two routes behind the static key.

use actix_web::web::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::guards::StaticKey;
use crate::http::error_responses;

/// The response of the page.
#[derive(Serialize, ToSchema)]
pub(crate) struct Page {
    /// Always 1.
    #[schema(example = 1)]
    page: u32,
}

/// The response of the protected route.
#[derive(Serialize, ToSchema)]
pub(crate) struct Hello {
    /// Always `FASTAPI`.
    #[schema(example = "FASTAPI")]
    hello: &'static str,
}

/// The tutorial's page
///
/// For clients with the static key.
#[utoipa::path(
    get,
    path = "/page",
    tag = "static key",
    operation_id = "read_page",
    security(("APIKeyHeader" = [])),
    responses((status = 200, description = "The page", body = Page), error_responses::TwoCredentials, error_responses::StaticKeyRefused, error_responses::TooManyAttempts)
)]
pub(crate) async fn page(_key: StaticKey) -> Json<Page> {
    Json(Page { page: 1 })
}

/// The tutorial's protected route
///
/// For clients with the static key.
#[utoipa::path(
    get,
    path = "/protected",
    tag = "static key",
    operation_id = "read_protected",
    security(("APIKeyHeader" = [])),
    responses((status = 200, description = "The key is right", body = Hello), error_responses::TwoCredentials, error_responses::StaticKeyRefused, error_responses::TooManyAttempts)
)]
pub(crate) async fn protected_route(_key: StaticKey) -> Json<Hello> {
    Json(Hello { hello: "FASTAPI" })
}

//! The trusted devices of a user.

use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::path_id;
use crate::auth::{AuditContext, Auth};
use crate::guards::SignedIn;
use crate::http::error_responses;
use crate::http::request_error::Error;
use crate::views::DeviceRead;

/// All trusted devices of a user.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeviceList<'a> {
    devices: Vec<DeviceRead<'a>>,
}

/// List my trusted devices
///
/// The newest first.
#[utoipa::path(
    get,
    path = "/users/me/devices",
    tag = "second factors",
    operation_id = "list_devices",
    security(("OAuth2PasswordBearer" = [])),
    responses(
        (status = 200, description = "The devices", body = DeviceList),
        error_responses::NotAuthenticated,
        error_responses::LoginTokenRequired,
        error_responses::TwoCredentials,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn list(auth: Auth, caller: SignedIn) -> Result<HttpResponse, Error> {
    let devices = auth.list_devices(caller.user.id).await?;
    Ok(HttpResponse::Ok().json(DeviceList {
        devices: devices.iter().map(DeviceRead::from).collect(),
    }))
}

/// Forget a trusted device
///
/// The next sign-in there asks for a code. Sessions stay.
#[utoipa::path(
    delete,
    path = "/users/me/devices/{id}",
    tag = "second factors",
    operation_id = "delete_device",
    params(("id" = i64, Path, description = "The id of the device")),
    security(("OAuth2PasswordBearer" = [])),
    responses(
        (status = 204, description = "The device is trusted no longer"),
        error_responses::NotAuthenticated,
        error_responses::LoginTokenRequired,
        error_responses::TwoCredentials,
        error_responses::NotFound,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn remove(
    request: HttpRequest,
    auth: Auth,
    caller: SignedIn,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    let id = path_id(&request)?;
    let context = context.by_owner(&caller);
    auth.end_devices(&context, caller.principal(), Some(id))
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Forget all trusted devices
#[utoipa::path(
    delete,
    path = "/users/me/devices",
    tag = "second factors",
    operation_id = "delete_devices",
    security(("OAuth2PasswordBearer" = [])),
    responses(
        (status = 204, description = "No device is trusted any more"),
        error_responses::NotAuthenticated,
        error_responses::LoginTokenRequired,
        error_responses::TwoCredentials,
        error_responses::TooManyAttempts,
        error_responses::Unavailable,
    )
)]
pub(crate) async fn remove_all(
    auth: Auth,
    caller: SignedIn,
    context: AuditContext,
) -> Result<HttpResponse, Error> {
    let context = context.by_owner(&caller);
    auth.end_devices(&context, caller.principal(), None).await?;
    Ok(HttpResponse::NoContent().finish())
}

//! What every answer has around it, whoever gave it: the headers, and a line in the log.

use std::sync::Arc;
use std::time::Instant;

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{ConnectionType, Method};
use actix_web::middleware::Next;

use super::idle_connections::Place;
use super::normalize_path;
use super::shutdown::Stopping;
use crate::error::Error;
use crate::guards::audit_context::report_unnamed_proxy;
use crate::guards::request_id::{REQUEST_ID, id_of_client, request_id};
use crate::metrics::RouteMetrics;

/// Decodes the path, passes the request on, and completes the answer.
pub(super) async fn envelope(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    normalize_path::decode(&mut request);
    report_unnamed_proxy(request.request());
    let place = request.conn_data::<Arc<Place>>().cloned();
    if let Some(place) = &place {
        place.begin();
    }
    let begun = Instant::now();
    let outcome = next.call(request).await;
    let ended = Instant::now();
    if let Some(place) = place {
        place.end(ended, outcome.as_ref().map_or(0, length));
    }
    let mut response = outcome?;
    if let Some(route) = response.request().app_data::<Arc<RouteMetrics>>() {
        route.observe(response.status().as_u16(), ended - begun);
    }
    log_answer(&response);
    let told_id = match id_of_client(response.request()) {
        Some(id) => id.clone(),
        None => request_id(response.request()),
    };
    if Stopping::has_begun_for(response.request()) {
        // Or the next request could come on this connection just when it is closed.
        let head = response.response_mut().head_mut();
        head.set_connection_type(ConnectionType::Close);
    }
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, told_id);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    // The pages of the documentation may be kept and may load their files, and say so themselves.
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("frame-ancestors 'none'"),
        );
    }
    Ok(response)
}

/// How long the body of an answer is, as far as it is known.
fn length(response: &ServiceResponse<impl MessageBody>) -> u64 {
    match response.response().body().size() {
        BodySize::Sized(bytes) => bytes,
        BodySize::None | BodySize::Stream => 0,
    }
}

/// The path is logged by its route's pattern, or as unknown: what a client writes there may be a
/// secret put in the wrong place, and may be meant to look like another line.
fn log_answer(response: &ServiceResponse<impl MessageBody>) {
    let status = response.status();
    let error = response.response().error().and_then(|e| e.as_error());
    // Of those there are thousands a second in a flood: the hasher says so from time to time.
    let is_turned_away = matches!(error, Some(Error::Busy(_)));
    let level = if status.is_server_error() && !is_turned_away {
        log::Level::Warn
    } else {
        log::Level::Debug
    };
    if !log::log_enabled!(level) {
        return;
    }
    let request = response.request();
    let own_id = request_id(request);
    let ids = match id_of_client(request) {
        Some(client_id) => format!("{}, client's {}", shown(&own_id), shown(client_id)),
        None => shown(&own_id).to_owned(),
    };
    log::log!(
        level,
        "{} {} -> {} ({ids})",
        known(request.method()),
        request.match_pattern().as_deref().unwrap_or("-"),
        status.as_u16(),
    );
}

fn shown(id: &HeaderValue) -> &str {
    id.to_str().unwrap_or("-")
}

/// A method that means something here. What else stands in its place may be anything.
fn known(method: &Method) -> &str {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    if known.contains(method) {
        method.as_str()
    } else {
        "-"
    }
}

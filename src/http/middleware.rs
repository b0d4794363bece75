//! The middleware: headers on every response, metrics, and lines in the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method};
use actix_web::middleware::Next;

use super::idle_connections::ConnectionGuard;
use super::normalize_path;
use super::request_error::Error;
use super::shutdown::Shutdown;
use crate::error::Error as DomainError;
use crate::guards::audit_context::{
    REQUEST_ID, RequestIds, address, client_request_id, report_unnamed_proxy, request_id,
};
use crate::metrics::RouteMetrics;

/// Whether every request is logged, not only those that fail.
#[derive(Clone, Copy, Debug)]
pub(super) struct AccessLog(pub(super) bool);

/// How long an idle connection is kept (RFC 2068 section 19.7.1.1): clients that read it never send a
/// request on a connection that is just being closed.
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// Decodes the path, passes the request on, and completes the response.
pub(super) async fn decode_path<B: MessageBody>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    normalize_path::decode(&mut request);
    complete_response(request, next).await
}

/// Passes the request on, and completes the response. What is logged meanwhile has the ids of the
/// request.
pub(super) async fn complete_response<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let ids = RequestIds::new(request.request());
    ids.log(complete(request, next)).await
}

async fn complete<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let is_forwarded_by_neighbour = report_unnamed_proxy(request.request());
    let connection = request.conn_data::<Arc<ConnectionGuard>>().cloned();
    if let Some(connection) = &connection {
        if is_forwarded_by_neighbour {
            connection.belongs_to_proxy();
        }
        connection.begin_request();
    }
    let started = Instant::now();
    let outcome = next.call(request).await;
    let ended = Instant::now();
    if let Some(connection) = &connection {
        connection.end_request(ended, outcome.as_ref().map_or(0, length));
    }
    let mut response = outcome?;
    if let Some(route) = response.request().app_data::<Arc<RouteMetrics>>() {
        route.observe(response.status().as_u16(), ended - started);
    }
    log_response(&response, ended - started);
    let response_id = match client_request_id(response.request()) {
        Some(id) => id.clone(),
        None => request_id(response.request()),
    };
    if Shutdown::is_draining(response.request()) {
        // Otherwise the next request could arrive on this connection just as it is closed.
        let head = response.response_mut().head_mut();
        head.set_connection_type(ConnectionType::Close);
    }
    let is_kept = response.request().head().connection_type() == ConnectionType::KeepAlive
        && response.response().head().keep_alive();
    let headers = response.headers_mut();
    if let Some(connection) = connection.filter(|_| is_kept) {
        let seconds = connection.idle_timeout().as_secs();
        if let Ok(value) = HeaderValue::try_from(format!("timeout={seconds}")) {
            headers.insert(KEEP_ALIVE, value);
        }
    }
    headers.insert(REQUEST_ID, response_id);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    // The pages of the documentation set their own: they may be cached and may load their files.
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

/// The length of a body, if it is known.
fn length(response: &ServiceResponse<impl MessageBody>) -> u64 {
    match response.response().body().size() {
        BodySize::Sized(bytes) => bytes,
        BodySize::None | BodySize::Stream => 0,
    }
}

/// The path is logged as the pattern of its route, or as unknown: it may contain a misplaced secret, or
/// text that imitates another line.
fn log_response(response: &ServiceResponse<impl MessageBody>, duration: Duration) {
    let status = response.status();
    let error = response.response().error().and_then(|e| e.as_error());
    // A flood causes thousands of these per second, which the hasher reports at intervals.
    let is_rejected = matches!(error, Some(Error::Domain(DomainError::Busy(_))));
    let level = if status.is_server_error() && !is_rejected {
        log::Level::Warn
    } else {
        log::Level::Debug
    };
    let request = response.request();
    let has_access_log = matches!(request.app_data(), Some(AccessLog(true)));
    if !has_access_log && !log::log_enabled!(level) {
        return;
    }
    let method = known(request.method());
    let pattern = request.match_pattern();
    let (route, status) = (pattern.as_deref().unwrap_or("-"), status.as_u16());
    if has_access_log {
        let address = address(request).map_or_else(|| "-".to_owned(), |ip| ip.to_string());
        let millis = duration.as_secs_f64() * 1_000.0;
        log::info!(
            target: "tokenhouse::access",
            "{method} {route} -> {status} in {millis:.1} ms from {address}"
        );
    }
    log::log!(level, "{method} {route} -> {status}");
}

/// The method, if it is a known one: a client can send any text as the method.
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

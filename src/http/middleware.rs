//! The middleware: headers on every response, metrics, and lines in the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method};
use actix_web::middleware::Next;
use actix_web::rt::time::sleep;

use super::cors::answer_cross_origin;
use super::idle_connections::ConnectionGuard;
use super::normalize_path;
#[cfg(feature = "pages")]
use super::pages;
use super::refusal_pace::RefusalPace;
#[cfg(feature = "pages")]
use super::refusal_pace::RefusedForm;
use super::request_error::Error;
use super::shutdown::Shutdown;
use crate::error::Error as DomainError;
use crate::guards::audit_context::{
    REQUEST_ID, RequestId, RequestIds, address, report_unnamed_proxy, request_id,
};
use crate::metrics::RouteMetrics;

/// Whether every request is logged, not only those that fail.
#[derive(Clone, Copy, Debug)]
pub(super) struct AccessLog(pub(super) bool);

/// How long an idle connection is kept (RFC 2068 section 19.7.1.1): clients that read it never send a
/// request on a connection that is just being closed.
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// The response to a request: that of its route, or to a preflight.
type Response<B> = ServiceResponse<EitherBody<B, BoxBody>>;

/// Around the whole service: decodes the path, passes the request on, and completes the response.
pub(super) async fn around_service<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<Response<B>, actix_web::Error> {
    normalize_path::decode(&mut request);
    normalize_path::remove_base(&mut request);
    let ids = RequestIds::new(RequestId::generate(), request.request());
    let id = ids.of_response();
    ids.log(complete(request, next, id)).await
}

/// Around a route in another program: the same with the path as it is.
pub(super) async fn around_route<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<Response<B>, actix_web::Error> {
    // The same id that the program's own middleware may have asked for, or will.
    let own = request_id(request.request());
    let ids = RequestIds::new(own, request.request());
    let id = ids.of_response();
    ids.log(complete(request, next, id)).await
}

/// Passes a request on, and completes the response. What is logged meanwhile has the ids of the
/// request. A single function, since each layer around a route costs every request an allocation.
async fn complete<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
    id: HeaderValue,
) -> Result<Response<B>, actix_web::Error> {
    let is_forwarded_by_neighbour = report_unnamed_proxy(request.request());
    let connection = request.conn_data::<Arc<ConnectionGuard>>().cloned();
    if let Some(connection) = &connection {
        if is_forwarded_by_neighbour {
            connection.belongs_to_proxy();
        }
        connection.begin_request();
    }
    let started = Instant::now();
    let outcome = answer_cross_origin(request, next).await;
    let mut ended = Instant::now();
    if let Some(delay) = outcome
        .as_ref()
        .ok()
        .and_then(|response| refusal_delay(response, ended))
    {
        // On the heap, since every other request would carry the space for it.
        Box::pin(sleep(delay)).await;
        ended = Instant::now();
    }
    let duration = ended - started;
    if let Some(connection) = &connection {
        connection.end_request(ended, outcome.as_ref().map_or(0, length));
    }
    let mut response = outcome?;
    #[cfg(feature = "pages")]
    {
        response = pages::complete(response);
    }
    if let Some(route) = response.request().app_data::<Arc<RouteMetrics>>() {
        route.observe(response.status().as_u16(), duration);
    }
    log_response(&response, duration);
    if Shutdown::is_draining(response.request()) {
        // Otherwise the next request could arrive on this connection just as it is closed.
        let head = response.response_mut().head_mut();
        head.set_connection_type(ConnectionType::Close);
    }
    let is_kept = response.request().head().connection_type() == ConnectionType::KeepAlive
        && response.response().head().keep_alive();
    let headers = response.headers_mut();
    if let Some(connection) = connection.filter(|_| is_kept) {
        let announced = HeaderValue::from_static(connection.announced_timeout());
        headers.insert(KEEP_ALIVE, announced);
    }
    headers.insert(REQUEST_ID, id);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    // Pages set their own: they send forms, may be cached, and load their files.
    if !headers.contains_key(header::REFERRER_POLICY) {
        headers.insert(
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        );
    }
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

/// How long the response has to wait if it refuses a client that sends too much, or while too many
/// others do.
fn refusal_delay(response: &ServiceResponse<impl MessageBody>, now: Instant) -> Option<Duration> {
    let pace = response.request().app_data::<RefusalPace>();
    if !is_refusal(response) {
        return None;
    }
    let delay = pace?.delay(now);
    (!delay.is_zero()).then_some(delay)
}

/// Whether the response refuses a client because it sends too much, or because too many others do.
fn is_refusal(response: &ServiceResponse<impl MessageBody>) -> bool {
    #[cfg(feature = "pages")]
    if response.response().extensions().contains::<RefusedForm>() {
        return true;
    }
    let Some(error) = response.response().error() else {
        return false;
    };
    let domain_error = match error.as_error() {
        Some(Error::Domain(error)) => Some(error),
        Some(Error::Request(_)) => None,
        None => error.as_error::<DomainError>(),
    };
    matches!(
        domain_error,
        Some(DomainError::Busy(_) | DomainError::TooManyAttempts { .. })
    )
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
    // A flood causes thousands of these per second, which the hasher reports at intervals.
    let level = if status.is_server_error() && !is_refusal(response) {
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

//! Requests of scripts from other origins (the CORS protocol of the Fetch standard, section 3.2).
//! Browsers send no cookies with them, as the service has none.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::config::PublicUrl;

const METHODS: &str = "GET, HEAD, POST, PATCH, DELETE";

/// The headers that scripts may send, in lower case.
const HEADERS: &str = "authorization, content-type, if-match, token, x-request-id";

/// The headers that every script may send (Fetch standard, section 2.2.2).
const SAFE_HEADERS: [&str; 3] = ["accept", "accept-language", "content-language"];

/// The headers that scripts may read.
const EXPOSED: &str = "ETag, Retry-After, WWW-Authenticate, X-Request-Id";

/// How long browsers remember the answer to a preflight, in seconds.
const MAX_AGE: &str = "600";

/// The number of origins whose refusal is logged, as clients can send any text.
const MAX_LOGGED: usize = 20;

/// The maximum length of a logged origin: that of a host name, with a scheme and a port.
const MAX_ORIGIN: usize = 270;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The origins whose scripts may call the service.
pub(super) struct Cors {
    origins: Vec<String>,
    /// The origin of the service itself for clients, if it is known.
    own: Option<String>,
    /// The refused origins that were logged.
    logged: Mutex<BTreeSet<String>>,
}

impl Cors {
    /// Allows these origins. `public_url` is the URL of the service.
    pub(super) fn new(origins: &[String], public_url: Option<&PublicUrl>) -> Self {
        Self {
            origins: origins.to_vec(),
            own: public_url.map(|url| url.origin().to_owned()),
            logged: Mutex::default(),
        }
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        self.origins
            .iter()
            .any(|allowed| origin == allowed.as_str())
    }

    /// Whether the script is from the service itself, such as that of the documentation.
    fn is_own(&self, request: &ServiceRequest, origin: &str) -> bool {
        let headers = request.headers();
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(site) = header(SEC_FETCH_SITE) {
            return ["same-origin", "none"].contains(&site);
        }
        let host = origin.split_once("://").map(|(_, host)| host);
        self.own.as_deref() == Some(origin) || (host.is_some() && host == header(header::HOST))
    }

    /// Tells the operator about a refused origin, once for each: in the browser the developer of the
    /// script sees only that the request failed.
    fn report(&self, request: &ServiceRequest, origin: &HeaderValue) {
        let Some(origin) = origin.to_str().ok().filter(|origin| is_origin(origin)) else {
            return;
        };
        if self.is_own(request, origin) {
            return;
        }
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.len() < MAX_LOGGED && logged.insert(origin.to_owned()) {
            log::warn!(
                "a browser may not show the responses to scripts of {origin}, which is not in \
                 TOKENHOUSE_CORS_ORIGINS"
            );
        }
    }
}

/// Whether a text may be logged as an origin.
fn is_origin(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b":/.-[]".contains(&byte);
    text.len() <= MAX_ORIGIN && text.contains("://") && text.bytes().all(is_plain)
}

/// Answers preflights, and lets scripts of the allowed origins read the responses to other requests.
/// Without allowed origins every request takes its usual course.
pub(super) async fn answer_cross_origin<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, actix_web::Error> {
    let origin = request.headers().get(header::ORIGIN);
    let cors = request.app_data::<web::Data<Cors>>();
    let cors = cors.filter(|cors| origin.is_some() || !cors.origins.is_empty());
    let (Some(cors), origin) = (cors.cloned(), origin.cloned()) else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    let is_allowed = origin.as_ref().is_some_and(|origin| cors.allows(origin));
    if let Some(origin) = origin.as_ref().filter(|_| !is_allowed) {
        cors.report(&request, origin);
    }
    if cors.origins.is_empty() {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    let mut response = match &origin {
        Some(_) if is_preflight(&request) => {
            let response = preflight(&request, is_allowed);
            request.into_response(response).map_into_right_body()
        }
        _ => next.call(request).await?.map_into_left_body(),
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin.filter(|_| is_allowed) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(EXPOSED),
        );
    }
    Ok(response)
}

/// Whether the browser asks if a script may send a request. A reverse proxy would read success at
/// `/verify` as a valid credential.
fn is_preflight(request: &ServiceRequest) -> bool {
    let headers = request.headers();
    request.method() == Method::OPTIONS
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
        && !request.path().ends_with("/verify")
}

fn preflight(request: &ServiceRequest, is_allowed: bool) -> HttpResponse {
    let headers = request.headers();
    let requested = |name| {
        let values = headers.get_all(name).map(HeaderValue::as_bytes);
        String::from_utf8_lossy(&values.collect::<Vec<_>>().join(&b','))
            .split(',')
            .map(|item| item.trim().to_ascii_lowercase())
            .filter(|item| !item.is_empty())
            .collect::<Vec<_>>()
    };
    let is_in = |list: &str, item: &str| {
        list.split(", ")
            .any(|other| other.eq_ignore_ascii_case(item))
    };
    let has_methods = requested(header::ACCESS_CONTROL_REQUEST_METHOD)
        .iter()
        .all(|method| is_in(METHODS, method));
    let has_headers = requested(header::ACCESS_CONTROL_REQUEST_HEADERS)
        .iter()
        .all(|name| is_in(HEADERS, name) || SAFE_HEADERS.contains(&name.as_str()));
    let refused = match (is_allowed, has_methods, has_headers) {
        (false, _, _) => "Disallowed CORS origin",
        (_, false, _) => "Disallowed CORS method",
        (_, _, false) => "Disallowed CORS headers",
        _ => {
            return HttpResponse::Ok()
                .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, METHODS))
                .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS))
                .insert_header((header::ACCESS_CONTROL_MAX_AGE, MAX_AGE))
                .finish();
        }
    };
    HttpResponse::BadRequest().json(json!({ "detail": refused }))
}

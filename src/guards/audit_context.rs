//! The context of a request for the audit trail: the client's address, its user agent and the ids of the
//! request.

#[cfg(feature = "server")]
use std::future::Future;
use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{FromRequest, HttpMessage, HttpRequest};

#[cfg(feature = "server")]
use super::auth;
#[cfg(feature = "server")]
use crate::audit::is_near;
use crate::auth::AuditContext;
use crate::config::TrustedProxies;
use crate::credential::hex;
use crate::error::Error;
#[cfg(feature = "server")]
use crate::network::Network;

impl FromRequest for AuditContext {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(Ok(audit_context(request)))
    }
}

pub(crate) fn audit_context(request: &HttpRequest) -> AuditContext {
    let user_agent = request.headers().get(header::USER_AGENT);
    let user_agent = user_agent.map(|value| value.as_bytes()).unwrap_or_default();
    let given = client_request_id(request).map(text).unwrap_or_default();
    let own = request_id(request);
    let context = AuditContext::client(address(request), user_agent, own.as_str())
        .with_client_request_id(given)
        .with_locale(preferred_language(request));
    if is_behind_unnamed_proxy(request) {
        context.behind_unnamed_proxy()
    } else {
        context
    }
}

/// The longest tag of a language that is kept: a language, a script, a region and a variant (RFC 5646
/// section 4.4.1).
const MAX_LANGUAGE: usize = 35;

/// The language that the client prefers: the first one of `Accept-Language` (RFC 9110 section 12.5.4), where
/// browsers write it. Empty if there is none.
fn preferred_language(request: &HttpRequest) -> &str {
    let accepted = request.headers().get(header::ACCEPT_LANGUAGE);
    let accepted = accepted.and_then(|value| value.to_str().ok());
    let first = accepted.and_then(|accepted| accepted.split([',', ';']).next());
    let is_tag = |tag: &&str| {
        let mut bytes = tag.bytes();
        tag.len() <= MAX_LANGUAGE && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    first.map(str::trim).filter(is_tag).unwrap_or_default()
}

/// The network of the client.
#[cfg(feature = "server")]
pub(crate) fn network(request: &HttpRequest) -> Network {
    Network::new(address(request))
}

/// The client's address. Taken from the connection, since a client can write any header; only if a
/// trusted proxy opened the connection, from the proxy's header.
pub(crate) fn address(request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    let Some(proxies) = request.app_data::<TrustedProxies>() else {
        return Some(peer);
    };
    let forwarded: Vec<&[u8]> = request
        .headers()
        .get_all(header::X_FORWARDED_FOR)
        .map(|value| value.as_bytes())
        .collect();
    Some(proxies.client(peer, forwarded.into_iter()))
}

/// Whether a peer on this machine forwarded the request although the settings name no proxy. The
/// peer is most likely a proxy, whose clients must not share one limit. A client on this machine
/// can imitate it, and is then limited by account only.
fn is_behind_unnamed_proxy(request: &HttpRequest) -> bool {
    let has_no_proxies = request
        .app_data::<TrustedProxies>()
        .is_none_or(TrustedProxies::is_empty);
    has_no_proxies
        && is_forwarded(request)
        && request
            .peer_addr()
            .is_some_and(|peer| peer.ip().to_canonical().is_loopback())
}

/// Reports to the operator that an untrusted peer forwarded a request. Returns whether the peer is on
/// this machine or in a private network, so that it most likely is a proxy.
#[cfg(feature = "server")]
pub(crate) fn report_unnamed_proxy(request: &HttpRequest) -> bool {
    if !is_forwarded(request) {
        return false;
    }
    // The listener for metrics has no proxies, and does not use the address.
    let Some(proxies) = request.app_data::<TrustedProxies>() else {
        return false;
    };
    let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
    let unnamed = peer.filter(|peer| !proxies.contains(*peer));
    if let (Some(peer), Ok(auth)) = (unnamed, auth(request)) {
        auth.record_unnamed_proxy(peer);
    }
    unnamed.is_some_and(is_near)
}

fn is_forwarded(request: &HttpRequest) -> bool {
    let headers = request.headers();
    headers.contains_key(header::X_FORWARDED_FOR) || headers.contains_key(header::FORWARDED)
}

/// The header with the id of a request: in a request the client's id, in a response that or our
/// own.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The maximum length of an id from a client, in bytes.
const MAX_CLIENT_ID: usize = 128;

/// Our id of a request: 32 hexadecimal digits.
#[derive(Clone, Copy)]
pub(crate) struct RequestId([u8; 32]);

impl RequestId {
    /// A random id.
    pub(crate) fn generate() -> Self {
        let mut digits = [0; 32];
        hex::write(&rand::random::<[u8; 16]>(), &mut digits);
        Self(digits)
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Our id of the request, always the same: of the service's own routes the one that the log has.
/// Elsewhere it is generated on demand, as most requests need none.
pub(crate) fn request_id(request: &HttpRequest) -> RequestId {
    #[cfg(feature = "server")]
    if let Ok(id) = LOGGED_IDS.try_with(|ids| ids.own) {
        return id;
    }
    if let Some(id) = request.extensions().get() {
        return *id;
    }
    let id = RequestId::generate();
    request.extensions_mut().insert(id);
    id
}

/// The client's id of the request, if it may be logged unchanged.
pub(crate) fn client_request_id(request: &HttpRequest) -> Option<&HeaderValue> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    request.headers().get(REQUEST_ID).filter(|id| {
        let id = id.as_bytes();
        (1..=MAX_CLIENT_ID).contains(&id.len()) && id.iter().all(is_plain)
    })
}

/// The ids of a request, for the log.
#[cfg(feature = "server")]
pub(crate) struct RequestIds {
    own: RequestId,
    client: Option<HeaderValue>,
}

#[cfg(feature = "server")]
impl RequestIds {
    /// Our id of a request, and the client's.
    pub(crate) fn new(own: RequestId, request: &HttpRequest) -> Self {
        Self {
            own,
            client: client_request_id(request).cloned(),
        }
    }

    /// The id that the response has: the client's, or our own.
    pub(crate) fn of_response(&self) -> HeaderValue {
        let own = || HeaderValue::from_bytes(&self.own.0);
        let none = |_impossible| HeaderValue::from_static("none");
        match &self.client {
            Some(id) => id.clone(),
            None => own().unwrap_or_else(none),
        }
    }

    /// Adds the ids to each line that this work logs on its own task.
    pub(crate) async fn log<F: Future>(self, work: F) -> F::Output {
        LOGGED_IDS.scope(self, work).await
    }
}

/// Our id of the request that this task works on, and the client's id.
#[cfg(feature = "cli")]
pub(crate) fn logged_ids() -> Option<(String, Option<String>)> {
    let texts = |ids: &RequestIds| {
        let client = ids.client.as_ref().map(|id| text(id).to_owned());
        (ids.own.as_str().to_owned(), client)
    };
    LOGGED_IDS.try_with(texts).ok()
}

fn text(id: &HeaderValue) -> &str {
    id.to_str().unwrap_or_default()
}

#[cfg(feature = "server")]
tokio::task_local! {
    static LOGGED_IDS: RequestIds;
}

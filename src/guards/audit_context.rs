//! Where a request comes from, for the audit trail.

use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{FromRequest, HttpRequest};

#[cfg(feature = "server")]
use super::auth;
use crate::auth::Origin;
use crate::config::TrustedProxies;
use crate::error::Error;
use crate::guards::request_id::{id_of_client, request_id};
#[cfg(feature = "server")]
use crate::network::Network;

impl FromRequest for Origin {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(Ok(origin(request)))
    }
}

pub(crate) fn origin(request: &HttpRequest) -> Origin {
    let user_agent = request.headers().get(header::USER_AGENT);
    let user_agent = user_agent.map(|value| value.as_bytes()).unwrap_or_default();
    let text = |id: &HeaderValue| id.to_str().unwrap_or_default().to_owned();
    let given = id_of_client(request).map(text).unwrap_or_default();
    let origin = Origin::client(address(request), user_agent, &text(&request_id(request)))
        .with_client_request_id(&given);
    if is_behind_unnamed_proxy(request) {
        origin.behind_unnamed_proxy()
    } else {
        origin
    }
}

/// The network that a request comes from.
#[cfg(feature = "server")]
pub(crate) fn network(request: &HttpRequest) -> Network {
    Network::of(address(request))
}

/// The address is that of the connection: what a header says of it, anybody can write. Only for
/// the proxies of the settings, where the app has those, it is what they say.
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

/// Whether the request was forwarded by a peer on this machine while the settings name no proxy at all:
/// a proxy in all likelihood, whose clients must not use up each other's limits. A client on this
/// machine can make itself look like that, and is then limited by account only.
fn is_behind_unnamed_proxy(request: &HttpRequest) -> bool {
    let none_named = request
        .app_data::<TrustedProxies>()
        .is_none_or(TrustedProxies::is_empty);
    none_named
        && is_forwarded(request)
        && request
            .peer_addr()
            .is_some_and(|peer| peer.ip().to_canonical().is_loopback())
}

/// Tells the operator of a request that was forwarded by a peer that is no trusted proxy.
#[cfg(feature = "server")]
pub(crate) fn report_unnamed_proxy(request: &HttpRequest) {
    if !is_forwarded(request) {
        return;
    }
    // The listener for metrics has no proxies, and nothing there depends on the address.
    let Some(proxies) = request.app_data::<TrustedProxies>() else {
        return;
    };
    let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
    let unnamed = peer.filter(|peer| !proxies.contains(*peer));
    if let (Some(peer), Ok(auth)) = (unnamed, auth(request)) {
        auth.note_unnamed_proxy(peer);
    }
}

fn is_forwarded(request: &HttpRequest) -> bool {
    let headers = request.headers();
    headers.contains_key(header::X_FORWARDED_FOR) || headers.contains_key(header::FORWARDED)
}

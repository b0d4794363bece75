//! Where a request comes from, for the audit trail.

use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{FromRequest, HttpRequest};

use crate::auth::Origin;
use crate::config::TrustedProxies;
use crate::error::Error;
use crate::http::request_id::{id_of_client, request_id};

impl FromRequest for Origin {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(Ok(origin(request)))
    }
}

pub(super) fn origin(request: &HttpRequest) -> Origin {
    let user_agent = request.headers().get(header::USER_AGENT);
    let user_agent = user_agent.map(|value| value.as_bytes()).unwrap_or_default();
    let text = |id: &HeaderValue| id.to_str().unwrap_or_default().to_owned();
    let given = id_of_client(request).map(text).unwrap_or_default();
    Origin::client(address(request), user_agent, &text(&request_id(request)))
        .with_client_request_id(&given)
}

/// The address is that of the connection: what a header says of it, anybody can write. Only for
/// the proxies of the settings, where the app has those, it is what they say.
fn address(request: &HttpRequest) -> Option<IpAddr> {
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

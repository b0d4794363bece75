//! Where a request comes from, for the audit trail.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest};

use crate::auth::Origin;
use crate::error::Error;
use crate::http::envelope::request_id;

impl FromRequest for Origin {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(Ok(origin(request)))
    }
}

/// The address is that of the connection: what a header says of it, anybody can write.
pub(super) fn origin(request: &HttpRequest) -> Origin {
    let ip = request.peer_addr().map(|address| address.ip());
    let user_agent = request.headers().get(header::USER_AGENT);
    let user_agent = user_agent.map(|value| value.as_bytes()).unwrap_or_default();
    let request_id = request_id(request);
    Origin::client(ip, user_agent, request_id.to_str().unwrap_or_default())
}

//! The guard for routes that are for whoever has the static key.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use super::auth;
use super::credential::TOKEN_HEADER;
use crate::error::Error;

/// Shows that the request carries the static key in its header `Token`.
///
/// Refuses with 403, as FastAPI's `APIKeyHeader` did when the tutorial was written. The first of
/// several headers counts. Without a static key in the settings it refuses everybody.
#[derive(Clone, Copy, Debug)]
pub struct StaticKey(());

impl FromRequest for StaticKey {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let presented = request
            .headers()
            .get(TOKEN_HEADER)
            .map(|value| value.as_bytes().trim_ascii())
            .filter(|key| !key.is_empty());
        ready(auth(request).and_then(|auth| auth.check_static_key(presented).map(|()| Self(()))))
    }
}

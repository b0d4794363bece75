//! The guard for routes that are for whoever has the static key.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use super::{auth, credential};
use crate::error::Error;

/// Shows that the request carries the static key in its header `Token`.
///
/// Refuses with 403, as FastAPI's `APIKeyHeader` did when the tutorial was written, and with 400
/// for two different credentials. Without a static key in the settings it refuses every request.
#[derive(Clone, Copy, Debug)]
pub struct StaticKey(());

impl FromRequest for StaticKey {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(shown(request))
    }
}

fn shown(request: &HttpRequest) -> Result<StaticKey, Error> {
    let presented = credential::find_static_key(request)?;
    auth(request)?.check_static_key(presented)?;
    Ok(StaticKey(()))
}

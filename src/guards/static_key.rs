//! The guard for clients with the static key.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::{Either, LocalBoxFuture};

use super::audit_context::{address, audit_context};
use super::{auth, presented};
use crate::error::Error;

/// Proof that the request has the static key in its header `Token`.
///
/// Refuses with 403, as FastAPI's `APIKeyHeader` did when the tutorial was written, with 400 for two
/// different credentials, and with 429 when the network has sent too many wrong keys. Without a static
/// key in the settings it refuses every request.
#[derive(Clone, Copy, Debug)]
pub struct StaticKey(());

impl FromRequest for StaticKey {
    type Error = Error;
    type Future = Either<Ready<Result<Self, Error>>, LocalBoxFuture<'static, Result<Self, Error>>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        match without_query(request) {
            Ok(true) => Either::Left(ready(Ok(Self(())))),
            Err(error) => Either::Left(ready(Err(error))),
            Ok(false) => {
                let request = request.clone();
                Either::Right(Box::pin(async move {
                    let presented = presented::find_static_key(&request)?;
                    let auth = auth(&request)?;
                    auth.check_static_key(&audit_context(&request), presented)
                        .await?;
                    Ok(Self(()))
                }))
            }
        }
    }
}

/// Whether the key can be admitted without a query.
fn without_query(request: &HttpRequest) -> Result<bool, Error> {
    let presented = presented::find_static_key(request)?.ok_or(Error::StaticKeyMissing)?;
    let auth = auth(request)?;
    Ok(auth.admit_static_key(address(request), presented, || audit_context(request)))
}

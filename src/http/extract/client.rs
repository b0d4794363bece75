//! The guard for clients that ask about other people's credentials.

use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::LocalBoxFuture;

use super::authorized::{Authorized, RequiredScope};
use super::{auth, credential};
use crate::auth::{Auth, Session};
use crate::error::Error;
use crate::scope;

/// `introspect`
struct Introspect;

impl RequiredScope for Introspect {
    const SCOPE: &'static str = scope::INTROSPECT;
}

/// A client that may introspect (RFC 7662 section 2.1): it has a credential with the scope
/// `introspect`, or the static key, as `Bearer` or as the password of HTTP Basic under any name.
#[derive(Clone, Debug)]
pub(crate) struct IntrospectionClient {
    /// Of the user with the scope; none for the static key.
    pub(crate) session: Option<Arc<Session>>,
}

impl FromRequest for IntrospectionClient {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let with_scope = Authorized::<Introspect>::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let auth = auth(&request)?;
            match by_static_key(auth, &request)? {
                true => Ok(Self { session: None }),
                false => with_scope.await.map(|authorized| Self {
                    session: Some(Arc::clone(authorized.session())),
                }),
            }
        })
    }
}

/// Whether the static key was shown in `Authorization`; `false` when something else may have been.
///
/// # Errors
/// [`Error::InvalidClient`] for a wrong HTTP Basic, [`Error::TwoCredentials`] beside anything else.
fn by_static_key(auth: &Auth, request: &HttpRequest) -> Result<bool, Error> {
    if let Some(basic) = credential::find_basic(request)? {
        let secret = password_of_basic(basic).ok_or(Error::InvalidClient)?;
        return if is_static_key(auth, &secret) {
            Ok(true)
        } else {
            Err(Error::InvalidClient)
        };
    }
    if request.headers().contains_key(credential::TOKEN_HEADER) {
        return Ok(false);
    }
    match credential::find(request) {
        Ok(bearer) => Ok(auth.check_static_key(Some(bearer)).is_ok()),
        Err(_none_or_two) => Ok(false),
    }
}

/// RFC 6749 section 2.3.1 wants the password form-encoded, and not every client does that.
fn is_static_key(auth: &Auth, secret: &[u8]) -> bool {
    if auth.check_static_key(Some(secret)).is_ok() {
        return true;
    }
    // It would end the value, and what follows would be overlooked.
    if secret.contains(&b'&') {
        return false;
    }
    let as_value = [b"=".as_slice(), secret].concat();
    let decoded = form_urlencoded::parse(&as_value).next();
    decoded.is_some_and(|(_, key)| auth.check_static_key(Some(key.as_bytes())).is_ok())
}

/// The password of HTTP Basic (RFC 7617); `None` for what cannot be read.
pub(crate) fn password_of_basic(encoded: &[u8]) -> Option<Vec<u8>> {
    let decoded = STANDARD.decode(encoded).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some(decoded[colon + 1..].to_vec())
}

//! The guard for clients that ask about other people's credentials.

use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::LocalBoxFuture;

use crate::auth::{Auth, Principal};
use crate::credential::{CredentialDigest, CredentialKind};
use crate::error::Error;
use crate::guards::audit_context::origin;
use crate::guards::{Authorized, RequiredScope};
use crate::guards::{auth, presented};
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
    pub(crate) principal: Option<Arc<Principal>>,
}

impl FromRequest for IntrospectionClient {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let with_scope = Authorized::<Introspect>::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let auth = auth(&request)?;
            if let Some(basic) = presented::find_basic(&request)? {
                let secret = password_of_basic(basic).ok_or(Error::InvalidClient)?;
                let secret = as_meant(auth, secret);
                return check(auth, &request, &secret, Error::InvalidClient).await;
            }
            let bearer = bearer_alone(&request);
            let keys = &auth.config().static_keys;
            if let Some(bearer) = bearer.filter(|bearer| keys.contains(bearer)) {
                return check(auth, &request, bearer, Error::InvalidToken).await;
            }
            match (with_scope.await, bearer) {
                // What stands for no user was meant as the static key, or may have been.
                (Err(Error::InvalidToken), Some(bearer)) if !is_api_key(bearer) => {
                    check(auth, &request, bearer, Error::InvalidToken).await
                }
                (outcome, _) => outcome.map(|authorized| Self {
                    principal: Some(Arc::clone(authorized.principal())),
                }),
            }
        })
    }
}

/// Checks a static key, and answers a wrong one as this route does.
async fn check(
    auth: &Auth,
    request: &HttpRequest,
    presented: &[u8],
    wrong: Error,
) -> Result<IntrospectionClient, Error> {
    let origin = origin(request);
    match auth.check_static_key(&origin, Some(presented)).await {
        Ok(()) => Ok(IntrospectionClient { principal: None }),
        Err(Error::StaticKeyWrong) => Err(wrong),
        Err(error) => Err(error),
    }
}

/// The credential in `Authorization: Bearer`, if there is no other one that users show.
fn bearer_alone(request: &HttpRequest) -> Option<&[u8]> {
    if request.headers().contains_key(presented::TOKEN_HEADER) {
        return None;
    }
    presented::find(request).ok()
}

/// A key that was made here and has ended is no guess at the static key: its checksum is right.
fn is_api_key(presented: &[u8]) -> bool {
    let digest = CredentialDigest::parse(presented);
    digest.is_some_and(|digest| digest.kind == CredentialKind::ApiKey)
}

/// The secret as it was sent or, when that is the static key, decoded: RFC 6749 section 2.3.1 wants the
/// password form-encoded, and not every client does that.
fn as_meant(auth: &Auth, secret: Vec<u8>) -> Vec<u8> {
    // It would end the value, and what follows would be overlooked.
    if secret.contains(&b'&') {
        return secret;
    }
    let as_value = [b"=".as_slice(), &secret].concat();
    let decoded = form_urlencoded::parse(&as_value).next();
    let decoded = decoded.map(|(_, key)| key.into_owned().into_bytes());
    let is_key = |key: &Vec<u8>| auth.config().static_keys.contains(key);
    decoded.filter(is_key).unwrap_or(secret)
}

/// The password of HTTP Basic (RFC 7617); `None` for what cannot be read.
pub(crate) fn password_of_basic(encoded: &[u8]) -> Option<Vec<u8>> {
    let decoded = STANDARD.decode(encoded).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some(decoded[colon + 1..].to_vec())
}

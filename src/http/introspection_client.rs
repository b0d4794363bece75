//! The guard for clients that introspect the credentials of users.

use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::LocalBoxFuture;

use crate::auth::{Auth, Principal};
use crate::credential::{CredentialDigest, CredentialKind};
use crate::error::Error as DomainError;
use crate::guards::audit_context::audit_context;
use crate::guards::{Authorized, RequiredScope};
use crate::guards::{auth, presented};
use crate::http::request_error::{Error, RequestError};
use crate::scope;

/// `introspect`
struct Introspect;

impl RequiredScope for Introspect {
    const SCOPE: &'static str = scope::INTROSPECT;
}

/// A client that may introspect (RFC 7662 section 2.1): it sends a credential with the scope
/// `introspect`, or the static key as `Bearer` or as the password of HTTP Basic with any name.
#[derive(Clone, Debug)]
pub(crate) struct IntrospectionClient {
    /// The user with the scope; `None` for the static key.
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
                let secret = password_of_basic(basic).ok_or(RequestError::InvalidClient)?;
                let secret = decode_static_key(auth, secret);
                return check(auth, &request, &secret, RequestError::InvalidClient).await;
            }
            let bearer = bearer_alone(&request);
            let keys = &auth.config().static_keys;
            if let Some(bearer) = bearer.filter(|bearer| keys.contains(bearer)) {
                return check(auth, &request, bearer, DomainError::InvalidToken).await;
            }
            match (with_scope.await, bearer) {
                // A credential without a user may be a static key.
                (Err(DomainError::InvalidToken), Some(bearer)) if !is_api_key(bearer) => {
                    check(auth, &request, bearer, DomainError::InvalidToken).await
                }
                (outcome, _) => Ok(Self {
                    principal: Some(Arc::clone(outcome?.principal())),
                }),
            }
        })
    }
}

/// Checks a static key. A wrong one is refused with the given error.
async fn check(
    auth: &Auth,
    request: &HttpRequest,
    presented: &[u8],
    wrong: impl Into<Error>,
) -> Result<IntrospectionClient, Error> {
    let context = audit_context(request);
    match auth.check_static_key(&context, Some(presented)).await {
        Ok(()) => Ok(IntrospectionClient { principal: None }),
        Err(DomainError::StaticKeyWrong) => Err(wrong.into()),
        Err(error) => Err(error.into()),
    }
}

/// The credential in `Authorization: Bearer`, unless the request has the header `Token`.
fn bearer_alone(request: &HttpRequest) -> Option<&[u8]> {
    if request.headers().contains_key(presented::TOKEN_HEADER) {
        return None;
    }
    presented::find(request).ok()
}

/// Whether this is an API key, perhaps one that has ended: its checksum is right, so it is not a guess at
/// the static key.
fn is_api_key(presented: &[u8]) -> bool {
    let digest = CredentialDigest::parse(presented);
    digest.is_some_and(|digest| digest.kind == CredentialKind::ApiKey)
}

/// The decoded secret if that is a static key, otherwise the secret as it was sent: RFC 6749 section
/// 2.3.1 requires form-encoding, which not every client applies.
pub(crate) fn decode_static_key(auth: &Auth, secret: Vec<u8>) -> Vec<u8> {
    // An `&` would end the value, and the parser would ignore the rest.
    if secret.contains(&b'&') {
        return secret;
    }
    let as_value = [b"=".as_slice(), &secret].concat();
    let decoded = form_urlencoded::parse(&as_value).next();
    let decoded = decoded.map(|(_, key)| key.into_owned().into_bytes());
    let is_key = |key: &Vec<u8>| auth.config().static_keys.contains(key);
    decoded.filter(is_key).unwrap_or(secret)
}

/// The password of HTTP Basic (RFC 7617); `None` when it is malformed.
pub(crate) fn password_of_basic(encoded: &[u8]) -> Option<Vec<u8>> {
    let decoded = STANDARD.decode(encoded).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some(decoded[colon + 1..].to_vec())
}

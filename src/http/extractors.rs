//! Handler parameters of this service's own routes: scopes of administrators, users with some scope, users who
//! add a second factor, bodies of admitted callers, and the version that a change applies to.

use std::future::{Ready, ready};
use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{EntityTag, Header, IF_MATCH, IfMatch};
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use secrecy::zeroize::Zeroizing;

use crate::auth::{Administrator, AuditContext, Credential, Enroller, Precondition, Principal};
use crate::credential::pending_sign_in::is_pending_token_shaped;
use crate::error::Error;
use crate::guards::{Authenticated, Authorized, RequiredScope, SignedIn, auth, presented};
use crate::http::request_error::Error as HttpError;
use crate::scope;

crate::scope!(pub UsersRead = scope::USERS_READ);
crate::scope!(pub UsersWrite = scope::USERS_WRITE);
crate::scope!(pub EventsRead = scope::EVENTS_READ);

impl<S: RequiredScope> Authorized<S> {
    /// The caller as an administrator with the authority of this scope.
    pub(crate) fn administrator(&self, context: AuditContext) -> Administrator {
        Administrator::new(context, Arc::clone(self.principal()), S::SCOPE)
    }
}

/// A user authenticated by a login token, or by an API key with at least one scope. A key without
/// scopes identifies its owner and allows nothing else. It derefs to a [`Principal`].
///
/// Refuses as [`Authenticated`] does, and API keys without scopes with 403.
#[derive(Clone, Debug)]
pub(crate) struct Scoped(Arc<Principal>);

impl Deref for Scoped {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.0
    }
}

impl FromRequest for Scoped {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let authenticated = Authenticated::from_request(request, payload);
        Box::pin(async move {
            let Authenticated(principal) = authenticated.await?;
            match &principal.credential {
                Credential::ApiKey(_) if principal.scopes().is_empty() => {
                    Err(Error::KeyWithoutScopes)
                }
                Credential::ApiKey(_) | Credential::LoginToken(_) => Ok(Self(principal)),
            }
        })
    }
}

/// A user who adds a second factor: with a login token, or with the token of a sign-in that waits for it, in
/// the same place.
///
/// Refuses as [`SignedIn`] does, and the token of any other sign-in that waits as an invalid one.
impl FromRequest for Enroller {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let pending = presented::find(request).ok().and_then(pending_token);
        let signed_in = SignedIn::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let Some(token) = pending else {
                return Ok(Self::from(signed_in.await?.principal()));
            };
            match auth(&request)?.find_enrolment(&token, false).await {
                Ok(pending) => Ok(Self::Pending(Arc::new(pending))),
                Err(Error::BadMfaToken) => Err(Error::InvalidToken),
                Err(error) => Err(error),
            }
        })
    }
}

/// The token of a sign-in that waits, if the credential is one.
fn pending_token(presented: &[u8]) -> Option<Zeroizing<String>> {
    let token = Some(presented).filter(|token| is_pending_token_shaped(token));
    let token = token.and_then(|token| str::from_utf8(token).ok());
    token.map(|token| Zeroizing::new(token.to_owned()))
}

/// A caller whom the guard `G` admits, and the body `B`, which is read only then. The parameters of a handler are
/// read at the same time: of two, an invalid body could refuse a caller with an invalid credential.
pub(crate) struct Admitted<G, B>(pub(crate) G, pub(crate) B);

impl<G, B> FromRequest for Admitted<G, B>
where
    G: FromRequest<Error: Into<HttpError>, Future: 'static> + 'static,
    B: FromRequest<Error = HttpError> + 'static,
{
    type Error = HttpError;
    type Future = LocalBoxFuture<'static, Result<Self, HttpError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let guard = G::from_request(request, payload);
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let caller = guard.await.map_err(Into::into)?;
            let body = B::from_request(&request, &mut payload).await?;
            Ok(Self(caller, body))
        })
    }
}

/// The header `If-Match` (RFC 9110 section 13.1.1). Weak and malformed tags match no version, so the
/// change is refused.
impl FromRequest for Precondition {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        if !request.headers().contains_key(IF_MATCH) {
            return ready(Ok(Self::None));
        }
        let strong = |tag: &EntityTag| !tag.weak;
        ready(Ok(match IfMatch::parse(request) {
            Ok(IfMatch::Any) => Self::Exists,
            Ok(IfMatch::Items(tags)) => Self::IsOneOf(
                tags.iter()
                    .filter(|tag| strong(tag))
                    .map(|tag| tag.tag().to_owned())
                    .collect(),
            ),
            Err(_malformed) => Self::IsOneOf(Vec::new()),
        }))
    }
}

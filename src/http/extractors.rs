//! Handler parameters of this service's own routes: scopes of administrators, users with some scope, and
//! the version that a change applies to.

use std::future::{Ready, ready};
use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{EntityTag, Header, IF_MATCH, IfMatch};
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;

use crate::auth::{Administrator, AuditContext, Credential, Precondition, Principal};
use crate::error::Error;
use crate::guards::{Authenticated, Authorized, RequiredScope};
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

//! The guards for users: by any credential, by a login token, or optionally.

use std::future::{Ready, ready};
use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::{Either, LocalBoxFuture};

use super::{auth, presented};
use crate::auth::{Auth, Credential, Principal, require_user};
use crate::credential::Candidates;
use crate::error::Error;
use crate::store::AccessToken;

/// An authenticated user: the handler runs for no other caller. Derefs to a [`Principal`]:
/// `caller.user`, `caller.credential`.
///
/// Refuses with 401 and a `WWW-Authenticate` challenge (RFC 6750 section 3), with 403 for the key of
/// an app, which is no user, with 400 for two different credentials, and with 503 when the database
/// does not respond.
#[derive(Clone, Debug)]
pub struct Authenticated(pub Arc<Principal>);

impl Deref for Authenticated {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.0
    }
}

impl FromRequest for Authenticated {
    type Error = Error;
    type Future = Either<Ready<Result<Self, Error>>, LocalBoxFuture<'static, Result<Self, Error>>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        match from_cache(request) {
            Ok(caller) => Either::Left(ready(require_user(caller).map(Self))),
            Err(CacheMiss::Refused(error)) => Either::Left(ready(Err(error))),
            Err(CacheMiss::Query(auth, candidates)) => Either::Right(Box::pin(async move {
                require_user(auth.find_principal(candidates).await?).map(Self)
            })),
        }
    }
}

/// An authenticated user or app, for guards that require a scope: the operator has given it to the
/// app by name. Refuses as [`Authenticated`] does otherwise.
#[derive(Clone, Debug)]
pub(crate) struct UserOrApp(pub(crate) Arc<Principal>);

impl FromRequest for UserOrApp {
    type Error = Error;
    type Future = Either<Ready<Result<Self, Error>>, LocalBoxFuture<'static, Result<Self, Error>>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        match from_cache(request) {
            Ok(caller) => Either::Left(ready(Ok(Self(caller)))),
            Err(CacheMiss::Refused(error)) => Either::Left(ready(Err(error))),
            Err(CacheMiss::Query(auth, candidates)) => Either::Right(Box::pin(async move {
                auth.find_principal(candidates).await.map(Self)
            })),
        }
    }
}

/// Why the cache does not admit the caller.
enum CacheMiss {
    Refused(Error),
    Query(Auth, Candidates),
}

impl From<Error> for CacheMiss {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// Decides without a query, if the cache allows it.
fn from_cache(request: &HttpRequest) -> Result<Arc<Principal>, CacheMiss> {
    let presented = presented::find(request)?;
    let candidates = Candidates::parse(presented).ok_or(Error::InvalidToken)?;
    let auth = auth(request)?;
    match auth.recall_principal(&candidates) {
        Some(outcome) => Ok(outcome?),
        None => Err(CacheMiss::Query(auth.clone(), candidates)),
    }
}

/// An authenticated user, or an anonymous caller.
///
/// Only a request without a credential is anonymous. One with an invalid credential is refused as
/// elsewhere, and so are all requests while the database does not respond.
#[derive(Clone, Debug)]
pub struct MaybeAuthenticated(pub Option<Authenticated>);

impl FromRequest for MaybeAuthenticated {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let authenticated = Authenticated::from_request(request, payload);
        Box::pin(async move {
            match authenticated.await {
                Ok(caller) => Ok(Self(Some(caller))),
                Err(Error::NotAuthenticated) => Ok(Self(None)),
                Err(error) => Err(error),
            }
        })
    }
}

/// A user authenticated by a login token, as opposed to a program with an API key. Derefs to a
/// [`Principal`].
///
/// Refuses as [`Authenticated`] does, and API keys with 403.
#[derive(Clone, Debug)]
pub struct SignedIn {
    principal: Arc<Principal>,
    token: AccessToken,
}

impl SignedIn {
    /// The user and the token.
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// The login token.
    pub fn token(&self) -> &AccessToken {
        &self.token
    }
}

impl Deref for SignedIn {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

impl FromRequest for SignedIn {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let authenticated = Authenticated::from_request(request, payload);
        Box::pin(async move {
            let Authenticated(principal) = authenticated.await?;
            match &principal.credential {
                Credential::LoginToken(token) => Ok(Self {
                    token: token.clone(),
                    principal,
                }),
                Credential::ApiKey(_) => Err(Error::LoginTokenRequired),
            }
        })
    }
}

//! The guards for routes that are for users.

use std::future::{Ready, ready};
use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::{Either, LocalBoxFuture};

use super::{auth, presented};
use crate::auth::{Auth, Principal};
use crate::credential::Candidates;
use crate::error::Error;

/// A user who is in: the handler that takes one runs for nobody else. It reads like a [`Principal`]:
/// `caller.user`, `caller.credential`.
///
/// Refuses with 401 and a `WWW-Authenticate` challenge (RFC 6750 section 3), with 400 for two
/// different credentials, and with 503 when the database does not answer.
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
        match at_once(request) {
            Ok(caller) => Either::Left(ready(Ok(caller))),
            Err(NotAtOnce::Refused(error)) => Either::Left(ready(Err(error))),
            Err(NotAtOnce::AskDatabase(auth, candidates)) => Either::Right(Box::pin(async move {
                auth.find_principal(candidates).await.map(Self)
            })),
        }
    }
}

enum NotAtOnce {
    Refused(Error),
    AskDatabase(Auth, Candidates),
}

impl From<Error> for NotAtOnce {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// Decides without waiting, if that can be.
fn at_once(request: &HttpRequest) -> Result<Authenticated, NotAtOnce> {
    let presented = presented::find(request)?;
    let candidates = Candidates::parse(presented).ok_or(Error::InvalidToken)?;
    let auth = auth(request)?;
    match auth.recall_principal(&candidates) {
        Some(outcome) => Ok(Authenticated(outcome?)),
        None => Err(NotAtOnce::AskDatabase(auth.clone(), candidates)),
    }
}

/// A user who is in, or nobody in particular.
///
/// Only a request without any credential counts as nobody's. One with a bad credential is refused
/// like everywhere, and so is every request while the database does not answer.
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

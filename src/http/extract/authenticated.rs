//! The guards for routes that are for users.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;

use super::{auth, credential};
use crate::auth::Session;
use crate::error::Error;
use crate::store::{AccessToken, User};

/// A user who is in: the handler that takes one runs for nobody else.
///
/// Refuses with 401 and a `WWW-Authenticate` challenge (RFC 6750 section 3), with 400 for two
/// different credentials, and with 503 when the database does not answer.
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// Who.
    pub user: User,
    /// By what.
    pub token: AccessToken,
}

impl From<Session> for Authenticated {
    fn from(Session { user, token }: Session) -> Self {
        Self { user, token }
    }
}

impl FromRequest for Authenticated {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let presented = credential::find(&request)?;
            Ok(auth(&request)?.check_token(presented).await?.into())
        })
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

//! The guard for what a login token allows and an API key does not.

use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;

use super::Authenticated;
use crate::auth::{Credential, Session};
use crate::error::Error;
use crate::store::AccessToken;

/// A user who has signed in: not a program with an API key of the user's. It reads like a
/// [`Session`].
///
/// Refuses as [`Authenticated`] does, and API keys with 403.
#[derive(Clone, Debug)]
pub struct SignedIn {
    session: Arc<Session>,
    token: AccessToken,
}

impl SignedIn {
    /// The user and the token.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// The login token.
    pub fn token(&self) -> &AccessToken {
        &self.token
    }
}

impl Deref for SignedIn {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl FromRequest for SignedIn {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let authenticated = Authenticated::from_request(request, payload);
        Box::pin(async move {
            let Authenticated(session) = authenticated.await?;
            match &session.credential {
                Credential::LoginToken(token) => Ok(Self {
                    token: token.clone(),
                    session,
                }),
                Credential::ApiKey(_) => Err(Error::LoginTokenWanted),
            }
        })
    }
}

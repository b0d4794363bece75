//! The guard for what a login token allows and an API key does not.

use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;

use super::Authenticated;
use crate::auth::{Credential, Principal};
use crate::error::Error;
use crate::store::AccessToken;

/// A user who has signed in: not a program with an API key of the user's. It reads like a
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

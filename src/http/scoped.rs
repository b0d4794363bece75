//! The guard for routes about the user that not every API key is for.

use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;

use crate::auth::{Credential, Principal};
use crate::error::Error;
use crate::guards::Authenticated;

/// A user who is in by a login token, or by an API key that has at least one scope. A key without
/// scopes tells who its owner is, and nothing else. It reads like a [`Principal`].
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

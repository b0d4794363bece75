//! The guards that query the server.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use secrecy::{ExposeSecret, SecretSlice};

use super::{RemoteAuth, RemotePrincipal};
use crate::error::Error;
use crate::guards::RequiredScope;
use crate::guards::presented;

/// A user whom the server has authenticated. Derefs to a [`RemotePrincipal`]: `caller.user.email`.
///
/// Accepts credentials in the same headers as [`Authenticated`](crate::Authenticated), and refuses as it
/// does: with 401 and a challenge, with 403 for an app, with 400 for two different credentials, and with
/// 503 when the server gives no valid response.
#[derive(Clone, Debug)]
pub struct RemoteAuthenticated(pub Arc<RemotePrincipal>);

impl Deref for RemoteAuthenticated {
    type Target = RemotePrincipal;

    fn deref(&self) -> &RemotePrincipal {
        &self.0
    }
}

impl FromRequest for RemoteAuthenticated {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let prepared = prepare(request);
        Box::pin(async move {
            let (auth, presented) = prepared?;
            let principal = auth.find_principal(presented.expose_secret()).await?;
            match principal.is_app() {
                true => Err(Error::UserRequired),
                false => Ok(Self(principal)),
            }
        })
    }
}

/// A user whom the server has authenticated, or an anonymous caller.
///
/// Only a request without a credential is anonymous. One with an invalid credential is refused as
/// elsewhere, and so are all requests with a credential while the server does not respond.
#[derive(Clone, Debug)]
pub struct RemoteMaybeAuthenticated(pub Option<RemoteAuthenticated>);

impl FromRequest for RemoteMaybeAuthenticated {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let authenticated = RemoteAuthenticated::from_request(request, payload);
        Box::pin(async move {
            match authenticated.await {
                Ok(caller) => Ok(Self(Some(caller))),
                Err(Error::NotAuthenticated) => Ok(Self(None)),
                Err(error) => Err(error),
            }
        })
    }
}

/// The handle of the server, and the credential.
fn prepare(request: &HttpRequest) -> Result<(RemoteAuth, SecretSlice<u8>), Error> {
    let presented = presented::find(request)?.to_vec();
    let auth = request.app_data::<RemoteAuth>().ok_or_else(|| {
        log::error!("the app has no RemoteAuth: add .app_data(auth.clone()) to it");
        Error::Internal
    })?;
    Ok((auth.clone(), presented.into()))
}

/// A user who holds the scope `S`, authenticated by a credential that has it as well. Derefs to a
/// [`RemotePrincipal`].
///
/// Admits an app that holds the scope too: [`RemotePrincipal::is_app`] tells it from a user. Refuses as
/// [`RemoteAuthenticated`] does otherwise, and with 403 when the scope is missing (RFC 6750
/// section 3.1). The server's audit trail does not record it.
#[derive(Clone, Debug)]
pub struct RemoteAuthorized<S> {
    principal: Arc<RemotePrincipal>,
    scope: PhantomData<S>,
}

impl<S: RequiredScope> RemoteAuthorized<S> {
    /// The user and the credential.
    pub fn principal(&self) -> &Arc<RemotePrincipal> {
        &self.principal
    }
}

impl<S> Deref for RemoteAuthorized<S> {
    type Target = RemotePrincipal;

    fn deref(&self) -> &RemotePrincipal {
        &self.principal
    }
}

impl<S: RequiredScope> FromRequest for RemoteAuthorized<S> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let prepared = prepare(request);
        Box::pin(async move {
            let (auth, presented) = prepared?;
            let principal = auth.find_principal(presented.expose_secret()).await?;
            if !principal.has_scope(S::SCOPE) {
                return Err(Error::InsufficientScope(S::SCOPE.to_owned()));
            }
            let scope = PhantomData;
            Ok(Self { principal, scope })
        })
    }
}

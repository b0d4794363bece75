//! Who may use the console, as parameters of the handlers.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::future::LocalBoxFuture;

use crate::auth::{Administrator, AuditContext};
use crate::error::Error;
use crate::guards::audit_context::audit_context;
use crate::guards::{BrowserError, BrowserSession, RequiredScope, auth};
use crate::scope;

/// The address of a user who may not see a page, in the extensions of the request, for the page that
/// says so.
pub(in crate::http::pages) struct Excluded(pub(in crate::http::pages) String);

/// A browser whose user holds the scope `S`. Derefs to a [`BrowserSession`].
///
/// Refuses as that does, and with 403 without the scope; the audit trail records that.
pub(super) struct Reader<S> {
    session: BrowserSession,
    scope: PhantomData<S>,
}

impl<S: RequiredScope> Reader<S> {
    /// The caller as an administrator with the authority of the scope.
    pub(super) fn administrator(&self, context: AuditContext) -> Administrator {
        administrator(&self.session, context, S::SCOPE)
    }
}

impl<S> Deref for Reader<S> {
    type Target = BrowserSession;

    fn deref(&self) -> &BrowserSession {
        &self.session
    }
}

impl<S: RequiredScope> FromRequest for Reader<S> {
    type Error = BrowserError;
    type Future = LocalBoxFuture<'static, Result<Self, BrowserError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let session = BrowserSession::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let session = session.await?;
            require(&request, &session, &[S::SCOPE]).await?;
            let scope = PhantomData;
            Ok(Self { session, scope })
        })
    }
}

/// A browser whose user may read users or events. Derefs to a [`BrowserSession`].
///
/// Refuses as [`Reader`] does.
pub(super) struct AnyReader(BrowserSession);

impl Deref for AnyReader {
    type Target = BrowserSession;

    fn deref(&self) -> &BrowserSession {
        &self.0
    }
}

impl FromRequest for AnyReader {
    type Error = BrowserError;
    type Future = LocalBoxFuture<'static, Result<Self, BrowserError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let session = BrowserSession::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let session = session.await?;
            require(&request, &session, &[scope::USERS_READ, scope::EVENTS_READ]).await?;
            Ok(Self(session))
        })
    }
}

/// Requires one of these scopes, and records a denial that names the first one.
///
/// # Errors
/// [`Error::InsufficientScope`]; [`Error::Unavailable`].
pub(super) async fn require(
    request: &HttpRequest,
    session: &BrowserSession,
    scopes: &[&str],
) -> Result<(), BrowserError> {
    if scopes.iter().any(|name| session.has_scope(name)) {
        return Ok(());
    }
    let excluded = Excluded(session.user.email.clone());
    request.extensions_mut().insert(excluded);
    let name = scopes.first().ok_or(Error::Internal)?;
    let context = audit_context(request);
    let error = auth(request)?.refuse_scope(&context, session, name).await;
    Err(error.into())
}

/// The user of a session as an administrator with the authority of a scope.
pub(super) fn administrator(
    session: &BrowserSession,
    context: AuditContext,
    authority: &str,
) -> Administrator {
    Administrator::new(context, Arc::clone(session.principal()), authority)
}

//! Forms that change other users' accounts, as parameters of the handlers.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;

use super::guard::{administrator, require};
use crate::auth::Administrator;
use crate::guards::BrowserSession;
use crate::guards::audit_context::audit_context;
use crate::http::body::form::FromFields;
use crate::http::pages::SignedForm;
use crate::http::pages::fresh::{Repeatable, confirmed};
use crate::scope;

/// A form with which an administrator changes another user: as
/// [`FreshForm`](crate::http::pages::fresh::FreshForm), from a caller who holds `users:write`.
pub(super) struct AdminForm<T> {
    /// The caller.
    pub(super) session: BrowserSession,
    /// The caller as an administrator.
    pub(super) admin: Administrator,
    /// The fields.
    pub(super) form: T,
}

impl<T: FromFields + 'static> FromRequest for AdminForm<T> {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let form = SignedForm::<Repeatable<T>>::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let SignedForm { session, form } = form.await?;
            require(&request, &session, &[scope::USERS_WRITE]).await?;
            let session = confirmed(&request, session, &form, "/console").await?;
            // It may have been taken away meanwhile.
            require(&request, &session, &[scope::USERS_WRITE]).await?;
            let context = audit_context(&request);
            Ok(Self {
                admin: administrator(&session, context, scope::USERS_WRITE),
                session,
                form: form.form,
            })
        })
    }
}

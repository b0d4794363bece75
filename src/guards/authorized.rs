//! The guard for routes that require a scope.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;

use super::audit_context::audit_context;
use super::{UserOrApp, auth};
use crate::auth::Principal;
use crate::error::Error;

/// A scope that a route requires, as a type in the handler's signature. [`scope!`](crate::scope!)
/// defines one.
pub trait RequiredScope: 'static {
    /// The name, as RFC 6749 section 3.3 allows it.
    const SCOPE: &'static str;
}

/// Defines a scope as a type for [`Authorized`] and `RemoteAuthorized`.
///
/// ```
/// use tokenhouse::{Authorized, scope};
///
/// scope!(OrdersRead = "orders:read");
/// scope!(
///     /// Refund a payment.
///     pub Refund = "payments:refund"
/// );
///
/// async fn orders(caller: Authorized<OrdersRead>) -> String {
///     format!("The orders of {}", caller.user.email)
/// }
///
/// /// With two guards, the caller needs both scopes.
/// async fn refund(caller: Authorized<OrdersRead>, _may: Authorized<Refund>) -> String {
///     format!("Refunded by {}", caller.user.email)
/// }
/// ```
///
/// A name that RFC 6749 section 3.3 does not allow is an error at compile time, and so are two names
/// in one text:
///
/// ```compile_fail
/// tokenhouse::scope!(Orders = "orders:read orders:write");
/// ```
#[macro_export]
macro_rules! scope {
    ($(#[$attribute:meta])* $visibility:vis $name:ident = $scope:expr) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug)]
        $visibility struct $name;

        impl $crate::RequiredScope for $name {
            const SCOPE: &'static str = $scope;
        }

        const _: () = assert!(
            $crate::scope::is_name(<$name as $crate::RequiredScope>::SCOPE),
            "a scope is one name of printable ASCII without spaces, quotes and backslashes"
        );
    };
}

/// A user who holds the scope `S`, authenticated by a credential that has it as well, or an app that holds
/// it. Derefs to a [`Principal`].
///
/// An app is admitted too if an operator has given it the scope (`tokenhouse app create`): it has a
/// name and an id, but no address, and [`Principal::is_app`] tells it from a user.
///
/// Refuses as [`Authenticated`](super::Authenticated) does, and with 403 when the scope is missing
/// (RFC 6750 section 3.1); the audit trail records that refusal.
#[derive(Clone, Debug)]
pub struct Authorized<S> {
    principal: Arc<Principal>,
    scope: PhantomData<S>,
}

impl<S: RequiredScope> Authorized<S> {
    /// The user and the credential.
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }
}

impl<S> Deref for Authorized<S> {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

impl<S: RequiredScope> FromRequest for Authorized<S> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let authenticated = UserOrApp::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let UserOrApp(principal) = authenticated.await?;
            if principal.has_scope(S::SCOPE) {
                let scope = PhantomData;
                return Ok(Self { principal, scope });
            }
            let auth = auth(&request)?;
            Err(auth
                .refuse_scope(&audit_context(&request), &principal, S::SCOPE)
                .await)
        })
    }
}

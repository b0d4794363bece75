//! The guards: who calls is a parameter of the handler. A handler without a guard cannot see a
//! user, and a handler with one runs only for callers that the guard admits.
//!
//! They work in any actix-web app that has an [`Auth`] among its `app_data`. When the database does
//! not answer, each of them answers 503; the caller is never taken for anonymous.

pub(crate) mod audit_context;
mod authenticated;
mod authorized;
pub(crate) mod error_response;
pub(crate) mod presented;
pub(crate) mod request_id;
mod signed_in;
mod static_key;

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

pub use authenticated::{Authenticated, MaybeAuthenticated};
pub use authorized::{Authorized, RequiredScope};
pub use signed_in::SignedIn;
pub use static_key::StaticKey;

use crate::auth::Auth;
use crate::error::Error;

/// The handle that the app was given, for handlers that change something.
impl FromRequest for Auth {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(auth(request).cloned())
    }
}

/// The handle that the app was given.
///
/// # Errors
/// [`Error::Internal`] when the app has none; the log says so.
pub(crate) fn auth(request: &HttpRequest) -> Result<&Auth, Error> {
    request.app_data::<Auth>().ok_or_else(|| {
        log::error!("the app has no Auth: add .app_data(auth.clone()) to it");
        Error::Internal
    })
}

//! The guards: the caller is a parameter of the handler. A handler without a guard cannot access a
//! user, and a handler with one runs only for callers that the guard admits.
//!
//! They work in every actix-web app with an [`Auth`] in its `app_data`. When the database does not
//! respond, they refuse with 503; the caller never counts as anonymous.

pub(crate) mod audit_context;
mod authenticated;
mod authorized;
#[cfg(feature = "pages")]
pub(crate) mod browser;
pub(crate) mod error_response;
#[cfg(feature = "pages")]
mod forwarded;
#[cfg(feature = "pages")]
mod guarded_host;
#[cfg(feature = "server")]
pub(crate) mod local;
pub(crate) mod presented;
#[cfg(feature = "pages")]
pub(crate) mod site;
mod static_key;
mod step_up;

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

pub(crate) use authenticated::UserOrApp;
pub use authenticated::{Authenticated, MaybeAuthenticated, SignedIn};
pub use authorized::{Authorized, RequiredScope};
#[cfg(feature = "pages")]
pub(crate) use browser::{
    BrowserError, BrowserSession, MaybeBrowserSession, SameOrigin, location_before,
    sign_in_location,
};
#[cfg(feature = "pages")]
pub(crate) use forwarded::Original;
#[cfg(feature = "pages")]
pub(crate) use guarded_host::{GuardedHost, MAX_ROUNDS, Rounds};
#[cfg(feature = "pages")]
pub(crate) use site::{PageRoute, Site, SiteProblem, guarded_hosts};
pub use static_key::StaticKey;
pub use step_up::{Fresh, SecondFactor};

use crate::auth::Auth;
use crate::error::Error;

/// The app's handle, for handlers that call an operation.
impl FromRequest for Auth {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(auth(request).cloned())
    }
}

/// The app's handle.
///
/// # Errors
/// [`Error::Internal`] when the app has none, with a line in the log.
pub(crate) fn auth(request: &HttpRequest) -> Result<&Auth, Error> {
    request.app_data::<Auth>().ok_or_else(|| {
        log::error!("the app has no Auth: add .app_data(auth.clone()) to it");
        Error::Internal
    })
}

//! The guards: who calls is a parameter of the handler, so that a handler without one cannot
//! see a user, and one with it does not run for anybody else.
//!
//! They work in any actix-web app that has an [`Auth`] among its `app_data`. A
//! database that does not answer is 503 in every one of them, never "anonymous".

#[cfg(feature = "server")]
mod administrator;
mod authenticated;
mod authorized;
#[cfg(feature = "server")]
mod client;
pub(crate) mod credential;
mod origin;
#[cfg(feature = "server")]
mod precondition;
#[cfg(feature = "server")]
mod scoped;
mod signed_in;
mod static_key;

use actix_web::HttpRequest;

#[cfg(feature = "server")]
pub(super) use administrator::{EventsRead, UsersRead, UsersWrite};
pub use authenticated::{Authenticated, MaybeAuthenticated};
pub use authorized::{Authorized, RequiredScope};
#[cfg(feature = "server")]
pub(super) use client::IntrospectionClient;
#[cfg(feature = "fuzzing")]
pub(super) use client::password_of_basic;
#[cfg(feature = "server")]
pub(super) use origin::{network, report_unnamed_proxy};
#[cfg(feature = "server")]
pub(super) use scoped::Scoped;
pub use signed_in::SignedIn;
pub use static_key::StaticKey;

use crate::auth::Auth;
use crate::error::Error;

/// The handle that the app was given.
pub(super) fn auth(request: &HttpRequest) -> Result<&Auth, Error> {
    request.app_data::<Auth>().ok_or_else(|| {
        log::error!("the app has no Auth: add .app_data(auth.clone()) to it");
        Error::Internal
    })
}

//! HTTP: the guards, and the mapping of errors to answers; with the feature `server` the service
//! itself, whose routes are listed in `routes/mod.rs`.

mod error;
pub(crate) mod extract;
mod request_id;

#[cfg(feature = "server")]
mod answers;
#[cfg(feature = "server")]
mod body;
#[cfg(feature = "server")]
mod connections;
#[cfg(feature = "server")]
mod envelope;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
#[cfg(feature = "server")]
mod log_limit;
#[cfg(feature = "server")]
mod openapi;
#[cfg(feature = "server")]
mod path;
#[cfg(feature = "server")]
mod routes;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "server")]
mod stopping;

pub use extract::{
    Authenticated, Authorized, MaybeAuthenticated, RequiredScope, SignedIn, StaticKey,
};
#[cfg(feature = "server")]
pub use openapi::document as openapi_document;
#[cfg(feature = "cli")]
pub(crate) use routes::{
    admin::AdminUser, events::EventRead, keys::KeyCreated, keys::KeyRead, utc,
};
#[cfg(feature = "server")]
pub use server::{metrics_server, server};

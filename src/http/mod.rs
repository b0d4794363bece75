//! The service over HTTP: the JSON API, its documentation and the server. The route table is in
//! `routes/mod.rs`; the guards that the handlers take are in [`crate::guards`].

mod admin_scopes;
mod body;
mod error_responses;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod idle_connections;
mod introspection_client;
mod log_limit;
mod middleware;
mod normalize_path;
mod openapi;
mod precondition;
mod routes;
mod scoped;
mod server;
mod shutdown;

pub use openapi::document as openapi_document;
#[cfg(feature = "cli")]
pub(crate) use routes::{
    admin::AdminUser, events::EventRead, keys::KeyCreated, keys::KeyRead, utc,
};
pub use server::{metrics_server, server};

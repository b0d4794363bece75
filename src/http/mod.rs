//! The service over HTTP: the JSON API, its documentation, the pages for browsers and the server. The route
//! tables are in `routes/mod.rs` and `pages/mod.rs`; the guards that the handlers take are in [`crate::guards`].

mod body;
mod cors;
mod error_details;
mod error_responses;
mod extractors;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
#[cfg(feature = "pages")]
mod guarded_browser;
mod idle_connections;
mod introspection_client;
mod log_limit;
mod method_router;
mod middleware;
mod normalize_path;
mod openapi;
#[cfg(feature = "pages")]
mod pages;
mod refusal_pace;
mod request_error;
mod routes;
mod server;
mod shutdown;
mod step_up_query;

#[cfg(feature = "cli")]
pub(crate) use method_router::{get, post, resource};
pub use openapi::document as openapi_document;
#[cfg(feature = "cli")]
pub(crate) use request_error::Error as HttpError;
#[cfg(any(feature = "cli", feature = "testing"))]
pub(crate) use server::replaceable_server;
pub use server::{configure, metrics_server, server};

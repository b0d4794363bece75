//! Tokenhouse: users, passwords as passlib hashes them, and access tokens that can be revoked.
//!
//! The binary `tokenhouse` is the service. This library is what it is made of, for programs that
//! want the same checks in their own actix-web app:
//!
//! ```no_run
//! use actix_web::{App, HttpServer, get};
//! use tokenhouse::{Auth, Authenticated, Config};
//!
//! #[get("/hello")]
//! async fn hello(caller: Authenticated) -> String {
//!     format!("Hello, {}!", caller.user.name)
//! }
//!
//! #[actix_web::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let auth = Auth::open(&Config::from_env()?)?;
//!     HttpServer::new(move || App::new().app_data(auth.clone()).service(hello))
//!         .bind("127.0.0.1:9000")?
//!         .run()
//!         .await?;
//!     Ok(())
//! }
//! ```
//!
//! An app that has no access to the users' database asks the service over HTTP, with the same
//! guards under other names: the module `remote`, behind the feature of that name.
//!
//! Modules depend on each other in one direction only: `cli`, then [`http`], then [`auth`], then
//! [`store`], then the leaves.

pub mod api_key;
pub mod auth;
#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
pub mod config;
pub mod credential;
pub mod email;
pub mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod hex;
pub mod http;
#[cfg(feature = "cli")]
pub mod import;
mod keyed_digest;
pub mod metrics;
pub mod password;
#[cfg(feature = "remote")]
pub mod remote;
pub mod scope;
pub mod store;
pub mod token;

pub use auth::{Auth, Credential, Origin, Session};
pub use clock::Clock;
pub use config::Config;
pub use error::Error;
pub use http::{Authenticated, Authorized, MaybeAuthenticated, RequiredScope, SignedIn, StaticKey};
pub use password::{hash_password, verify_password};
#[cfg(feature = "remote")]
pub use remote::{RemoteAuth, RemoteAuthenticated, RemoteAuthorized};
pub use store::{AccessToken, ApiKey, User};
pub use token::generate_token;

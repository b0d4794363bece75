//! Tokenhouse: users, passwords as passlib hashes them, and access tokens that can be revoked.
//!
//! The binary `tokenhouse` is the service. This library contains its implementation, for actix-web apps
//! that need the same checks. No version is on crates.io yet, so an app depends on the repository, by
//! its URL or the path of a clone:
//!
//! ```text
//! cargo add tokenhouse --git URL --no-default-features
//! ```
//!
//! # On the same database
//!
//! An app with access to the users' database adds an [`Auth`] to its `app_data`. A guard is then a
//! parameter type: a handler with one runs only for the callers that the guard admits.
//!
//! ```no_run
//! use actix_web::{App, HttpServer, get};
//! use tokenhouse::{Auth, Authenticated, Config, Worker};
//!
//! #[get("/hello")]
//! async fn hello(caller: Authenticated) -> String {
//!     format!("Hello, {}!", caller.user.name)
//! }
//!
//! #[actix_web::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let auth = Auth::open(&Config::from_env()?)?;
//!     let _worker = Worker::start(&auth)?;
//!     HttpServer::new(move || App::new().app_data(auth.clone()).service(hello))
//!         .bind("127.0.0.1:9000")?
//!         .run()
//!         .await?;
//!     Ok(())
//! }
//! ```
//!
//! The [`Worker`] does the work outside requests: it records when keys were used, and deletes
//! expired data. The worker of a service on the same database does not replace it, because each
//! process collects its own records.
//!
//! [`Config::from_env`] reads the settings of the service, and [`Config::from_vars`] takes them from any
//! other source. A revocation by the service is effective here once the service has responded. Behind a
//! proxy, add `.app_data(config.server.trusted_proxies.clone())` to the app as well, or the audit trail
//! contains the proxy's address.
//!
//! # Over HTTP
//!
//! An app without access to the database queries the service, with the feature `remote`, or `remote-tls`
//! for `https`:
//!
//! ```no_run
//! use actix_web::{App, get};
//! use tokenhouse::{ClientCredential, RemoteAuth, RemoteAuthenticated};
//!
//! #[get("/hello")]
//! async fn hello(caller: RemoteAuthenticated) -> String {
//!     format!("Hello, {}!", caller.user.name)
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = ClientCredential::api_key(&std::env::var("TOKENHOUSE_CLIENT_KEY")?);
//! let auth = RemoteAuth::builder("http://127.0.0.1:8000", key).build()?;
//! let app = App::new().app_data(auth.clone()).service(hello);
//! # Ok(())
//! # }
//! ```
//!
//! # Which guard
//!
//! | parameter | runs for | over HTTP |
//! |---|---|---|
//! | [`Authenticated`] | a user, by login token or API key | `RemoteAuthenticated` |
//! | [`Authorized<S>`](Authorized) | the same, when user and credential hold the scope `S`; an app that holds it | `RemoteAuthorized<S>` |
//! | [`SignedIn`] | a user by login token, not a program with an API key | |
//! | [`MaybeAuthenticated`] | a user or an anonymous caller; not for an invalid credential | `RemoteMaybeAuthenticated` |
//! | [`StaticKey`] | clients with the static key | |
//!
//! # Scopes
//!
//! Apps define their own scopes, as types in the signatures of handlers. [`scope!`] checks the names at
//! compile time. A handler with two guards requires both scopes:
//!
//! ```
//! use tokenhouse::{Authenticated, Authorized, scope};
//!
//! scope!(OrdersRead = "orders:read");
//!
//! async fn orders(caller: Authorized<OrdersRead>) -> String {
//!     format!("The orders of {}", caller.user.email)
//! }
//!
//! /// For a scope that is known at run time only.
//! async fn report(caller: Authenticated) -> Result<String, tokenhouse::Error> {
//!     let scope = "reports:read";
//!     if !caller.has_scope(scope) {
//!         return Err(tokenhouse::Error::InsufficientScope(scope.to_owned()));
//!     }
//!     Ok(format!("The report for {}", caller.user.email))
//! }
//! ```
//!
//! `tokenhouse user grant ada@example.com orders:read` grants it to a user. A revoked scope is ineffective
//! from the next use, even for tokens that were issued with it.
//!
//! # Errors
//!
//! A guard refuses with an [`Error`], which actix-web converts to a response:
//!
//! | status | [`Error`] | reason |
//! |---|---|---|
//! | 400 | `TwoCredentials` | two different credentials in a request |
//! | 401 | `NotAuthenticated`, `InvalidToken` | no credential, or an invalid one |
//! | 403 | `InsufficientScope`, `LoginTokenRequired` | a scope is missing, or an API key was sent |
//! | 403 | `UserRequired` | an app sent its key where a user is required |
//! | 403 | `StaticKeyMissing`, `StaticKeyWrong` | the static key is missing or wrong |
//! | 429 | `TooManyAttempts` | too many wrong static keys from the network |
//! | 500 | `Internal` | the app has no [`Auth`], as the log says |
//! | 503 | `Unavailable` | the database or the server does not respond |
//!
//! A guard never admits a caller because of an outage. A handler that words the refusal itself takes the
//! result instead of the guard:
//!
//! ```
//! use tokenhouse::{Authenticated, Error};
//!
//! async fn hello(caller: Result<Authenticated, Error>) -> Result<String, Error> {
//!     match caller {
//!         Ok(caller) => Ok(format!("Hello, {}!", caller.user.name)),
//!         Err(Error::NotAuthenticated | Error::InvalidToken) => Ok("Please sign in".to_owned()),
//!         Err(other) => Err(other),
//!     }
//! }
//! ```
//!
//! # Hashing alone
//!
//! [`hash_password`] and [`verify_password`] are passlib's `hash` and `verify`, for bcrypt. They block
//! while they compute the hash, so call them on a separate thread:
//!
//! ```
//! use tokenhouse::{Cost, hash_password, verify_password};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // 4 is for tests; the service uses 12.
//! let hash = hash_password(b"correct-horse-9!", Cost::try_from(4)?)?;
//! assert!(verify_password(b"correct-horse-9!", &hash)?);
//! assert!(!verify_password(b"correct-horse-8!", &hash)?);
//! # Ok(())
//! # }
//! ```
//!
//! # The service in your own app
//!
//! With the feature `server`, `http::configure` adds the routes of the service, such as `/register` and
//! `/token`, to an `App` or a `Scope`. `examples/whole_app.rs` is one process with the service and its own
//! routes.
//!
//! # Tests
//!
//! With the feature `testing`, `testing::TestAuth` opens a temporary database, creates users with
//! credentials, and has a clock that a test advances:
//!
//! ```
//! use chrono::TimeDelta;
//! use tokenhouse::Error;
//! use tokenhouse::testing::TestAuth;
//!
//! // With #[actix_web::test] in a test.
//! #[actix_web::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let test = TestAuth::new()?;
//!     let token = test.user("ada@example.com").scope("orders:read").token().await?;
//!
//!     test.clock().advance(TimeDelta::hours(23));
//!     let ada = test.auth().check_token(token.as_bytes()).await?;
//!     assert!(ada.has_scope("orders:read"));
//!
//!     test.clock().advance(TimeDelta::hours(1));
//!     let refused = test.auth().check_token(token.as_bytes()).await;
//!     assert!(matches!(refused, Err(Error::InvalidToken)));
//!     Ok(())
//! }
//! ```
//!
//! `testing::TestServer` is the whole service on a free port, for tests over HTTP. Without the feature,
//! [`Auth::new`] takes any [`Store`] and [`Clock`].
//!
//! # Features
//!
//! | feature | adds | on by default |
//! |---|---|---|
//! | `cli` | the command line, and so the program; enables `mail` and `pages` | yes |
//! | `mail` | mails to users, by SMTP; enables `server` | yes |
//! | `pages` | the pages for browsers; enables `server` | yes |
//! | `server` | the service over HTTP: its routes, their documentation, the server | yes |
//! | `remote` | the guards that query a service over HTTP | no |
//! | `remote-tls` | the same over `https`, with the certificates that the system trusts | no |
//! | `testing` | `TestAuth` and, with `server`, `TestServer`, for the tests of apps | no |
//! | `postgres-tls` | TLS to Postgres; builds OpenSSL, which requires `perl` and `make` | no |
//!
//! SQLite and libpq are built from source with all features, which requires a C compiler.
//!
//! # Stability
//!
//! Version numbers follow [Semantic Versioning](https://semver.org) as Cargo interprets it: before 1.0, a
//! breaking change increments the second number. Breaking changes are:
//!
//! - The removal or a changed type of a name at the root of this crate, of its public fields and methods,
//!   or of a feature. For [`Auth`] this covers `open`, `new`, `config`, `check_token`,
//!   `check_static_key` and `check_ready`; for [`Store`], `open`. So do `http::configure` and the module
//!   `testing`.
//! - The removal or a changed meaning of a setting.
//! - A guard that accepts a credential from another header, refuses with another status or [`Error`], or
//!   admits callers that it refused.
//! - A hash that [`verify_password`] no longer accepts, or one of [`hash_password`] that passlib 1.7.4 does
//!   not accept.
//! - A new major version of actix-web or chrono, whose types are in public signatures.
//!
//! Not breaking are a new field of a structure, a new variant of an enumeration and a new item with a
//! default in a trait: these are `#[non_exhaustive]` where it matters. Nor are changed texts of responses
//! and errors, a higher minimum Rust version, and the fix of a flaw that admitted callers.
//!
//! Items inside the modules are not covered: [`auth`], [`http`], [`store`] and the others are public because
//! the program and its tests use them. Nor are the tables. The first process of a new version migrates
//! the database, and older versions refuse it from then on, so update the service and the apps on its
//! database together.
//!
//! Modules depend on each other in one direction only: `cli`, then [`http`], then [`auth`], then
//! [`store`], then the leaves.

pub mod audit;
pub mod auth;
#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
pub mod config;
pub mod credential;
#[cfg(any(feature = "cli", feature = "testing"))]
mod dev;
pub mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod guards;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "cli")]
pub mod import;
#[cfg(feature = "mail")]
pub mod mail;
pub mod metrics;
pub mod network;
#[cfg(feature = "pages")]
mod pages;
pub mod password;
mod printable;
mod private_file;
#[cfg(feature = "remote")]
pub mod remote;
pub mod scope;
#[cfg(any(feature = "cli", feature = "testing"))]
mod seed;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub mod throttle;
#[cfg(feature = "server")]
mod views;
pub mod worker;

#[doc(inline)]
pub use audit::AuditContext;
#[doc(inline)]
pub use auth::{Auth, Credential, Principal};
#[doc(inline)]
pub use clock::Clock;
#[doc(inline)]
pub use config::Config;
#[doc(inline)]
pub use credential::token::generate_token;
#[doc(inline)]
pub use error::Error;
#[doc(inline)]
pub use guards::{
    Authenticated, Authorized, Fresh, MaybeAuthenticated, RequiredScope, SecondFactor, SignedIn,
    StaticKey,
};
#[doc(inline)]
pub use password::{Cost, PasswordError, hash_password, verify_password};
#[cfg(feature = "remote")]
#[doc(inline)]
pub use remote::{
    ClientCredential, RemoteAuth, RemoteAuthenticated, RemoteAuthorized, RemoteMaybeAuthenticated,
};
#[doc(inline)]
pub use store::{AccessToken, ApiKey, Store, User};
#[doc(inline)]
pub use worker::Worker;

/// The guide, whose programs are compiled with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/library.md")]
struct LibraryGuide;

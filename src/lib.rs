//! Tokenhouse: users, passwords as passlib hashes them, and access tokens that can be revoked.
//!
//! The binary `tokenhouse` is the service. This library is what it is made of, for programs that
//! want the same checks in an actix-web app of their own:
//!
//! ```toml
//! tokenhouse = { version = "0.1", default-features = false }
//! ```
//!
//! # On the same database
//!
//! An app that reaches the users' database gets one [`Auth`] among its `app_data`. From then on a
//! guard is a parameter type: the handler that takes one runs for nobody else.
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
//! [`Config::from_env`] reads the settings of the service, and [`Config::from_vars`] takes them from
//! elsewhere. What the service revokes is refused here from the moment that it has answered. Behind a
//! proxy, give the app `.app_data(config.server.trusted_proxies.clone())` too, or the audit trail
//! names the proxy's address.
//!
//! # Over HTTP
//!
//! An app without the database asks the service, with the feature `remote`, or `remote-tls` for
//! `https`:
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
//! | [`Authorized<S>`](Authorized) | the same, when user and credential hold the scope `S` | `RemoteAuthorized<S>` |
//! | [`SignedIn`] | a user by login token, so a person and not a program | |
//! | [`MaybeAuthenticated`] | a user, or nobody in particular; not for a bad credential | |
//! | [`StaticKey`] | whoever has the static key | |
//!
//! # Scopes
//!
//! A scope is a name of the app's own, as a type that stands in the handler's signature:
//!
//! ```
//! use tokenhouse::{Authenticated, Authorized, RequiredScope};
//!
//! struct OrdersRead;
//!
//! impl RequiredScope for OrdersRead {
//!     const SCOPE: &'static str = "orders:read";
//! }
//!
//! async fn orders(caller: Authorized<OrdersRead>) -> String {
//!     format!("The orders of {}", caller.user.email)
//! }
//!
//! /// Where what is wanted is known at run time only.
//! async fn report(caller: Authenticated) -> Result<String, tokenhouse::Error> {
//!     let scope = "reports:read";
//!     if !caller.has_scope(scope) {
//!         return Err(tokenhouse::Error::InsufficientScope(scope.to_owned()));
//!     }
//!     Ok(format!("The report for {}", caller.user.email))
//! }
//! ```
//!
//! `tokenhouse user grant ada@example.com orders:read` gives it to a user. A scope that is taken away
//! counts no more at the next use, whatever the token was given.
//!
//! # Errors
//!
//! A guard refuses with an [`Error`], which is an answer of actix-web's:
//!
//! | status | [`Error`] | because of |
//! |---|---|---|
//! | 400 | `TwoCredentials` | two different credentials in a request |
//! | 401 | `NotAuthenticated`, `InvalidToken` | no credential, or one that is not good |
//! | 403 | `InsufficientScope`, `LoginTokenRequired` | a scope is missing, or an API key was sent |
//! | 403 | `StaticKeyMissing`, `StaticKeyWrong` | the static key |
//! | 429 | `TooManyAttempts` | too many wrong static keys from the address |
//! | 500 | `Internal` | the app has no [`Auth`]: the log says so |
//! | 503 | `Unavailable` | the database, or the server, does not answer |
//!
//! Nobody is let in because a question had no answer. A handler that wants to word its refusal takes
//! the result in place of the guard:
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
//! [`hash_password`] and [`verify_password`] are passlib's `hash` and `verify`, for bcrypt. They
//! block for as long as the hash takes, so they belong on a thread of their own:
//!
//! ```
//! use tokenhouse::{Cost, hash_password, verify_password};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // 4 is for tests; the service takes 12.
//! let hash = hash_password(b"correct-horse-9!", Cost::try_from(4)?)?;
//! assert!(verify_password(b"correct-horse-9!", &hash)?);
//! assert!(!verify_password(b"correct-horse-8!", &hash)?);
//! # Ok(())
//! # }
//! ```
//!
//! # The clock
//!
//! [`Auth::new`] takes the [`Clock`] to go by, so that a test need not wait for a token to end:
//!
//! ```
//! use chrono::{TimeDelta, Utc};
//! use tokenhouse::{Auth, Clock, Config, Error, Store};
//! # use tokenhouse::auth::{Administrator, RegistrationForm};
//!
//! # actix_web::rt::System::new().block_on(async {
//! # let file = std::env::temp_dir().join(format!("tokenhouse-clock-{}.db", std::process::id()));
//! # let remove = || for end in ["", "-wal", "-shm"] {
//! #     let _removed_or_not_there = std::fs::remove_file(format!("{}{end}", file.display()));
//! # };
//! # remove();
//! # let vars = [
//! #     ("DATABASE_URL", format!("sqlite://{}", file.display())),
//! #     ("TOKENHOUSE_BCRYPT_COST", "4".to_owned()),
//! # ];
//! # let vars = vars.map(|(name, value)| (name.to_owned(), value));
//! let config = Config::from_vars(vars)?;
//! let clock = Clock::manual(Utc::now());
//! let auth = Auth::new(Store::open(&config.database)?, config.auth, clock.clone())?;
//! # let ada = RegistrationForm {
//! #     name: Ok("Ada Lovelace".to_owned()),
//! #     surname: Ok(String::new()),
//! #     email: Ok("ada@example.com".to_owned()),
//! #     website: Ok(String::new()),
//! #     password: Ok("correct-horse-9!".into()),
//! # };
//! # let operator = Administrator::operator();
//! # let ada = auth.create_user(&operator, ada, Ok(None)).await?;
//! # let issued = auth.issue_token_for(&operator, ada.id, None).await?;
//! # let token = issued.secret.expose();
//!
//! clock.advance(TimeDelta::hours(23));
//! assert!(auth.check_token(token.as_bytes()).await.is_ok());
//! clock.advance(TimeDelta::hours(1));
//! let refused = auth.check_token(token.as_bytes()).await;
//! assert!(matches!(refused, Err(Error::InvalidToken)));
//! # drop(auth);
//! # remove();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # Features
//!
//! | feature | adds | on by default |
//! |---|---|---|
//! | `cli` | the command line, and so the program; it wants `server` | yes |
//! | `server` | the service over HTTP: its routes, their documentation, the server | yes |
//! | `remote` | the guards that ask a service over HTTP | no |
//! | `remote-tls` | the same over `https`, with the certificates that the system trusts | no |
//! | `postgres-tls` | TLS to Postgres; builds OpenSSL, which wants `perl` and `make` | no |
//!
//! SQLite and libpq are built from source whatever the features are, so a C compiler is wanted.
//!
//! # What stays the same
//!
//! Version numbers are those of [Semantic Versioning](https://semver.org), as Cargo reads them: before
//! 1.0, what breaks an app comes with a new second number. What counts as that:
//!
//! - A name at the root of this crate, a public field or method of it, or a feature, that goes or
//!   changes its type. Of [`Auth`] that is `open`, `new`, `config`, `check_token`,
//!   `check_static_key` and `check_ready`; of [`Store`] it is `open`.
//! - A setting that goes, or means something else.
//! - A guard that takes a credential from another place, refuses with another status or [`Error`]
//!   than it did, or lets in whom it refused.
//! - A hash that [`verify_password`] took and takes no more, or one of [`hash_password`] that passlib
//!   1.7.4 does not take.
//! - A new major version of actix-web or chrono, whose types stand in signatures here.
//!
//! It is no break when a structure gets a field, an enumeration a variant or a trait of ours an item
//! with a default: they are `#[non_exhaustive]` where that matters. Nor is it one when the texts of
//! answers and errors change, or the Rust version that is wanted, or when a fault that lets somebody in
//! is mended.
//!
//! Everything below the modules is not covered: [`auth`], [`http`], [`store`] and the rest are public
//! because the program and its tests use them. Nor are the tables. Whoever opens a database first
//! brings it up to date, and an older version refuses it from then on, so update the service and the
//! apps on its database together.
//!
//! Modules depend on each other in one direction only: `cli`, then [`http`], then [`auth`], then
//! [`store`], then the leaves.

pub mod auth;
#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
pub mod config;
pub mod credential;
pub mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod guards;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "cli")]
pub mod import;
pub mod metrics;
pub mod network;
pub mod password;
mod private_file;
mod process_owner;
#[cfg(feature = "remote")]
pub mod remote;
pub mod scope;
pub mod store;
#[cfg(feature = "server")]
mod views;

pub use auth::{Auth, Credential, Origin, Principal};
pub use clock::Clock;
pub use config::Config;
pub use credential::token::generate_token;
pub use error::Error;
pub use guards::{
    Authenticated, Authorized, MaybeAuthenticated, RequiredScope, SignedIn, StaticKey,
};
pub use password::{Cost, PasswordError, hash_password, verify_password};
#[cfg(feature = "remote")]
pub use remote::{ClientCredential, RemoteAuth, RemoteAuthenticated, RemoteAuthorized};
pub use store::{AccessToken, ApiKey, Store, User};

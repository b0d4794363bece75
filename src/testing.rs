//! For the tests of apps: an [`Auth`] on a database of its own, users with credentials, and a clock
//! that stands still. `TestServer` is the same as a server, for tests over HTTP.
//!
//! ```
//! use actix_web::http::StatusCode;
//! use actix_web::{App, test, web};
//! use chrono::TimeDelta;
//! use tokenhouse::testing::TestAuth;
//! use tokenhouse::{Authorized, scope};
//!
//! scope!(OrdersRead = "orders:read");
//!
//! async fn orders(caller: Authorized<OrdersRead>) -> String {
//!     format!("The orders of {}", caller.user.email)
//! }
//!
//! // With #[actix_web::test] in a test.
//! #[actix_web::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let auth = TestAuth::new()?;
//!     let app = App::new().app_data(auth.auth().clone());
//!     let app = test::init_service(app.route("/orders", web::get().to(orders))).await;
//!     let ada = auth.user("ada@example.com").scope("orders:read").token().await?;
//!     let bob = auth.user("bob@example.com").token().await?;
//!     let request = |token: &str| {
//!         let request = test::TestRequest::get().uri("/orders");
//!         request.insert_header(("Authorization", format!("Bearer {token}"))).to_request()
//!     };
//!
//!     let response = test::call_and_read_body(&app, request(&ada)).await;
//!     assert_eq!(response, "The orders of ada@example.com");
//!     let response = test::call_service(&app, request(&bob)).await;
//!     assert_eq!(response.status(), StatusCode::FORBIDDEN);
//!
//!     // Tokens expire after a day.
//!     auth.clock().advance(TimeDelta::days(1));
//!     let response = test::call_service(&app, request(&ada)).await;
//!     assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
//!     Ok(())
//! }
//! ```

#[cfg(feature = "server")]
mod server;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::auth::{Administrator, Auth, BY_PASSWORD, KeyInput};
use crate::clock::Clock;
use crate::config::{Config, DatabaseUrl};
use crate::dev::{self, Folder};
use crate::error::Error;
use crate::seed::SeedUser;
use crate::store::{Store, User};

pub use crate::seed::PASSWORD;
#[cfg(feature = "server")]
pub use server::TestServer;

/// The settings that differ from those of [`dev::SETTINGS`]: a test may sign in as often as it likes.
const SETTINGS: [(&str, &str); 2] = [
    ("TOKENHOUSE_HASH_THREADS", "1"),
    ("TOKENHOUSE_LIMITS", "off"),
];

/// An [`Auth`] on a new SQLite database in a temporary folder, which is removed when this is dropped.
/// Clones of the `Auth` that live longer refuse everything.
#[derive(Debug)]
pub struct TestAuth {
    auth: Auth,
    config: Config,
    clock: Clock,
    _folder: Folder,
}

impl TestAuth {
    /// Opens a new database, with hashes of cost 4 and without limits of attempts. Blocks for some
    /// milliseconds.
    ///
    /// # Errors
    /// When the temporary folder cannot be written.
    pub fn new() -> io::Result<Self> {
        Self::with_settings([])
    }

    /// Like [`Self::new`], with settings by name and value, as in the environment:
    /// `[("API_KEY_TOKEN", "a-static-key-for-tests")]`.
    ///
    /// # Errors
    /// When a setting is invalid, or the database cannot be opened.
    pub fn with_settings<'a>(
        settings: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> io::Result<Self> {
        let folder = Folder::create()?;
        let mut config = test_config(settings)?;
        config.database.url = DatabaseUrl::Sqlite(folder.path().join("test.db"));
        config.database.is_temporary = true;
        let clock = Clock::manual(Utc::now());
        let store = Store::open(&config.database).map_err(io::Error::other)?;
        let store = store.allow_outages();
        let auth = Auth::new(store, config.auth.clone(), clock.clone());
        Ok(Self {
            auth: auth.map_err(io::Error::other)?,
            config,
            clock,
            _folder: folder,
        })
    }

    /// The handle for `.app_data(auth.auth().clone())`.
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// The settings, such as those of the server for `http::configure`.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The clock, which starts at the current time and stands until the test advances it.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A user with this address, whom [`TestUser::create`], [`TestUser::token`] or
    /// [`TestUser::api_key`] creates.
    pub fn user(&self, email: &str) -> TestUser {
        TestUser::new(&self.auth, email)
    }

    /// Sets the clock to a time, where it stands, or from where it ticks. Unlike [`Clock::advance`] it
    /// also goes back, and what has expired before stays expired.
    ///
    /// # Errors
    /// [`Error::Unavailable`] during an outage.
    pub async fn set_clock(&self, at: DateTime<Utc>, ticks: bool) -> Result<(), Error> {
        self.auth.set_clock(at, ticks).await
    }

    /// Makes the database fail for this long from now, so that everything is refused with 503.
    pub fn stop_database(&self, time: Duration) {
        self.auth.store().stop_for(time);
    }

    /// Issues a login token for a user, with all scopes of the user, and revokes the earlier one.
    ///
    /// # Errors
    /// [`Error::UserNotFound`]; [`Error::Disabled`].
    pub async fn token(&self, user: &User) -> Result<String, Error> {
        issue_token(&self.auth, user.id).await
    }
}

/// The settings of tests, with these in addition.
fn test_config<'a>(settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> io::Result<Config> {
    let all = dev::SETTINGS
        .iter()
        .copied()
        .chain(SETTINGS)
        .chain(settings);
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    // The later of two values counts.
    let vars: BTreeMap<_, _> = all.map(owned).collect();
    Config::from_vars(vars).map_err(io::Error::other)
}

/// A user to be created for a test.
#[derive(Clone)]
#[must_use = "a user is created by `create`, `token` or `api_key`"]
pub struct TestUser {
    auth: Auth,
    seed: SeedUser,
}

impl fmt::Debug for TestUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("TestUser");
        shown
            .field("email", &self.seed.email)
            .finish_non_exhaustive()
    }
}

impl TestUser {
    fn new(auth: &Auth, email: &str) -> Self {
        Self {
            auth: auth.clone(),
            seed: SeedUser::new(email).for_test(),
        }
    }

    /// Sets the name, which is `Test User` otherwise.
    pub fn name(mut self, name: &str) -> Self {
        self.seed.name = Some(name.to_owned());
        self
    }

    /// Sets the password, which is [`PASSWORD`] otherwise.
    pub fn password(mut self, password: &str) -> Self {
        self.seed.password = Some(password.to_owned());
        self
    }

    /// Adds a scope to those that the user holds.
    pub fn scope(self, name: &str) -> Self {
        self.scopes(name)
    }

    /// Adds scopes, with spaces between them, to those that the user holds.
    pub fn scopes(mut self, names: &str) -> Self {
        self.seed.scopes.add(names);
        self
    }

    /// Creates the user.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for an invalid field; [`Error::EmailTaken`].
    pub async fn create(self) -> Result<User, Error> {
        self.seed.create(&self.auth).await
    }

    /// Creates the user, and returns a login token with all scopes of the user.
    ///
    /// # Errors
    /// The same as [`Self::create`].
    pub async fn token(self) -> Result<String, Error> {
        let user = self.seed.create(&self.auth).await?;
        issue_token(&self.auth, user.id).await
    }

    /// Creates the user, and returns an API key with all scopes of the user.
    ///
    /// # Errors
    /// The same as [`Self::create`].
    pub async fn api_key(self) -> Result<String, Error> {
        let user = self.seed.create(&self.auth).await?;
        let input = KeyInput {
            name: Ok("test".to_owned()),
            scopes: Ok(Some(user.scopes.clone())),
            expires_in_days: Ok(None),
        };
        let operator = Administrator::operator();
        let issued = self.auth.create_key_for(&operator, user.id, input).await?;
        Ok(issued.secret.expose().to_owned())
    }
}

async fn issue_token(auth: &Auth, user: i64) -> Result<String, Error> {
    let issued = auth
        .sign_in_without_password(user, None, BY_PASSWORD)
        .await?;
    Ok(issued.secret.expose().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn users_hold_the_given_scopes_on_a_database_of_their_own() {
        let (test, other) = (TestAuth::new().unwrap(), TestAuth::new().unwrap());
        let ada = test.user("ada@example.com").name("Ada Lovelace");
        let ada = ada.scope("orders:read").scope("orders:write");
        let ada = ada.create().await.unwrap();
        assert_eq!(ada.name, "Ada Lovelace");
        let token = test.token(&ada).await.unwrap();
        let key = test.user("bob@example.com").scope("orders:read");
        let key = key.api_key().await.unwrap();
        for (secret, scopes) in [(&token, "orders:read orders:write"), (&key, "orders:read")] {
            let principal = test.auth().check_token(secret.as_bytes()).await.unwrap();
            assert_eq!(principal.scopes(), scopes);
            let elsewhere = other.auth().check_token(secret.as_bytes()).await;
            assert!(matches!(elsewhere, Err(Error::InvalidToken)));
        }
        let again = test.user("ada@example.com").token().await;
        assert!(matches!(again, Err(Error::EmailTaken)));
        let short = test.user("cid@example.com").password("short").create();
        assert!(matches!(short.await, Err(Error::InvalidInput(_))));
    }

    #[test]
    fn folder_is_removed_with_the_database() {
        let test = TestAuth::new().unwrap();
        let folder = test._folder.path().to_owned();
        assert!(folder.join("test.db").exists());
        drop(test);
        assert!(!folder.exists());
    }

    #[test]
    fn settings_are_those_of_the_service() {
        let test = TestAuth::with_settings([("TOKENHOUSE_TOKEN_LIFETIME", "60")]).unwrap();
        assert_eq!(test.auth().config().token_lifetime.as_secs(), 60);
        let wrong = TestAuth::with_settings([("TOKENHOUSE_TOKEN_LIFETIME", "x")]);
        let problem = wrong.unwrap_err().to_string();
        assert!(problem.contains("TOKENHOUSE_TOKEN_LIFETIME"), "{problem}");
    }
}

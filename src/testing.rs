//! For the tests of apps: an [`Auth`] on a database of its own, users with credentials, and a clock
//! that stands still.
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

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use chrono::Utc;

use crate::auth::{Administrator, Auth, KeyInput, RegistrationInput};
use crate::clock::Clock;
use crate::config::Config;
use crate::credential::hex;
use crate::error::Error;
use crate::store::{Store, User};

/// The password of a [`TestUser`] unless the test sets another.
pub const PASSWORD: &str = "mulberry-Tram-71";

/// The settings that differ from the defaults of the service: hashes are cheap, and a test may sign in
/// as often as it likes.
const SETTINGS: [(&str, &str); 3] = [
    ("TOKENHOUSE_BCRYPT_COST", "4"),
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
        let url = format!("sqlite://{}", folder.0.join("test.db").display());
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let mut vars = BTreeMap::from(SETTINGS.map(owned));
        vars.insert("DATABASE_URL".to_owned(), url);
        vars.extend(settings.into_iter().map(owned));
        let config = Config::from_vars(vars).map_err(io::Error::other)?;
        let clock = Clock::manual(Utc::now());
        let store = Store::open(&config.database).map_err(io::Error::other)?;
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
    pub fn user(&self, email: &str) -> TestUser<'_> {
        TestUser {
            auth: &self.auth,
            email: email.to_owned(),
            name: "Test User".to_owned(),
            password: PASSWORD.to_owned(),
            scopes: Vec::new(),
        }
    }

    /// Issues a login token for a user, with all scopes of the user, and revokes the earlier one.
    ///
    /// # Errors
    /// [`Error::UserNotFound`]; [`Error::Disabled`].
    pub async fn token(&self, user: &User) -> Result<String, Error> {
        issue_token(&self.auth, user.id).await
    }
}

/// A user to be created for a test.
#[derive(Clone, Debug)]
#[must_use = "a user is created by `create`, `token` or `api_key`"]
pub struct TestUser<'a> {
    auth: &'a Auth,
    email: String,
    name: String,
    password: String,
    scopes: Vec<String>,
}

impl TestUser<'_> {
    /// Sets the name, which is `Test User` otherwise.
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Sets the password, which is [`PASSWORD`] otherwise.
    pub fn password(mut self, password: &str) -> Self {
        password.clone_into(&mut self.password);
        self
    }

    /// Adds a scope to those that the user holds.
    pub fn scope(mut self, name: &str) -> Self {
        self.scopes.push(name.to_owned());
        self
    }

    /// Creates the user.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for an invalid field; [`Error::EmailTaken`].
    pub async fn create(self) -> Result<User, Error> {
        let input = RegistrationInput {
            name: Ok(self.name),
            surname: Ok(String::new()),
            email: Ok(self.email),
            website: Ok(String::new()),
            password: Ok(self.password.into()),
        };
        let scopes = Ok(Some(self.scopes.join(" ")));
        let operator = Administrator::operator();
        self.auth.create_user(&operator, input, scopes).await
    }

    /// Creates the user, and returns a login token with all scopes of the user.
    ///
    /// # Errors
    /// The same as [`Self::create`].
    pub async fn token(self) -> Result<String, Error> {
        let auth = self.auth;
        let user = self.create().await?;
        issue_token(auth, user.id).await
    }

    /// Creates the user, and returns an API key with all scopes of the user.
    ///
    /// # Errors
    /// The same as [`Self::create`].
    pub async fn api_key(self) -> Result<String, Error> {
        let auth = self.auth;
        let user = self.create().await?;
        let input = KeyInput {
            name: Ok("test".to_owned()),
            scopes: Ok(Some(user.scopes.clone())),
            expires_in_days: Ok(None),
        };
        let operator = Administrator::operator();
        let issued = auth.create_key_for(&operator, user.id, input).await?;
        Ok(issued.secret.expose().to_owned())
    }
}

async fn issue_token(auth: &Auth, user: i64) -> Result<String, Error> {
    let operator = Administrator::operator();
    let issued = auth.issue_token_for(&operator, user, None).await?;
    Ok(issued.secret.expose().to_owned())
}

/// A folder that is removed when this is dropped.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    /// Creates a folder that only this user may enter.
    fn create() -> io::Result<Self> {
        let mut name = [0; 32];
        hex::write(&rand::random::<[u8; 16]>(), &mut name);
        let name = format!("tokenhouse-test-{}", String::from_utf8_lossy(&name));
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that remains is harmless.
        let _ = std::fs::remove_dir_all(&self.0);
    }
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
        let folder = test._folder.0.clone();
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

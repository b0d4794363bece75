//! The real server, in this process, on its own port.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::ops::Deref;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use actix_web::dev::ServerHandle;
use test_support::server::FAST_SETTINGS;
use test_support::{Client, Person};
use tokenhouse::store::Store;
use tokenhouse::{Auth, Clock, Config};

use super::Backend;
use super::database::TestDatabase;
use super::process::Running;

/// The static key of every test server.
pub const STATIC_KEY: &str = "test-key-of-24-characters";

/// The scopes that the service itself checks.
pub const OWN_SCOPES: &str = "users:read users:write events:read introspect";

/// What differs from the defaults, in addition to [`FAST_SETTINGS`]: few threads and connections.
const SMALL_SETTINGS: [(&str, &str); 3] = [
    ("API_KEY_TOKEN", STATIC_KEY),
    ("TOKENHOUSE_DATABASE_POOL_SIZE", "4"),
    ("TOKENHOUSE_WORKERS", "2"),
];

/// The settings of every test server.
pub fn settings() -> BTreeMap<String, String> {
    let settings = FAST_SETTINGS.into_iter().chain(SMALL_SETTINGS);
    settings
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// A running server with its own database. Dropping it ends both.
///
/// It dereferences to a [`Client`] of itself: `app.get("/users/me").bearer(&token).send()`.
pub struct TestApp {
    client: Client,
    server: ServerHandle,
    thread: Option<JoinHandle<()>>,
    settings: BTreeMap<String, String>,
    // The last field: the server releases the database before the database is dropped.
    database: Arc<TestDatabase>,
}

impl TestApp {
    /// A server with the test settings.
    pub fn start(backend: Backend) -> Self {
        Self::builder(backend).start()
    }

    /// A builder of a server with its own database.
    pub fn builder(backend: Backend) -> TestAppBuilder {
        TestAppBuilder::on(Arc::new(TestDatabase::create(backend)))
    }

    /// The database of this server.
    pub fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// The program with these arguments, on the same database and with the settings of this server.
    /// `serve` listens on a free port.
    pub fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenhouse"));
        command
            .args(arguments)
            .current_dir(std::env::temp_dir())
            .env_clear()
            .envs(&self.settings)
            .env("TOKENHOUSE_BIND", "127.0.0.1:0");
        command
    }

    /// Starts another server on the same database, as a process.
    pub fn spawn_server(&self) -> (Running, Client) {
        self.spawn_server_with(&[])
    }

    /// The same with more settings.
    pub fn spawn_server_with(&self, settings: &[(&str, &str)]) -> (Running, Client) {
        let mut command = self.program(&["serve"]);
        Running::serve(command.envs(settings.iter().copied()))
    }

    /// Registers `name@example.com` and sets the scopes of the user directly in the database.
    pub fn register_with(&self, name: &str, scopes: &str) -> Person {
        let person = self.register(name);
        self.set_scopes(&person, scopes);
        person
    }

    /// Sets the scopes of a user directly in the database.
    pub fn set_scopes(&self, person: &Person, scopes: &str) {
        let email = &person.email;
        self.database().execute(&format!(
            "UPDATE users SET scopes = '{scopes}' WHERE email = '{email}'"
        ));
    }

    /// The configuration of this server, for calls into the library.
    pub fn config(&self) -> Config {
        self.config_with(&[])
    }

    /// The same with more settings.
    pub fn config_with(&self, settings: &[(&str, &str)]) -> Config {
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let all = self.settings.clone().into_iter().chain(settings);
        let all: BTreeMap<_, _> = all.collect();
        Config::from_vars(all).expect("the settings are good")
    }

    /// A builder of another server on the same database, in this process.
    pub fn sibling(&self) -> TestAppBuilder {
        TestAppBuilder::on(Arc::clone(&self.database))
    }
}

impl Deref for TestApp {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        // The call stops the server; the future only waits for the end.
        drop(self.server.stop(true));
        let ended = self.thread.take().map(JoinHandle::join);
        // A second panic in a failing test would abort the whole process and hide the first.
        assert!(
            thread::panicking() || !matches!(ended, Some(Err(_))),
            "the server panicked"
        );
    }
}

/// A server that has not been started.
pub struct TestAppBuilder {
    database: Arc<TestDatabase>,
    settings: BTreeMap<String, String>,
    clock: Clock,
}

impl TestAppBuilder {
    fn on(database: Arc<TestDatabase>) -> Self {
        Self {
            database,
            settings: settings(),
            clock: Clock::system(),
        }
    }

    /// Uses the database of another server.
    pub fn on_database_of(mut self, other: &TestApp) -> Self {
        self.database = Arc::clone(&other.database);
        self
    }

    /// Sets a setting, as an operator does in the environment.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Removes one of the test settings.
    pub fn unset(mut self, name: &str) -> Self {
        self.settings.remove(name);
        self
    }

    /// Sets the clock of the server.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Starts the server. It accepts connections when this returns.
    pub fn start(mut self) -> TestApp {
        self.settings
            .insert("DATABASE_URL".to_owned(), self.database.url());
        let settings = self.settings.clone();
        let config = Config::from_vars(self.settings).expect("the settings are good");
        let store = Store::open(&config.database).expect("the database opens");
        let auth = Auth::new(store, config.auth.clone(), self.clock).expect("threads start");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");

        let (sender, receiver) = mpsc::channel();
        let thread = thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let _worker = tokenhouse::Worker::start(&auth).expect("the worker starts");
                let server = tokenhouse::http::server(auth, &config.server, listener)
                    .expect("the server starts");
                sender.send(server.handle()).expect("the test waits for it");
                server.await.expect("the server stops without an error");
            });
        });
        let server = receiver.recv().expect("the server starts");
        TestApp {
            client: Client::new(address),
            server,
            thread: Some(thread),
            settings,
            database: self.database,
        }
    }
}

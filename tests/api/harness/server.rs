//! The real server, in this process, on a port of its own.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::ops::Deref;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use actix_web::dev::ServerHandle;
use tokenhouse::store::Store;
use tokenhouse::{Auth, Clock, Config};

use super::Backend;
use super::client::Client;
use super::database::TestDatabase;
use super::process::Running;

/// The static key of every test server.
pub const STATIC_KEY: &str = "test-key-of-24-characters";

/// What differs from the defaults: cheap hashes, few threads, which other tests do not starve, and
/// nobody turned away as too busy or for guessing.
pub const SETTINGS: [(&str, &str); 8] = [
    ("API_KEY_TOKEN", STATIC_KEY),
    ("TOKENHOUSE_BCRYPT_COST", "4"),
    ("TOKENHOUSE_DATABASE_POOL_SIZE", "4"),
    ("TOKENHOUSE_HASH_LAST", "false"),
    ("TOKENHOUSE_HASH_QUEUE_MS", "60000"),
    ("TOKENHOUSE_HASH_THREADS", "1"),
    ("TOKENHOUSE_LIMITS", "off"),
    ("TOKENHOUSE_WORKERS", "2"),
];

/// A running server with a database of its own; both end when it is dropped.
///
/// It is a [`Client`] of itself: `app.get("/users/me").bearer(&token).send()`.
pub struct TestApp {
    client: Client,
    server: ServerHandle,
    thread: Option<JoinHandle<()>>,
    settings: BTreeMap<String, String>,
    // The last field: the server lets go of the database before it is dropped.
    database: Arc<TestDatabase>,
}

impl TestApp {
    /// A server with the settings of tests.
    pub fn start(backend: Backend) -> Self {
        Self::builder(backend).start()
    }

    /// A server still to be set up.
    pub fn builder(backend: Backend) -> TestAppBuilder {
        TestAppBuilder::on(Arc::new(TestDatabase::create(backend)))
    }

    /// What it keeps its users and tokens in.
    pub fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// The program itself with some arguments, on the same database and with the settings of
    /// this server. Its server listens on a free port.
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

    /// Another server on the same database, as a process of its own.
    pub fn process_beside(&self) -> (Running, Client) {
        self.process_beside_with(&[])
    }

    /// The same, with settings of its own.
    pub fn process_beside_with(&self, settings: &[(&str, &str)]) -> (Running, Client) {
        let mut command = self.program(&["serve"]);
        Running::serve(command.envs(settings.iter().copied()))
    }

    /// Another server on the same database, still to be set up.
    pub fn beside(&self) -> TestAppBuilder {
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
        // The order is given here; the future only tells when it has been carried out.
        drop(self.server.stop(true));
        let ended = self.thread.take().map(JoinHandle::join);
        // A second panic in a failing test would abort the whole process and hide the first.
        assert!(
            thread::panicking() || !matches!(ended, Some(Err(_))),
            "the server panicked"
        );
    }
}

/// Settings of a server that is not started yet.
pub struct TestAppBuilder {
    database: Arc<TestDatabase>,
    settings: BTreeMap<String, String>,
    clock: Clock,
}

impl TestAppBuilder {
    fn on(database: Arc<TestDatabase>) -> Self {
        let settings = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            database,
            settings: settings.into(),
            clock: Clock::system(),
        }
    }

    /// Has it use the database of another server.
    pub fn on_database_of(mut self, other: &TestApp) -> Self {
        self.database = Arc::clone(&other.database);
        self
    }

    /// Sets what an operator would set in the environment.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Leaves out what [`SETTINGS`] sets.
    pub fn unset(mut self, name: &str) -> Self {
        self.settings.remove(name);
        self
    }

    /// Lets the server go by this clock.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Starts the server; it takes connections when this returns.
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

        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = tokenhouse::http::server(auth, &config.server, listener)
                    .expect("the server starts");
                tell.send(server.handle()).expect("the test waits for it");
                server.await.expect("the server ends well");
            });
        });
        let server = told.recv().expect("the server starts");
        TestApp {
            client: Client::of(address),
            server,
            thread: Some(thread),
            settings,
            database: self.database,
        }
    }
}

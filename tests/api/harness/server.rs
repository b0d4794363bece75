//! Programs that a test starts, with their logs, and the real server, in this process, on its own
//! port.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::TcpListener;
use std::ops::Deref;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use actix_web::dev::ServerHandle;
use test_support::server::{self, FAST_SETTINGS};
use test_support::{Client, Person};
use tokenhouse::store::Store;
use tokenhouse::{Auth, Clock, Config};

use super::Backend;
use super::database::TestDatabase;

/// A running program. Dropping it kills it.
pub struct Running {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    /// Starts the program. [`Self::line`] reads its output.
    pub fn start(command: &mut Command) -> Self {
        let mut process = command
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let output = BufReader::new(process.stdout.take().expect("piped"));
        Self { process, output }
    }

    /// Starts a server, and returns it with a client of the address that it prints first.
    pub fn serve(command: &mut Command) -> (Self, Client) {
        let mut server = Self::start(command);
        let address = server::announced_address(&server.line());
        let client = Client::new(address.expect("the first line holds the address"));
        (server, client)
    }

    /// Waits for the next line of output.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it prints text");
        line.trim_end().to_owned()
    }

    /// The memory in use, in bytes.
    pub fn memory(&self) -> u64 {
        server::memory(self.process.id(), "VmRSS:").expect("it runs, and this is Linux")
    }

    /// The number of open files and sockets.
    pub fn files(&self) -> usize {
        server::open_files(self.process.id()).expect("it runs, and this is Linux")
    }

    /// The number of open connections and listeners.
    pub fn sockets(&self) -> usize {
        server::open_sockets(self.process.id()).expect("it runs, and this is Linux")
    }

    /// Sends the process a signal by name, such as `STOP`.
    pub fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.expect("kill is a program").success());
    }

    /// The exit status, if the process has exited.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().expect("it is our child")
    }

    /// Waits until the process exits.
    pub fn wait(mut self) {
        self.process.wait().expect("it is our child");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have exited; either way no process is left.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Runs a program with this standard input until it exits.
pub fn run_with_input(command: &mut Command, input: impl AsRef<[u8]>) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = process.stdin.take().expect("piped");
    // Fails for a command that reads no input and has ended.
    let _ = stdin.write_all(input.as_ref());
    drop(stdin);
    process.wait_with_output().expect("it is our child")
}

/// A file without a name, for the standard error of a process.
pub struct Log(File);

impl Log {
    pub fn new() -> Self {
        let name = format!("tokenhouse-log-{:032x}", rand::random::<u128>());
        let path = std::env::temp_dir().join(name);
        let file = File::options()
            .read(true)
            .append(true)
            .create_new(true)
            .open(&path);
        let file = file.expect("the name is new");
        fs::remove_file(path).expect("the file is ours");
        Self(file)
    }

    pub fn writer(&self) -> Stdio {
        self.0.try_clone().expect("a file can be opened").into()
    }

    pub fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.seek(SeekFrom::Start(0)).expect("it is a file");
        self.0.read_to_end(&mut bytes).expect("it is a file");
        bytes
    }
}

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

    /// A builder of a server on the SQLite database of another program.
    pub fn on_foreign_database(url: &str) -> TestAppBuilder {
        TestAppBuilder::on(Arc::new(TestDatabase::foreign(url)))
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

    /// Runs a command; returns its exit code, and the output or else the error.
    pub fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.program(arguments).output().expect("the program runs");
        let printed = if output.status.success() {
            output.stdout
        } else {
            output.stderr
        };
        let printed = String::from_utf8(printed).expect("UTF-8");
        (output.status.code(), printed)
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

    /// Creates an app with these scopes, separated by spaces, by the command. Returns its key.
    pub fn create_app(&self, name: &str, scopes: &str) -> String {
        let mut command = self.program(&["app", "create", name, "--json"]);
        for scope in scopes.split(' ') {
            command.args(["--scope", scope]);
        }
        let output = command.output().expect("the program runs");
        assert!(output.status.success(), "{output:?}");
        let created: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        created["TOKENHOUSE_CLIENT_KEY"]
            .as_str()
            .expect("a key")
            .to_owned()
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

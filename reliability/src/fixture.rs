//! What all checks share: a database, the program with its settings, an administrator, and requests
//! that have to succeed.

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use diesel::connection::SimpleConnection;
use diesel::{Connection as _, PgConnection};
use serde_json::Value;
use test_support::{Client, Connection, PostgresServer, Program, Request, Response, ScratchDir};
use test_support::{Server, TestUser};

/// A start fails while another process migrates, while a paused one holds the lock of the database, or
/// before Postgres is up.
const MAX_START_ATTEMPTS: u32 = 20;
const START_RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// The time limit of a command.
pub(crate) const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// The interval at which a command is checked for its end: from then on it counts as acknowledged.
const COMMAND_POLL_INTERVAL: Duration = Duration::from_micros(200);

/// A connection that was idle for longer is not used again: the server may be closing it.
pub(crate) const MAX_IDLE: Duration = Duration::from_secs(2);

/// The time limit for a response: long enough for a machine that is busy with other tests.
pub(crate) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// The number of times that a request is sent while the response is 503.
const MAX_SEND_ATTEMPTS: u32 = 5;

/// Calls without users are those of earlier versions, and of changes of everyone.
const FORGET_USERS_OF_CALLS: &str = "CREATE FUNCTION forget_users() RETURNS trigger \
     LANGUAGE plpgsql AS $$ BEGIN NEW.users := NULL; RETURN NEW; END $$; \
     CREATE TRIGGER forget_users BEFORE INSERT ON session_calls \
     FOR EACH ROW EXECUTE FUNCTION forget_users()";

/// What Tokenhouse stores its data in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// An SQLite file
    Sqlite,
    /// A Postgres server
    Postgres,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "Postgres",
        })
    }
}

/// The name of the file of SQLite in its folder.
pub(crate) const DATABASE: &str = "tokenhouse.db";

/// A separate database, removed when dropped.
pub(crate) enum Database {
    Sqlite(ScratchDir),
    Postgres(PostgresServer),
}

impl Database {
    pub(crate) fn start(backend: Backend) -> Result<Self, String> {
        match backend {
            Backend::Sqlite => Ok(Self::Sqlite(ScratchDir::new("sqlite"))),
            Backend::Postgres => PostgresServer::start().map(Self::Postgres),
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => sqlite_url(&folder.join(DATABASE)),
            Self::Postgres(server) => server.url("postgres"),
        }
    }

    /// Removes the users from every call, so that each change pauses the whole cache of the other
    /// processes. The tables must exist.
    ///
    /// # Errors
    /// On SQLite, where there are no calls.
    pub(crate) fn forget_users_of_calls(&self) -> Result<(), String> {
        match self {
            Self::Sqlite(_) => Err("--unnamed-calls needs --database postgres".to_owned()),
            Self::Postgres(_) => {
                run_sql(&mut connect_postgres(&self.url())?, FORGET_USERS_OF_CALLS)
            }
        }
    }
}

pub(crate) fn connect_postgres(url: &str) -> Result<PgConnection, String> {
    PgConnection::establish(url).map_err(|error| error.to_string())
}

pub(crate) fn run_sql(conn: &mut PgConnection, statements: &str) -> Result<(), String> {
    let run = conn.batch_execute(statements);
    run.map_err(|error| format!("{error}: {statements}"))
}

pub(crate) fn sqlite_url(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

/// The program with the settings of all checks and these: more workers than cores, which get in each
/// other's way.
pub(crate) fn program(
    binary: &Path,
    database_url: &str,
    folder: &Path,
    settings: &[(&str, &str)],
) -> Result<Program, String> {
    let common = [
        ("RUST_LOG", "error"),
        ("TOKENHOUSE_DOCS", "false"),
        ("TOKENHOUSE_WORKERS", "4"),
    ];
    Program::new(binary, database_url, folder, &[&common, settings].concat())
}

/// Starts a server, with several attempts.
pub(crate) fn start_server(program: &Program) -> Result<Server, String> {
    for _ in 1..MAX_START_ATTEMPTS {
        if let Ok(server) = Server::start(program, "log") {
            return Ok(server);
        }
        thread::sleep(START_RETRY_INTERVAL);
    }
    Server::start(program, "log")
}

/// Runs a command, and kills it after this time. Returns whether it was acknowledged.
pub(crate) fn run_command(
    program: &Program,
    words: &[&str],
    timeout: Duration,
) -> Result<bool, String> {
    let run = || -> io::Result<bool> {
        let mut child = program.command(words).spawn()?;
        let deadline = Instant::now() + timeout;
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait()? {
                return Ok(status.success());
            }
            thread::sleep(COMMAND_POLL_INTERVAL);
        }
        child.kill()?;
        child.wait()?;
        Ok(false)
    };
    run().map_err(|error| format!("{}: {error}", words.join(" ")))
}

/// A service, its administrator, and how many changes it has acknowledged.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    /// The token of the administrator.
    pub(crate) admin: String,
    /// The journal of its disk, if it has one.
    pub(crate) journal: Option<PathBuf>,
    acknowledged: AtomicUsize,
}

impl Service {
    /// Makes an administrator with the command line, and signs them in.
    pub(crate) fn new(program: &Program, address: SocketAddr) -> Result<Self, String> {
        let admin = TestUser::new("admin");
        let mut words = vec!["user", "create", &admin.email, "--name", "Administrator"];
        for scope in ["users:read", "users:write", "events:read", "orders:read"] {
            words.extend(["--scope", scope]);
        }
        let output = program.run(&words, &format!("{}\n", admin.password))?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(format!("the administrator cannot be made: {stderr}"));
        }
        Ok(Self {
            address,
            admin: sign_in(address, &admin)?,
            journal: None,
            acknowledged: AtomicUsize::new(0),
        })
    }

    /// Counts an acknowledgement, and returns the length of the disk journal.
    pub(crate) fn acknowledge(&self) -> u64 {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        let journal = self.journal.as_deref().map(fs::metadata);
        journal.map_or(0, |file| file.map_or(0, |file| file.len()))
    }

    /// The number of acknowledgements.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits for this number of acknowledgements, but not longer than `timeout`.
    pub(crate) fn wait_for(&self, acknowledged: usize, timeout: Duration) {
        let begun = Instant::now();
        while self.acknowledged() < acknowledged && begun.elapsed() < timeout {
            thread::sleep(COMMAND_POLL_INTERVAL);
        }
    }
}

/// Signs a user in and returns the token.
pub(crate) fn sign_in(address: SocketAddr, user: &TestUser) -> Result<String, String> {
    let response = send(address, user.sign_in_request())?;
    let token = response.access_token();
    token.ok_or_else(|| format!("{} cannot sign in: {}", user.email, response.status))
}

/// Registers a user.
pub(crate) fn register(address: SocketAddr, user: &TestUser) -> Result<(), String> {
    expect_status(send(address, user.register_request())?, &[201]).map(drop)
}

/// Sends a request on a new connection.
pub(crate) fn send(address: SocketAddr, request: Request) -> Result<Response, String> {
    let client = Client::new(address).timeout(RESPONSE_TIMEOUT);
    let response = client.send(request);
    response.map_err(|error| format!("no response: {error}"))
}

/// The response, if it has one of these statuses.
pub(crate) fn expect_status(response: Response, statuses: &[u16]) -> Result<Response, String> {
    if statuses.contains(&response.status) {
        return Ok(response);
    }
    let body = String::from_utf8_lossy(&response.body);
    Err(format!("status {}: {body}", response.status))
}

/// A member of a JSON response.
pub(crate) fn member(response: &Response, name: &str) -> Result<Value, String> {
    let member = response.member(name);
    member.ok_or_else(|| format!("no {name} in the response: {response:?}"))
}

/// A connection that is opened when it is needed, to one server after the other.
pub(crate) struct PooledConnection {
    timeout: Duration,
    max_idle: Duration,
    /// With its server, and the time of the last request.
    open: Option<(Connection, SocketAddr, Instant)>,
}

impl PooledConnection {
    /// With this time limit for a response.
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            max_idle: MAX_IDLE,
            open: None,
        }
    }

    /// The same, but it is used again however long it was idle.
    pub(crate) fn without_idle_limit(self) -> Self {
        Self {
            max_idle: Duration::MAX,
            ..self
        }
    }

    /// Opens the connection, unless there is one to this server that can be used.
    pub(crate) fn connect(&mut self, to: SocketAddr) -> io::Result<&mut Connection> {
        let open = self.open.take().filter(|(connection, server, last)| {
            *server == to && connection.is_open() && last.elapsed() < self.max_idle
        });
        let connection = match open {
            Some((connection, ..)) => connection,
            None => Client::new(to).timeout(self.timeout).connect()?,
        };
        Ok(&mut self.open.insert((connection, to, Instant::now())).0)
    }

    /// Sends a request.
    pub(crate) fn send(&mut self, to: SocketAddr, request: &Request) -> io::Result<Response> {
        self.connect(to)?.send(request)
    }
}

/// A connection to each process, for a client that does one thing after the other.
pub(crate) struct ApiClient(Vec<(SocketAddr, PooledConnection)>);

impl ApiClient {
    pub(crate) fn new(servers: &[Server]) -> Self {
        let connection = |server: &Server| {
            let connection = PooledConnection::new(RESPONSE_TIMEOUT);
            (server.address, connection)
        };
        Self(servers.iter().map(connection).collect())
    }

    /// Connects to a process, so that the next request need not wait for that.
    pub(crate) fn connect(&mut self, process: usize) -> Result<&mut Connection, String> {
        let (server, connection) = &mut self.0[process];
        let connected = connection.connect(*server);
        connected.map_err(|error| format!("process {process}: {error}"))
    }

    /// Sends a request to a process.
    ///
    /// # Errors
    /// When there is no response.
    pub(crate) fn send(&mut self, process: usize, request: &Request) -> Result<Response, String> {
        let response = self.connect(process)?.send(request);
        response.map_err(|error| format!("process {process}: {error}"))
    }

    /// Sends a request to a process, again while the response is 503.
    ///
    /// # Errors
    /// When the response has none of these statuses.
    pub(crate) fn send_with_retry(
        &mut self,
        process: usize,
        request: &Request,
        statuses: &[u16],
    ) -> Result<Response, String> {
        for _ in 1..MAX_SEND_ATTEMPTS {
            let response = self.send(process, request)?;
            if response.status != 503 {
                return expect_status(response, statuses);
            }
        }
        expect_status(self.send(process, request)?, statuses)
    }

    /// The number of processes that accept a credential.
    pub(crate) fn count_accepting(&mut self, credential: &str) -> Result<usize, String> {
        let request = Request::get("/users/me").bearer(credential);
        let mut accepting = 0;
        for process in 0..self.0.len() {
            let response = self.send_with_retry(process, &request, &[200, 401])?;
            accepting += usize::from(response.status == 200);
        }
        Ok(accepting)
    }
}

//! Thousands of clients that hold connections without making progress.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use socket2::{Domain, Socket, Type};
use test_support::{Request, ScratchDir, Server, TestUser};

use crate::Report;
use crate::fixture::{PooledConnection, program, register, sign_in, sqlite_url, start_server};

/// The receive buffer of a slow reader, in bytes.
pub const READER_BUFFER: usize = 4_096;

/// The time limit for the server to cut a connection.
const CUT_TIMEOUT: Duration = Duration::from_secs(10);

/// The limit for the 99th percentile of the response times of other clients.
const MAX_RESPONSE_TIME: Duration = Duration::from_millis(50);

/// The limit for the memory of the server, in bytes.
const MAX_MEMORY: u64 = 128 << 20;

/// The interval at which each connection sends or reads a byte.
const BYTE_INTERVAL: Duration = Duration::from_millis(500);

/// Connections of a kind that are opened at once, and the time until the next ones. The system limits
/// the connections that wait to be accepted. It drops the last step of further handshakes, and only
/// the client believes that it is connected.
const OPEN_BATCH: usize = 100;
const OPEN_INTERVAL: Duration = Duration::from_millis(100);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The number of ordinary clients. Half of them keep their connections.
const ORDINARY_CLIENTS: usize = 4;

/// The time limit for a response to an ordinary client, and the time between its requests.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
const REQUEST_INTERVAL: Duration = Duration::from_millis(5);

/// Files of this process and the server that are no connections.
const OTHER_FILES: u64 = 600;

/// What a client does on a connection, and then continues byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing at all.
    Idle,
    /// The head of a request that does not end.
    SlowHead,
    /// The same after a complete request.
    SlowSecondHead,
    /// A body that does not end.
    SlowBody,
    /// A large response that is hardly read.
    SlowReader,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Idle,
        Self::SlowHead,
        Self::SlowSecondHead,
        Self::SlowBody,
        Self::SlowReader,
    ];

    /// What the client sends first.
    pub fn first_bytes(self) -> &'static str {
        match self {
            Self::Idle => "",
            Self::SlowHead => "GET /users/me HTTP/1.1\r\nHost: a\r\nX: ",
            Self::SlowSecondHead => "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n",
            Self::SlowBody => {
                "POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\n\r\n"
            }
            Self::SlowReader => "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: a\r\n\r\n",
        }
    }
}

/// The options of `hostile`.
#[derive(Clone, Debug, Args)]
pub struct Hostile {
    /// Connections on which nothing is sent
    #[arg(long, default_value_t = 10_000)]
    pub connections: usize,
    /// Connections of each other kind: slow heads, second heads, bodies and readers
    #[arg(long, default_value_t = 2_500)]
    pub slow: usize,
}

/// The result for the connections of one kind.
#[derive(Clone, Debug)]
struct Row {
    kind: Kind,
    opened: usize,
    /// The connections that the client has seen end. A slow reader does not see the end: too many
    /// unread bytes are before it.
    cut: usize,
    /// The longest time from the opening to a seen end.
    longest: Duration,
    refused: usize,
}

/// All measurements.
struct Measurements {
    rows: Vec<Row>,
    /// The most files that the server had open because of these connections, and those left when all
    /// connections should have been cut.
    max_held: usize,
    held_at_end: usize,
    /// The response times of ordinary clients in order, and the number of failed requests.
    times: Vec<Duration>,
    failed: usize,
    /// The peak memory of the server in bytes.
    memory: u64,
}

impl Measurements {
    /// Passes when all connections were cut in time, without an effect on ordinary clients.
    fn report(&self) -> Report {
        let opened: usize = self.rows.iter().map(|row| row.opened).sum();
        let is_cut = |row: &Row| row.kind == Kind::SlowReader || row.cut == row.opened;
        let good = self.times.len();
        let percent_good = 100.0 * good as f64 / (good + self.failed).max(1) as f64;
        let percentile = |per_mille: usize| {
            let place = (good * per_mille / 1_000).min(good.saturating_sub(1));
            self.times.get(place).copied().unwrap_or_default()
        };
        let [p50, p99] = [500, 990].map(|place| percentile(place).as_secs_f64() * 1e3);
        let mut summary: Vec<String> = self.rows.iter().map(Row::to_string).collect();
        summary.push(format!(
            "the server held {} more files, and {} when all should have been cut",
            self.max_held, self.held_at_end
        ));
        summary.push(format!(
            "ordinary clients: {good} responses, {} failures, {percent_good:.3} % good; \
             p50 {p50:.1} ms, p99 {p99:.1} ms",
            self.failed
        ));
        let mebibytes = self.memory >> 20;
        summary.push(format!("peak memory of the server: {mebibytes} MiB"));
        Report {
            summary,
            is_good: opened > 0
                && self.rows.iter().all(|row| is_cut(row) && row.refused == 0)
                && self.rows.iter().all(|row| row.longest <= CUT_TIMEOUT)
                && self.max_held >= opened
                && self.held_at_end == 0
                && percent_good >= 99.9
                && percentile(990) < MAX_RESPONSE_TIME
                && self.memory < MAX_MEMORY,
            ..Report::default()
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, opened, refused) = (self.kind, self.opened, self.refused);
        write!(f, "{kind:?}: {opened} opened, {refused} refused")?;
        if self.kind == Kind::SlowReader {
            return Ok(());
        }
        let longest = self.longest.as_millis();
        write!(f, "; {} cut, the last after {longest} ms", self.cut)
    }
}

impl Hostile {
    /// Runs the check.
    ///
    /// # Errors
    /// One sentence, when the server does not start or cannot be measured.
    pub fn execute(&self, binary: &Path) -> Result<Report, String> {
        self.raise_file_limit()?;
        let scratch = ScratchDir::new("hostile");
        let url = sqlite_url(&scratch.join("tokenhouse.db"));
        let program = program(binary, &url, &scratch, &[("TOKENHOUSE_DOCS", "true")])?;
        let server = start_server(&program)?;
        let user = TestUser::new("ordinary");
        register(server.address, &user)?;
        let token = sign_in(server.address, &user)?;
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let (address, token, stop) = (server.address, &token, &stop);
            let clients: Vec<_> = (0..ORDINARY_CLIENTS)
                .map(|number| scope.spawn(move || use_token(address, token, number % 2 == 0, stop)))
                .collect();
            let measured = self.attack(&server);
            stop.store(true, Ordering::Relaxed);
            let mut measured = measured?;
            for client in clients {
                let (times, failed) = client.join().map_err(|_panic| "a client panicked")?;
                measured.times.extend(times);
                measured.failed += failed;
            }
            measured.times.sort_unstable();
            measured.memory = server.peak_memory()?;
            Ok(measured.report())
        })
    }

    fn attack(&self, server: &Server) -> Result<Measurements, String> {
        // By then the connections of the ordinary clients are open.
        thread::sleep(BYTE_INTERVAL);
        let before = server.open_files()? + ORDINARY_CLIENTS;
        let held = || Ok::<_, String>(server.open_files()?.saturating_sub(before));
        let mut max_held = 0;
        let rows = thread::scope(|scope| {
            let threads = Kind::ALL.map(|kind| {
                let count = match kind {
                    Kind::Idle => self.connections,
                    _ => self.slow,
                };
                scope.spawn(move || hold_connections(kind, server.address, count))
            });
            while threads.iter().any(|thread| !thread.is_finished()) {
                max_held = max_held.max(held()?);
                thread::sleep(BYTE_INTERVAL);
            }
            let rows = threads.into_iter().map(|thread| thread.join());
            let rows = rows.collect::<Result<Vec<_>, _>>();
            rows.map_err(|_panic| "a client panicked".to_owned())
        })?;
        Ok(Measurements {
            rows,
            max_held,
            held_at_end: held()?,
            times: Vec::new(),
            failed: 0,
            memory: 0,
        })
    }

    /// The server needs two files for a connection, and inherits the limit of this process.
    fn raise_file_limit(&self) -> Result<(), String> {
        let connections = self.connections.saturating_add(self.slow.saturating_mul(4));
        let required = (connections as u64).saturating_mul(2) + OTHER_FILES;
        let limit = match rlimit::increase_nofile_limit(required) {
            // Only root can exceed the hard limit, and not on every system.
            Ok(limit) if limit < required => rlimit::Resource::NOFILE
                .set(required, required)
                .map_or(limit, |()| required),
            Ok(limit) => limit,
            Err(error) => return Err(format!("the limit of files cannot be read: {error}")),
        };
        if limit >= required {
            return Ok(());
        }
        Err(format!(
            "{connections} connections need {required} files, and the system allows {limit}: \
             raise the limit (ulimit -Hn), or lower --connections and --slow"
        ))
    }
}

/// An ordinary client: sends requests until `stop` is set, on one connection or on a new one each time.
/// Returns the response times, and the number of failed requests.
fn use_token(
    address: SocketAddr,
    token: &str,
    keeps_connection: bool,
    stop: &AtomicBool,
) -> (Vec<Duration>, usize) {
    let request = Request::get("/users/me").bearer(token);
    let mut connection = PooledConnection::new(RESPONSE_TIMEOUT);
    let (mut times, mut failed) = (Vec::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        if !keeps_connection {
            connection = PooledConnection::new(RESPONSE_TIMEOUT);
        }
        match connection.send(address, &request) {
            Ok(response) if response.status == 200 => times.push(begun.elapsed()),
            _ => failed += 1,
        }
        thread::sleep(REQUEST_INTERVAL);
    }
    (times, failed)
}

/// Opens connections and continues on them until they are cut, or should have been.
fn hold_connections(kind: Kind, server: SocketAddr, count: usize) -> Row {
    let mut row = Row {
        kind,
        opened: 0,
        cut: 0,
        longest: Duration::ZERO,
        refused: 0,
    };
    let mut open = Vec::with_capacity(count);
    for number in 0..count {
        if number % OPEN_BATCH == 0 {
            row.advance(&mut open);
            thread::sleep(OPEN_INTERVAL);
        }
        match SlowConnection::open(kind, server, number) {
            Ok(connection) => open.push(connection),
            Err(_refused) => row.refused += 1,
        }
    }
    row.opened = open.len();
    let begun = Instant::now();
    while begun.elapsed() < CUT_TIMEOUT && row.cut < row.opened {
        thread::sleep(BYTE_INTERVAL);
        row.advance(&mut open);
    }
    row
}

impl Row {
    fn advance(&mut self, open: &mut [SlowConnection]) {
        for time in open.iter_mut().filter_map(SlowConnection::advance) {
            self.cut += 1;
            self.longest = self.longest.max(time);
        }
    }
}

struct SlowConnection {
    kind: Kind,
    opened: Instant,
    /// `None` once the server has closed it.
    stream: Option<TcpStream>,
}

impl SlowConnection {
    /// Connects from one of many addresses: all of 127.0.0.0/8 is this machine.
    fn open(kind: Kind, server: SocketAddr, number: usize) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        if kind == Kind::SlowReader {
            socket.set_recv_buffer_size(READER_BUFFER)?;
        }
        let host = u8::try_from(number % 200).unwrap_or_default() + 2;
        socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 1, host), 0)).into())?;
        socket.connect_timeout(&server.into(), CONNECT_TIMEOUT)?;
        let mut stream = TcpStream::from(socket);
        stream.write_all(kind.first_bytes().as_bytes())?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            kind,
            opened: Instant::now(),
            stream: Some(stream),
        })
    }

    /// Sends or reads a byte. Returns the age of the connection when the server has closed it.
    fn advance(&mut self) -> Option<Duration> {
        let stream = self.stream.as_mut()?;
        let is_cut = match self.kind {
            // Sees the end only after all bytes before it.
            Kind::SlowReader => matches!(stream.read(&mut [0]), Ok(0)),
            Kind::Idle => has_ended(stream),
            Kind::SlowHead | Kind::SlowSecondHead | Kind::SlowBody => {
                has_ended(stream) || stream.write(b"a").is_err()
            }
        };
        is_cut.then(|| {
            self.stream = None;
            self.opened.elapsed()
        })
    }
}

/// Whether the other side has closed and everything is read.
pub fn has_ended(stream: &mut TcpStream) -> bool {
    let mut part = [0; 16_384];
    loop {
        match stream.read(&mut part) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

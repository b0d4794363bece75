//! Thousands of clients that hold connections without making progress.

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
use crate::fixture::{
    DATABASE, PooledConnection, program, register, sign_in, sqlite_url, start_server,
};

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

/// A measurement in words, and whether it is as it has to be.
type Measured = (String, bool);

impl Hostile {
    /// Runs the check.
    ///
    /// # Errors
    /// One sentence, when the server does not start or cannot be measured.
    pub fn execute(&self, binary: &Path) -> Result<Report, String> {
        self.raise_file_limit()?;
        let scratch = ScratchDir::new("hostile");
        let url = sqlite_url(&scratch.join(DATABASE));
        let program = program(binary, &url, &scratch, &[("TOKENHOUSE_DOCS", "true")])?;
        let server = start_server(&program)?;
        let user = TestUser::new("ordinary");
        register(server.address, &user)?;
        let token = sign_in(server.address, &user)?;
        let stop = AtomicBool::new(false);
        let mut measured = thread::scope(|scope| {
            let (address, token, stop) = (server.address, &token, &stop);
            let clients: Vec<_> = (0..ORDINARY_CLIENTS)
                .map(|number| scope.spawn(move || use_token(address, token, number % 2 == 0, stop)))
                .collect();
            let measured = self.attack(&server);
            stop.store(true, Ordering::Relaxed);
            let mut times = Vec::new();
            for client in clients {
                times.extend(client.join().map_err(|_panic| "a client panicked")?);
            }
            let mut measured = measured?;
            measured.push(judge_responses(&times));
            Ok::<_, String>(measured)
        })?;
        let memory = server.peak_memory()?;
        measured.push((
            format!("peak memory of the server: {} MiB", memory >> 20),
            memory < MAX_MEMORY,
        ));
        Ok(Report {
            is_good: measured.iter().all(|(_, is_good)| *is_good),
            summary: measured.into_iter().map(|(words, _)| words).collect(),
            ..Report::default()
        })
    }

    /// Holds connections of all kinds until the server has cut them, or should have.
    fn attack(&self, server: &Server) -> Result<Vec<Measured>, String> {
        // By then the connections of the ordinary clients are open.
        thread::sleep(BYTE_INTERVAL);
        let before = server.open_files()? + ORDINARY_CLIENTS;
        let held = || Ok::<_, String>(server.open_files()?.saturating_sub(before));
        let mut max_held = 0;
        let rows: Vec<Row> = thread::scope(|scope| {
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
            let rows = rows.collect::<Result<_, _>>();
            rows.map_err(|_panic| "a client panicked".to_owned())
        })?;
        let opened: usize = rows.iter().map(|row| row.opened).sum();
        let held = held()?;
        let words = format!(
            "the server held {max_held} more files, and {held} when all should have been cut"
        );
        let mut measured: Vec<Measured> = rows.iter().map(Row::judge).collect();
        measured.push((words, opened > 0 && max_held >= opened && held == 0));
        Ok(measured)
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
/// Returns the response times; `None` stands for a failed request.
fn use_token(
    address: SocketAddr,
    token: &str,
    keeps_connection: bool,
    stop: &AtomicBool,
) -> Vec<Option<Duration>> {
    let request = Request::get("/users/me").bearer(token);
    let mut connection = PooledConnection::new(RESPONSE_TIMEOUT);
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        if !keeps_connection {
            connection = PooledConnection::new(RESPONSE_TIMEOUT);
        }
        let response = connection.send(address, &request);
        let is_good = response.is_ok_and(|response| response.status == 200);
        times.push(is_good.then(|| begun.elapsed()));
        thread::sleep(REQUEST_INTERVAL);
    }
    times
}

/// Judges the response times of ordinary clients.
fn judge_responses(times: &[Option<Duration>]) -> Measured {
    let mut good: Vec<Duration> = times.iter().flatten().copied().collect();
    good.sort_unstable();
    let failed = times.len() - good.len();
    let percent_good = 100.0 * good.len() as f64 / times.len().max(1) as f64;
    let [p50, p99] = [50, 99].map(|percent| {
        let time = good.get(good.len() * percent / 100);
        time.copied().unwrap_or_default()
    });
    let words = format!(
        "ordinary clients: {} responses, {failed} failures, {percent_good:.3} % good; \
         p50 {:.1} ms, p99 {:.1} ms",
        good.len(),
        p50.as_secs_f64() * 1e3,
        p99.as_secs_f64() * 1e3,
    );
    (words, percent_good >= 99.9 && p99 < MAX_RESPONSE_TIME)
}

/// The result for the connections of one kind.
struct Row {
    kind: Kind,
    opened: usize,
    refused: usize,
    /// The connections that the client has seen end. A slow reader does not see the end: too many
    /// unread bytes are before it.
    cut: usize,
    /// The longest time from the opening to a seen end.
    longest: Duration,
}

/// Opens connections and continues on them until they are cut, or should have been.
fn hold_connections(kind: Kind, server: SocketAddr, count: usize) -> Row {
    let mut row = Row {
        kind,
        opened: 0,
        refused: 0,
        cut: 0,
        longest: Duration::ZERO,
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

    fn judge(&self) -> Measured {
        let Self {
            kind,
            opened,
            refused,
            cut,
            longest,
        } = self;
        let mut words = format!("{kind:?}: {opened} opened, {refused} refused");
        if *kind != Kind::SlowReader {
            let longest = longest.as_millis();
            words += &format!("; {cut} cut, the last after {longest} ms");
        }
        let is_cut = *kind == Kind::SlowReader || cut == opened;
        (words, is_cut && *refused == 0 && *longest <= CUT_TIMEOUT)
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

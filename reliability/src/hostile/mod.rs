//! Thousands of clients that hold connections and do not get on.

mod good;
mod kind;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub use good::Traffic;
pub use kind::{Kind, READER_BUFFER, has_ended};

use crate::client::Request;
use crate::durability::client::registration;
use crate::durability::field::{ask, sign_in, start};
use crate::guardian::Scratch;
use crate::server::{Program, Server};
use kind::Held;

const EMAIL: &str = "good@example.com";
const PASSWORD: &str = "mulberry-Tram-71";

/// By then every connection is cut.
pub const CUT_WITHIN: Duration = Duration::from_secs(10);

/// Of 100 answers to others, 99 come sooner.
pub const GOOD_WITHIN: Duration = Duration::from_millis(50);

/// The server has less memory at any time, in bytes.
pub const MEMORY_MOST: u64 = 128 << 20;

/// How often each of them sends or takes a byte.
const EVERY: Duration = Duration::from_millis(500);

/// How many of a kind are opened before those that are open go on.
const OPENED_AT_ONCE: usize = 100;

/// How long no more are opened then. More than the system lets wait to be accepted are no test of
/// ours: it forgets the last step of their handshake, and only they think that they are connected.
const BETWEEN: Duration = Duration::from_millis(100);

/// Those who use the service, half of them on kept connections.
const GOOD_CLIENTS: usize = 4;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Hostile {
    /// The program.
    pub binary: PathBuf,
    /// Idle connections.
    pub idle: usize,
    /// Connections of each other kind.
    pub slow: usize,
}

/// How the connections of a kind ended.
#[derive(Clone, Debug)]
pub struct KindRow {
    /// Which.
    pub kind: Kind,
    /// How many stood.
    pub opened: usize,
    /// How many of them the client has seen end. A slow reader does not see it: too much that it
    /// has not read stands before it.
    pub cut: usize,
    /// The longest that one lasted that was seen to end.
    pub longest: Duration,
    /// Connections that did not come about.
    pub refused: usize,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct HostileReport {
    /// One for each kind.
    pub rows: Vec<KindRow>,
    /// The files that the server had open with all connections, over those that it has without.
    pub held_most: usize,
    /// The same when all should have been cut.
    pub held_last: usize,
    /// How the others fared.
    pub traffic: Traffic,
    /// The most memory that the server has had, in bytes.
    pub memory: u64,
}

impl Hostile {
    /// Does it.
    ///
    /// # Errors
    /// One sentence, when the server does not start or cannot be looked at.
    pub fn execute(&self) -> Result<HostileReport, String> {
        let scratch = Scratch::new("hostile").map_err(|error| error.to_string())?;
        let url = format!("sqlite://{}/tokenhouse.db", scratch.path().display());
        let docs = ("TOKENHOUSE_DOCS".to_owned(), "true".to_owned());
        let program = Program::new(&self.binary, &url, scratch.path(), &[docs])?;
        let server = start(&program)?;
        let body = registration(EMAIL, PASSWORD).to_string();
        let request = Request::with_body("/register", "application/json", &body);
        let registered = ask(&server, &request)?;
        if registered.status != 201 {
            return Err(format!("a user cannot register: {}", registered.status));
        }
        let token = sign_in(&server, EMAIL, PASSWORD)?;
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let address = server.address;
            let (token, stop) = (&token, &stop);
            let good: Vec<_> = (0..GOOD_CLIENTS)
                .map(|number| scope.spawn(move || good::ask(address, token, number % 2 == 0, stop)))
                .collect();
            let report = self.attack(&server);
            stop.store(true, Ordering::Relaxed);
            let mut report = report?;
            for client in good {
                let seen = client.join();
                report
                    .traffic
                    .add(seen.map_err(|_panic| "a client panicked".to_owned())?);
            }
            report.memory = server.memory_most()?;
            Ok(report)
        })
    }

    fn attack(&self, server: &Server) -> Result<HostileReport, String> {
        // So that the connections of the others are among those that were there before.
        thread::sleep(EVERY);
        let before = server.files()? + GOOD_CLIENTS;
        let held = |files: usize| files.saturating_sub(before);
        let mut held_most = 0;
        let rows = thread::scope(|scope| {
            let threads = Kind::ALL.map(|kind| {
                let count = match kind {
                    Kind::Idle => self.idle,
                    _ => self.slow,
                };
                scope.spawn(move || hold(kind, server.address, count))
            });
            while threads.iter().any(|thread| !thread.is_finished()) {
                held_most = held_most.max(held(server.files()?));
                thread::sleep(EVERY);
            }
            threads
                .into_iter()
                .map(|thread| {
                    thread
                        .join()
                        .map_err(|_panic| "a client panicked".to_owned())
                })
                .collect::<Result<Vec<_>, String>>()
        })?;
        Ok(HostileReport {
            rows,
            held_most,
            held_last: held(server.files()?),
            traffic: Traffic::default(),
            memory: 0,
        })
    }
}

impl HostileReport {
    /// Whether all were cut in time, and nobody else noticed.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let opened: usize = self.rows.iter().map(|row| row.opened).sum();
        let seen = |row: &KindRow| row.kind == Kind::SlowReader || row.cut == row.opened;
        opened > 0
            && self.rows.iter().all(|row| seen(row) && row.refused == 0)
            && self.rows.iter().all(|row| row.longest <= CUT_WITHIN)
            && self.held_most >= opened
            && self.held_last == 0
            && self.traffic.good_per_cent() >= 99.9
            && self.traffic.within(990) < GOOD_WITHIN
            && self.memory < MEMORY_MOST
    }
}

/// Opens connections and goes on with them until they are cut, or should have been.
fn hold(kind: Kind, server: SocketAddr, count: usize) -> KindRow {
    let mut row = KindRow {
        kind,
        opened: 0,
        cut: 0,
        longest: Duration::ZERO,
        refused: 0,
    };
    let mut open = Vec::with_capacity(count);
    for number in 0..count {
        if number % OPENED_AT_ONCE == 0 {
            row.go_on(&mut open);
            thread::sleep(BETWEEN);
        }
        match Held::open(kind, server, number) {
            Ok(connection) => open.push(connection),
            Err(_refused) => row.refused += 1,
        }
    }
    row.opened = open.len();
    let begun = Instant::now();
    while begun.elapsed() < CUT_WITHIN && row.cut < row.opened {
        thread::sleep(EVERY);
        row.go_on(&mut open);
    }
    row
}

impl KindRow {
    fn go_on(&mut self, open: &mut [Held]) {
        for lasted in open.iter_mut().filter_map(Held::go_on) {
            self.cut += 1;
            self.longest = self.longest.max(lasted);
        }
    }
}

//! Tokenhouse in front of a Postgres server that can fail, with a TCP proxy in between that can hold all
//! bytes, or cut a connection in the middle of a COMMIT.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use test_support::PostgresServer;

use super::probe::STATIC_KEY;
use crate::durability::{Bench, Clients};
use crate::fixture::Database;

/// The time for which Postgres is down, paused or unreachable: longer than any client waits for it.
const DOWN_TIME: Duration = Duration::from_secs(5);

/// The time between two faults.
const FAULT_INTERVAL: Duration = Duration::from_millis(500);

/// A kind of failure of Postgres: its name, its begin, the time until its end, and its end.
pub(super) struct PostgresFault {
    pub(super) name: &'static str,
    begin: Act,
    down_time: Duration,
    end: Act,
}

type Act = fn(&mut PostgresServer, &Proxy) -> Result<(), String>;

impl PostgresFault {
    pub(super) const ALL: [Self; 4] = [
        Self {
            name: "immediate restart",
            begin: |postgres, _| postgres.stop(),
            down_time: Duration::ZERO,
            end: |postgres, _| postgres.restart(),
        },
        Self {
            name: "immediate stop, down for 5 s",
            begin: |postgres, _| postgres.stop(),
            down_time: DOWN_TIME,
            end: |postgres, _| postgres.restart(),
        },
        Self {
            name: "SIGSTOP for 5 s",
            begin: |postgres, _| postgres.pause(),
            down_time: DOWN_TIME,
            end: |postgres, _| postgres.resume(),
        },
        Self {
            name: "network holds all bytes for 5 s",
            begin: |_, proxy| proxy.hold(true),
            down_time: DOWN_TIME,
            end: |_, proxy| proxy.hold(false),
        },
    ];

    /// Lets Postgres fail once. It is back when this returns.
    pub(super) fn occur(&self, postgres: &mut Database, proxy: &Proxy) -> Result<(), String> {
        let Database::Postgres(postgres) = postgres else {
            return Err("only Postgres fails in this way".to_owned());
        };
        thread::sleep(FAULT_INTERVAL);
        (self.begin)(postgres, proxy)?;
        thread::sleep(self.down_time);
        (self.end)(postgres, proxy)
    }
}

/// Starts Tokenhouse behind a proxy in front of Postgres.
pub(super) fn start(binary: &Path, clients: Clients) -> Result<(Bench, Proxy), String> {
    let postgres = PostgresServer::start()?;
    let proxy = Proxy::start(SocketAddr::from(([127, 0, 0, 1], postgres.port())));
    let proxy = proxy.map_err(|error| error.to_string())?;
    let url = PostgresServer::url_at(proxy.address.port(), "postgres");
    let settings = [("API_KEY_TOKEN", STATIC_KEY)];
    let database = Database::Postgres(postgres);
    let bench = Bench::start(binary, database, &url, &settings, clients)?;
    Ok((bench, proxy))
}

/// The COMMIT of libpq: a simple query of the protocol.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// The bytes of COMMIT and of its response: `CommandComplete` and `ReadyForQuery`.
pub(super) const COMMIT_AND_RESPONSE: usize = COMMIT.len() + 12 + 6;

/// The interval at which a held connection checks whether bytes may pass.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// The proxy. Dropping it stops it from accepting connections.
pub(super) struct Proxy {
    address: SocketAddr,
    plan: Arc<Plan>,
}

/// What happens to the bytes.
struct Plan {
    server: SocketAddr,
    holds: AtomicBool,
    /// The number of bytes of the next COMMIT and its response that pass before the cut.
    cut: Mutex<Option<usize>>,
    is_stopped: AtomicBool,
}

impl Proxy {
    /// Starts a proxy in front of a server.
    fn start(server: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let plan = Arc::new(Plan {
            server,
            holds: AtomicBool::new(false),
            cut: Mutex::new(None),
            is_stopped: AtomicBool::new(false),
        });
        let shared = Arc::clone(&plan);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.is_stopped.load(Ordering::Relaxed) {
                    return;
                }
                let plan = Arc::clone(&shared);
                // The client sees an error as a closed connection.
                thread::spawn(move || _ = connect(&client, &plan));
            }
        });
        Ok(Self { address, plan })
    }

    /// Holds all bytes in both directions, or lets them pass.
    fn hold(&self, holds: bool) -> Result<(), String> {
        self.plan.holds.store(holds, Ordering::Relaxed);
        Ok(())
    }

    /// Cuts the next connection that commits, after this many bytes of the COMMIT and its response.
    pub(super) fn cut_after(&self, bytes: usize) {
        *self.plan.cut() = Some(bytes);
    }

    /// Whether a connection was cut since then. If none was, none will be.
    pub(super) fn has_cut(&self) -> bool {
        self.plan.cut().take().is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.plan.is_stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts connections.
        _ = TcpStream::connect(self.address);
    }
}

impl Plan {
    fn cut(&self) -> MutexGuard<'_, Option<usize>> {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while_held(&self) {
        while self.holds.load(Ordering::Relaxed) && !self.is_stopped.load(Ordering::Relaxed) {
            thread::sleep(POLL_INTERVAL);
        }
    }
}

/// Copies both directions of a connection. An error on either side ends both.
fn connect(client: &TcpStream, plan: &Arc<Plan>) -> std::io::Result<()> {
    plan.wait_while_held();
    let server = TcpStream::connect(plan.server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    // Bytes of the response that pass before the cut.
    let remaining = Arc::new(AtomicUsize::new(usize::MAX));
    let (from, to) = (server.try_clone()?, client.try_clone()?);
    let (shared_plan, shared_remaining) = (Arc::clone(plan), Arc::clone(&remaining));
    thread::spawn(move || {
        copy(&from, &to, &shared_plan, |bytes| {
            response_cut(bytes, &shared_remaining)
        });
    });
    copy(client, &server, plan, |bytes| {
        commit_cut(bytes, plan, &remaining)
    });
    Ok(())
}

/// Copies until `cut` returns how many of the last bytes may pass.
fn copy(
    mut from: &TcpStream,
    mut to: &TcpStream,
    plan: &Plan,
    cut: impl Fn(&[u8]) -> Option<usize>,
) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        plan.wait_while_held();
        let bytes = &buffer[..read];
        let last = cut(bytes);
        if to.write_all(&bytes[..last.unwrap_or(read)]).is_err() || last.is_some() {
            break;
        }
    }
    _ = from.shutdown(Shutdown::Both);
    _ = to.shutdown(Shutdown::Both);
}

/// Where to cut these bytes of the client, if they hold the COMMIT of the plan.
fn commit_cut(bytes: &[u8], plan: &Plan, remaining: &AtomicUsize) -> Option<usize> {
    let mut windows = bytes.windows(COMMIT.len());
    let place = windows.position(|window| window == COMMIT)?;
    let after = plan.cut().take()?;
    if after < COMMIT.len() {
        return Some(place + after);
    }
    remaining.store(after - COMMIT.len(), Ordering::Relaxed);
    None
}

fn response_cut(bytes: &[u8], remaining: &AtomicUsize) -> Option<usize> {
    match remaining.load(Ordering::Relaxed) {
        usize::MAX => None,
        left if left <= bytes.len() => Some(left),
        left => {
            remaining.store(left - bytes.len(), Ordering::Relaxed);
            None
        }
    }
}

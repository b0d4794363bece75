//! Tokenhouse in front of a Postgres server that can fail, with a TCP proxy in between that can hold all
//! bytes, or cut a connection in the middle of a COMMIT.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use test_support::{PostgresServer, Program, ScratchDir, Server};

use super::probe::STATIC_KEY;
use crate::durability::client::SCOPE_PREFIX;
use crate::fixture::{Service, program, start_server};

/// The time for which Postgres is down, paused or unreachable: longer than any client waits for it.
const DOWN_TIME: Duration = Duration::from_secs(5);

/// The time between two faults.
const FAULT_INTERVAL: Duration = Duration::from_millis(500);

/// A kind of failure of Postgres.
#[derive(Clone, Copy, Debug)]
pub(super) enum PostgresFault {
    Restart,
    Stop,
    Pause,
    Network,
}

impl PostgresFault {
    pub(super) const ALL: [Self; 4] = [Self::Restart, Self::Stop, Self::Pause, Self::Network];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Restart => "immediate restart",
            Self::Stop => "immediate stop, down for 5 s",
            Self::Pause => "SIGSTOP for 5 s",
            Self::Network => "network holds all bytes for 5 s",
        }
    }
}

pub(super) struct FaultFixture {
    pub(super) proxy: Proxy,
    pub(super) service: Service,
    /// The URL of the database past the proxy.
    pub(super) database_url: String,
    pub(super) program: Program,
    _server: Server,
    postgres: PostgresServer,
    _scratch: ScratchDir,
}

impl FaultFixture {
    pub(super) fn new(binary: &Path) -> Result<Self, String> {
        let scratch = ScratchDir::new("faults");
        let postgres = PostgresServer::start()?;
        let proxy = Proxy::start(SocketAddr::from(([127, 0, 0, 1], postgres.port())))
            .map_err(|error| error.to_string())?;
        let url = PostgresServer::url_at(proxy.address.port(), "postgres");
        let settings = [
            ("API_KEY_TOKEN", STATIC_KEY),
            ("TOKENHOUSE_GRANTABLE_SCOPES", &format!("{SCOPE_PREFIX}*")),
        ];
        let program = program(binary, &url, &scratch, &settings)?;
        let server = start_server(&program)?;
        Ok(Self {
            proxy,
            service: Service::new(&program, server.address)?,
            database_url: postgres.url("postgres"),
            program,
            _server: server,
            postgres,
            _scratch: scratch,
        })
    }

    /// Lets Postgres fail once. It is back when this returns.
    pub(super) fn fail_and_recover(&mut self, fault: PostgresFault) -> Result<(), String> {
        thread::sleep(FAULT_INTERVAL);
        match fault {
            PostgresFault::Restart => self.postgres.stop()?,
            PostgresFault::Stop => {
                self.postgres.stop()?;
                thread::sleep(DOWN_TIME);
            }
            PostgresFault::Pause => {
                self.postgres.pause()?;
                thread::sleep(DOWN_TIME);
                return self.postgres.resume();
            }
            PostgresFault::Network => {
                self.proxy.hold(true);
                thread::sleep(DOWN_TIME);
                self.proxy.hold(false);
                return Ok(());
            }
        }
        self.postgres.restart()
    }
}

/// The COMMIT of libpq: a simple query of the protocol.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// The bytes of COMMIT and of its response: `CommandComplete` and `ReadyForQuery`.
pub(super) const COMMIT_AND_RESPONSE: usize = COMMIT.len() + 12 + 6;

/// The interval at which a held connection checks whether bytes may pass.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// The proxy. Dropping it stops it from accepting connections.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
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
    pub(super) fn start(server: SocketAddr) -> std::io::Result<Self> {
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
    pub(super) fn hold(&self, holds: bool) {
        self.plan.holds.store(holds, Ordering::Relaxed);
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

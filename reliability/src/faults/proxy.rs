//! A TCP proxy in front of Postgres that can hold everything back, or cut a connection in the middle
//! of a COMMIT.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How libpq sends COMMIT: a simple query of the protocol.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

/// The bytes of that, and those of its answer: `CommandComplete` and `ReadyForQuery`.
pub(crate) const COMMIT_AND_ANSWER: usize = COMMIT.len() + 12 + 6;

/// How often it is looked whether bytes may go on.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// See the module. It takes no more connections when it is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    plan: Arc<Plan>,
}

/// What happens to bytes.
struct Plan {
    to: SocketAddr,
    holds: AtomicBool,
    /// After so many bytes of the next COMMIT and its answer its connection is cut.
    cut: Mutex<Option<usize>>,
    ends: AtomicBool,
}

impl Proxy {
    /// Starts one in front of `to`.
    pub(crate) fn start(to: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let plan = Arc::new(Plan {
            to,
            holds: AtomicBool::new(false),
            cut: Mutex::new(None),
            ends: AtomicBool::new(false),
        });
        let shared = Arc::clone(&plan);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.ends.load(Ordering::Relaxed) {
                    return;
                }
                let plan = Arc::clone(&shared);
                thread::spawn(move || connect(&client, &plan));
            }
        });
        Ok(Self { address, plan })
    }

    /// Holds back all bytes, in both directions, or lets them go on.
    pub(crate) fn hold(&self, holds: bool) {
        self.plan.holds.store(holds, Ordering::Relaxed);
    }

    /// Cuts the next connection that commits, when so many bytes of the COMMIT and its answer have
    /// gone through.
    pub(crate) fn cut_after(&self, bytes: usize) {
        *self.plan.cut() = Some(bytes);
    }

    /// Cuts none, and returns whether one was cut.
    pub(crate) fn has_cut(&self) -> bool {
        self.plan.cut().take().is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.plan.ends.store(true, Ordering::Relaxed);
        // Wakes the thread that takes connections; without it, it ends with the next one.
        _ = TcpStream::connect(self.address);
    }
}

impl Plan {
    fn cut(&self) -> std::sync::MutexGuard<'_, Option<usize>> {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while_held(&self) {
        while self.holds.load(Ordering::Relaxed) && !self.ends.load(Ordering::Relaxed) {
            thread::sleep(LOOK_EVERY);
        }
    }
}

/// Both directions of a connection. An error on either side ends both.
fn connect(client: &TcpStream, plan: &Arc<Plan>) {
    plan.wait_while_held();
    let run = || -> std::io::Result<()> {
        let server = TcpStream::connect(plan.to)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let left = Arc::new(AtomicUsize::new(usize::MAX));
        let (from, to) = (server.try_clone()?, client.try_clone()?);
        let (down_plan, down_left) = (Arc::clone(plan), Arc::clone(&left));
        thread::spawn(move || copy(&from, &to, &down_plan, |bytes| answer(bytes, &down_left)));
        copy(client, &server, plan, |bytes| question(bytes, plan, &left));
        Ok(())
    };
    // Whoever connected finds the connection closed.
    _ = run();
}

/// Copies until `judge` says that no more than some bytes may go on.
fn copy(
    mut from: &TcpStream,
    mut to: &TcpStream,
    plan: &Plan,
    judge: impl Fn(&[u8]) -> Option<usize>,
) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        plan.wait_while_held();
        let bytes = &buffer[..read];
        let last = judge(bytes);
        if to.write_all(&bytes[..last.unwrap_or(read)]).is_err() || last.is_some() {
            break;
        }
    }
    _ = from.shutdown(Shutdown::Both);
    _ = to.shutdown(Shutdown::Both);
}

/// Looks for the COMMIT that is to be cut; `left` is for the bytes of the answer.
fn question(bytes: &[u8], plan: &Plan, left: &AtomicUsize) -> Option<usize> {
    let mut windows = bytes.windows(COMMIT.len());
    let place = windows.position(|window| window == COMMIT)?;
    let after = plan.cut().take()?;
    if after < COMMIT.len() {
        return Some(place + after);
    }
    left.store(after - COMMIT.len(), Ordering::Relaxed);
    None
}

fn answer(bytes: &[u8], left: &AtomicUsize) -> Option<usize> {
    match left.load(Ordering::Relaxed) {
        usize::MAX => None,
        most if most <= bytes.len() => Some(most),
        most => {
            left.store(most - bytes.len(), Ordering::Relaxed);
            None
        }
    }
}

//! Closes idle connections.
//!
//! actix-web limits how long the first request head of a connection may take to arrive, but neither the
//! later ones nor the time that a client takes to read a response. So every connection has a deadline
//! for its next request; while a request is processed it has none.

use std::any::Any;
use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream as AsyncTcpStream;

use crate::config::TrustedProxies;

/// How long a connection is kept for the next request, as responses announce it: from a response to
/// the end of the next request head, including the time in which the client reads the response.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// The same for proxies: longer than nginx (60 s), Traefik (90 s), Caddy (120 s) and the load
/// balancers of the large clouds (up to 600 s) keep a connection, so that the service never closes it
/// while a request arrives.
pub(super) const PROXY_IDLE_TIMEOUT: Duration = Duration::from_secs(630);

/// [`IDLE_TIMEOUT`] and [`PROXY_IDLE_TIMEOUT`] as responses announce them.
const ANNOUNCED_TIMEOUT: &str = "timeout=5";
const ANNOUNCED_PROXY_TIMEOUT: &str = "timeout=630";

/// How much longer a connection is kept than announced, for a request that is on its way.
const GRACE: Duration = Duration::from_secs(1);

/// The minimum rate at which a client must read; longer responses extend the deadline.
const MIN_BYTES_PER_SECOND: u64 = 64 << 10;

/// How often the deadlines are checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The idle timeout when few file descriptors are left.
const IDLE_TIMEOUT_UNDER_LOAD: Duration = Duration::from_secs(2);

/// File descriptors reserved for other uses than connections.
const RESERVED_FILES: u64 = 512;

/// The deadline of a connection with a request in progress.
const NEVER: u64 = u64::MAX;

/// The connections of a server.
pub(super) struct Connections {
    started: Instant,
    proxies: TrustedProxies,
    max: usize,
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    next: AtomicU64,
}

struct Connection {
    socket: TcpStream,
    is_proxy: AtomicBool,
    /// Milliseconds since the start of the server.
    deadline: AtomicU64,
}

/// A tracked connection, until it is closed.
pub(super) struct ConnectionGuard {
    connections: Arc<Connections>,
    connection: Arc<Connection>,
    id: u64,
}

impl Connections {
    /// Allows as many connections as the system has file descriptors for, two each. Starts the thread
    /// that closes connections, which ends with the server.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn start(proxies: TrustedProxies) -> std::io::Result<Arc<Self>> {
        let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1_024);
        let max = files.saturating_sub(RESERVED_FILES).max(128) / 2;
        let connections = Arc::new(Self {
            started: Instant::now(),
            proxies,
            max: usize::try_from(max).unwrap_or(usize::MAX),
            open: Mutex::default(),
            next: AtomicU64::new(0),
        });
        let watched = Arc::downgrade(&connections);
        thread::Builder::new()
            .name("connections".to_owned())
            .spawn(move || watch(&watched))?;
        Ok(connections)
    }

    /// The maximum number of connections.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// Tracks a new connection. If that is impossible, for example without a free file descriptor,
    /// only actix-web's own limits apply.
    pub(super) fn track(self: &Arc<Self>, socket: &dyn Any, extensions: &mut Extensions) {
        let Some(socket) = socket.downcast_ref::<AsyncTcpStream>() else {
            return;
        };
        let is_proxy = socket
            .peer_addr()
            .is_ok_and(|peer| self.proxies.contains(peer.ip()));
        let Ok(socket) = socket.as_fd().try_clone_to_owned() else {
            return;
        };
        let connection = Arc::new(Connection {
            socket: socket.into(),
            is_proxy: AtomicBool::new(is_proxy),
            deadline: AtomicU64::new(NEVER),
        });
        let guard = ConnectionGuard {
            connections: Arc::clone(self),
            connection: Arc::clone(&connection),
            id: self.next.fetch_add(1, Ordering::Relaxed),
        };
        guard.end_request(Instant::now(), 0);
        self.lock().insert(guard.id, connection);
        extensions.insert(Arc::new(guard));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn milliseconds(&self, at: Instant) -> u64 {
        millis(at.duration_since(self.started))
    }

    fn close_idle(&self) {
        let open = self.lock();
        let is_loaded = open.len() > self.max / 4 * 3;
        let ahead = if is_loaded {
            IDLE_TIMEOUT + GRACE - IDLE_TIMEOUT_UNDER_LOAD
        } else {
            Duration::ZERO
        };
        let until = self.milliseconds(Instant::now()) + millis(ahead);
        for connection in open.values() {
            if connection.deadline.load(Ordering::Relaxed) <= until {
                // Fails on a connection that the client has closed.
                let _ = connection.socket.shutdown(Shutdown::Both);
            }
        }
    }
}

impl ConnectionGuard {
    /// A request has arrived: suspends the deadline.
    pub(super) fn begin_request(&self) {
        self.connection.deadline.store(NEVER, Ordering::Relaxed);
    }

    /// Treats the connection as that of a proxy, although the settings do not name it.
    pub(super) fn belongs_to_proxy(&self) {
        self.connection.is_proxy.store(true, Ordering::Relaxed);
    }

    /// How long the connection is kept for the next request.
    fn idle_timeout(&self) -> Duration {
        if self.is_of_proxy() {
            PROXY_IDLE_TIMEOUT
        } else {
            IDLE_TIMEOUT
        }
    }

    /// The same, as a parameter of the header `Keep-Alive`.
    pub(super) fn announced_timeout(&self) -> &'static str {
        if self.is_of_proxy() {
            ANNOUNCED_PROXY_TIMEOUT
        } else {
            ANNOUNCED_TIMEOUT
        }
    }

    fn is_of_proxy(&self) -> bool {
        self.connection.is_proxy.load(Ordering::Relaxed)
    }

    /// A response with this many bytes is being sent: sets the deadline for the next request.
    pub(super) fn end_request(&self, now: Instant, bytes: u64) {
        let reading = Duration::from_secs(bytes / MIN_BYTES_PER_SECOND);
        let idle_timeout = self.idle_timeout() + GRACE + reading;
        let deadline = self.connections.milliseconds(now) + millis(idle_timeout);
        self.connection.deadline.store(deadline, Ordering::Relaxed);
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.id);
    }
}

/// The main loop of the thread.
fn watch(connections: &Weak<Connections>) {
    while let Some(connections) = connections.upgrade() {
        connections.close_idle();
        drop(connections);
        thread::sleep(CHECK_INTERVAL);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announced_timeouts_are_those_that_apply() {
        for (timeout, announced) in [
            (IDLE_TIMEOUT, ANNOUNCED_TIMEOUT),
            (PROXY_IDLE_TIMEOUT, ANNOUNCED_PROXY_TIMEOUT),
        ] {
            assert_eq!(announced, format!("timeout={}", timeout.as_secs()));
        }
    }
}

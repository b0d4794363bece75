//! Open connections, and cutting those that only hold a place.
//!
//! actix-web limits how long the first head of a connection takes to arrive, and no later one, nor
//! how long a client takes to read an answer. So every connection has a moment at which it is cut
//! unless a request has begun by then; while a request is worked on it has none.

use std::any::Any;
use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream as AsyncTcpStream;

use crate::config::TrustedProxies;

/// How long a client may take from one answer to the end of the next head, the reading of the
/// answer included.
const IDLE_FOR: Duration = Duration::from_secs(6);

/// The same for our proxies: longer than the 60 s that nginx and others keep a connection, so that
/// it is never we who close it under a request.
const PROXY_IDLE_FOR: Duration = Duration::from_secs(80);

/// What a client has to be able to read in a second; longer answers get more time.
const BYTES_A_SECOND: u64 = 64 << 10;

/// How often it is looked for connections to cut.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What is left to a connection when there is hardly any room for others.
const IDLE_FOR_IN_NEED: Duration = Duration::from_secs(2);

/// File descriptors that are left for everything but connections.
const RESERVED_FILES: u64 = 512;

/// The moment of a connection that is not cut.
const NEVER: u64 = u64::MAX;

/// The connections of a server.
pub(super) struct Connections {
    begun: Instant,
    proxies: TrustedProxies,
    most: usize,
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    next: AtomicU64,
}

struct Connection {
    socket: TcpStream,
    idle_for: Duration,
    /// Milliseconds since the beginning.
    cut_at: AtomicU64,
}

/// The place of a connection among the others, until it ends.
pub(super) struct Place {
    connections: Arc<Connections>,
    connection: Arc<Connection>,
    id: u64,
}

impl Connections {
    /// As many as the system allows files for, two each. Starts the thread that cuts connections,
    /// which ends with the server.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(proxies: TrustedProxies) -> std::io::Result<Arc<Self>> {
        let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1_024);
        let most = files.saturating_sub(RESERVED_FILES).max(128) / 2;
        let connections = Arc::new(Self {
            begun: Instant::now(),
            proxies,
            most: usize::try_from(most).unwrap_or(usize::MAX),
            open: Mutex::default(),
            next: AtomicU64::new(0),
        });
        let watched = Arc::downgrade(&connections);
        thread::Builder::new()
            .name("connections".to_owned())
            .spawn(move || watch(&watched))?;
        Ok(connections)
    }

    /// How many there may be.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Gives a new connection its place. Without one, as when there is no file left, actix-web's
    /// own limits are the only ones.
    pub(super) fn welcome(self: &Arc<Self>, socket: &dyn Any, extensions: &mut Extensions) {
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
            idle_for: if is_proxy { PROXY_IDLE_FOR } else { IDLE_FOR },
            cut_at: AtomicU64::new(NEVER),
        });
        let place = Place {
            connections: Arc::clone(self),
            connection: Arc::clone(&connection),
            id: self.next.fetch_add(1, Ordering::Relaxed),
        };
        place.end(Instant::now(), 0);
        self.lock().insert(place.id, connection);
        extensions.insert(Arc::new(place));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn milliseconds(&self, at: Instant) -> u64 {
        millis(at.duration_since(self.begun))
    }

    fn cut_idle(&self) {
        let open = self.lock();
        let in_need = open.len() > self.most / 4 * 3;
        let ahead = if in_need {
            IDLE_FOR - IDLE_FOR_IN_NEED
        } else {
            Duration::ZERO
        };
        let until = self.milliseconds(Instant::now()) + millis(ahead);
        for connection in open.values() {
            if connection.cut_at.load(Ordering::Relaxed) <= until {
                // Fails on one that has ended by itself.
                let _cut_or_ended = connection.socket.shutdown(Shutdown::Both);
            }
        }
    }
}

impl Place {
    /// A request has arrived.
    pub(super) fn begin(&self) {
        self.connection.cut_at.store(NEVER, Ordering::Relaxed);
    }

    /// An answer of that many bytes is on its way, from this moment on.
    pub(super) fn end(&self, now: Instant, bytes: u64) {
        let reading = Duration::from_secs(bytes / BYTES_A_SECOND);
        let idle_for = self.connection.idle_for + reading;
        let cut_at = self.connections.milliseconds(now) + millis(idle_for);
        self.connection.cut_at.store(cut_at, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.id);
    }
}

/// The life of the thread.
fn watch(connections: &Weak<Connections>) {
    while let Some(connections) = connections.upgrade() {
        connections.cut_idle();
        drop(connections);
        thread::sleep(LOOK_EVERY);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER)
}

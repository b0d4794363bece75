//! What the threads of a run share: the processes. Also the connections of a client.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use test_support::{Program, Request, Response, Server};

use super::tokens::TokenRegistry;
use crate::fixture::{PooledConnection, start_server};

/// What the threads of a run share.
pub(super) struct RunContext {
    pub(super) cluster: Cluster,
    pub(super) tokens: TokenRegistry,
    pub(super) started: Instant,
    /// Set at the end of the run.
    stop: AtomicBool,
    /// The number of operations so far.
    pub(super) operations: AtomicUsize,
}

impl RunContext {
    pub(super) fn new(cluster: Cluster, users: usize) -> Self {
        Self {
            cluster,
            tokens: TokenRegistry::new(users),
            started: Instant::now(),
            stop: AtomicBool::new(false),
            operations: AtomicUsize::new(0),
        }
    }

    /// Nanoseconds since the start: one clock for all threads, which never goes back.
    pub(super) fn now(&self) -> u64 {
        // Overflows after 584 years.
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// The time limit of a client for a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(2_500);

/// The place of a process. It stays when the process is replaced.
#[derive(Default)]
pub(super) struct Slot {
    /// The address of the process in this place; `None` while there is none. Held for reading while a
    /// client connects, and for writing before the process is killed: afterwards another program may
    /// get its port.
    address: RwLock<Option<SocketAddr>>,
    server: Mutex<Option<Server>>,
    is_paused: AtomicBool,
    waiting: AtomicUsize,
}

impl Slot {
    /// Whether one more client may use this process. A paused process gets at most `limit` of them:
    /// otherwise all clients would soon wait for it.
    pub(super) fn has_room(&self, limit: usize) -> bool {
        !self.is_paused() || self.waiting.load(Ordering::Relaxed) < limit
    }

    pub(super) fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::Relaxed)
    }

    /// Counts the client as waiting for the process during `exchange`.
    fn while_waiting<T>(&self, exchange: impl FnOnce() -> T) -> T {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let outcome = exchange();
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        outcome
    }

    /// Reserves the process for one nemesis; `None` while another one has it.
    pub(super) fn reserve(&self) -> Option<Reserved<'_>> {
        let server = self.server.try_lock().ok()?;
        Some(Reserved { slot: self, server })
    }
}

/// A process that is reserved for one nemesis.
pub(super) struct Reserved<'a> {
    slot: &'a Slot,
    server: MutexGuard<'a, Option<Server>>,
}

impl Reserved<'_> {
    /// Kills the process (`SIGKILL`).
    pub(super) fn kill(&mut self) {
        self.set_address(None);
        *self.server = None;
    }

    /// Starts a new process.
    pub(super) fn start(&mut self, program: &Program) -> Result<(), String> {
        let server = self.server.insert(start_server(program)?);
        let address = server.address;
        self.set_address(Some(address));
        Ok(())
    }

    fn set_address(&self, address: Option<SocketAddr>) {
        let slot = self.slot.address.write();
        *slot.unwrap_or_else(PoisonError::into_inner) = address;
    }

    /// Pauses the process (`SIGSTOP`) during `wait`.
    pub(super) fn pause_while(&mut self, wait: impl FnOnce()) -> Result<(), String> {
        let Some(server) = self.server.as_mut() else {
            return Ok(());
        };
        self.slot.is_paused.store(true, Ordering::Relaxed);
        server.signal("STOP")?;
        wait();
        server.signal("CONT")?;
        self.slot.is_paused.store(false, Ordering::Relaxed);
        Ok(())
    }
}

/// All processes of a run. Dropping it kills them.
pub(super) struct Cluster {
    pub(super) program: Program,
    pub(super) slots: Vec<Slot>,
}

impl Cluster {
    /// Starts the processes one after the other.
    pub(super) fn start(program: Program, processes: usize) -> Result<Self, String> {
        let slots: Vec<Slot> = (0..processes).map(|_| Slot::default()).collect();
        let mut reserved = slots.iter().filter_map(Slot::reserve);
        reserved.try_for_each(|mut process| process.start(&program))?;
        drop(reserved);
        Ok(Self { program, slots })
    }
}

/// A request that was sent: the response, if there is one, and the times before and after.
pub(super) type Sent = (Option<Response>, Range<u64>);

/// The connections of a client, one to each process.
pub(super) struct ProcessConnections<'a> {
    context: &'a RunContext,
    connections: Vec<PooledConnection>,
}

impl<'a> ProcessConnections<'a> {
    pub(super) fn new(context: &'a RunContext) -> Self {
        // A process that was paused reads an open connection first, before it hears of any change.
        let connection = |_| PooledConnection::new(RESPONSE_TIMEOUT).without_idle_limit();
        Self {
            context,
            connections: context.cluster.slots.iter().map(connection).collect(),
        }
    }

    /// Sends a request to a process and waits for the response; `None` when the process is down.
    ///
    /// # Errors
    /// When the process is up and accepts no connection.
    pub(super) fn send(
        &mut self,
        process: usize,
        request: &Request,
    ) -> Result<Option<Sent>, String> {
        let slot = &self.context.cluster.slots[process];
        let connection = &mut self.connections[process];
        slot.while_waiting(|| {
            let address = slot.address.read().unwrap_or_else(PoisonError::into_inner);
            let Some(server) = *address else {
                return Ok(None);
            };
            let connection = connection.connect(server);
            let connection = connection
                .map_err(|error| format!("process {process} accepts no connection: {error}"))?;
            drop(address);
            let invoked = self.context.now();
            let response = connection.send(request);
            Ok(Some((response.ok(), invoked..self.context.now())))
        })
    }
}

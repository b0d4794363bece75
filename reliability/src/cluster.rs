//! The processes, and the way to each of them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use crate::server::{Program, Server};

/// How often a start is tried: it fails while a paused process holds the lock of the database.
const START_ATTEMPTS: u32 = 8;

/// Between two attempts.
const START_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Where a process takes connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    /// Another one after each restart.
    pub(crate) generation: usize,
}

/// The place of a process, which outlives it.
pub(crate) struct Slot {
    number: usize,
    /// Held for reading while somebody connects, and for writing before the process is killed:
    /// once it is gone its port may be anybody's.
    pub(crate) door: RwLock<Option<Door>>,
    server: Mutex<Option<Server>>,
    paused: AtomicBool,
    waiting: AtomicUsize,
}

impl Slot {
    /// Whether another client should go there. A paused process gets no more than `most` of them,
    /// or all would soon wait for it and nothing would happen elsewhere.
    pub(crate) fn welcomes(&self, most: usize) -> bool {
        !self.is_paused() || self.waiting.load(Ordering::Relaxed) < most
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// Does something during which one more client waits for the process.
    pub(crate) fn while_waiting<T>(&self, ask: impl FnOnce() -> T) -> T {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let answer = ask();
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        answer
    }

    /// The process, for one nemesis at a time; `None` while another one has it.
    pub(crate) fn seize(&self) -> Option<Seized<'_>> {
        let server = self.server.try_lock().ok()?;
        Some(Seized { slot: self, server })
    }
}

/// A process in the hands of a nemesis.
pub(crate) struct Seized<'a> {
    slot: &'a Slot,
    server: MutexGuard<'a, Option<Server>>,
}

impl Seized<'_> {
    /// Kills the process (`SIGKILL`).
    pub(crate) fn kill(&mut self) {
        *write(&self.slot.door) = None;
        *self.server = None;
    }

    /// Starts a new one in its place.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn start(&mut self, program: &Program) -> Result<(), String> {
        let log = format!("process-{}.log", self.slot.number);
        let server = Server::start(program, &log)?;
        self.open_door(server.address);
        *self.server = Some(server);
        Ok(())
    }

    /// The same, but tries it several times.
    ///
    /// # Errors
    /// When none starts.
    pub(crate) fn start_at_last(&mut self, program: &Program) -> Result<(), String> {
        for _ in 1..START_ATTEMPTS {
            if self.start(program).is_ok() {
                return Ok(());
            }
            thread::sleep(START_AGAIN_AFTER);
        }
        self.start(program)
    }

    fn open_door(&self, address: SocketAddr) {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let generation = STARTED.fetch_add(1, Ordering::Relaxed);
        *write(&self.slot.door) = Some(Door {
            address,
            generation,
        });
    }

    /// Stops the process, does something, and lets the process go on.
    pub(crate) fn pause_while(&mut self, wait: impl FnOnce()) -> Result<(), String> {
        let Some(server) = self.server.as_mut() else {
            return Ok(());
        };
        let told =
            |outcome: std::io::Result<()>| outcome.map_err(|error| format!("pause: {error}"));
        self.slot.paused.store(true, Ordering::Relaxed);
        told(server.pause())?;
        wait();
        told(server.resume())?;
        self.slot.paused.store(false, Ordering::Relaxed);
        Ok(())
    }
}

/// All the processes of a run; they are killed when it is dropped.
pub(crate) struct Cluster {
    pub(crate) program: Program,
    pub(crate) slots: Vec<Slot>,
}

impl Cluster {
    /// Starts the processes, one after the other.
    ///
    /// # Errors
    /// When one does not start.
    pub(crate) fn start(program: Program, processes: usize) -> Result<Self, String> {
        let slot = |number| Slot {
            number,
            door: RwLock::new(None),
            server: Mutex::new(None),
            paused: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
        };
        let cluster = Self {
            program,
            slots: (0..processes).map(slot).collect(),
        };
        for slot in &cluster.slots {
            if let Some(mut seized) = slot.seize() {
                seized.start(&cluster.program)?;
            }
        }
        Ok(cluster)
    }
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

//! A client's connections, one to each process.

use std::sync::PoisonError;
use std::time::Duration;

use crate::client::{Answer, Connection, Request};
use crate::cluster::Cluster;
use crate::history::Stopwatch;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// See the module.
pub(crate) struct Links<'a> {
    cluster: &'a Cluster,
    stopwatch: Stopwatch,
    /// With the generation of the process that each goes to.
    connections: Vec<Option<(usize, Connection)>>,
}

/// What became of a request.
pub(crate) enum Sent {
    /// The process is away, so nothing was sent.
    Not,
    /// Sent and, if it was, answered; from when to when.
    Yes(Option<Answer>, u64, u64),
}

impl<'a> Links<'a> {
    pub(crate) fn new(cluster: &'a Cluster, stopwatch: Stopwatch) -> Self {
        Self {
            cluster,
            stopwatch,
            connections: cluster.slots.iter().map(|_| None).collect(),
        }
    }

    /// Sends a request to a process and waits for the answer.
    ///
    /// # Errors
    /// When the process should be there and takes no connection.
    pub(crate) fn send(&mut self, process: usize, request: &Request) -> Result<Sent, String> {
        let Some((generation, mut connection)) = self.connection(process)? else {
            return Ok(Sent::Not);
        };
        let stopwatch = self.stopwatch;
        let (answer, invoked, returned) = self.cluster.slots[process].while_waiting(|| {
            let invoked = stopwatch.now();
            let answer = connection.send(request);
            (answer, invoked, stopwatch.now())
        });
        if connection.is_open() {
            self.connections[process] = Some((generation, connection));
        }
        Ok(Sent::Yes(answer.ok(), invoked, returned))
    }

    /// The kept connection to a process, or a new one when that process is not the same any more;
    /// `None` while it is away.
    fn connection(&mut self, process: usize) -> Result<Option<(usize, Connection)>, String> {
        let kept = self.connections[process].take();
        let slot = &self.cluster.slots[process];
        // To the end: who kills the process waits for those who connect.
        let held = slot.door.read().unwrap_or_else(PoisonError::into_inner);
        let Some(door) = *held else {
            return Ok(None);
        };
        if let Some(kept) = kept.filter(|(generation, _)| *generation == door.generation) {
            return Ok(Some(kept));
        }
        let opened = slot.while_waiting(|| Connection::open(door.address, PATIENCE));
        opened
            .map(|connection| Some((door.generation, connection)))
            .map_err(|error| format!("process {process} takes no connection: {error}"))
    }
}

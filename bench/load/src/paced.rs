//! Requests at a steady pace. A server that falls behind does not slow them: what cannot be sent
//! yet waits, and its latency counts from when it should have been sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::connection::Connection;
use crate::plan::{Paced, Plan};
use crate::report::{Event, Log};

/// What the connections of one load share: tickets are drawn in turn, and each becomes valid at
/// its own moment.
struct Tickets {
    start: Instant,
    rate: f64,
    total: u64,
    next: AtomicU64,
    valid: Semaphore,
}

impl Tickets {
    /// From the start of the clock.
    fn due(&self, ticket: u64) -> Duration {
        // Exact below 2^53.
        Duration::from_secs_f64(ticket as f64 / self.rate)
    }

    /// Makes each ticket valid in its moment. On a thread of its own: the runtime's timers have
    /// a grain of a millisecond.
    fn release(&self) {
        let mut released = 0;
        while released < self.total {
            let wait = (self.start + self.due(released)).saturating_duration_since(Instant::now());
            thread::sleep(wait);
            let elapsed = self.start.elapsed();
            let before = released;
            while released < self.total && self.due(released) <= elapsed {
                released += 1;
            }
            self.valid.add_permits((released - before) as usize);
        }
    }

    /// Waits for the next ticket to be valid; `None` when there are no more.
    async fn draw(&self) -> Option<u64> {
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        if ticket >= self.total {
            return None;
        }
        self.valid.acquire().await.ok()?.forget();
        Some(ticket)
    }
}

/// Starts the load.
pub fn spawn(clients: &mut JoinSet<Log>, plan: &Arc<Plan>, load: &Paced, start: Instant) {
    let [_, _, end] = plan.ends();
    let tickets = Arc::new(Tickets {
        start,
        rate: load.rate,
        total: (load.rate * end.as_secs_f64()) as u64,
        next: AtomicU64::new(0),
        valid: Semaphore::new(0),
    });
    let load = Arc::new(load.clone());
    for _ in 0..load.connections {
        let client = run(Arc::clone(plan), Arc::clone(&load), Arc::clone(&tickets));
        clients.spawn(client);
    }
    thread::spawn(move || tickets.release());
}

async fn run(plan: Arc<Plan>, load: Arc<Paced>, tickets: Arc<Tickets>) -> Log {
    let mut connection = Connection::new(plan.address());
    connection.open().await;
    let mut log = Log::new(&load.name);
    while let Some(ticket) = tickets.draw().await {
        let index = (ticket % load.requests.len() as u64) as usize;
        let at = tickets.due(ticket);
        let status = connection.exchange(&load.requests[index]).await;
        log.push(Event {
            at,
            latency: tickets.start.elapsed().saturating_sub(at),
            status,
        });
    }
    log
}

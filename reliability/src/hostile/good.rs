//! Those who use the service as it is meant, and how they fare.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Connection, Request};

/// An answer that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two requests of a client.
const PAUSE: Duration = Duration::from_millis(5);

/// What clients have seen.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// How long the good answers took, in order.
    pub took: Vec<Duration>,
    /// Requests without a good answer.
    pub failed: usize,
}

impl Traffic {
    /// Requests that were answered well, of 100.
    #[must_use]
    pub fn good_per_cent(&self) -> f64 {
        let good = self.took.len();
        100.0 * good as f64 / (good + self.failed).max(1) as f64
    }

    /// The time within which that many of 1,000 good answers came.
    #[must_use]
    pub fn within(&self, per_mille: usize) -> Duration {
        let place = self.took.len() * per_mille / 1_000;
        let last = self.took.len().saturating_sub(1);
        self.took.get(place.min(last)).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, other: Self) {
        self.took.extend(other.took);
        self.took.sort_unstable();
        self.failed += other.failed;
    }
}

/// Asks until `stop` is set, on one connection, or on a new one each time.
pub(super) fn ask(server: SocketAddr, token: &str, keep: bool, stop: &AtomicBool) -> Traffic {
    let request = Request::get("/users/me", token);
    let mut traffic = Traffic::default();
    let mut kept: Option<Connection> = None;
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let connection = match kept.take() {
            Some(connection) => Ok(connection),
            None => Connection::open(server, PATIENCE),
        };
        let answer = connection.and_then(|mut connection| {
            let answer = connection.send(&request);
            kept = Some(connection).filter(|connection| keep && connection.is_open());
            answer
        });
        match answer {
            Ok(answer) if answer.status == 200 => traffic.took.push(begun.elapsed()),
            _ => traffic.failed += 1,
        }
        thread::sleep(PAUSE);
    }
    traffic
}

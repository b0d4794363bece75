//! What is to be done. Requests are whole, as they go onto the wire.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;

/// All of it.
#[derive(Deserialize)]
pub struct Plan {
    /// Where the server listens, on 127.0.0.1.
    pub port: u16,
    /// Seconds before the flood, in it, and after it.
    pub phases: [f64; 3],
    /// What goes on all the time.
    pub paced: Vec<Paced>,
    /// What is there for a while.
    pub flood: Flood,
}

/// Requests at a steady pace.
#[derive(Clone, Deserialize)]
pub struct Paced {
    /// As it is called in the result.
    pub name: String,
    /// Sent in turn.
    pub requests: Vec<String>,
    /// Requests per second.
    pub rate: f64,
    /// As many can be under way at once.
    pub connections: usize,
}

/// Clients who each send the next request once they have an answer.
#[derive(Clone, Deserialize)]
pub struct Flood {
    /// As it is called in the result.
    pub name: String,
    /// Sent in turn.
    pub requests: Vec<String>,
    /// How many.
    pub clients: usize,
    /// Milliseconds that a client waits after a 429 or 503, or without an answer.
    pub pause_ms: u64,
}

impl Plan {
    /// The server.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// From the start of the clock to the end of each phase.
    pub fn ends(&self) -> [Duration; 3] {
        let [before, flood, after] = self.phases.map(Duration::from_secs_f64);
        [before, before + flood, before + flood + after]
    }
}

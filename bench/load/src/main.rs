//! A load generator for HTTP/1.1: requests at a constant rate, even if the server falls behind, and
//! for a while a flood of other requests alongside them.
//!
//! `bench-load PLAN RESULT` reads the plan from one JSON file and writes its report to another.
//! It prints `started` when its clock starts.

mod client;
mod report;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::task::JoinSet;

use report::Log;

/// What to send. Requests are complete HTTP messages.
#[derive(Deserialize)]
pub struct Plan {
    /// The port of the server on 127.0.0.1.
    pub port: u16,
    /// Seconds before, during and after the flood.
    pub phases: [f64; 3],
    /// The loads that run all the time.
    pub paced: Vec<Paced>,
    /// The load of the second phase.
    pub flood: Flood,
}

/// Requests at a constant rate.
#[derive(Clone, Deserialize)]
pub struct Paced {
    /// Its key in the report.
    pub name: String,
    /// Sent in round-robin order.
    pub requests: Vec<String>,
    /// Requests per second.
    pub rate: f64,
    /// Maximum number of requests in flight.
    pub connections: usize,
}

/// Clients that each send the next request as soon as they have a response.
#[derive(Clone, Deserialize)]
pub struct Flood {
    /// Its key in the report.
    pub name: String,
    /// Sent in round-robin order.
    pub requests: Vec<String>,
    /// Number of clients.
    pub clients: usize,
    /// Delay of a client in milliseconds after a 429, a 503, or no response.
    pub pause_ms: u64,
}

impl Plan {
    /// The address of the server.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The end of each phase, relative to the start of the clock.
    pub fn ends(&self) -> [Duration; 3] {
        let [before, flood, after] = self.phases.map(Duration::from_secs_f64);
        [before, before + flood, before + flood + after]
    }
}

/// Time for connecting before the first request.
const LEAD: Duration = Duration::from_millis(200);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = move || arguments.next().ok_or("usage: bench-load PLAN RESULT");
    let plan: Plan = serde_json::from_slice(&fs::read(next()?)?)?;
    let result = next()?;
    let plan = Arc::new(plan);

    println!("started");
    let start = Instant::now() + LEAD;
    let mut clients: JoinSet<Log> = JoinSet::new();
    for load in &plan.paced {
        client::spawn_paced(&mut clients, &plan, load, start);
    }
    client::spawn_flood(&mut clients, &plan, start);
    let logs = clients.join_all().await;

    let report = report::summarise(&plan, logs);
    fs::write(result, serde_json::to_vec(&report)?)?;
    Ok(())
}

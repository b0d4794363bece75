//! A load generator for HTTP/1.1: requests at a constant rate, even if the server falls behind, and
//! for a while a flood of other requests alongside them.
//!
//! `bench-load PLAN RESULT` reads the plan from one JSON file and writes its report to another.
//! It prints `started` when its clock starts.

mod client;

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

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

    let report = summarise(&plan, logs);
    fs::write(result, serde_json::to_vec(&report)?)?;
    Ok(())
}

/// The time resolution of the report.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);

/// A request and its outcome.
#[derive(Clone, Copy)]
pub struct Event {
    /// When the request was sent or due, relative to the start of the clock.
    pub at: Duration,
    /// Time until the end of the response.
    pub latency: Duration,
    /// Status of the response.
    pub status: u16,
}

/// The events of one client of one load.
pub struct Log {
    name: String,
    events: Vec<Event>,
}

impl Log {
    /// Creates the log of a client of this load.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            events: Vec::new(),
        }
    }

    /// Appends an event.
    pub fn push(&mut self, event: Event) {
        self.events.push(event);
    }
}

/// Reports by the name of the load.
pub type Report = BTreeMap<String, LoadReport>;

/// The report of one load.
#[derive(Serialize)]
pub struct LoadReport {
    /// Before, during and after the flood, by the time the request was due; keyed by status.
    phases: Vec<BTreeMap<u16, Latencies>>,
    /// Per tenth of a second; keyed by status.
    samples: Vec<BTreeMap<u16, Latencies>>,
}

/// Latencies in milliseconds.
#[derive(Serialize)]
struct Latencies {
    count: usize,
    p50: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

/// Groups the events of all clients by load, phase and sample.
pub fn summarise(plan: &Plan, logs: Vec<Log>) -> Report {
    let mut events: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    for log in logs {
        events.entry(log.name).or_default().extend(log.events);
    }
    let ends = plan.ends();
    let phase = |event: &Event| ends.iter().take_while(|end| event.at >= **end).count();
    // Samples of the flood count responses, so they go by the time of the response.
    let sample = |name: &str, event: &Event| {
        let done = event.at + event.latency;
        samples(if name == plan.flood.name {
            done
        } else {
            event.at
        })
    };
    events
        .into_iter()
        .map(|(name, events)| {
            let report = LoadReport {
                phases: split(&events, ends.len(), phase),
                samples: split(&events, samples(ends[2]), |event| sample(&name, event)),
            };
            (name, report)
        })
        .collect()
}

/// Number of whole samples in this time.
fn samples(time: Duration) -> usize {
    (time.as_nanos() / SAMPLE_INTERVAL.as_nanos()) as usize
}

/// Groups events into parts. Events past the last part are dropped.
fn split(
    events: &[Event],
    parts: usize,
    part: impl Fn(&Event) -> usize,
) -> Vec<BTreeMap<u16, Latencies>> {
    let mut sorted: Vec<BTreeMap<u16, Vec<Duration>>> = vec![BTreeMap::new(); parts];
    for event in events {
        if let Some(statuses) = sorted.get_mut(part(event)) {
            statuses
                .entry(event.status)
                .or_default()
                .push(event.latency);
        }
    }
    sorted
        .into_iter()
        .map(|statuses| {
            statuses
                .into_iter()
                .map(|(status, latencies)| (status, Latencies::new(latencies)))
                .collect()
        })
        .collect()
}

impl Latencies {
    /// Summarises at least one latency.
    fn new(mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        let last = latencies.len() - 1;
        let at = |share: f64| {
            let index = (last as f64 * share).ceil() as usize;
            latencies[index.min(last)].as_secs_f64() * 1_000.0
        };
        Self {
            count: latencies.len(),
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: at(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_summarised_as_quantiles() {
        let latencies = (0..=1_000).rev().map(Duration::from_millis).collect();
        let seen = Latencies::new(latencies);
        assert_eq!(seen.count, 1_001);
        assert!((seen.p50 - 500.0).abs() < 1e-9);
        assert!((seen.p99 - 990.0).abs() < 1e-9);
        assert!((seen.p999 - 999.0).abs() < 1e-9);
        assert!((seen.max - 1_000.0).abs() < 1e-9);
    }

    #[test]
    fn events_count_in_the_phase_of_their_request() {
        let event = |at| Event {
            at: Duration::from_secs(at),
            latency: Duration::from_secs(9),
            status: 200,
        };
        let events = [event(0), event(4), event(5), event(7)];
        let five = Duration::from_secs(5);
        let phases = split(&events, 2, |event| usize::from(event.at >= five));
        assert_eq!((phases[0][&200].count, phases[1][&200].count), (2, 2));
    }
}

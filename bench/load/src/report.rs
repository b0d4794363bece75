//! What was seen, by phase and by tenth of a second.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::plan::Plan;

/// Tenths of a second: how finely the result follows time.
const SAMPLE: Duration = Duration::from_millis(100);

/// An answer, or none.
#[derive(Clone, Copy)]
pub struct Event {
    /// When the request was sent or should have been, from the start of the clock.
    pub at: Duration,
    /// From then to the end of the answer.
    pub latency: Duration,
    /// Of the answer.
    pub status: u16,
}

/// The events of one client of one load.
pub struct Log {
    name: String,
    events: Vec<Event>,
}

impl Log {
    /// Of a client of that load.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            events: Vec::new(),
        }
    }

    /// Remembers an event.
    pub fn push(&mut self, event: Event) {
        self.events.push(event);
    }
}

/// For each load.
pub type Report = BTreeMap<String, LoadReport>;

/// What became of one load.
#[derive(Serialize)]
pub struct LoadReport {
    /// Before, in and after the flood, by when the request was due; by status.
    phases: Vec<BTreeMap<u16, Latencies>>,
    /// For each tenth of a second; by status.
    samples: Vec<BTreeMap<u16, Latencies>>,
}

/// Of some answers, in milliseconds.
#[derive(Serialize)]
struct Latencies {
    count: usize,
    p50: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

/// Sorts what all clients saw by the time of the request.
pub fn summarise(plan: &Plan, logs: Vec<Log>) -> Report {
    let mut events: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    for log in logs {
        events.entry(log.name).or_default().extend(log.events);
    }
    let ends = plan.ends();
    let phase = |event: &Event| ends.iter().take_while(|end| event.at >= **end).count();
    // Of a flood, what counts is when the answers come.
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

/// Whole samples in that time.
fn samples(time: Duration) -> usize {
    (time.as_nanos() / SAMPLE.as_nanos()) as usize
}

/// Puts each event where `part` says; what is past the last part is left out.
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
                .map(|(status, latencies)| (status, Latencies::of(latencies)))
                .collect()
        })
        .collect()
}

impl Latencies {
    /// Of at least one.
    fn of(mut latencies: Vec<Duration>) -> Self {
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
    fn quantiles_are_those_of_the_sorted_latencies() {
        let latencies = (0..=1_000).rev().map(Duration::from_millis).collect();
        let seen = Latencies::of(latencies);
        assert_eq!(seen.count, 1_001);
        assert!((seen.p50 - 500.0).abs() < 1e-9);
        assert!((seen.p99 - 990.0).abs() < 1e-9);
        assert!((seen.p999 - 999.0).abs() < 1e-9);
        assert!((seen.max - 1_000.0).abs() < 1e-9);
    }

    #[test]
    fn events_go_to_the_phase_they_began_in() {
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

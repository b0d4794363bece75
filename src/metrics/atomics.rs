//! What requests count into: plain atomics, because every request is counted.
//!
//! The histogram and the `Family` of `prometheus-client` take a lock for each observation.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts events.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one event.
    pub fn inc(&self) {
        self.inc_by(1);
    }

    /// Counts several events.
    pub fn inc_by(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The upper bounds of the buckets of durations, in microseconds.
const BOUNDS: [u64; 12] = [
    100, 250, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000,
];

/// Counts durations by bucket.
#[derive(Debug, Default)]
pub struct Durations {
    /// The last one has no upper bound.
    buckets: [Counter; BOUNDS.len() + 1],
    micros: Counter,
}

impl Durations {
    /// Counts a duration.
    pub fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        self.buckets[bucket].inc();
        self.micros.inc_by(micros);
    }

    /// The upper bounds in seconds, and how many durations are in each bucket.
    pub(super) fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS.map(seconds).into_iter().chain([f64::INFINITY]);
        bounds.zip(self.buckets.iter().map(Counter::get)).collect()
    }

    /// The upper bounds of the buckets in microseconds, and how many durations are in each; the last one
    /// has no bound.
    #[cfg(feature = "pages")]
    pub(crate) fn counts(&self) -> impl Iterator<Item = (u64, u64)> {
        let bounds = BOUNDS.into_iter().chain([u64::MAX]);
        bounds.zip(self.buckets.iter().map(Counter::get))
    }

    /// How many durations were counted.
    #[cfg(test)]
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().map(Counter::get).sum()
    }

    /// The sum in seconds.
    pub(super) fn sum(&self) -> f64 {
        seconds(self.micros.get())
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 285 years")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

/// The status codes of responses. Any other counts as the last one.
const STATUSES: [u16; 18] = [
    200, 201, 204, 307, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 500, 503, 0,
];

/// The metrics of one route.
#[derive(Debug, Default)]
pub struct RouteMetrics {
    statuses: [Counter; STATUSES.len()],
    pub(super) durations: Durations,
}

impl RouteMetrics {
    /// Counts a request.
    pub fn observe(&self, status: u16, duration: Duration) {
        let known = STATUSES.iter().position(|known| *known == status);
        self.statuses[known.unwrap_or(STATUSES.len() - 1)].inc();
        self.durations.observe(duration);
    }

    /// How many requests had each status, for those that occurred.
    pub(super) fn statuses(&self) -> impl Iterator<Item = (u16, u64)> {
        let counts = self.statuses.iter().map(Counter::get);
        let counts = STATUSES.into_iter().zip(counts);
        counts.filter(|(_, count)| *count > 0)
    }
}

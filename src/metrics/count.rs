//! Numbers that only grow, and durations sorted into buckets.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets of durations, in microseconds.
const BOUNDS: [u64; 12] = [
    100, 250, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000,
];

/// Counts things.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// Puts another number in its place.
    pub fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts durations by how long they are.
#[derive(Debug, Default)]
pub struct Durations {
    buckets: [Counter; BOUNDS.len() + 1],
    micros: Counter,
}

impl Durations {
    /// One more.
    pub fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        self.buckets[bucket].increment();
        self.micros.add(micros);
    }

    pub(super) fn write(&self, to: &mut String, name: &str, label: &str) -> fmt::Result {
        let separator = if label.is_empty() { "" } else { "," };
        let mut count = 0;
        for (bucket, bound) in self.buckets.iter().zip(BOUNDS) {
            count += bucket.get();
            let seconds = seconds(bound);
            writeln!(
                to,
                "{name}_bucket{{{label}{separator}le=\"{seconds}\"}} {count}"
            )?;
        }
        count += self.buckets[BOUNDS.len()].get();
        let sum = seconds(self.micros.get());
        writeln!(to, "{name}_bucket{{{label}{separator}le=\"+Inf\"}} {count}")?;
        writeln!(to, "{name}_sum{} {sum}", braces(label))?;
        writeln!(to, "{name}_count{} {count}", braces(label))
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "shown with less precision anyway"
)]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn braces(label: &str) -> String {
    if label.is_empty() {
        String::new()
    } else {
        format!("{{{label}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_in_every_bucket_above_them() {
        let durations = Durations::default();
        for micros in [100, 101, 6_000_000] {
            durations.observe(Duration::from_micros(micros));
        }
        let mut text = String::new();
        durations.write(&mut text, "d", "").unwrap();
        for line in [
            "d_bucket{le=\"0.0001\"} 1",
            "d_bucket{le=\"0.00025\"} 2",
            "d_bucket{le=\"5\"} 2",
            "d_bucket{le=\"+Inf\"} 3",
            "d_sum 6.000201",
            "d_count 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}

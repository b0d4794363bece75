//! Measures a single bcrypt hash with crate `bcrypt`.
//!
//! `bench-bcrypt COST SECONDS` hashes on one thread for that long and prints the median time in
//! milliseconds.

use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = move || arguments.next().ok_or("usage: bench-bcrypt COST SECONDS");
    let cost: u32 = next()?.parse()?;
    let duration = Duration::from_secs_f64(next()?.parse()?);
    let started = Instant::now();
    let mut times = Vec::new();
    while started.elapsed() < duration || times.is_empty() {
        let hash_start = Instant::now();
        let digest = bcrypt::bcrypt(cost, [7; 16], b"mulberry-Tram-71");
        times.push(hash_start.elapsed());
        std::hint::black_box(digest);
    }
    times.sort_unstable();
    let median = times
        .get(times.len() / 2)
        .ok_or("no hash finished in time")?;
    println!("{:.3}", median.as_secs_f64() * 1_000.0);
    Ok(())
}

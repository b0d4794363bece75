//! What goes wrong in a run, on purpose.

use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::cluster::{Cluster, Seized};
use crate::driver::Stop;

/// Milliseconds between two kills, and how long the process is away.
const KILL_EVERY: Range<u64> = 500..2_000;
const AWAY_FOR: Range<u64> = 0..500;

/// Milliseconds between two pauses, and how long they are: after a short one a process may still
/// trust what it remembers, after a long one it must not.
const PAUSE_EVERY: Range<u64> = 50..500;
const SHORT_PAUSE: Range<u64> = 200..1_000;
const LONG_PAUSE: Range<u64> = 1_000..3_000;

/// Milliseconds between two cuts of all connections to Postgres.
const CUT_EVERY: Range<u64> = 300..1_500;

const CUT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
     WHERE application_name LIKE 'tokenhouse%'";

/// Kills processes and starts others in their places.
///
/// # Errors
/// When one does not start.
pub(crate) fn kill(cluster: &Cluster, stop: &Stop, mut rng: StdRng) -> Result<(), String> {
    while sleep(stop, rng.random_range(KILL_EVERY)) {
        if let Some(mut seized) = seize(cluster, &mut rng) {
            seized.kill();
            sleep(stop, rng.random_range(AWAY_FOR));
            seized.start_at_last(&cluster.program)?;
        }
    }
    Ok(())
}

/// Pauses processes.
///
/// # Errors
/// When one cannot be told to.
pub(crate) fn pause(cluster: &Cluster, stop: &Stop, mut rng: StdRng) -> Result<(), String> {
    while sleep(stop, rng.random_range(PAUSE_EVERY)) {
        let is_short = rng.random_ratio(2, 3);
        let length = rng.random_range(if is_short { SHORT_PAUSE } else { LONG_PAUSE });
        if let Some(mut seized) = seize(cluster, &mut rng) {
            seized.pause_while(|| _ = sleep(stop, length))?;
        }
    }
    Ok(())
}

/// Ends all connections of Tokenhouse to the Postgres server at `url`, with the program `psql`.
///
/// # Errors
/// When that program does not run, or not well.
pub(crate) fn cut(psql: &Path, url: &str, stop: &Stop, mut rng: StdRng) -> Result<(), String> {
    while sleep(stop, rng.random_range(CUT_EVERY)) {
        let status = Command::new(psql)
            .args(["--no-psqlrc", "--quiet", "--command", CUT, url])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // It warns of connections that end by themselves meanwhile.
            .stderr(Stdio::null())
            .status()
            .map_err(|error| format!("{}: {error}", psql.display()))?;
        if !status.success() {
            return Err(format!(
                "{} cannot cut connections: {status}",
                psql.display()
            ));
        }
    }
    Ok(())
}

fn seize<'a>(cluster: &'a Cluster, rng: &mut StdRng) -> Option<Seized<'a>> {
    cluster.slots.choose(rng)?.seize()
}

/// Sleeps so many milliseconds, but not past the end of the run. Returns whether it goes on.
fn sleep(stop: &Stop, milliseconds: u64) -> bool {
    let until = Instant::now() + Duration::from_millis(milliseconds);
    while !stop.is_set() && Instant::now() < until {
        let left = until.saturating_duration_since(Instant::now());
        thread::sleep(left.min(Duration::from_millis(20)));
    }
    !stop.is_set()
}

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

/// How often the role without rights interferes, in milliseconds.
const INTRUDE_EVERY: Range<u64> = 20..200;

/// A role that may connect and has no rights.
const INTRUDER: &str = "DO $$ BEGIN CREATE ROLE intruder LOGIN; \
     EXCEPTION WHEN duplicate_object THEN NULL; END $$";

/// The advisory locks that earlier versions took. They are held as long as the connection is open.
const HOLD_LOCKS: &str = "SELECT pg_advisory_lock(7161543302183); \
     SELECT pg_advisory_lock(7161543302184); SELECT pg_sleep(86400)";

/// What is sent in a round: what earlier versions told each other, forged, to the channel that all
/// processes hear.
const FORGE: &str = "SELECT pg_notify('tokenhouse_sessions', said) FROM unnest(ARRAY[\
     '', '*', 'resume', 'resume 0123456789abcdef 0123456789abcdef', \
     'pause 0123456789abcdef 0123456789abcdef', repeat('0', 64)]) AS said";

/// The same, but far more than anyone can read at once.
const FLOOD: &str = "SELECT pg_notify('tokenhouse_sessions', 'pause x ' || number) \
     FROM generate_series(1, 200000) AS number";

/// Sends what a role without rights can send, and holds the locks that it can take, on the Postgres
/// server at `url`.
///
/// # Errors
/// When the program `psql` does not run, or not well.
pub(crate) fn intrude(psql: &Path, url: &str, stop: &Stop, mut rng: StdRng) -> Result<(), String> {
    let run = |statements: &str, url: &str| {
        let mut command = Command::new(psql);
        command
            .args(["--no-psqlrc", "--quiet", "--command", statements, url])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    };
    let told = |error: std::io::Error| format!("{}: {error}", psql.display());
    run(INTRUDER, url).status().map_err(told)?;
    let url = as_intruder(url)?;
    let mut holder = run(HOLD_LOCKS, &url).spawn().map_err(told)?;
    let mut rounds = (0_u32..).take_while(|_| sleep(stop, rng.random_range(INTRUDE_EVERY)));
    let outcome = rounds.try_for_each(|round| {
        let statement = if round % 20 == 0 { FLOOD } else { FORGE };
        let status = run(statement, &url).status().map_err(told)?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("{} cannot intrude: {status}", psql.display()))
        }
    });
    let ended = holder.kill().and_then(|()| holder.wait()).map_err(told);
    outcome.and(ended.map(drop))
}

/// The same URL with the role of the intruder.
fn as_intruder(url: &str) -> Result<String, String> {
    let (scheme, rest) = url.split_once("://").ok_or("no URL")?;
    let (_role, rest) = rest.split_once('@').ok_or("no role in the URL")?;
    Ok(format!("{scheme}://intruder@{rest}"))
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

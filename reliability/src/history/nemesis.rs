//! The faults of a run.

use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::context::{Reserved, RunContext};
use crate::fixture::{connect_postgres, run_sql};

/// Milliseconds between two kills, and the time that the process stays down.
const KILL_INTERVAL: Range<u64> = 500..2_000;
const DOWN_TIME: Range<u64> = 0..500;

/// Milliseconds between two pauses, and their lengths: after a short one a process may still trust its
/// memory, after a long one it must not.
const PAUSE_INTERVAL: Range<u64> = 50..500;
const SHORT_PAUSE: Range<u64> = 200..1_000;
const LONG_PAUSE: Range<u64> = 1_000..3_000;

/// Milliseconds between two cuts of all connections to Postgres.
const CUT_INTERVAL: Range<u64> = 300..1_500;

const CUT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
     WHERE application_name LIKE 'tokenhouse%'";

/// Milliseconds between two actions of the intruder: a role that may connect and has no rights.
const INTRUSION_INTERVAL: Range<u64> = 20..200;

const CREATE_INTRUDER: &str = "DO $$ BEGIN CREATE ROLE intruder LOGIN; \
     EXCEPTION WHEN duplicate_object THEN NULL; END $$";

/// The advisory locks of earlier versions, held as long as the connection is open.
const HOLD_LOCKS: &str = "SELECT pg_advisory_lock(7161543302183); \
     SELECT pg_advisory_lock(7161543302184)";

/// The messages of earlier versions, forged, on the channel that all processes listen to.
const FORGE: &str = "SELECT pg_notify('tokenhouse_sessions', message) FROM unnest(ARRAY[\
     '', '*', 'resume', 'resume 0123456789abcdef 0123456789abcdef', \
     'pause 0123456789abcdef 0123456789abcdef', repeat('0', 64)]) AS message";

/// The same, but far more than a process can read at once.
const FLOOD: &str = "SELECT pg_notify('tokenhouse_sessions', word || number) \
     FROM unnest(ARRAY['pause ', 'resume ']) AS word, generate_series(1, 100000) AS number";

/// Kills processes and starts new ones.
///
/// # Errors
/// When one does not start.
pub(super) fn kill(context: &RunContext, _url: &str, mut rng: StdRng) -> Result<(), String> {
    while sleep(context, rng.random_range(KILL_INTERVAL)) {
        if let Some(mut process) = reserve(context, &mut rng) {
            process.kill();
            sleep(context, rng.random_range(DOWN_TIME));
            process.start(&context.cluster.program)?;
        }
    }
    Ok(())
}

/// Pauses processes.
///
/// # Errors
/// When one cannot be paused.
pub(super) fn pause(context: &RunContext, _url: &str, mut rng: StdRng) -> Result<(), String> {
    while sleep(context, rng.random_range(PAUSE_INTERVAL)) {
        let is_short = rng.random_ratio(2, 3);
        let length = rng.random_range(if is_short { SHORT_PAUSE } else { LONG_PAUSE });
        if let Some(mut process) = reserve(context, &mut rng) {
            process.pause_while(|| _ = sleep(context, length))?;
        }
    }
    Ok(())
}

/// Ends all connections of Tokenhouse to the Postgres server at `url`.
///
/// # Errors
/// When the server refuses.
pub(super) fn cut(context: &RunContext, url: &str, mut rng: StdRng) -> Result<(), String> {
    let mut conn = connect_postgres(url)?;
    while sleep(context, rng.random_range(CUT_INTERVAL)) {
        run_sql(&mut conn, CUT)?;
    }
    Ok(())
}

/// Sends what a role without rights can send, and holds the locks that it can take.
///
/// # Errors
/// When the server refuses.
pub(super) fn intrude(context: &RunContext, url: &str, mut rng: StdRng) -> Result<(), String> {
    run_sql(&mut connect_postgres(url)?, CREATE_INTRUDER)?;
    let (_, server) = url.split_once('@').ok_or("the URL names no role")?;
    let url = format!("postgres://intruder@{server}");
    let mut holder = connect_postgres(&url)?;
    run_sql(&mut holder, HOLD_LOCKS)?;
    let mut conn = connect_postgres(&url)?;
    let mut rounds = (0_u32..).take_while(|_| sleep(context, rng.random_range(INTRUSION_INTERVAL)));
    rounds.try_for_each(|round| {
        let statement = if round % 20 == 0 { FLOOD } else { FORGE };
        run_sql(&mut conn, statement)
    })
}

fn reserve<'a>(context: &'a RunContext, rng: &mut StdRng) -> Option<Reserved<'a>> {
    context.cluster.slots.choose(rng)?.reserve()
}

/// Sleeps for these milliseconds, but not past the end of the run. Returns whether it goes on.
fn sleep(context: &RunContext, milliseconds: u64) -> bool {
    let until = Instant::now() + Duration::from_millis(milliseconds);
    while !context.is_stopped() && Instant::now() < until {
        let left = until.saturating_duration_since(Instant::now());
        thread::sleep(left.min(Duration::from_millis(20)));
    }
    !context.is_stopped()
}

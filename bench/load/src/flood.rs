//! Clients who do nothing but ask, for a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use crate::connection::{Connection, NO_ANSWER};
use crate::plan::Plan;
use crate::report::{Event, Log};

/// Without it, clients who cannot even connect would spin.
const PAUSE_WITHOUT_ANSWER: Duration = Duration::from_millis(10);

/// Starts the clients, who begin when the second phase does.
pub fn spawn(clients: &mut JoinSet<Log>, plan: &Arc<Plan>, start: Instant) {
    for number in 0..plan.flood.clients {
        clients.spawn(run(Arc::clone(plan), number, start));
    }
}

async fn run(plan: Arc<Plan>, number: usize, start: Instant) -> Log {
    let flood = &plan.flood;
    let [begin, end, _] = plan.ends();
    let mut connection = Connection::new(plan.address());
    let mut log = Log::new(&flood.name);
    sleep_until((start + begin).into()).await;
    for turn in 0_usize.. {
        let at = start.elapsed();
        if at >= end {
            break;
        }
        let request = &flood.requests[(number + turn * flood.clients) % flood.requests.len()];
        let status = connection.exchange(request).await;
        log.push(Event {
            at,
            latency: start.elapsed() - at,
            status,
        });
        let pause = Duration::from_millis(flood.pause_ms);
        match status {
            NO_ANSWER => sleep(pause.max(PAUSE_WITHOUT_ANSWER)).await,
            429 | 503 if !pause.is_zero() => sleep(pause).await,
            _ => {}
        }
    }
    log
}

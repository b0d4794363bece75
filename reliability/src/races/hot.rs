//! A credential in use on all workers, and the end of it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Seen;
use super::kind::Kind;
use super::stage::{PROCESSES, Stage};
use super::subject::{Asked, Subject};
use crate::client::{Connection, Request};

/// Connections to each process: one for each of its workers, which take them in turns.
const CONNECTIONS: usize = 4;

/// Uses of a client that have to be accepted before the credential is ended: after the first one
/// it stands in the memory.
const ACCEPTED_FIRST: usize = 2;

/// Uses of a client that are begun after the acknowledgement.
const AFTER: usize = 3;

/// Between two uses of a client before the acknowledgement.
const BETWEEN_USES: Duration = Duration::from_micros(500);

/// The longest wait until a credential is accepted everywhere.
const HOT_WITHIN: Duration = Duration::from_secs(20);

/// What the clients of a round share.
#[derive(Default)]
struct Round {
    /// Clients that have seen the credential accepted.
    hot: AtomicUsize,
    acknowledged: AtomicBool,
    given_up: AtomicBool,
}

/// One round; `None` when the end was not acknowledged.
pub(super) fn round(
    stage: &mut Stage,
    subject: &mut Subject,
    kind: Kind,
    number: usize,
) -> Result<Option<Seen>, String> {
    let usages: Vec<Request> = subject
        .credentials(kind)
        .into_iter()
        .map(|credential| Subject::usage(kind, credential))
        .collect();
    let mut clients = stage.clients(PROCESSES * CONNECTIONS)?;
    let count = clients.len();
    let end = subject.end(stage, kind, number);
    let mut desk = stage.desk();
    let round = Round::default();
    let (acknowledged, seen) = thread::scope(|scope| {
        let uses: Vec<_> = clients
            .iter_mut()
            .zip(usages.iter().cycle())
            .map(|(client, usage)| scope.spawn(|| round.use_until_over(client, usage)))
            .collect();
        let acknowledged = round
            .wait_until_hot(count)
            .and_then(|()| end.ask(&stage.program, &mut desk, number % PROCESSES));
        let flag = match acknowledged {
            Ok(Asked::Acknowledged) => &round.acknowledged,
            _ => &round.given_up,
        };
        flag.store(true, Ordering::SeqCst);
        let mut seen: Result<Seen, String> = Ok(Seen::default());
        for client in uses {
            let of_client = client.join().unwrap_or_else(|_| Err("a panic".to_owned()));
            seen = seen.and_then(|sum| Ok(sum.plus(of_client?)));
        }
        (acknowledged, seen)
    });
    stage.keep(clients);
    let (acknowledged, seen) = (acknowledged?, seen?);
    if acknowledged == Asked::Refused {
        return Err("whoever ends the credential is out".to_owned());
    }
    subject.renew(stage, kind)?;
    Ok((acknowledged == Asked::Acknowledged).then_some(seen))
}

impl Seen {
    fn plus(self, other: Self) -> Self {
        Self {
            issued: false,
            before: self.before + other.before,
            after: self.after + other.after,
            stale: self.stale + other.stale,
        }
    }
}

impl Round {
    /// Uses the credential until the round is over for this client.
    fn use_until_over(&self, client: &mut Connection, usage: &Request) -> Result<Seen, String> {
        let mut seen = Seen::default();
        let mut accepted = 0;
        while seen.after < AFTER && !self.given_up.load(Ordering::SeqCst) {
            // Before the first byte is sent: what comes then was begun after it.
            let is_after = self.acknowledged.load(Ordering::SeqCst);
            let status = client
                .send(usage)
                .map_err(|error| format!("a use: {error}"))?
                .status;
            match status {
                503 => continue,
                200 | 401 | 403 => {}
                other => return Err(format!("a use: status {other}")),
            }
            if is_after {
                seen.after += 1;
                seen.stale += usize::from(status == 200);
            } else {
                seen.before += 1;
                accepted += usize::from(status == 200);
                if status == 200 && accepted == ACCEPTED_FIRST {
                    self.hot.fetch_add(1, Ordering::SeqCst);
                }
                // Or nothing else would happen on a machine with few cores.
                thread::sleep(BETWEEN_USES);
            }
        }
        Ok(seen)
    }

    fn wait_until_hot(&self, clients: usize) -> Result<(), String> {
        let begun = Instant::now();
        while self.hot.load(Ordering::SeqCst) < clients {
            if begun.elapsed() > HOT_WITHIN {
                return Err("the credential is not accepted everywhere".to_owned());
            }
            thread::sleep(Duration::from_micros(100));
        }
        Ok(())
    }
}

//! Postgres fails behind a running Tokenhouse, which has to respond with 503 and recover.

mod fixture;
mod probe;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use crate::Report;
use crate::durability::client::{Attempt, Client};
use crate::durability::{Bench, Clients};
use crate::fixture::Service;
use crate::user::Change;
use fixture::{COMMIT_AND_RESPONSE, PostgresFault, Proxy};
use probe::{Probe, READ, Tally, WRITE, measure_recovery, probes};

/// The time limit for the first good response when Postgres is back.
const RECOVERY_LIMIT: Duration = Duration::from_secs(2);

/// The time limit for a change after a cut, and for a new user: as many attempts as it needs, of which
/// one may take the time limit of a client for a response.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(120);

/// The options of `faults`.
#[derive(Clone, Debug, Args)]
pub struct Faults {
    /// Number of times that each fault occurs
    #[arg(long, default_value_t = 10)]
    pub rounds: usize,
    /// Leave out the COMMITs that are cut at every byte
    #[arg(long)]
    pub without_cuts: bool,
    /// Number of clients that make changes
    #[arg(long, default_value_t = 4)]
    pub clients: usize,
    /// Decides what clients do
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Faults {
    /// Runs the check.
    ///
    /// # Errors
    /// One sentence, when a process does not start or the database cannot be read.
    pub fn execute(&self, binary: &Path) -> Result<Report, String> {
        let clients = Clients::new(self.clients, "faults", self.seed);
        let (mut bench, proxy) = fixture::start(binary, clients)?;
        let mut report = Report::default();
        let probes = probes(bench.service.address)?;
        for fault in &PostgresFault::ALL {
            let summary = self.run(fault, &mut bench, &proxy, &probes)?;
            report.summary.push(summary);
            bench.compare(fault.name)?;
            bench.verify_trail(fault.name)?;
        }
        if !self.without_cuts {
            let summary = cut_commits(&mut bench, &proxy, self.seed)?;
            report.summary.push(summary);
            bench.verify_trail("COMMIT cut")?;
        }
        bench.add_to(&mut report);
        Ok(report.judge())
    }

    /// Lets Postgres fail several times while probes and clients send requests. Returns a summary.
    fn run(
        &self,
        fault: &PostgresFault,
        bench: &mut Bench,
        proxy: &Proxy,
        probes: &[Probe],
    ) -> Result<String, String> {
        let stop = AtomicBool::new(false);
        let tally: Mutex<Tally> = Mutex::default();
        let Bench {
            clients,
            service,
            database,
            findings,
            ..
        } = bench;
        let recovery: Result<Vec<[Duration; 2]>, String> = thread::scope(|scope| {
            for probe in probes {
                scope.spawn(|| probe.run(service.address, &tally, &stop));
            }
            let rounds = 0..self.rounds;
            let recovery = clients.work_while(service, || {
                let recovery = rounds.map(|_| {
                    fault.occur(database, proxy)?;
                    Ok(measure_recovery(&tally))
                });
                recovery.collect()
            });
            stop.store(true, Ordering::Relaxed);
            recovery
        });
        let recovery = recovery?;
        let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
        for wrong in tally.wrong {
            findings.add_wrong(format!("{}: {wrong}", fault.name));
        }
        let [reads, writes] = [(0, READ), (1, WRITE)].map(|(place, probe)| {
            let mut times: Vec<Duration> = recovery.iter().map(|times| times[place]).collect();
            times.sort_unstable();
            for late in times.iter().filter(|time| **time > RECOVERY_LIMIT) {
                let late = late.as_millis();
                findings.add_wrong(format!("{}: {probe} only after {late} ms", fault.name));
            }
            let median = times.get(times.len() / 2);
            [median, times.last()].map(|time| time.map_or(0, Duration::as_millis))
        });
        Ok(format!(
            "{}, {} times: {} correct responses, {} times 503, the slowest after {} ms; \
             recovery of reads after {}/{} ms, of writes after {}/{} ms (p50/max)",
            fault.name,
            self.rounds,
            tally.good,
            tally.unavailable,
            tally.slowest.as_millis(),
            reads[0],
            reads[1],
            writes[0],
            writes[1]
        ))
    }
}

/// A kind of change, made from the state of a user who is signed in and has a key.
type ChangeKind = fn(&mut Client) -> Change;

const CHANGE_KINDS: [ChangeKind; 9] = [
    |_| Change::Login,
    |_| Change::Logout,
    |_| Change::CreateKey(""),
    |client| Change::RevokeKey(client.user.live_keys().next().map_or(0, |(id, _)| id)),
    |client| Change::Password(client.new_password(), Vec::new()),
    |_| Change::Disable,
    |_| Change::AddScope("turn:1".to_owned()),
    |_| Change::Delete,
    |client| {
        client.next_user();
        Change::Register
    },
];

/// Cuts the connection of a COMMIT after each of its bytes and of those of its response, for every kind
/// of change. The change is then repeated, and must not be made twice.
fn cut_commits(bench: &mut Bench, proxy: &Proxy, seed: u64) -> Result<String, String> {
    bench.clients.0.extend(Clients::new(1, "commit", seed).0);
    let (mut cuts, before) = (0, bench.compare("before the cuts")?);
    let client = bench.clients.0.last_mut().ok_or("no client")?;
    for kind in CHANGE_KINDS {
        for bytes in 0..=COMMIT_AND_RESPONSE {
            sign_in_new_user(client, &bench.service)?;
            let change = kind(client);
            proxy.cut_after(bytes);
            let attempt = client.attempt(change.clone(), &bench.service);
            cuts += usize::from(proxy.has_cut());
            if attempt != Attempt::Acknowledged {
                repeat(client, &format!("a cut after {bytes} bytes"), |client| {
                    client.attempt(change.clone(), &bench.service) == Attempt::Acknowledged
                })?;
            }
        }
    }
    let made = bench.compare("COMMIT cut")? - before;
    Ok(format!(
        "{cuts} COMMITs cut, {made} of their changes made without an acknowledgement"
    ))
}

/// Moves on to a user who is signed in and has a key. A registration without a response would leave
/// the client without the id that the administrator needs, so then the client moves on once more.
fn sign_in_new_user(client: &mut Client, service: &Service) -> Result<(), String> {
    repeat(client, "a new user", |client| {
        client.next_user();
        let mut changes = [Change::Register, Change::Login, Change::CreateKey("")].into_iter();
        changes.all(|change| client.attempt(change, service) == Attempt::Acknowledged)
    })
}

/// Repeats an attempt until it succeeds. `what` names it.
fn repeat(
    client: &mut Client,
    what: &str,
    mut attempt: impl FnMut(&mut Client) -> bool,
) -> Result<(), String> {
    let begun = Instant::now();
    while !attempt(client) {
        if begun.elapsed() > CHANGE_TIMEOUT {
            let (limit, responses) = (CHANGE_TIMEOUT.as_secs(), &client.unexpected);
            return Err(format!(
                "{what}: not acknowledged within {limit} s, with these responses: {responses:?}"
            ));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

//! Postgres fails behind a running Tokenhouse, which has to respond with 503 and recover.

mod fixture;
mod probe;

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use crate::durability::client::{Attempt, Client};
use crate::durability::{Bench, Clients};
use crate::fixture::Service;
use crate::user::Change;
use crate::{Findings, Report};
use fixture::{COMMIT_AND_RESPONSE, PostgresFault, Proxy};
use probe::{Probe, probes};

/// The time limit for a response: the three seconds of Tokenhouse, and one for the scheduler.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(4_000);

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

/// The result for one kind of fault.
#[derive(Clone, Debug, Default)]
struct Row {
    name: &'static str,
    rounds: usize,
    /// Correct responses.
    good: usize,
    /// Responses 503.
    unavailable: usize,
    /// The longest time to a response, except those that need a password hash.
    slowest: Duration,
    /// The times from the return of Postgres to the first good response to a read and to a write.
    recovery: [Vec<Duration>; 2],
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [reads, writes] = self.recovery.each_ref().map(|times| median_and_max(times));
        let slowest = self.slowest.as_millis();
        write!(
            f,
            "{}, {} times: {} correct responses, {} times 503, the slowest after {slowest} ms; \
             recovery of reads after {reads} ms, of writes after {writes} ms (p50/max)",
            self.name, self.rounds, self.good, self.unavailable
        )
    }
}

fn median_and_max(times: &[Duration]) -> String {
    let mut times: Vec<_> = times.iter().map(Duration::as_millis).collect();
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    format!("{median}/{}", times.last().copied().unwrap_or_default())
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
            let row = self.run(fault, &mut bench, &proxy, &probes)?;
            report.summary.push(row.to_string());
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

    /// Lets Postgres fail several times while probes and clients send requests.
    fn run(
        &self,
        fault: &PostgresFault,
        bench: &mut Bench,
        proxy: &Proxy,
        probes: &[Probe],
    ) -> Result<Row, String> {
        let mut row = Row {
            name: fault.name,
            ..Row::default()
        };
        let stop = AtomicBool::new(false);
        let Bench {
            clients,
            service,
            database,
            findings,
            ..
        } = bench;
        let outcome = thread::scope(|scope| {
            for probe in probes {
                scope.spawn(|| probe.run(service.address, &stop));
            }
            let outcome = clients.work_while(service, || {
                (0..self.rounds).try_for_each(|_| {
                    row.rounds += 1;
                    fault.occur(database, proxy)?;
                    row.measure_recovery(probes, findings);
                    Ok::<(), String>(())
                })
            });
            stop.store(true, Ordering::Relaxed);
            outcome
        });
        outcome?;
        for probe in probes {
            row.add(probe, findings);
        }
        Ok(row)
    }
}

impl Row {
    /// Waits for the first good response to a read and to a write.
    fn measure_recovery(&mut self, probes: &[Probe], findings: &mut Findings) {
        probes.iter().for_each(Probe::reset_recovery);
        let back = Instant::now();
        for (name, times) in ["a live token", "a write"].iter().zip(&mut self.recovery) {
            for probe in probes.iter().filter(|probe| probe.name == *name) {
                let time = probe.wait_for_recovery(back);
                if time > RECOVERY_LIMIT {
                    let time = time.as_millis();
                    findings.add_wrong(format!("{}: {name} only after {time} ms", self.name));
                }
                times.push(time);
            }
        }
    }

    fn add(&mut self, probe: &Probe, findings: &mut Findings) {
        let tally = probe.take_tally();
        self.good += tally.good;
        self.unavailable += tally.unavailable;
        for wrong in tally.wrong {
            findings.add_wrong(format!("{}: {wrong}", self.name));
        }
        if probe.needs_hash() {
            return;
        }
        self.slowest = self.slowest.max(tally.slowest);
        if tally.slowest > RESPONSE_TIMEOUT {
            let time = tally.slowest.as_millis();
            findings.add_wrong(format!("{}: {} took {time} ms", self.name, probe.name));
        }
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
            let (attempts, responses) = (client.unknown, &client.unexpected);
            return Err(format!(
                "{what}: no acknowledgement after many attempts, {attempts} of them without a response or with 503; other responses: {responses:?}"
            ));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

//! Refreshes under faults: clients that lose answers, repeat requests and use several processes at once,
//! while processes are killed. An honest client is never signed out, two answers to the same refresh are
//! equal, and an old token ends the session on every process.

mod worker;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use test_support::{Program, ScratchDir, Server, TestUser};

use crate::fixture::{Backend, Database, program, register, start_server};
use crate::{Findings, Report};
use worker::Worker;

/// How often a run is checked for its end.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// How long a killed process stays down.
const DOWN_TIME: Duration = Duration::from_millis(300);

/// Refreshes under faults.
#[derive(Debug, Clone, Args)]
pub struct Refreshes {
    /// The database
    #[arg(long, value_enum, default_value = "postgres")]
    pub database: Backend,
    /// The number of clients, each with a user and a session
    #[arg(long, default_value_t = 64)]
    pub clients: usize,
    /// The number of processes
    #[arg(long, default_value_t = 4)]
    pub processes: usize,
    /// The duration in seconds
    #[arg(long, default_value_t = 30)]
    pub seconds: u64,
    /// End after this number of answered refreshes instead. Clients then only refresh: they wait for no
    /// grace, and no thief comes
    #[arg(long)]
    pub refreshes: Option<usize>,
    /// The share of answers that clients lose, in percent
    #[arg(long, default_value_t = 10)]
    pub lost: u32,
    /// Milliseconds between two kills of a process; none is killed if 0
    #[arg(long, default_value_t = 1_000)]
    pub kill_interval: u64,
    /// What the clients choose depends on it
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// What is shared by the clients.
struct Run<'a> {
    options: &'a Refreshes,
    /// By process; `None` while it is down.
    addresses: Vec<RwLock<Option<SocketAddr>>>,
    is_stopped: AtomicBool,
    /// The number of answered refreshes so far.
    answered: AtomicUsize,
    findings: Mutex<Findings>,
}

/// The counts of a client, or of all.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    refreshes: usize,
    lost: usize,
    /// Answers that are equal to an earlier one in every byte.
    replays: usize,
    unanswered: usize,
    thefts: usize,
    sign_outs: usize,
}

impl Refreshes {
    /// Runs the check.
    ///
    /// # Errors
    /// When a process does not start, or a user cannot be created.
    pub fn execute(&self, binary: &Path) -> Result<Report, String> {
        let database = Database::start(self.database)?;
        let scratch = ScratchDir::new("refresh");
        let settings = [
            ("TOKENHOUSE_BCRYPT_COST", "4"),
            ("TOKENHOUSE_LIMITS", "off"),
            ("TOKENHOUSE_SESSIONS_PER_USER", "20"),
            ("TOKENHOUSE_REFRESH_GRACE", "1"),
        ];
        let program = program(binary, &database.url(), &scratch, &settings)?;
        let servers = (0..self.processes).map(|_| start_server(&program));
        let mut servers: Vec<Option<Server>> = servers
            .map(|server| server.map(Some))
            .collect::<Result<_, _>>()?;
        let addresses: Vec<SocketAddr> = servers
            .iter()
            .flatten()
            .map(|server| server.address)
            .collect();
        let users: Vec<TestUser> = (0..self.clients)
            .map(|number| TestUser::new(&format!("user{number}")))
            .collect();
        for user in &users {
            register(addresses[0], user)?;
        }
        let run = Run {
            options: self,
            addresses: addresses
                .iter()
                .map(|one| RwLock::new(Some(*one)))
                .collect(),
            is_stopped: AtomicBool::new(false),
            answered: AtomicUsize::new(0),
            findings: Mutex::default(),
        };
        let begun = Instant::now();
        let counts: Result<Vec<Counts>, String> = thread::scope(|scope| {
            let clients: Vec<_> = users
                .iter()
                .zip(self.seed..)
                .map(|(user, seed)| {
                    let run = &run;
                    scope.spawn(move || Worker::new(run, user, seed).work())
                })
                .collect();
            self.kill_until_end(&run, &program, &mut servers, begun)?;
            run.is_stopped.store(true, Ordering::Relaxed);
            let counts = clients.into_iter().map(|client| client.join());
            counts
                .map(|joined| joined.map_err(|_panic| "a client panicked".to_owned()))
                .collect()
        });
        let seconds = begun.elapsed().as_secs_f64();
        let total = counts?.into_iter().fold(Counts::default(), Counts::plus);
        let rate = total.refreshes as f64 / seconds;
        Ok(Report {
            summary: vec![
                format!(
                    "{} refreshes in {seconds:.1} s, {rate:.0}/s, by {} clients at {} processes on {}",
                    total.refreshes,
                    self.clients,
                    self.processes,
                    self.database
                ),
                format!(
                    "{} answers lost; {} repeated answers, equal in every byte",
                    total.lost, total.replays
                ),
                format!(
                    "{} honest sign-outs, {} thefts",
                    total.sign_outs, total.thefts
                ),
            ],
            acknowledged: total.refreshes,
            unacknowledged: total.unanswered,
            findings: run
                .findings
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner),
            is_good: false,
        }
        .judge())
    }

    /// Whether the run ends after a number of refreshes.
    fn is_counted(&self) -> bool {
        self.refreshes.is_some()
    }

    /// Kills one process after another until the run is over.
    fn kill_until_end(
        &self,
        run: &Run<'_>,
        program: &Program,
        servers: &mut [Option<Server>],
        begun: Instant,
    ) -> Result<(), String> {
        let interval = Duration::from_millis(self.kill_interval);
        let mut last_kill = Instant::now();
        for victim in (0..self.processes).cycle() {
            while self.kill_interval == 0 || last_kill.elapsed() < interval {
                if self.is_over(run, begun) {
                    return Ok(());
                }
                thread::sleep(POLL_INTERVAL);
            }
            run.set_address(victim, None);
            servers[victim] = None;
            thread::sleep(DOWN_TIME);
            let server = start_server(program)?;
            run.set_address(victim, Some(server.address));
            servers[victim] = Some(server);
            last_kill = Instant::now();
        }
        Ok(())
    }

    /// Whether enough was done.
    fn is_over(&self, run: &Run<'_>, begun: Instant) -> bool {
        match self.refreshes {
            Some(wanted) => run.answered.load(Ordering::Relaxed) >= wanted,
            None => begun.elapsed() >= Duration::from_secs(self.seconds),
        }
    }
}

impl Run<'_> {
    fn set_address(&self, process: usize, address: Option<SocketAddr>) {
        let slot = self.addresses[process].write();
        *slot.unwrap_or_else(PoisonError::into_inner) = address;
    }

    fn address(&self, process: usize) -> Option<SocketAddr> {
        let slot = self.addresses[process].read();
        *slot.unwrap_or_else(PoisonError::into_inner)
    }

    fn add_wrong(&self, example: String) {
        let findings = self.findings.lock();
        findings
            .unwrap_or_else(PoisonError::into_inner)
            .add_wrong(example);
    }

    fn add_resurrected(&self, example: String) {
        let findings = self.findings.lock();
        findings
            .unwrap_or_else(PoisonError::into_inner)
            .add_resurrected(example);
    }
}

impl Counts {
    fn plus(self, other: Self) -> Self {
        Self {
            refreshes: self.refreshes + other.refreshes,
            lost: self.lost + other.lost,
            replays: self.replays + other.replays,
            unanswered: self.unanswered + other.unanswered,
            thefts: self.thefts + other.thefts,
            sign_outs: self.sign_outs + other.sign_outs,
        }
    }
}

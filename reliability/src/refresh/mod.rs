//! Refreshes under faults: clients that lose answers, repeat requests and use several processes at once,
//! while processes are killed. An honest client is never signed out, two answers to the same refresh are
//! equal, and an old token ends the session on every process.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use test_support::{Client, Request, Response, ScratchDir, Server, TestUser};

use crate::fixture::{Backend, Database, program, register, start_server};
use crate::{Findings, Report};

/// The time limit of a client for a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(4);

/// How long a client tries to get an answer: longer than any process is down.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// Milliseconds that a killed process stays down.
const DOWN_TIME: Duration = Duration::from_millis(300);

/// The grace, and the time in which a use is written.
const RECORD_TIME: Duration = Duration::from_millis(4_000);

/// A session of a thief is looked at once in so many turns.
const THEFTS: u32 = 40;

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
    findings: Mutex<Findings>,
}

/// The counts of a client, or of all.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    refreshes: usize,
    repeats: usize,
    unanswered: usize,
    thefts: usize,
    sign_outs: usize,
}

/// The two tokens of an answer.
#[derive(Clone, PartialEq, Eq)]
struct Tokens {
    access: String,
    refresh: String,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(..)")
    }
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
            findings: Mutex::default(),
        };
        let (begun, until) = (
            Instant::now(),
            Instant::now() + Duration::from_secs(self.seconds),
        );
        let counts: Result<Vec<Counts>, String> = thread::scope(|scope| {
            let clients: Vec<_> = users
                .iter()
                .zip(self.seed..)
                .map(|(user, seed)| {
                    let run = &run;
                    scope.spawn(move || Worker::new(run, user, seed).work())
                })
                .collect();
            let mut victim = 0;
            while Instant::now() < until {
                let interval = Duration::from_millis(self.kill_interval.max(1));
                let left = until.saturating_duration_since(Instant::now());
                thread::sleep(left.min(if self.kill_interval == 0 {
                    left
                } else {
                    interval
                }));
                if self.kill_interval > 0 {
                    run.set_address(victim, None);
                    servers[victim] = None;
                    thread::sleep(DOWN_TIME);
                    let server = start_server(&program)?;
                    run.set_address(victim, Some(server.address));
                    servers[victim] = Some(server);
                    victim = (victim + 1) % self.processes;
                }
            }
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
                format!("{} refreshes, {rate:.0}/s", total.refreshes),
                format!("{} answers were equal to an earlier one", total.repeats),
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
}

impl Run<'_> {
    fn set_address(&self, process: usize, address: Option<SocketAddr>) {
        let slot = self.addresses[process].write();
        *slot.unwrap_or_else(PoisonError::into_inner) = address;
    }

    /// Sends a request to a process; `None` without an answer, and for 503.
    fn send(&self, process: usize, request: &Request) -> Option<Response> {
        let slot = self.addresses[process].read();
        let address = (*slot.unwrap_or_else(PoisonError::into_inner))?;
        let client = Client::new(address).timeout(RESPONSE_TIMEOUT);
        let response = client.send(request.clone()).ok()?;
        (response.status != 503).then_some(response)
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

/// A client.
struct Worker<'a> {
    run: &'a Run<'a>,
    user: &'a TestUser,
    rng: StdRng,
    counts: Counts,
}

impl<'a> Worker<'a> {
    fn new(run: &'a Run<'a>, user: &'a TestUser, seed: u64) -> Self {
        Self {
            run,
            user,
            rng: StdRng::seed_from_u64(seed),
            counts: Counts::default(),
        }
    }

    fn work(mut self) -> Counts {
        let mut current: Option<Tokens> = None;
        while !self.run.is_stopped.load(Ordering::Relaxed) {
            let Some(tokens) = current.take().or_else(|| self.sign_in()) else {
                continue;
            };
            current = if self.rng.random_ratio(1, THEFTS) {
                if self.rng.random() {
                    self.steal(tokens);
                } else {
                    self.steal_previous(&tokens);
                }
                None
            } else {
                self.refresh_honestly(&tokens)
            };
        }
        self.counts
    }

    fn any_process(&mut self) -> usize {
        self.rng.random_range(0..self.run.options.processes)
    }

    /// Asks until there is an answer other than 503.
    fn ask(&mut self, request: &Request) -> Option<Response> {
        let until = Instant::now() + RETRY_TIMEOUT;
        while Instant::now() < until {
            let process = self.any_process();
            match self.run.send(process, request) {
                Some(response) => return Some(response),
                None => self.counts.unanswered += 1,
            }
            thread::sleep(RETRY_INTERVAL);
        }
        self.run
            .add_wrong("a client got no answer for a minute".to_owned());
        None
    }

    fn sign_in(&mut self) -> Option<Tokens> {
        let (name, password) = (self.user.email.as_str(), self.user.password.as_str());
        let form = [
            ("username", name),
            ("password", password),
            ("scope", "offline_access"),
        ];
        let response = self.ask(&Request::post("/token").form(&form))?;
        let tokens = Tokens::read(&response);
        if tokens.is_none() {
            self.run.add_wrong(format!("a sign-in: {response:?}"));
        }
        tokens
    }

    /// Refreshes as a client does that loses answers and has several tabs. Returns the new tokens; `None`
    /// if the client was signed out.
    fn refresh_honestly(&mut self, tokens: &Tokens) -> Option<Tokens> {
        let request = refresh(&tokens.refresh);
        let mut answers: Vec<Tokens> = Vec::new();
        // The answers that are lost, and those of other tabs.
        let tries = 1 + usize::from(self.rng.random_ratio(self.run.options.lost, 100));
        for _ in 0..tries {
            let response = self.ask(&request)?;
            let Some(answer) = Tokens::read(&response) else {
                self.counts.sign_outs += 1;
                self.run
                    .add_wrong(format!("an honest client: {response:?}"));
                return None;
            };
            if self.rng.random_ratio(1, 50) {
                // Past the grace. Nothing of the answer was used.
                thread::sleep(Duration::from_millis(1_100));
            }
            answers.push(answer);
        }
        self.counts.refreshes += answers.len();
        self.counts.repeats += answers.len() - 1;
        if answers.iter().any(|answer| *answer != answers[0]) {
            self.run
                .add_wrong("two answers to a refresh differ".to_owned());
        }
        let next = answers.pop()?;
        if self.rng.random_ratio(1, 4) {
            for access in [&next.access, &tokens.access] {
                let used = self.ask(&Request::get("/users/me").bearer(access))?;
                if used.status != 200 {
                    self.counts.sign_outs += 1;
                    let which = if *access == next.access {
                        "new"
                    } else {
                        "earlier"
                    };
                    self.run
                        .add_wrong(format!("the {which} token is refused: {}", used.status));
                }
            }
        }
        Some(next)
    }

    /// A thief has copied a refresh token, and uses it after two more refreshes. From the answer on no
    /// process accepts any token of the session.
    fn steal(&mut self, first: Tokens) -> Option<()> {
        let mut tokens = vec![first];
        for _ in 0..2 {
            let last = tokens.last()?.clone();
            tokens.push(self.refresh_honestly(&last)?);
        }
        for process in 0..self.run.options.processes {
            // So that each process has it in memory.
            let access = &tokens[2].access;
            self.run
                .send(process, &Request::get("/users/me").bearer(access));
        }
        let stolen = self.ask(&refresh(&tokens[0].refresh))?;
        if stolen.status != 400 {
            self.run
                .add_wrong(format!("a copied token is accepted: {}", stolen.status));
            return None;
        }
        self.counts.thefts += 1;
        for process in 0..self.run.options.processes {
            for token in &tokens {
                let request = Request::get("/users/me").bearer(&token.access);
                let used = self.run.send(process, &request);
                if used.is_some_and(|response| response.status != 401) {
                    self.run
                        .add_resurrected("a token of an ended session is accepted".to_owned());
                }
            }
        }
        let again = self.ask(&refresh(&tokens[2].refresh))?;
        if again.status != 400 {
            self.run
                .add_resurrected("an ended session is refreshed".to_owned());
        }
        Some(())
    }
}

impl Worker<'_> {
    /// A thief has copied the refresh token before the current one, and uses it after the grace, when
    /// the database knows that the client has the current one.
    fn steal_previous(&mut self, tokens: &Tokens) -> Option<()> {
        let next = self.refresh_honestly(tokens)?;
        let request = Request::get("/users/me").bearer(&next.access);
        let processes = 0..self.run.options.processes;
        // Several, because one may be killed before it writes that.
        let uses = processes.filter_map(|process| self.run.send(process, &request));
        if uses.count() < 2 {
            return None;
        }
        thread::sleep(RECORD_TIME);
        let stolen = self.ask(&refresh(&tokens.refresh))?;
        if stolen.status != 400 {
            self.run
                .add_wrong(format!("a used token is accepted: {}", stolen.status));
        }
        self.counts.thefts += 1;
        Some(())
    }
}

fn refresh(token: &str) -> Request {
    Request::post("/token").form(&[("grant_type", "refresh_token"), ("refresh_token", token)])
}

impl Tokens {
    fn read(response: &Response) -> Option<Self> {
        let text = |name: &str| Some(response.member(name)?.as_str()?.to_owned());
        (response.status == 200).then_some(())?;
        Some(Self {
            access: text("access_token")?,
            refresh: text("refresh_token")?,
        })
    }
}

impl Counts {
    fn plus(self, other: Self) -> Self {
        Self {
            refreshes: self.refreshes + other.refreshes,
            repeats: self.repeats + other.repeats,
            unanswered: self.unanswered + other.unanswered,
            thefts: self.thefts + other.thefts,
            sign_outs: self.sign_outs + other.sign_outs,
        }
    }
}

//! A service with a database of its own, its administrator, and its clients.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;

use super::client::{Client, Service, Step};
use super::compare::{Comparison, Findings};
use super::ledger::{Account, Token};
use super::snapshot::{Location, Snapshot};
use crate::client::{Answer, Connection, Request};
use crate::server::{Program, Server};

const ADMIN: &str = "admin@example.com";
const ADMIN_PASSWORD: &str = "mulberry-Tram-71";

/// How long an ordinary answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A start fails while another process is at the migrations, or Postgres is not there yet.
const START_ATTEMPTS: u32 = 20;

/// Starts the program, which may take several attempts.
pub(crate) fn start(program: &Program) -> Result<Server, String> {
    for _ in 1..START_ATTEMPTS {
        if let Ok(server) = Server::start(program, "log") {
            return Ok(server);
        }
        thread::sleep(Duration::from_millis(200));
    }
    Server::start(program, "log")
}

/// Runs a command of Tokenhouse with some input.
pub(crate) fn command(program: &Program, words: &[&str], input: &str) -> Result<Output, String> {
    let mut command: Command = program.command(words);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut run = || -> std::io::Result<Output> {
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        child.wait_with_output()
    };
    run().map_err(|error| format!("{}: {error}", words.join(" ")))
}

/// Makes an administrator with a command and signs them in.
pub(crate) fn administrator(program: &Program, server: &Server) -> Result<Service, String> {
    let words = ["user", "create", ADMIN, "--name", "Ada Lovelace"];
    let words = [&words[..], &["--scope", "users:write"]].concat();
    let made = command(program, &words, &format!("{ADMIN_PASSWORD}\n"))?;
    if !made.status.success() {
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        return Err(format!("no administrator can be made: {said}"));
    }
    let token = sign_in(server, ADMIN, ADMIN_PASSWORD)?;
    Ok(Service {
        address: server.address,
        admin: token,
    })
}

/// Signs somebody in and returns the token.
pub(crate) fn sign_in(server: &Server, email: &str, password: &str) -> Result<String, String> {
    let form = format!("username={email}&password={password}");
    let media_type = "application/x-www-form-urlencoded";
    let request = Request::with_headers("POST", "/token", &[], Some((media_type, &form)));
    let answer = ask(server, &request)?;
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let token = body["access_token"].as_str();
    let status = answer.status;
    token
        .map(str::to_owned)
        .ok_or_else(|| format!("{email} cannot sign in: {status}"))
}

/// Asks once, on a connection of its own.
pub(crate) fn ask(server: &Server, request: &Request) -> Result<Answer, String> {
    Connection::open(server.address, PATIENCE)
        .and_then(|mut connection| connection.send(request))
        .map_err(|error| format!("no answer: {error}"))
}

/// The clients of a run.
pub(crate) struct Clients(pub(crate) Vec<Client>);

impl Clients {
    /// So many clients, whose users no other run has.
    pub(crate) fn new(count: usize, run: &str, seed: u64) -> Self {
        let client = |number: usize| {
            let seed = seed.wrapping_mul(1_000_003).wrapping_add(number as u64);
            Client::new(format!("{run}-c{number}"), StdRng::seed_from_u64(seed))
        };
        Self((0..count).map(client).collect())
    }

    /// Lets them work until `act` has returned, and returns what it returned.
    pub(crate) fn work_while<T>(
        &mut self,
        service: &Service,
        mark: &(dyn Fn() -> u64 + Sync),
        act: impl FnOnce() -> T,
    ) -> T {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for client in &mut self.0 {
                let stop = &stop;
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        if client.step(service, mark) == Step::Unreachable {
                            thread::sleep(Duration::from_millis(2));
                        }
                    }
                });
            }
            let done = act();
            stop.store(true, Ordering::Relaxed);
            done
        })
    }

    /// All users of all clients.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.0.iter().flat_map(|client| &client.accounts)
    }

    /// How many changes were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        let entries = self.accounts().flat_map(|account| &account.entries);
        entries
            .filter(|entry| entry.is_acknowledged_at(u64::MAX))
            .count()
    }

    /// Reads the database and compares; strange answers count as findings too.
    pub(crate) fn compare(&mut self, location: &Location) -> Result<Findings, String> {
        let snapshot = Snapshot::read(location)?;
        let mut findings = Comparison::default().run(self.accounts(), &snapshot, u64::MAX);
        for client in &mut self.0 {
            for strange in client.strange.drain(..) {
                findings.add_wrong(format!("a strange answer: {strange}"));
            }
        }
        Ok(findings)
    }

    /// Asks the service itself: what has ended is refused, and what is live accepted.
    pub(crate) fn probe(&self, server: &Server, findings: &mut Findings) -> Result<(), String> {
        for client in &self.0 {
            let state = client.state();
            for ended in state.ended.iter().rev().take(3) {
                if use_of(server, ended)? != 401 {
                    findings.resurrected += 1;
                    findings
                        .examples
                        .push("an ended credential is accepted".to_owned());
                }
            }
            let keys = state.keys.values().filter(|key| key.live);
            let keys = keys.filter_map(|key| key.key.as_ref());
            let token = match &state.token {
                Token::Known(token) => Some(token),
                Token::None | Token::Unknown => None,
            };
            let expected = if state.disabled { 401 } else { 200 };
            for live in keys.chain(token) {
                let status = use_of(server, live)?;
                if status != expected {
                    findings
                        .add_wrong(format!("a credential is answered {status}, not {expected}"));
                }
            }
        }
        Ok(())
    }
}

fn use_of(server: &Server, credential: &str) -> Result<u16, String> {
    ask(server, &Request::get("/users/me", credential)).map(|answer| answer.status)
}

/// Verifies the audit trail, and that it still contains what it ended with the last time.
pub(crate) struct Trail {
    last: Option<String>,
}

impl Trail {
    /// Of a new database.
    pub(crate) fn new() -> Self {
        Self { last: None }
    }

    /// Runs `tokenhouse audit verify`.
    pub(crate) fn verify(
        &mut self,
        program: &Program,
        findings: &mut Findings,
    ) -> Result<(), String> {
        let mut words = vec!["audit", "verify"];
        if let Some(last) = &self.last {
            words.extend(["--contains", last]);
        }
        let output = command(program, &words, "")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            let last = said.trim_end().rsplit_once("the last is ");
            self.last = last.map(|(_, last)| last.to_owned());
        } else {
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            findings.add_wrong(format!("audit verify: {}", (said + &error).trim_end()));
        }
        Ok(())
    }
}

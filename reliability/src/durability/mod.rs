//! Checks that what was acknowledged stays: through kills, power cuts and failing disks.
//!
//! Clients change their own users and remember every acknowledgement. Each request has an id, which
//! Tokenhouse writes into the audit trail in the transaction of the change. So the trail says which
//! changes were made, with or without a response. The tables have to hold exactly those changes, and no
//! acknowledged one may be missing.

pub(crate) mod client;
mod compare;
mod disk;
mod io_errors;
mod kills;
mod power_cut;
mod snapshot;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use test_support::{Program, Request, ScratchDir, Server};

use crate::fixture::{Database, Service, program, send, start_server};
use crate::{Findings, Report};
use client::{Account, Attempt, Client, SCOPE_PREFIX};
use compare::Comparison;
use snapshot::Snapshot;

pub use io_errors::IoErrors;
pub use kills::{Audit, Kills};
pub use power_cut::{Control, PowerCut};

/// The clients of a check.
pub(crate) struct Clients(pub(crate) Vec<Client>);

impl Clients {
    /// Clients whose users belong to this run only.
    pub(crate) fn new(count: usize, run: &str, seed: u64) -> Self {
        let client = |number: usize| {
            let seed = seed.wrapping_mul(1_000_003).wrapping_add(number as u64);
            Client::new(format!("{run}-c{number}"), StdRng::seed_from_u64(seed))
        };
        Self((0..count).map(client).collect())
    }

    /// Lets the clients work until `act` returns, and returns its value.
    pub(crate) fn work_while<T>(&mut self, service: &Service, act: impl FnOnce() -> T) -> T {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for client in &mut self.0 {
                let stop = &stop;
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        if client.step(service) == Attempt::Unreachable {
                            thread::sleep(Duration::from_millis(2));
                        }
                    }
                });
            }
            let value = act();
            stop.store(true, Ordering::Relaxed);
            value
        })
    }

    /// All users of all clients.
    fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.0.iter().flat_map(|client| &client.accounts)
    }

    /// The number of acknowledged changes.
    fn count_acknowledged(&self) -> usize {
        let entries = self.accounts().flat_map(|account| &account.entries);
        entries.filter(|entry| entry.mark().is_some()).count()
    }

    /// The number of changes with an unknown outcome.
    fn count_unknown(&self) -> usize {
        self.0.iter().map(|client| client.unknown).sum()
    }

    /// Compares the database with what the clients know. Unexpected responses are findings as well.
    pub(crate) fn compare(&mut self, database_url: &str) -> Result<Findings, String> {
        let snapshot = Snapshot::read(database_url)?;
        let mut findings = Comparison::default().run(self.accounts(), &snapshot, u64::MAX);
        for response in self.0.iter_mut().flat_map(|it| it.unexpected.drain(..)) {
            findings.add_wrong(format!("an unexpected response: {response}"));
        }
        Ok(findings)
    }
}

/// A server on a database of its own, and clients that change users there.
pub(crate) struct Bench {
    pub(crate) clients: Clients,
    pub(crate) service: Service,
    pub(crate) program: Program,
    /// `None` while it is killed.
    pub(crate) server: Option<Server>,
    pub(crate) database: Database,
    pub(crate) findings: Findings,
    trail: AuditTrail,
    // Dropped last.
    _scratch: ScratchDir,
}

impl Bench {
    /// Starts a server, which reaches its database by this URL.
    pub(crate) fn start(
        binary: &Path,
        database: Database,
        url: &str,
        settings: &[(&str, &str)],
        clients: Clients,
    ) -> Result<Self, String> {
        let scratch = ScratchDir::new("bench");
        let scopes = format!("{SCOPE_PREFIX}*");
        let scopes = [("TOKENHOUSE_GRANTABLE_SCOPES", scopes.as_str())];
        let program = program(binary, url, &scratch, &[&scopes, settings].concat())?;
        let server = start_server(&program)?;
        Ok(Self {
            clients,
            service: Service::new(&program, server.address)?,
            program,
            server: Some(server),
            database,
            findings: Findings::default(),
            trail: AuditTrail::default(),
            _scratch: scratch,
        })
    }

    /// Starts a new server, after the previous one was killed if it still runs.
    pub(crate) fn restart(&mut self) -> Result<(), String> {
        self.server = None;
        let server = start_server(&self.program)?;
        self.service.address = server.address;
        self.server = Some(server);
        Ok(())
    }

    /// Compares the database with what the clients know, at a moment that `place` names. Returns the
    /// number of changes that were made without an acknowledgement.
    pub(crate) fn compare(&mut self, place: &str) -> Result<usize, String> {
        let found = self.clients.compare(&self.database.url())?;
        let made = found.unacknowledged_made;
        self.findings.add(found, place);
        Ok(made)
    }

    /// Verifies the audit trail, which must contain what it contained the last time.
    pub(crate) fn verify_trail(&mut self, place: &str) -> Result<(), String> {
        let mut found = Findings::default();
        self.trail.verify(&self.program, &mut found)?;
        self.findings.add(found, place);
        Ok(())
    }

    /// Checks over HTTP that the service refuses ended credentials and accepts live ones.
    fn use_credentials(&mut self) -> Result<(), String> {
        let status = |credential: &str| -> Result<u16, String> {
            let request = Request::get("/users/me").bearer(credential);
            Ok(send(self.service.address, request)?.status)
        };
        for client in &self.clients.0 {
            let user = &client.user;
            for ended in user.ended.iter().rev().take(3) {
                if status(ended)? != 401 {
                    let example = "an ended credential is accepted".to_owned();
                    self.findings.add_resurrected(example);
                }
            }
            for live in user.live_secrets() {
                let status = status(live)?;
                if status != 200 {
                    let example = format!("a live credential gets {status}");
                    self.findings.add_wrong(example);
                }
            }
        }
        Ok(())
    }

    /// Adds what the clients have done and what was found to a report.
    pub(crate) fn add_to(self, report: &mut Report) {
        report.acknowledged += self.clients.count_acknowledged();
        report.unacknowledged += self.clients.count_unknown();
        report.findings.append(self.findings);
    }
}

/// Verifies the audit trail, and that it still contains what was its end the last time.
#[derive(Default)]
struct AuditTrail {
    last: Option<String>,
}

impl AuditTrail {
    /// Runs `tokenhouse audit verify`.
    fn verify(&mut self, program: &Program, findings: &mut Findings) -> Result<(), String> {
        let mut words = vec!["audit", "verify"];
        if let Some(last) = &self.last {
            words.extend(["--contains", last]);
        }
        let output = program.run(&words, "")?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        // The output ends with the last event: its id and digest.
        let last = stdout.split_whitespace().next_back();
        match last.filter(|last| output.status.success() && last.contains(':')) {
            Some(last) => self.last = Some(last.to_owned()),
            None => {
                let stderr = String::from_utf8_lossy(&output.stderr);
                findings.add_wrong(format!("audit verify: {stdout}{stderr}"));
            }
        }
        Ok(())
    }
}

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
pub(crate) mod ledger;
mod power_cut;
mod snapshot;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use test_support::{Program, Request};

use crate::Findings;
use crate::fixture::{Service, send};
use client::{Attempt, Client};
use compare::Comparison;
use ledger::{Account, Token};
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
                        if client.step(service, mark) == Attempt::Unreachable {
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
    pub(crate) fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.0.iter().flat_map(|client| &client.accounts)
    }

    /// The number of acknowledged changes.
    pub(crate) fn count_acknowledged(&self) -> usize {
        let entries = self.accounts().flat_map(|account| &account.entries);
        entries.filter(|entry| entry.mark().is_some()).count()
    }

    /// The number of changes with an unknown outcome.
    pub(crate) fn count_unknown(&self) -> usize {
        self.0.iter().map(|client| client.unknown).sum()
    }

    /// Compares the database with what the clients know. Unexpected responses are findings as well.
    pub(crate) fn compare(&mut self, database_url: &str) -> Result<Findings, String> {
        let snapshot = Snapshot::read(database_url)?;
        let mut findings = Comparison::default().run(self.accounts(), &snapshot, u64::MAX);
        for client in &mut self.0 {
            for response in client.unexpected.drain(..) {
                findings.add_wrong(format!("an unexpected response: {response}"));
            }
        }
        Ok(findings)
    }

    /// Checks over HTTP that the service refuses ended credentials and accepts live ones.
    pub(crate) fn use_credentials(
        &self,
        address: SocketAddr,
        findings: &mut Findings,
    ) -> Result<(), String> {
        let status = |credential: &str| -> Result<u16, String> {
            Ok(send(address, Request::get("/users/me").bearer(credential))?.status)
        };
        for client in &self.0 {
            let state = client.state();
            for ended in state.ended.iter().rev().take(3) {
                if status(ended)? != 401 {
                    findings.add_resurrected("an ended credential is accepted".to_owned());
                }
            }
            let keys = state.keys.values().filter(|key| key.is_live);
            let keys = keys.filter_map(|key| key.key.as_ref());
            let token = match &state.token {
                Token::Known(token) => Some(token),
                Token::None | Token::Unknown => None,
            };
            let expected = if state.is_disabled { 401 } else { 200 };
            for live in keys.chain(token) {
                let status = status(live)?;
                if status != expected {
                    findings.add_wrong(format!("a live credential gets {status}, not {expected}"));
                }
            }
        }
        Ok(())
    }
}

/// Verifies the audit trail, and that it still contains what was its end the last time.
#[derive(Default)]
pub(crate) struct AuditTrail {
    last: Option<String>,
}

impl AuditTrail {
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

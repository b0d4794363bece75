//! Processes that are killed while clients work: the server itself, or Postgres behind it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::compare::Findings;
use super::field::{Clients, Trail, administrator, start};
use super::snapshot::Location;
use crate::guardian::Scratch;
use crate::postgres::PostgresServer;
use crate::server::Program;

/// Rounds before a new database, so that the comparison of a round stays short.
const ROUNDS_OF_ONE_DATABASE: usize = 50;

/// Acknowledgements from the start of the load to the kill, unless they take longer than that.
const KILL_AFTER: std::ops::Range<usize> = 0..60;
const KILL_WITHIN: Duration = Duration::from_secs(3);

/// Microseconds more, so that the kill does not always follow an acknowledgement.
const KILL_LATER: std::ops::Range<u64> = 0..5_000;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Kills {
    /// The program `tokenhouse`.
    pub binary: PathBuf,
    /// Kills Postgres, and not the server.
    pub postgres: bool,
    /// How many kills.
    pub rounds: usize,
    /// Clients, each doing one change at a time.
    pub clients: usize,
    /// Decides what clients do and about when the kill comes.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct KillsReport {
    /// Kills that were made.
    pub rounds: usize,
    /// Changes that were acknowledged.
    pub acknowledged: usize,
    /// Changes without an answer, or with 503.
    pub unanswered: usize,
    /// Those of them that had been made all the same, as they may.
    pub done_unsaid: usize,
    /// Acknowledged changes that were lost.
    pub lost: usize,
    /// Ended credentials that were there again.
    pub resurrected: usize,
    /// Damage, changes made twice, strange answers, an audit trail that does not agree.
    pub wrong: usize,
    /// Some findings in words.
    pub examples: Vec<String>,
}

impl KillsReport {
    /// Whether nothing is amiss, and something was tried.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.acknowledged > 0 && self.lost + self.resurrected + self.wrong == 0
    }

    fn take(&mut self, findings: &Findings) {
        self.lost = findings.lost;
        self.resurrected = findings.resurrected;
        self.wrong = findings.wrong;
        self.examples.clone_from(&findings.examples);
    }
}

impl Kills {
    /// Does it, and tells from time to time how far it is.
    ///
    /// # Errors
    /// One sentence, when something does not start or the database cannot be read.
    pub fn execute(&self, mut tell: impl FnMut(&KillsReport)) -> Result<KillsReport, String> {
        let mut report = KillsReport::default();
        let mut all = Findings::default();
        while report.rounds < self.rounds && all.is_clean() {
            let rounds = ROUNDS_OF_ONE_DATABASE.min(self.rounds - report.rounds);
            let scratch = Scratch::new("kills").map_err(|error| error.to_string())?;
            if self.postgres {
                let mut postgres = PostgresServer::start()?;
                let location = Location::Postgres(postgres.url());
                self.stops_of_postgres(
                    &mut postgres,
                    &location,
                    rounds,
                    scratch.path(),
                    &mut report,
                    &mut all,
                )?;
            } else {
                self.kills_of_server(rounds, scratch.path(), &mut report, &mut all)?;
            }
            report.take(&all);
            tell(&report);
        }
        Ok(report)
    }

    fn kills_of_server(
        &self,
        rounds: usize,
        folder: &Path,
        report: &mut KillsReport,
        all: &mut Findings,
    ) -> Result<(), String> {
        let location = Location::Sqlite(folder.join("tokenhouse.db"));
        let program = Program::new(&self.binary, &location.url(), folder, &[])?;
        let mut server = start(&program)?;
        let mut service = administrator(&program, &server)?;
        let mut trail = Trail::new();
        let mut clients = self.new_clients(report.rounds);
        let mut rng = StdRng::seed_from_u64(self.seed.wrapping_add(report.rounds as u64));
        for _ in 0..rounds {
            let load = Load::default();
            clients.work_while(&service, &|| load.count(), || {
                load.wait(&mut rng);
                drop(server);
            });
            server = start(&program)?;
            service.address = server.address;
            let mut findings = clients.compare(&location)?;
            clients.probe(&server, &mut findings)?;
            trail.verify(&program, &mut findings)?;
            report.rounds += 1;
            all.add(findings, &format!("round {}", report.rounds));
        }
        count(report, &clients, &location)
    }

    fn stops_of_postgres(
        &self,
        postgres: &mut PostgresServer,
        location: &Location,
        rounds: usize,
        folder: &Path,
        report: &mut KillsReport,
        all: &mut Findings,
    ) -> Result<(), String> {
        let program = Program::new(&self.binary, &location.url(), folder, &[])?;
        let server = start(&program)?;
        let service = administrator(&program, &server)?;
        let mut trail = Trail::new();
        let mut clients = self.new_clients(report.rounds);
        let mut rng = StdRng::seed_from_u64(self.seed.wrapping_add(report.rounds as u64));
        for _ in 0..rounds {
            let load = Load::default();
            clients.work_while(&service, &|| load.count(), || {
                load.wait(&mut rng);
                postgres.stop()
            })?;
            postgres.start_again()?;
            let mut findings = clients.compare(location)?;
            trail.verify(&program, &mut findings)?;
            report.rounds += 1;
            all.add(findings, &format!("round {}", report.rounds));
        }
        count(report, &clients, location)
    }

    fn new_clients(&self, round: usize) -> Clients {
        let seed = self.seed.wrapping_add(round as u64);
        Clients::new(self.clients, &format!("r{round}"), seed)
    }
}

/// The acknowledgements of a round.
#[derive(Default)]
struct Load(AtomicUsize);

impl Load {
    /// Counts one. There is no journal, so its mark says nothing.
    fn count(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed);
        0
    }

    /// Waits for the moment of the kill.
    fn wait(&self, rng: &mut StdRng) {
        let enough = rng.random_range(KILL_AFTER);
        let begun = Instant::now();
        while self.0.load(Ordering::Relaxed) < enough && begun.elapsed() < KILL_WITHIN {
            thread::sleep(Duration::from_micros(200));
        }
        thread::sleep(Duration::from_micros(rng.random_range(KILL_LATER)));
    }
}

fn count(report: &mut KillsReport, clients: &Clients, location: &Location) -> Result<(), String> {
    report.acknowledged += clients.acknowledged();
    report.unanswered += clients.0.iter().map(|client| client.unknown).sum::<usize>();
    let snapshot = super::snapshot::Snapshot::read(location)?;
    let mut comparison = super::compare::Comparison::default();
    let at_the_end = comparison.run(clients.accounts(), &snapshot, u64::MAX);
    report.done_unsaid += at_the_end.done_unsaid;
    Ok(())
}

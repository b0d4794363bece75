//! Processes are killed while clients work: the server, or Postgres behind it.

use std::ops::Range;
use std::path::Path;
use std::thread;
use std::time::Duration;

use clap::Args;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Bench, Clients};
use crate::Report;
use crate::fixture::{Backend, Database};

/// Rounds before a new database, so that the comparison of a round stays short.
const ROUNDS_PER_DATABASE: usize = 50;

/// Acknowledgements from the start of the load to the kill, and the limit for waiting for them.
const KILL_AFTER: Range<usize> = 0..60;
const KILL_TIMEOUT: Duration = Duration::from_secs(3);

/// Further microseconds, so that the kill does not always follow an acknowledgement.
const KILL_DELAY: Range<u64> = 0..5_000;

/// The options of `durability kills`: kills the server on SQLite, or Postgres behind the server.
#[derive(Clone, Debug, Args)]
pub struct Kills {
    /// The database; `durability kills` kills Postgres itself
    #[arg(long, value_enum, default_value = "sqlite")]
    pub database: Backend,
    /// Number of kills
    #[arg(long, visible_alias = "kills", default_value_t = 1000)]
    pub rounds: usize,
    /// Number of clients, each with one change at a time
    #[arg(long, default_value_t = 8)]
    pub clients: usize,
    /// Decides what clients do, and roughly when the kill comes
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// The options of `audit`: kills the server on either database.
#[derive(Clone, Debug, Args)]
pub struct Audit {
    /// The same options
    #[command(flatten)]
    pub kills: Kills,
}

impl Kills {
    /// Runs the rounds.
    ///
    /// # Errors
    /// One sentence, when a process does not start or the database cannot be read.
    pub fn execute(&self, binary: &Path) -> Result<Report, String> {
        self.run(binary, self.database == Backend::Postgres)
    }

    fn run(&self, binary: &Path, kills_postgres: bool) -> Result<Report, String> {
        let mut report = Report::default();
        let (mut round, mut unacknowledged_made) = (0, 0);
        while round < self.rounds && report.findings.is_clean() {
            let rounds = round..self.rounds.min(round + ROUNDS_PER_DATABASE);
            round = rounds.end;
            unacknowledged_made +=
                self.run_on_new_database(binary, kills_postgres, rounds, &mut report)?;
            eprintln!(
                "{round} kills, {} changes acknowledged",
                report.acknowledged
            );
        }
        let unacknowledged = report.unacknowledged;
        report.summary.push(format!(
            "{round} kills; {unacknowledged} changes without an acknowledgement, \
             {unacknowledged_made} of them made"
        ));
        Ok(report.judge())
    }

    /// Returns the number of changes that were made without an acknowledgement.
    fn run_on_new_database(
        &self,
        binary: &Path,
        kills_postgres: bool,
        rounds: Range<usize>,
        report: &mut Report,
    ) -> Result<usize, String> {
        let database = Database::start(self.database)?;
        let seed = self.seed.wrapping_add(rounds.start as u64);
        let clients = Clients::new(self.clients, "kills", seed);
        let url = database.url();
        let mut bench = Bench::start(binary, database, &url, &[], clients)?;
        let mut rng = StdRng::seed_from_u64(seed);
        let mut made = 0;
        for round in rounds {
            let Bench {
                clients,
                service,
                server,
                database,
                ..
            } = &mut bench;
            let enough = service.acknowledged() + rng.random_range(KILL_AFTER);
            clients.work_while(service, || {
                service.wait_for(enough, KILL_TIMEOUT);
                thread::sleep(Duration::from_micros(rng.random_range(KILL_DELAY)));
                match database {
                    Database::Postgres(postgres) if kills_postgres => postgres.stop(),
                    // Dropping it kills it.
                    _ => {
                        *server = None;
                        Ok(())
                    }
                }
            })?;
            match database {
                Database::Postgres(postgres) if kills_postgres => postgres.restart()?,
                _ => bench.restart()?,
            }
            let place = format!("round {round}");
            made = bench.compare(&place)?;
            if !kills_postgres {
                bench.use_credentials()?;
            }
            bench.verify_trail(&place)?;
        }
        bench.add_to(report);
        Ok(made)
    }
}

impl Audit {
    /// Kills the server, and compares tables and audit trail after each kill.
    ///
    /// # Errors
    /// As [`Kills::execute`].
    pub fn execute(&self, binary: &Path) -> Result<Report, String> {
        self.kills.run(binary, false)
    }
}

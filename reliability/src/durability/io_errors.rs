//! A disk that fails: the k-th write or sync, once or until it is mended.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::client::{Service, Step};
use super::compare::Findings;
use super::field::{Clients, Trail, administrator, start};
use super::snapshot::Location;
use crate::disk::{Fault, FaultControl, Shim};
use crate::guardian::Scratch;
use crate::server::{Program, Server};

/// Changes that are asked for until the fault has shown.
const CHANGES: usize = 12;

/// The same for faults that show only when the log is copied into the database.
const CHANGES_TO_CHECKPOINT: usize = 400;

/// Changes that are asked for while the disk stays broken.
const CHANGES_WHILE_BROKEN: usize = 3;

/// How long the first good answer may take once the disk is mended.
const RECOVER_WITHIN: Duration = Duration::from_secs(10);

/// Faults between two restarts (`kill -9`), after which the database is compared once more.
const RESTART_EVERY: usize = 10;

/// Calls of a start that fail, one after the other, at most.
const CALLS_OF_A_START: u32 = 60;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct IoErrors {
    /// The program `tokenhouse`.
    pub binary: PathBuf,
    /// How many calls of each kind are made to fail, one after the other.
    pub calls: u32,
    /// The same for those of a checkpoint, which takes hundreds of changes to come.
    pub checkpoint_calls: u32,
    /// Decides what the client does.
    pub seed: u64,
}

/// What came of one kind of fault.
#[derive(Clone, Debug, Default)]
pub struct IoErrorsRow {
    /// What failed.
    pub name: String,
    /// How often it was tried.
    pub tried: usize,
    /// In how many of these a call failed.
    pub injected: usize,
    /// How many calls failed.
    pub failed_calls: u32,
    /// Changes that were answered with 503.
    pub refused: usize,
    /// The longest time from the mending to the first acknowledgement.
    pub recovery: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct IoErrorsReport {
    /// One for each kind of fault.
    pub rows: Vec<IoErrorsRow>,
    /// Starts during which a call failed, and how many of them ended with an error.
    pub starts: (usize, usize),
    /// Changes that were acknowledged.
    pub acknowledged: usize,
    /// Acknowledged changes that were lost.
    pub lost: usize,
    /// Ended credentials that were there again.
    pub resurrected: usize,
    /// Damage, strange answers, no recovery.
    pub wrong: usize,
    /// Some findings in words.
    pub examples: Vec<String>,
}

impl IoErrorsReport {
    /// Whether nothing is amiss, and every kind of fault that was tried has shown.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.lost + self.resurrected + self.wrong == 0
            && self.rows.iter().any(|row| row.injected > 0)
            && self
                .rows
                .iter()
                .all(|row| row.injected > 0 || row.tried == 0)
    }
}

/// A server on a disk that can be made to fail.
struct Bench {
    program: Program,
    server: Option<Server>,
    service: Service,
    control: FaultControl,
    clients: Clients,
    location: Location,
    findings: Findings,
    trail: Trail,
    // Goes last.
    _scratch: Scratch,
}

impl IoErrors {
    /// Does it.
    ///
    /// # Errors
    /// One sentence, when something does not start or the database cannot be read.
    pub fn execute(&self) -> Result<IoErrorsReport, String> {
        let mut report = IoErrorsReport::default();
        let mut bench = self.bench()?;
        for fault in Fault::ALL {
            for for_good in [false, true] {
                let row = self.fault(&mut bench, fault, for_good)?;
                report.rows.push(row);
            }
        }
        bench.starts(&mut report)?;
        report.acknowledged = bench.clients.acknowledged();
        report.lost = bench.findings.lost;
        report.resurrected = bench.findings.resurrected;
        report.wrong = bench.findings.wrong;
        report.examples = bench.findings.examples;
        Ok(report)
    }

    fn bench(&self) -> Result<Bench, String> {
        let scratch = Scratch::new("io-errors").map_err(|error| error.to_string())?;
        let folder = scratch.path();
        let database = folder.join("tokenhouse.db");
        let control = FaultControl::new(folder.join("control")).map_err(|e| e.to_string())?;
        let shim = Shim::build(folder)?;
        let more = shim.settings(&database, None, Some(&control.path));
        let location = Location::Sqlite(database);
        let program = Program::new(&self.binary, &location.url(), folder, &more)?;
        let server = start(&program)?;
        let service = administrator(&program, &server)?;
        Ok(Bench {
            program,
            server: Some(server),
            service,
            control,
            clients: Clients::new(1, "io", self.seed),
            location,
            findings: Findings::default(),
            trail: Trail::new(),
            _scratch: scratch,
        })
    }

    fn fault(
        &self,
        bench: &mut Bench,
        fault: Fault,
        for_good: bool,
    ) -> Result<IoErrorsRow, String> {
        let how_long = if for_good { "until mended" } else { "once" };
        let mut row = IoErrorsRow {
            name: format!("{}, {how_long}", fault.name),
            ..IoErrorsRow::default()
        };
        let calls = if fault.is_of_checkpoints() {
            self.checkpoint_calls
        } else {
            self.calls
        };
        for after in 0..calls {
            bench.inject(fault, after, for_good, &mut row)?;
            let place = format!("{}, call {}", row.name, after + 1);
            bench.compare(&place)?;
            if row.tried.is_multiple_of(RESTART_EVERY) {
                bench.restart()?;
                bench.compare(&format!("{place}, after a restart"))?;
            }
        }
        Ok(row)
    }
}

impl Bench {
    /// Lets a call fail while changes are asked for, and then sees that all is well again.
    fn inject(
        &mut self,
        fault: Fault,
        after: u32,
        for_good: bool,
        row: &mut IoErrorsRow,
    ) -> Result<(), String> {
        let told = |error: std::io::Error| error.to_string();
        let most = if fault.is_of_checkpoints() {
            CHANGES_TO_CHECKPOINT
        } else {
            CHANGES
        };
        let unknown = self.clients.0[0].unknown;
        self.control.arm(fault, after, for_good).map_err(told)?;
        for _ in 0..most {
            self.step();
            if self.control.failed().map_err(told)? > 0 {
                break;
            }
        }
        if for_good {
            (0..CHANGES_WHILE_BROKEN).for_each(|_| _ = self.step());
        }
        let failed = self.control.disarm().map_err(told)?;
        row.refused += self.clients.0[0].unknown - unknown;
        row.tried += 1;
        row.injected += usize::from(failed > 0);
        row.failed_calls += failed;
        row.recovery = row.recovery.max(self.recover(&row.name));
        Ok(())
    }

    /// Waits for the first acknowledgement, and says how long it took.
    fn recover(&mut self, name: &str) -> Duration {
        let mended = Instant::now();
        while self.step() != Step::Done {
            if mended.elapsed() > RECOVER_WITHIN {
                self.findings.add_wrong(format!("{name}: no recovery"));
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        mended.elapsed()
    }

    fn step(&mut self) -> Step {
        self.clients.0[0].step(&self.service, &|| 0)
    }

    fn compare(&mut self, place: &str) -> Result<(), String> {
        let found = self.clients.compare(&self.location)?;
        self.findings.add(found, place);
        Ok(())
    }

    /// Kills the server and starts another one on a disk that works.
    fn restart(&mut self) -> Result<(), String> {
        self.server = None;
        let server = start(&self.program)?;
        self.service.address = server.address;
        self.server = Some(server);
        self.trail.verify(&self.program, &mut self.findings)
    }

    /// Lets one call after the other fail while a server starts on what a killed one left behind.
    fn starts(&mut self, report: &mut IoErrorsReport) -> Result<(), String> {
        let told = |error: std::io::Error| error.to_string();
        for after in 0..CALLS_OF_A_START {
            (0..3).for_each(|_| _ = self.step());
            self.server = None;
            self.control.arm(Fault::ANY, after, false).map_err(told)?;
            let started = Server::start(&self.program, "log");
            let failed = self.control.disarm().map_err(told)?;
            report.starts.0 += usize::from(failed > 0);
            report.starts.1 += usize::from(started.is_err());
            drop(started);
            self.restart()?;
            self.compare(&format!("a start, call {}", after + 1))?;
            if failed == 0 {
                break;
            }
        }
        Ok(())
    }
}

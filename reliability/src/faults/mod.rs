//! Postgres fails behind a running Tokenhouse, which has to say so and find its way back.

mod commit;
mod probe;
mod proxy;
mod stage;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::durability::compare::Findings;
use crate::durability::field::{Clients, Trail};
use probe::{Probe, probes};
use stage::{Fault, Stage};

/// How long an answer may take: the three seconds of Tokenhouse, and the scheduler's share.
const ANSWER_WITHIN: Duration = Duration::from_millis(4_000);

/// How long the first good answer may take when Postgres is back.
const GOOD_WITHIN: Duration = Duration::from_secs(2);

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Faults {
    /// The program `tokenhouse`.
    pub binary: PathBuf,
    /// How often each fault comes.
    pub rounds: usize,
    /// Whether COMMITs are cut, at every byte, for every kind of change.
    pub cuts: bool,
    /// Clients that make changes meanwhile.
    pub clients: usize,
    /// Decides what clients do.
    pub seed: u64,
}

/// What came of one kind of fault.
#[derive(Clone, Debug, Default)]
pub struct FaultRow {
    /// What failed.
    pub name: &'static str,
    /// How often.
    pub rounds: usize,
    /// Right answers.
    pub good: usize,
    /// Answers 503.
    pub unavailable: usize,
    /// The longest that any answer took, save those that need a password hashed.
    pub slowest: Duration,
    /// From when Postgres was back to the first good answer, for reads and for writes, in order.
    pub reads_back: Vec<Duration>,
    /// The same for writes.
    pub writes_back: Vec<Duration>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct FaultsReport {
    /// One for each kind of fault.
    pub rows: Vec<FaultRow>,
    /// COMMITs that were cut.
    pub cuts: usize,
    /// Changes among them that got 503 and had been made.
    pub done_unsaid: usize,
    /// Changes that clients were told of, over all faults.
    pub acknowledged: usize,
    /// Acknowledged changes that were lost.
    pub lost: usize,
    /// Ended credentials that were there again.
    pub resurrected: usize,
    /// Wrong answers, late answers, late recoveries, changes made twice.
    pub wrong: usize,
    /// Some findings in words.
    pub examples: Vec<String>,
}

impl FaultsReport {
    /// Whether nothing is amiss, and something was tried.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.acknowledged > 0 && self.lost + self.resurrected + self.wrong == 0
    }
}

impl Faults {
    /// Does it.
    ///
    /// # Errors
    /// One sentence, when something does not start or the database cannot be read.
    pub fn execute(&self) -> Result<FaultsReport, String> {
        let mut stage = Stage::new(&self.binary)?;
        let mut report = FaultsReport::default();
        let mut findings = Findings::default();
        let mut trail = Trail::new();
        let probes = probes(&stage.server)?;
        let mut clients = Clients::new(self.clients, "faults", self.seed);
        for fault in Fault::ALL {
            let row = self.fault(fault, &mut stage, &probes, &mut clients, &mut findings)?;
            findings.add(clients.compare(&stage.location)?, fault.name());
            trail.verify(&stage.program, &mut findings)?;
            report.rows.push(row);
        }
        report.acknowledged = clients.acknowledged();
        if self.cuts {
            commit::cut(&stage, self.seed, &mut report, &mut findings)?;
            trail.verify(&stage.program, &mut findings)?;
        }
        report.lost = findings.lost;
        report.resurrected = findings.resurrected;
        report.wrong = findings.wrong;
        report.examples = findings.examples;
        Ok(report)
    }

    fn fault(
        &self,
        fault: Fault,
        stage: &mut Stage,
        probes: &[Probe],
        clients: &mut Clients,
        findings: &mut Findings,
    ) -> Result<FaultRow, String> {
        let mut row = FaultRow {
            name: fault.name(),
            ..FaultRow::default()
        };
        let stop = AtomicBool::new(false);
        let (address, service) = (stage.server.address, stage.service.clone());
        let outcome = thread::scope(|scope| {
            for probe in probes {
                let stop = &stop;
                scope.spawn(move || probe.run(address, stop));
            }
            let outcome = clients.work_while(&service, &|| 0, || {
                (0..self.rounds).try_for_each(|_| stage.once(fault, probes, &mut row, findings))
            });
            stop.store(true, Ordering::Relaxed);
            outcome
        });
        outcome?;
        for probe in probes {
            let seen = probe.take();
            row.good += seen.good;
            row.unavailable += seen.unavailable;
            for wrong in seen.wrong {
                findings.add_wrong(format!("{}: {wrong}", fault.name()));
            }
            if !probe.hashes() {
                row.slowest = row.slowest.max(seen.slowest);
            }
            if !probe.hashes() && seen.slowest > ANSWER_WITHIN {
                let took = seen.slowest.as_millis();
                findings.add_wrong(format!("{}: {} took {took} ms", fault.name(), probe.name));
            }
        }
        Ok(row)
    }
}

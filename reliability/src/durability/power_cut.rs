//! A power cut, simulated: what a run did to the disk is written down, and the files are rebuilt as
//! they might be after a cut at any moment of it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::compare::{Comparison, Findings};
use super::field::{Clients, Trail, administrator, command, start};
use super::normal::without_syncs;
use super::snapshot::{Location, Snapshot};
use crate::disk::{Disk, Fate, Journal, Shim, Syncs};
use crate::guardian::Scratch;
use crate::server::{Program, Server};

/// How long the recording may take for so many changes.
const RECORD_WITHIN: Duration = Duration::from_secs(240);

/// How long a server may take to end when it is asked to.
const END_WITHIN: Duration = Duration::from_secs(10);

/// What is to be done.
#[derive(Clone, Debug)]
pub struct PowerCut {
    /// The program `tokenhouse`.
    pub binary: PathBuf,
    /// Changes that are recorded.
    pub changes: usize,
    /// Moments at which the power is cut.
    pub cut_points: usize,
    /// Random subsets of the unsynced that are tried at each, besides none and all of it.
    pub subsets: usize,
    /// Clients, each doing one change at a time.
    pub clients: usize,
    /// Decides what clients do and where the cuts are.
    pub seed: u64,
    /// Runs a copy of the program in which `synchronous` is NORMAL: that has to be found out.
    pub normal: bool,
    /// Has the replay ignore the syncs of the log: that has to be found out too.
    pub ignore_syncs: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct PowerCutReport {
    /// Changes that were acknowledged in the recorded run.
    pub recorded: usize,
    /// Writes, syncs and the like that were recorded.
    pub records: usize,
    /// Syncs among them.
    pub syncs: usize,
    /// Moments at which the power was cut.
    pub cut_points: usize,
    /// Disks that were rebuilt and looked at: several for each moment.
    pub disks: usize,
    /// Acknowledged changes that were looked for, over all disks.
    pub acknowledged: usize,
    /// Those of them that were lost.
    pub lost: usize,
    /// Ended credentials that were there again.
    pub resurrected: usize,
    /// Damage, an audit trail that does not verify, tables that it contradicts.
    pub wrong: usize,
    /// Some findings in words.
    pub examples: Vec<String>,
}

impl PowerCutReport {
    /// Whether nothing is amiss, and something was looked for.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.acknowledged > 0 && self.lost + self.resurrected + self.wrong == 0
    }
}

/// A run that was recorded.
struct Recording {
    journal: Journal,
    clients: Clients,
    /// How far the journal was when the load began.
    begun: u64,
}

impl PowerCut {
    /// Does it.
    ///
    /// # Errors
    /// One sentence, when something does not start, or a disk cannot be read at all.
    pub fn execute(&self) -> Result<PowerCutReport, String> {
        let scratch = Scratch::new("power-cut").map_err(|error| error.to_string())?;
        let binary = if self.normal {
            without_syncs(&self.binary, scratch.path())?
        } else {
            self.binary.clone()
        };
        let recording = self.record(&binary, scratch.path())?;
        self.replay(&recording, scratch.path())
    }

    /// Has clients work through a start, an ordinary end, another start, a kill and a third start.
    fn record(&self, binary: &Path, folder: &Path) -> Result<Recording, String> {
        let shim = Shim::build(folder)?;
        let database = folder.join("tokenhouse.db");
        let journal = folder.join("journal");
        let location = Location::Sqlite(database.clone());
        let more = shim.settings(&database, Some(&journal), None);
        let program = Program::new(binary, &location.url(), folder, &more)?;
        let mut server = start(&program)?;
        let mut service = administrator(&program, &server)?;
        let begun = length(&journal);
        let mut clients = Clients::new(self.clients, "power", self.seed);
        let done = AtomicUsize::new(0);
        let mark = || {
            done.fetch_add(1, Ordering::Relaxed);
            length(&journal)
        };
        for part in 1..=3 {
            let enough = self.changes * part / 3;
            let worked = clients.work_while(&service, &mark, || {
                let begun = Instant::now();
                while done.load(Ordering::Relaxed) < enough && begun.elapsed() < RECORD_WITHIN / 3 {
                    thread::sleep(Duration::from_millis(1));
                }
                // In the middle of the load.
                if part == 2 {
                    kill(&mut server, &journal)
                } else {
                    Ok(())
                }
            });
            worked.map_err(|error| error.to_string())?;
            if part == 1 {
                end(&mut server, &database)?;
            }
            if part < 3 {
                server = start(&program)?;
                service.address = server.address;
            }
        }
        kill(&mut server, &journal).map_err(|error| error.to_string())?;
        Ok(Recording {
            journal: Journal::load(&journal)?,
            clients,
            begun,
        })
    }

    fn replay(&self, recording: &Recording, folder: &Path) -> Result<PowerCutReport, String> {
        let records = recording.journal.records()?;
        let ends: Vec<u64> = records.iter().map(|record| record.end).collect();
        let mut rng = StdRng::seed_from_u64(self.seed);
        let cuts = self.cuts(recording, &ends, &mut rng);
        let syncs = if self.ignore_syncs {
            Syncs::OfLogIgnored
        } else {
            Syncs::Kept
        };
        let rebuilt = folder.join("rebuilt");
        fs::create_dir(&rebuilt).map_err(|error| error.to_string())?;
        let mut look = Look::new(&self.binary, &rebuilt, recording)?;
        let mut report = PowerCutReport {
            recorded: recording.clients.acknowledged(),
            records: records.len(),
            syncs: records.iter().filter(|record| record.is_sync()).count(),
            ..PowerCutReport::default()
        };
        let mut disk = Disk::new(syncs);
        for (number, record) in records.iter().enumerate() {
            disk.play(*record);
            if cuts.binary_search(&number).is_err() {
                continue;
            }
            report.cut_points += 1;
            let fates = [Fate::Dropped, Fate::Kept].into_iter();
            for fate in fates.chain((0..self.subsets).map(|_| Fate::Torn)) {
                report.disks += 1;
                disk.cut(&look.database, fate, &mut rng)
                    .map_err(|error| error.to_string())?;
                look.at(record.end, fate)?;
            }
        }
        let all = look.all;
        report.acknowledged = all.acknowledged;
        report.lost = all.lost;
        report.resurrected = all.resurrected;
        report.wrong = all.wrong;
        report.examples = all.examples;
        Ok(report)
    }

    /// Where the power is cut: after these records. Half of them are those during which something
    /// was acknowledged; the others are spread over the whole run, the first start included.
    fn cuts(&self, recording: &Recording, ends: &[u64], rng: &mut StdRng) -> Vec<usize> {
        let entries = recording.clients.accounts().flat_map(|a| &a.entries);
        let mut marks: Vec<u64> = entries.filter_map(super::ledger::Entry::mark).collect();
        marks.sort_unstable();
        let mut cuts = Vec::new();
        let half = (self.cut_points / 2).max(1);
        for step in 0..half.min(marks.len()) {
            let mark = marks[step * marks.len() / half.min(marks.len())];
            cuts.push(ends.partition_point(|end| *end < mark));
        }
        let before_load = ends.partition_point(|end| *end <= recording.begun);
        cuts.extend((0..self.cut_points / 20).map(|_| rng.random_range(0..before_load.max(1))));
        cuts.sort_unstable();
        cuts.dedup();
        while cuts.len() < self.cut_points.min(ends.len()) {
            let cut = rng.random_range(0..ends.len());
            if let Err(place) = cuts.binary_search(&cut) {
                cuts.insert(place, cut);
            }
        }
        cuts
    }
}

/// Looks at the disks that were rebuilt.
struct Look<'a> {
    program: Program,
    database: PathBuf,
    recording: &'a Recording,
    comparison: Comparison,
    all: Findings,
}

impl<'a> Look<'a> {
    fn new(binary: &Path, folder: &Path, recording: &'a Recording) -> Result<Self, String> {
        let database = folder.join("tokenhouse.db");
        let location = Location::Sqlite(database.clone());
        Ok(Self {
            program: Program::new(binary, &location.url(), folder, &[])?,
            database,
            recording,
            comparison: Comparison::default(),
            all: Findings::default(),
        })
    }

    /// Opens what is left after a cut when the journal ended at `end`, and compares.
    fn at(&mut self, end: u64, fate: Fate) -> Result<(), String> {
        let mut findings = Findings::default();
        // Tokenhouse itself opens one of them. A trail without events is not signed yet.
        if fate == Fate::Dropped && end >= self.recording.begun {
            Trail::new().verify(&self.program, &mut findings)?;
        } else if fate == Fate::Dropped {
            let migrated = command(&self.program, &["migrate"], "")?;
            if !migrated.status.success() {
                findings.add_wrong("the tables cannot be brought up to date".to_owned());
            }
        }
        let place = format!("cut at byte {end}, the unsynced {fate:?}");
        match Snapshot::read(&Location::Sqlite(self.database.clone())) {
            Ok(snapshot) => {
                let accounts = self.recording.clients.accounts();
                let found = self.comparison.run(accounts, &snapshot, end);
                findings.add(found, "");
            }
            Err(problem) => findings.add_wrong(problem),
        }
        self.all.add(findings, &place);
        Ok(())
    }
}

/// How long the journal is.
fn length(journal: &Path) -> u64 {
    fs::metadata(journal).map_or(0, |about| about.len())
}

/// Kills the server, but not between what it does to the disk and the entry about that: the files go
/// on from the one, the replay from the other.
fn kill(server: &mut Server, journal: &Path) -> io::Result<()> {
    let journal = File::open(journal)?;
    journal.lock()?;
    server.kill()
}

/// Asks the server to end, and waits until it has put its log away.
fn end(server: &mut Server, database: &Path) -> Result<(), String> {
    server.terminate().map_err(|error| error.to_string())?;
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let begun = Instant::now();
    while Path::new(&log).exists() {
        if begun.elapsed() > END_WITHIN {
            return Err("the server does not end when it is asked to".to_owned());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

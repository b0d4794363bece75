//! A simulated power cut: the calls of a run are recorded, and the files are rebuilt as they may be
//! after a cut at any moment of it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use test_support::{Program, ScratchDir, Server};

use super::compare::Comparison;
use super::disk::{self, Disk, Unsynced};
use super::snapshot::Snapshot;
use super::{AuditTrail, Bench, Clients, client};
use crate::fixture::{DATABASE, program, sqlite_url};
use crate::{Findings, Report};

/// The time limit of the recording.
const RECORD_TIMEOUT: Duration = Duration::from_secs(240);

/// The time limit for a server to end on SIGTERM.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// The statement that syncs every commit, and another of equal length that does not.
const FULL: &[u8] = b"PRAGMA synchronous = FULL";
const NORMAL: &[u8] = b"PRAGMA synchronous =    1";

/// The options of `durability power-cut`.
#[derive(Clone, Debug, Args)]
pub struct PowerCut {
    /// Number of recorded changes
    #[arg(long, default_value_t = 1500)]
    pub changes: usize,
    /// Number of moments at which the power is cut
    #[arg(long, default_value_t = 1000)]
    pub cut_points: usize,
    /// Random subsets of the unsynced content at each moment, in addition to none and all of it
    #[arg(long, default_value_t = 3)]
    pub subsets: usize,
    /// Number of clients, each with one change at a time
    #[arg(long, default_value_t = 8)]
    pub clients: usize,
    /// Decides what clients do and where the cuts are
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Use something that has to lose changes, and fail unless it does
    #[arg(long, value_enum)]
    pub control: Option<Control>,
}

/// What proves that a loss is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Control {
    /// The program with synchronous=NORMAL
    Normal,
    /// A disk that reports syncs of the log as done and ignores them
    LyingDisk,
}

/// A recorded run.
struct Recording {
    journal: Vec<u8>,
    clients: Clients,
    /// The length of the journal when the load began.
    load_start: u64,
}

impl PowerCut {
    /// Records a run, and compares the disks after many power cuts.
    ///
    /// # Errors
    /// One sentence, when a process does not start or a disk cannot be written.
    pub fn execute(&self, binary: &Path) -> Result<Report, String> {
        let scratch = ScratchDir::new("power-cut");
        let recording = match self.control {
            Some(Control::Normal) => self.record(&without_syncs(binary, &scratch)?)?,
            _ => self.record(binary)?,
        };
        self.replay(binary, &recording, &scratch)
    }

    /// Lets clients work through a start, a shutdown, a start, a kill and another start.
    fn record(&self, binary: &Path) -> Result<Recording, String> {
        let folder = ScratchDir::new("recording");
        let journal = folder.join("journal");
        let log = folder.join(format!("{DATABASE}-wal"));
        let output = ("DISK_SHIM_JOURNAL", journal.as_path());
        let clients = Clients::new(self.clients, "power", self.seed);
        let mut bench = disk::start_bench(binary, folder, output, clients)?;
        let load_start = length(&journal);
        bench.service.journal = Some(journal.clone());
        for part in 1..=3 {
            let Bench {
                clients,
                service,
                server,
                ..
            } = &mut bench;
            clients.work_while(service, || {
                service.wait_for(self.changes * part / 3, RECORD_TIMEOUT / 3);
                match part {
                    // Under load.
                    2 => kill(server, &journal),
                    _ => Ok(()),
                }
            })?;
            match part {
                1 => shut_down(server, &log)?,
                _ => kill(server, &journal)?,
            }
            if part < 3 {
                bench.restart()?;
            }
        }
        Ok(Recording {
            journal: fs::read(&journal).map_err(|error| error.to_string())?,
            clients: bench.clients,
            load_start,
        })
    }

    fn replay(
        &self,
        binary: &Path,
        recording: &Recording,
        folder: &Path,
    ) -> Result<Report, String> {
        let entries = disk::parse_journal(&recording.journal)?;
        let mut rng = StdRng::seed_from_u64(self.seed);
        let cuts = self.choose_cuts(recording, &entries, &mut rng);
        let database = folder.join(DATABASE);
        let database_url = sqlite_url(&database);
        let mut inspector = Inspector {
            program: program(binary, &database_url, folder, &[])?,
            database_url,
            recording,
            comparison: Comparison::default(),
            findings: Findings::default(),
        };
        let mut disks = 0;
        let mut disk = Disk::default();
        disk.ignores_log_syncs = self.control == Some(Control::LyingDisk);
        for (number, entry) in entries.iter().enumerate() {
            disk.replay(*entry);
            if !cuts.contains(&number) {
                continue;
            }
            let torn = (0..self.subsets).map(|_| Unsynced::Torn);
            for unsynced in [Unsynced::Dropped, Unsynced::Kept].into_iter().chain(torn) {
                disks += 1;
                let cut = disk.cut(&database, unsynced, &mut rng);
                cut.map_err(|error| error.to_string())?;
                inspector.inspect(entry.end, unsynced)?;
            }
        }
        let syncs = entries.iter().filter(|entry| entry.is_sync()).count();
        let summary = format!(
            "{} writes and syncs ({syncs} syncs), {} cut points, {disks} disks, \
             {} acknowledged changes looked up",
            entries.len(),
            cuts.len(),
            inspector.findings.acknowledged
        );
        let report = Report {
            summary: vec![summary],
            acknowledged: recording.clients.count_acknowledged(),
            unacknowledged: recording.clients.count_unknown(),
            findings: inspector.findings,
            is_good: false,
        };
        Ok(match self.control {
            None => report.judge(),
            Some(_) => Report {
                is_good: report.findings.lost > 0,
                ..report
            },
        })
    }

    /// The entries after which the power is cut. Half of them are those during which a change was
    /// acknowledged; the others are spread over the whole run, including the first start.
    fn choose_cuts(
        &self,
        recording: &Recording,
        entries: &[disk::Entry<'_>],
        rng: &mut StdRng,
    ) -> BTreeSet<usize> {
        let entry_at = |length: u64| entries.partition_point(|entry| entry.end < length);
        let changes = recording.clients.accounts().flat_map(|it| &it.entries);
        let mut marks: Vec<u64> = changes.filter_map(client::Entry::mark).collect();
        marks.sort_unstable();
        let half = (self.cut_points / 2).clamp(1, marks.len().max(1));
        let chosen = (0..half).filter_map(|step| marks.get(step * marks.len() / half));
        let mut cuts: BTreeSet<usize> = chosen.map(|mark| entry_at(*mark)).collect();
        let load_start = entry_at(recording.load_start).max(1);
        cuts.extend((0..self.cut_points / 20).map(|_| rng.random_range(0..load_start)));
        while cuts.len() < self.cut_points.min(entries.len()) {
            cuts.insert(rng.random_range(0..entries.len()));
        }
        cuts
    }
}

/// Compares the rebuilt disks.
struct Inspector<'a> {
    program: Program,
    database_url: String,
    recording: &'a Recording,
    comparison: Comparison,
    findings: Findings,
}

impl Inspector<'_> {
    /// Compares the disk after a cut when the journal had the length `end`.
    fn inspect(&mut self, end: u64, unsynced: Unsynced) -> Result<(), String> {
        let mut findings = Findings::default();
        // Tokenhouse itself opens one of them. An audit trail without events is not signed yet.
        if unsynced == Unsynced::Dropped && end >= self.recording.load_start {
            AuditTrail::default().verify(&self.program, &mut findings)?;
        } else if unsynced == Unsynced::Dropped
            && !self.program.run(&["migrate"], "")?.status.success()
        {
            findings.add_wrong("the database cannot be migrated".to_owned());
        }
        match Snapshot::read(&self.database_url) {
            Ok(snapshot) => {
                let accounts = self.recording.clients.accounts();
                let found = self.comparison.run(accounts, &snapshot, end);
                findings.append(found);
            }
            Err(problem) => findings.add_wrong(problem),
        }
        let place = format!("cut at byte {end}, unsynced content {unsynced:?}");
        self.findings.add(findings, &place);
        Ok(())
    }
}

/// The length of the journal.
fn length(journal: &Path) -> u64 {
    fs::metadata(journal).map_or(0, |metadata| metadata.len())
}

/// Kills the server, but not between a call and its journal entry: the files continue from the one, the
/// replay from the other.
fn kill(server: &mut Option<Server>, journal: &Path) -> Result<(), String> {
    let locked = File::open(journal).and_then(|journal| journal.lock().map(|()| journal));
    let _lock = locked.map_err(|error| error.to_string())?;
    // Dropping it waits for its end.
    *server = None;
    Ok(())
}

/// Shuts the server down, and waits until it has removed its log.
fn shut_down(server: &mut Option<Server>, log: &Path) -> Result<(), String> {
    server.iter_mut().try_for_each(|it| it.signal("TERM"))?;
    let begun = Instant::now();
    while log.exists() {
        if begun.elapsed() > SHUTDOWN_TIMEOUT {
            return Err("the server does not end on SIGTERM".to_owned());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// A copy of the program with `synchronous = NORMAL`, made without a build.
fn without_syncs(binary: &Path, folder: &Path) -> Result<PathBuf, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", binary.display());
    let mut program = fs::read(binary).map_err(failed)?;
    let windows = program.windows(FULL.len()).enumerate();
    let found = windows.filter(|(_, window)| *window == FULL);
    let found: Vec<usize> = found.map(|(place, _)| place).collect();
    let [place] = found[..] else {
        let count = found.len();
        return Err(format!(
            "the program sets `synchronous` in {count} places instead of one"
        ));
    };
    program[place..place + NORMAL.len()].copy_from_slice(NORMAL);
    let copy = folder.join("tokenhouse-normal");
    fs::copy(binary, &copy).map_err(failed)?;
    fs::write(&copy, program).map_err(failed)?;
    Ok(copy)
}

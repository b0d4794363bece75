//! A disk that fails: the k-th write or sync, once or until it is repaired.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use test_support::{ScratchDir, Server};

use super::client::Attempt;
use super::{Bench, Clients, disk};
use crate::Report;

/// Changes that are asked for until the fault occurs.
const MAX_CHANGES: usize = 12;

/// The same for faults that occur only in a checkpoint.
const MAX_CHANGES_TO_CHECKPOINT: usize = 400;

/// Changes that are asked for while the disk stays broken.
const CHANGES_WHILE_BROKEN: usize = 3;

/// The time limit for the first acknowledgement after the repair.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// Faults between two restarts (`kill -9`), after which the database is compared again.
const RESTART_INTERVAL: u32 = 10;

/// The limit for the failing calls of a start.
const MAX_START_CALLS: u32 = 60;

/// Calls and files that can fail, as bits of `struct control` in `shim/disk.c`.
const WRITE: u32 = 1;
const SYNC: u32 = 2;
const ANY: u32 = WRITE | SYNC | 4;
const MAIN: u32 = 1 << 1;
const WAL: u32 = 1 << 2;
const SHM: u32 = 1 << 3;

const EIO: u32 = 5;
const ENOSPC: u32 = 28;

/// A kind of failure.
#[derive(Clone, Copy)]
struct Fault {
    name: &'static str,
    calls: u32,
    files: u32,
    error: u32,
    /// Whether the first failing write stores half of its bytes.
    is_half: bool,
}

const fn fault(name: &'static str, calls: u32, files: u32, error: u32, is_half: bool) -> Fault {
    Fault {
        name,
        calls,
        files,
        error,
        is_half,
    }
}

const FAULTS: [Fault; 8] = [
    fault("EIO, writing the log", WRITE, WAL, EIO, false),
    fault("ENOSPC, writing the log", WRITE, WAL, ENOSPC, false),
    fault("ENOSPC, half a write of the log", WRITE, WAL, ENOSPC, true),
    fault("EIO, syncing the log", SYNC, WAL, EIO, false),
    fault("EIO, writing the database", WRITE, MAIN, EIO, false),
    fault("ENOSPC, writing the database", WRITE, MAIN, ENOSPC, false),
    fault("EIO, syncing the database", SYNC, MAIN, EIO, false),
    ANY_CALL,
];

const ANY_CALL: Fault = fault("EIO, any call", ANY, MAIN | WAL | SHM, EIO, false);

impl Fault {
    /// Whether it occurs only in a checkpoint, which is rare.
    fn needs_checkpoint(self) -> bool {
        self.files == MAIN
    }
}

/// The memory shared with the shim: eight numbers in a file, of which the last counts the failures.
struct FaultControl(File);

impl FaultControl {
    /// Makes the file. Nothing fails yet.
    fn new(path: &Path) -> Result<Self, String> {
        let mut options = File::options();
        let file = options.read(true).write(true).create_new(true).open(path);
        let control = Self(file.map_err(|error| error.to_string())?);
        control.write(&[0; 32], 0)?;
        Ok(control)
    }

    /// Lets a call fail after `after` others, once or from then on.
    fn arm(&self, fault: Fault, after: u32, is_permanent: bool) -> Result<(), String> {
        let [permanent, half] = [is_permanent, fault.is_half].map(u32::from);
        let Fault {
            calls,
            files,
            error,
            ..
        } = fault;
        let numbers = [calls, files, after, error, permanent, half, 0];
        self.write(&numbers.map(u32::to_ne_bytes).concat(), 4)?;
        self.write(&1_u32.to_ne_bytes(), 0)
    }

    /// Stops the failures, and returns the number of failures.
    fn disarm(&self) -> Result<u32, String> {
        self.write(&[0; 4], 0)?;
        self.failures()
    }

    fn failures(&self) -> Result<u32, String> {
        let mut failures = [0; 4];
        let read = self.0.read_exact_at(&mut failures, 28);
        read.map_err(|error| error.to_string())?;
        Ok(u32::from_ne_bytes(failures))
    }

    fn write(&self, bytes: &[u8], at: u64) -> Result<(), String> {
        let written = self.0.write_all_at(bytes, at);
        written.map_err(|error| error.to_string())
    }
}

/// The options of `durability io-errors`.
#[derive(Clone, Debug, Args)]
pub struct IoErrors {
    /// Calls of each kind that fail, one after the other
    #[arg(long, default_value_t = 60)]
    pub calls: u32,
    /// The same for the calls of a checkpoint, which comes after hundreds of changes
    #[arg(long, default_value_t = 8)]
    pub checkpoint_calls: u32,
    /// Decides what the client does
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// What happened in all attempts with one kind of failure.
#[derive(Default)]
struct Tally {
    /// The attempts in which a call failed.
    occurred: u32,
    failed_calls: u32,
    /// The longest time from the repair to the first acknowledgement.
    recovery: Duration,
}

/// A server on a disk that can fail, and one client.
struct DiskFixture {
    bench: Bench,
    control: FaultControl,
}

impl IoErrors {
    /// Runs the check.
    ///
    /// # Errors
    /// One sentence, when a process does not start or the database cannot be read.
    pub fn execute(&self, binary: &Path) -> Result<Report, String> {
        let mut report = Report::default();
        let mut have_all_occurred = true;
        let mut fixture = DiskFixture::new(binary, self.seed)?;
        for fault in FAULTS {
            let calls = match fault.needs_checkpoint() {
                true => self.checkpoint_calls,
                false => self.calls,
            };
            for is_permanent in [false, true] {
                let (summary, has_occurred) = fixture.run(fault, calls, is_permanent)?;
                have_all_occurred &= has_occurred || calls == 0;
                report.summary.push(summary);
            }
        }
        report.summary.push(fixture.fail_starts()?);
        fixture.bench.add_to(&mut report);
        let mut report = report.judge();
        report.is_good &= have_all_occurred;
        Ok(report)
    }
}

impl DiskFixture {
    fn new(binary: &Path, seed: u64) -> Result<Self, String> {
        let folder = ScratchDir::new("io-errors");
        let path = folder.join("control");
        let control = FaultControl::new(&path)?;
        let output = ("DISK_SHIM_CONTROL", path.as_path());
        let clients = Clients::new(1, "io", seed);
        let bench = disk::start_bench(binary, folder, output, clients)?;
        Ok(Self { bench, control })
    }

    /// Lets one call after the other fail. Returns a summary, and whether any has failed.
    fn run(
        &mut self,
        fault: Fault,
        calls: u32,
        is_permanent: bool,
    ) -> Result<(String, bool), String> {
        let duration = match is_permanent {
            true => "until repaired",
            false => "once",
        };
        let name = format!("{}, {duration}", fault.name);
        let before = self.bench.clients.count_unknown();
        let mut tally = Tally::default();
        for call in 1..=calls {
            self.control.arm(fault, call - 1, is_permanent)?;
            self.inject(fault, is_permanent, &mut tally)?;
            let place = format!("{name}, call {call}");
            let recovery = self.recover(&place);
            tally.recovery = tally.recovery.max(recovery);
            self.bench.compare(&place)?;
            if call.is_multiple_of(RESTART_INTERVAL) {
                self.restart(&format!("{place}, after a restart"))?;
            }
        }
        let Tally {
            occurred,
            failed_calls,
            recovery,
        } = tally;
        let unknown = self.bench.clients.count_unknown() - before;
        let recovery = recovery.as_millis();
        let summary = format!(
            "{name}: {occurred} of {calls} faults occurred, {failed_calls} calls failed, \
             {unknown} changes with 503, recovered within {recovery} ms"
        );
        Ok((summary, occurred > 0))
    }

    /// Asks for changes until the armed call has failed, and repairs the disk.
    fn inject(
        &mut self,
        fault: Fault,
        is_permanent: bool,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let changes = match fault.needs_checkpoint() {
            true => MAX_CHANGES_TO_CHECKPOINT,
            false => MAX_CHANGES,
        };
        for _ in 0..changes {
            self.step();
            if self.control.failures()? > 0 {
                break;
            }
        }
        if is_permanent {
            (0..CHANGES_WHILE_BROKEN).for_each(|_| _ = self.step());
        }
        let failures = self.control.disarm()?;
        tally.occurred += u32::from(failures > 0);
        tally.failed_calls += failures;
        Ok(())
    }

    /// Waits for the first acknowledgement, and returns the time that it took.
    fn recover(&mut self, name: &str) -> Duration {
        let repaired = Instant::now();
        while self.step() != Attempt::Acknowledged {
            if repaired.elapsed() > RECOVERY_TIMEOUT {
                let example = format!("{name}: no recovery");
                self.bench.findings.add_wrong(example);
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        repaired.elapsed()
    }

    fn step(&mut self) -> Attempt {
        self.bench.clients.0[0].step(&self.bench.service)
    }

    /// Kills the server, starts another one on a working disk, and compares.
    fn restart(&mut self, place: &str) -> Result<(), String> {
        self.bench.restart()?;
        self.bench.verify_trail(place)?;
        self.bench.compare(place).map(drop)
    }

    /// Lets one call after the other fail while a server starts on the files of a killed one. The start
    /// may fail, but the next one has to find everything.
    fn fail_starts(&mut self) -> Result<String, String> {
        let (mut occurred, mut failed) = (0, 0);
        for after in 0..MAX_START_CALLS {
            (0..3).for_each(|_| _ = self.step());
            self.bench.server = None;
            self.control.arm(ANY_CALL, after, false)?;
            let started = Server::start(&self.bench.program, "log");
            let failures = self.control.disarm()?;
            occurred += usize::from(failures > 0);
            failed += usize::from(started.is_err());
            drop(started);
            self.restart(&format!("a start, call {}", after + 1))?;
            if failures == 0 {
                break;
            }
        }
        Ok(format!(
            "{occurred} starts with a failing call, {failed} of them failed"
        ))
    }
}

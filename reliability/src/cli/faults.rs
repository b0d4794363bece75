//! `reliability faults`

use std::path::PathBuf;
use std::time::Duration;

use reliability::faults::{FaultRow, Faults};

use super::{built, tell_examples};

/// How often Postgres fails, and for whom.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The program; without it, the release binary is built
    #[arg(long)]
    binary: Option<PathBuf>,
    /// How often each fault comes
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Leave out the COMMITs that are cut at every byte
    #[arg(long)]
    without_cuts: bool,
    /// Clients that make changes meanwhile
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// Decides what clients do
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Does it, and prints what was found.
pub(super) fn run(args: &Args) -> Result<bool, String> {
    let report = Faults {
        binary: built(args.binary.as_ref())?,
        rounds: args.rounds,
        cuts: !args.without_cuts,
        clients: args.clients,
        seed: args.seed,
    }
    .execute()?;
    for row in &report.rows {
        print_row(row);
    }
    println!(
        "{} COMMITs cut; {} of the changes were made though nobody said so, none twice unless told",
        report.cuts, report.done_unsaid
    );
    println!(
        "{} changes acknowledged: {} lost, {} resurrected, {} wrong otherwise",
        report.acknowledged, report.lost, report.resurrected, report.wrong
    );
    tell_examples(&report.examples);
    Ok(report.is_good())
}

fn print_row(row: &FaultRow) {
    let [reads, writes] = [&row.reads_back, &row.writes_back].map(|times| middle_and_most(times));
    println!(
        "{}, {} times: {} right answers, {} times 503, the slowest after {} ms; \
         back for reads after {reads} ms, for writes after {writes} ms (p50/max)",
        row.name,
        row.rounds,
        row.good,
        row.unavailable,
        row.slowest.as_millis()
    );
}

fn middle_and_most(times: &[Duration]) -> String {
    let mut times: Vec<_> = times.iter().map(Duration::as_millis).collect();
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    format!("{middle}/{}", times.last().copied().unwrap_or_default())
}

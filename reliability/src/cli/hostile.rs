//! `reliability hostile`

use std::path::PathBuf;

use reliability::hostile::{Hostile, HostileReport, Kind};

use super::built;

/// Files that are left for everything but connections.
const OTHER_FILES: u64 = 600;

/// How many connections are held.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The program; without it, the release binary is built
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Connections on which nothing is sent
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Connections of each other kind: slow heads, second heads, bodies and readers
    #[arg(long, default_value_t = 2_500)]
    slow: usize,
}

/// Does it, and prints what was found.
pub(super) fn run(args: &Args) -> Result<bool, String> {
    check_files(args)?;
    let report = Hostile {
        binary: built(args.binary.as_ref())?,
        idle: args.connections,
        slow: args.slow,
    }
    .execute()?;
    print(&report);
    Ok(report.is_good())
}

/// The server needs two files for a connection, and inherits the limit.
fn check_files(args: &Args) -> Result<(), String> {
    let connections = args.connections.saturating_add(args.slow.saturating_mul(4));
    let wanted = (connections as u64).saturating_mul(2) + OTHER_FILES;
    let limit = match rlimit::increase_nofile_limit(wanted) {
        // Only root may go over the hard limit, and not everywhere.
        Ok(limit) if limit < wanted => rlimit::Resource::NOFILE
            .set(wanted, wanted)
            .map_or(Ok(limit), |()| Ok(wanted)),
        limit => limit,
    };
    match limit {
        Ok(limit) if limit >= wanted => Ok(()),
        Ok(limit) => Err(format!(
            "{connections} connections take {wanted} files, and the system allows {limit}: \
             raise the limit (ulimit -Hn), or ask for fewer with --connections and --slow"
        )),
        Err(error) => Err(format!("the limit of files cannot be read: {error}")),
    }
}

fn print(report: &HostileReport) {
    for row in &report.rows {
        let (name, opened) = (row.kind.name(), row.opened);
        let longest = row.longest.as_millis();
        match row.kind {
            Kind::SlowReader => println!("{name}: {opened} opened, {} refused", row.refused),
            _ => println!(
                "{name}: {opened} opened, {} refused; {} cut, the last after {longest} ms",
                row.refused, row.cut
            ),
        }
    }
    println!(
        "the server held {} files more with them, and {} when all should have been cut",
        report.held_most, report.held_last
    );
    let traffic = &report.traffic;
    let [middle, last] = [500, 990].map(|per_mille| traffic.within(per_mille).as_secs_f64() * 1e3);
    println!(
        "others: {} answers, {} failures, {:.3} % good; p50 {middle:.1} ms, p99 {last:.1} ms",
        traffic.took.len(),
        traffic.failed,
        traffic.good_per_cent()
    );
    println!("memory of the server, at most: {} MiB", report.memory >> 20);
}

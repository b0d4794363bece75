//! `reliability durability …`

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use reliability::durability::{IoErrors, Kills, PowerCut};

use super::options::Backend;
use super::{built, tell_examples};

/// What is done to the database.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
    /// The program; without it, the release binary is built
    #[arg(long, global = true)]
    binary: Option<PathBuf>,
    /// Clients, each doing one change at a time
    #[arg(long, global = true, default_value_t = 8)]
    clients: usize,
    /// Decides what clients do and where faults come
    #[arg(long, global = true, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Kill the server on SQLite (kill -9), or the Postgres server behind it, and look for what was
    /// acknowledged.
    Kills {
        /// Which of them
        #[arg(long, value_enum, default_value = "sqlite")]
        database: Backend,
        /// How many kills
        #[arg(long, default_value_t = 1000)]
        rounds: usize,
    },
    /// Cut the power of SQLite's disk at many moments of a recorded run, and look for what was
    /// acknowledged before.
    PowerCut {
        /// Changes that are recorded
        #[arg(long, default_value_t = 1500)]
        changes: usize,
        /// Moments at which the power is cut
        #[arg(long, default_value_t = 1000)]
        cut_points: usize,
        /// Random subsets of the unsynced that are tried at each, besides none and all of it
        #[arg(long, default_value_t = 3)]
        subsets: usize,
        /// Something that has to lose changes, and is good when it does
        #[arg(long, value_enum)]
        control: Option<Control>,
    },
    /// Let the k-th write or sync of SQLite's fail, for every k, once and until it is mended.
    IoErrors {
        /// How many calls of each kind fail, one after the other
        #[arg(long, default_value_t = 60)]
        calls: u32,
        /// The same for the calls of a checkpoint, which takes hundreds of changes to come
        #[arg(long, default_value_t = 8)]
        checkpoint_calls: u32,
    },
}

/// What makes sure that a loss would be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Control {
    /// The program with synchronous=NORMAL
    Normal,
    /// A disk that takes the syncs of the log for done
    LyingDisk,
}

/// Does it, and prints what was found.
pub(super) fn run(args: &Args) -> Result<bool, String> {
    let binary = built(args.binary.as_ref())?;
    match args.command {
        Command::Kills { database, rounds } => {
            let report = Kills {
                binary,
                postgres: database == Backend::Postgres,
                rounds,
                clients: args.clients,
                seed: args.seed,
            }
            .execute(|so_far| {
                eprintln!(
                    "{} kills, {} acknowledged",
                    so_far.rounds, so_far.acknowledged
                );
            })?;
            println!(
                "{} kills, {} changes acknowledged: {} lost, {} resurrected, {} wrong otherwise",
                report.rounds, report.acknowledged, report.lost, report.resurrected, report.wrong
            );
            println!(
                "{} changes without an answer or with 503, {} of them made all the same",
                report.unanswered, report.done_unsaid
            );
            tell_examples(&report.examples);
            Ok(report.is_good())
        }
        Command::PowerCut {
            changes,
            cut_points,
            subsets,
            control,
        } => {
            let report = PowerCut {
                binary,
                changes,
                cut_points,
                subsets,
                clients: args.clients,
                seed: args.seed,
                normal: control == Some(Control::Normal),
                ignore_syncs: control == Some(Control::LyingDisk),
            }
            .execute()?;
            println!(
                "{} changes acknowledged, in {} writes and syncs ({} syncs)",
                report.recorded, report.records, report.syncs
            );
            println!(
                "{} cut points, {} disks, {} acknowledged changes looked for: \
                 {} lost, {} resurrected, {} wrong otherwise",
                report.cut_points,
                report.disks,
                report.acknowledged,
                report.lost,
                report.resurrected,
                report.wrong
            );
            tell_examples(&report.examples);
            Ok(if control.is_some() {
                report.lost > 0
            } else {
                report.is_good()
            })
        }
        Command::IoErrors {
            calls,
            checkpoint_calls,
        } => {
            let report = IoErrors {
                binary,
                calls,
                checkpoint_calls,
                seed: args.seed,
            }
            .execute()?;
            for row in &report.rows {
                println!(
                    "{}: {} of {} faults met, {} calls failed, {} changes answered 503, \
                     recovered within {} ms",
                    row.name,
                    row.injected,
                    row.tried,
                    row.failed_calls,
                    row.refused,
                    row.recovery.as_millis()
                );
            }
            let (starts, failed) = report.starts;
            println!("{starts} starts with a failing call, {failed} of them given up");
            println!(
                "{} changes acknowledged: {} lost, {} resurrected, {} wrong otherwise",
                report.acknowledged, report.lost, report.resurrected, report.wrong
            );
            tell_examples(&report.examples);
            Ok(report.is_good())
        }
    }
}

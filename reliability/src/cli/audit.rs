//! `reliability audit`

use std::path::PathBuf;

use reliability::crashes::Crashes;

use super::options::{Backend, Database};
use super::{cargo, project_root};

/// How often the process is killed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the trail is
    #[arg(long, value_enum, default_value = "sqlite")]
    database: Backend,
    /// How often the process is killed
    #[arg(long, default_value_t = 1_000)]
    kills: usize,
    /// The program; without it, the release binary is built
    #[arg(long)]
    binary: Option<PathBuf>,
}

/// Kills the process, and prints what was seen. False when state and trail do not agree.
pub(super) fn run(args: &Args) -> Result<bool, String> {
    let binary = match &args.binary {
        Some(binary) => binary.clone(),
        None => {
            let root = project_root();
            cargo::build(&root, &root.join("target"), &[])?
        }
    };
    let database = Database::start(args.database)?;
    let crashes = Crashes {
        binary,
        database_url: database.url(),
        kills: args.kills,
    };
    let tally = crashes.execute()?;
    println!(
        "{} kills, {} changes acknowledged, {} interrupted, {} of those made, {} events",
        tally.kills, tally.acknowledged, tally.interrupted, tally.made, tally.events
    );
    for difference in &tally.differences {
        println!("difference: {difference}");
    }
    println!("verdict: {} differences", tally.differences.len());
    Ok(tally.differences.is_empty())
}

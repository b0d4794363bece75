//! `reliability check`

use std::path::PathBuf;
use std::time::Duration;

use reliability::checker::check;
use reliability::history::History;

use super::options::PromiseName;
use super::report;

/// What is judged, and by what.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file that `history --save` wrote
    file: PathBuf,
    /// What the answers are held to
    #[arg(long, value_enum, default_value = "linearizable")]
    promise: PromiseName,
    /// Seconds for which the history may be searched
    #[arg(long, default_value_t = 300)]
    check_seconds: u64,
}

/// Judges a history from a file.
pub(super) fn run(args: &Args) -> Result<bool, String> {
    let history =
        History::load(&args.file).map_err(|error| format!("{}: {error}", args.file.display()))?;
    let limit = Duration::from_secs(args.check_seconds);
    report(&check(&history, args.promise.into(), limit))
}

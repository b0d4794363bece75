//! `tokenhouse backup`

use std::path::PathBuf;

use clap::Args;

use super::output::say;
use crate::config::Config;
use crate::store;

/// What `backup` is told.
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// The file to write; it must not be there yet
    file: PathBuf,
}

/// Copies the SQLite file while services go on with it.
pub(super) fn backup(config: &Config, args: &BackupArgs) -> Result<(), String> {
    let bytes = store::backup(&config.database, &args.file).map_err(|error| error.to_string())?;
    say(&format!("{}: {bytes} bytes", args.file.display()));
    Ok(())
}

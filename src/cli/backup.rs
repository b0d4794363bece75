//! `tokenhouse backup` and `tokenhouse restore`

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

/// What `restore` is told.
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// A file that `backup` has written
    file: PathBuf,
    /// Put it in the place of a database that is there
    #[arg(long)]
    replace: bool,
}

/// Copies the SQLite file while services go on with it.
pub(super) fn backup(config: &Config, args: &BackupArgs) -> Result<(), String> {
    let bytes = store::backup(&config.database, &args.file).map_err(|error| error.to_string())?;
    say(&format!("{}: {bytes} bytes", args.file.display()));
    Ok(())
}

/// Puts a backup in the place of the SQLite file. No service may run on it.
pub(super) fn restore(config: &Config, args: &RestoreArgs) -> Result<(), String> {
    store::restore(&config.database, &args.file, args.replace).map_err(|error| error.to_string())
}

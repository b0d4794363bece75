//! `tokenhouse backup`

use std::path::PathBuf;

use clap::Args;

use super::common::with_auth;
use super::output::{note, say};
use crate::auth::Administrator;
use crate::config::Config;
use crate::store::{self, StoreError};

/// What `backup` is told.
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// The file to write; it must not be there yet
    file: PathBuf,
}

/// Copies the SQLite file while services go on with it. The copy is on record before it is made, in
/// the copy too.
pub(super) fn backup(config: &Config, args: &BackupArgs) -> Result<(), String> {
    if config.database.url.sqlite_path().is_none() {
        return copy(config, args);
    }
    match store::inspect(&config.database) {
        Ok(state) if state.pending == 0 => {}
        // As before an upgrade. A trail of other tables cannot be written.
        Ok(_) | Err(StoreError::Migration(_)) => {
            note("the tables are of another version, so the copy is not in the audit trail");
            return copy(config, args);
        }
        Err(error) => return Err(error.to_string()),
    }
    let record = |has_failed| {
        with_auth(config, async |auth| {
            let (operator, file) = (Administrator::operator(), args.file.to_string_lossy());
            Ok(auth.note_backup(&operator, &file, has_failed).await?)
        })
    };
    record(false)?;
    copy(config, args).inspect_err(|_problem| {
        // The copy that is on record was not made. Without this the trail says too much.
        let _recorded_or_not = record(true);
    })
}

fn copy(config: &Config, args: &BackupArgs) -> Result<(), String> {
    let bytes = store::backup(&config.database, &args.file).map_err(|error| error.to_string())?;
    say(&format!("{}: {bytes} bytes", args.file.display()));
    Ok(())
}

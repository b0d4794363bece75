//! `tokenhouse backup`

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::common::{Failure, with_auth};
use super::output::{Output, note};
use crate::auth::Administrator;
use crate::config::Config;
use crate::store::{self, StoreError};

/// The arguments of `backup`.
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// The file to write; it must not exist
    file: PathBuf,
}

/// The copy.
#[derive(Serialize)]
struct Copied<'a> {
    file: &'a str,
    bytes: u64,
}

/// Copies the SQLite file while services use it. The audit trail records the copy before it is made,
/// so that the event is in the copy as well.
pub(super) fn backup(config: &Config, args: &BackupArgs, output: Output) -> Result<(), Failure> {
    if config.database.url.sqlite_path().is_none() {
        return copy(config, args, output);
    }
    match store::inspect(&config.database) {
        Ok(state) if state.pending == 0 || state.is_empty => {}
        // For example before an upgrade: no event can be appended to another version of the tables.
        Ok(_) | Err(StoreError::Migration(_)) => {
            note("the tables are of another version, so the audit trail does not record the copy");
            return copy(config, args, output);
        }
        Err(error) => return Err(error.to_string().into()),
    }
    let record = |has_failed| {
        with_auth(config, async |auth| {
            let (operator, file) = (Administrator::operator(), args.file.to_string_lossy());
            Ok(auth
                .audit()
                .record_backup(operator.context(), &file, has_failed)
                .await?)
        })
    };
    record(false)?;
    copy(config, args, output).inspect_err(|_problem| {
        // The trail recorded a copy that was not made. If this fails too, the first error is still
        // reported.
        let _ = record(true);
    })
}

fn copy(config: &Config, args: &BackupArgs, output: Output) -> Result<(), Failure> {
    let bytes = store::backup(&config.database, &args.file).map_err(|error| error.to_string())?;
    let file = args.file.to_string_lossy();
    let copied = Copied { file: &file, bytes };
    output.print(&copied, &[&format!("{file}: {bytes} bytes")]);
    Ok(())
}

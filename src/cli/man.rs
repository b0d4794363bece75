//! `tokenhouse man`

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;

use super::Cli;
use super::output::complain;

/// What `man` is told.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The folder, which is made if it is not there; pages of the same names are written over
    folder: PathBuf,
}

/// Writes the pages: `tokenhouse.1`, and one such as `tokenhouse-user-create.1` for each command.
pub(super) fn run(args: &ManArgs) -> ExitCode {
    // The pages of `help` would be those of all commands once more.
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let written = fs::create_dir_all(&args.folder).and_then(|()| write(&program, &args.folder));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{}: {}", args.folder.display(), error.kind()));
            ExitCode::FAILURE
        }
    }
}

/// The page of a command, and those of the commands below it.
fn write(command: &Command, folder: &Path) -> io::Result<()> {
    for below in command.get_subcommands() {
        write(below, folder)?;
    }
    Man::new(command.clone())
        .source(concat!("Tokenhouse ", env!("CARGO_PKG_VERSION")))
        .generate_to(folder)?;
    Ok(())
}

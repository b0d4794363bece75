//! `tokenhouse openapi`, `completions` and `man`: artifacts generated from the program's
//! definition.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use serde::Serialize;

use super::Cli;
use super::common::counted;
use super::output::{Output, complain, print_json_text, print_verbatim};
use crate::config::Config;
use crate::http;
use crate::private_file::reason;

/// The arguments of `completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// The arguments of `man`.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The folder, which is created if it does not exist; existing pages are overwritten
    folder: PathBuf,
}

/// The result of `man`.
#[derive(Serialize)]
struct Written {
    folder: String,
    pages: usize,
}

/// Prints the OpenAPI document of a service with these settings.
pub(super) fn openapi(config: &Config) -> Result<(), String> {
    let document = http::openapi_document(&config.auth).to_pretty_json();
    print_json_text(&document.map_err(|error| error.to_string())?);
    Ok(())
}

/// Prints the completion script of a shell.
pub(super) fn completions(args: &CompletionsArgs) -> ExitCode {
    let mut command = Cli::command();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "tokenhouse", &mut script);
    print_verbatim(String::from_utf8_lossy(&script).trim_end());
    ExitCode::SUCCESS
}

/// Writes the man pages: `tokenhouse.1`, and one such as `tokenhouse-user-create.1` for each command.
pub(super) fn man(args: &ManArgs, output: Output) -> ExitCode {
    // Omits `help`, whose pages would repeat those of all commands.
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let written = fs::create_dir_all(&args.folder).and_then(|()| write(&program, &args.folder));
    match written {
        Ok(pages) => {
            let folder = args.folder.display().to_string();
            let sentence = format!("wrote {} to {folder}", counted(pages, "page"));
            output.confirm(&Written { folder, pages }, &sentence);
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&format!("{}: {}", args.folder.display(), reason(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Writes the page of a command, and those of its subcommands. Returns how many.
fn write(command: &Command, folder: &Path) -> io::Result<usize> {
    let mut pages = 1;
    for subcommand in command.get_subcommands() {
        pages += write(subcommand, folder)?;
    }
    Man::new(command.clone())
        .source(concat!("Tokenhouse ", env!("CARGO_PKG_VERSION")))
        .generate_to(folder)?;
    Ok(pages)
}

//! The `tokenhouse` program. Everything it does is in the library.

use std::process::ExitCode;

use clap::Parser;
use tokenhouse::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}

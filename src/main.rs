//! The `tokenhouse` program. Everything it does is in the library.

use std::process::ExitCode;

use tokenhouse::cli::Cli;

fn main() -> ExitCode {
    Cli::from_arguments().run()
}

//! `tokenhouse hash` and `tokenhouse verify`

use std::io::{IsTerminal, Read};
use std::process::ExitCode;

use clap::Args;
use secrecy::{ExposeSecret, SecretSlice};
use serde::Serialize;

use super::common::EXIT_BAD_INPUT;
use super::output::{Output, complain};
use crate::password::{Cost, PasswordError, hash_password, verify_password};

/// The arguments of `hash`.
#[derive(Debug, Args)]
pub(super) struct HashArgs {
    /// The cost of the hash, 4 to 31: each step doubles the work.
    #[arg(long, default_value = "12", value_parser = parse_cost)]
    cost: Cost,
}

/// The arguments of `verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The hash, in single quotes, as the shell expands dollar signs.
    #[arg(allow_hyphen_values = true)]
    hash: String,
}

/// The result of `hash`.
#[derive(Serialize)]
struct Hashed<'a> {
    hash: &'a str,
}

/// The result of `verify`.
#[derive(Serialize)]
struct Verified {
    matches: bool,
}

/// The result of either command when the password or the hash is not accepted.
#[derive(Serialize)]
struct Rejected {
    error: &'static str,
}

/// Prints the hash of the password.
pub(super) fn hash(args: &HashArgs, output: Output) -> ExitCode {
    run(output, |password| {
        let hash = hash_password(password, args.cost)?;
        output.print(&Hashed { hash: &hash }, &[&hash]);
        Ok(ExitCode::SUCCESS)
    })
}

/// Prints whether the password matches the hash.
pub(super) fn verify(args: &VerifyArgs, output: Output) -> ExitCode {
    run(output, |password| {
        let matches = verify_password(password, &args.hash)?;
        output.print(&Verified { matches }, &[&matches.to_string()]);
        Ok(if matches {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    })
}

fn parse_cost(text: &str) -> Result<Cost, String> {
    let number: u32 = text
        .parse()
        .map_err(|_error| "expected a whole number".to_owned())?;
    Cost::try_from(number).map_err(|error| error.to_string())
}

/// Reads the password, and runs the command.
fn run(output: Output, command: impl FnOnce(&[u8]) -> Result<ExitCode, PasswordError>) -> ExitCode {
    match read_password() {
        Ok(password) => command(password.expose_secret()).unwrap_or_else(|error| {
            let error = error.code();
            output.print(&Rejected { error }, &[&format!("error: {error}")]);
            ExitCode::from(EXIT_BAD_INPUT)
        }),
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(EXIT_BAD_INPUT)
        }
    }
}

/// All bytes of standard input, including a trailing newline; or a line typed without echo.
fn read_password() -> std::io::Result<SecretSlice<u8>> {
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Ok(rpassword::prompt_password("Password: ")?
            .into_bytes()
            .into());
    }
    let mut password = Vec::new();
    stdin.read_to_end(&mut password)?;
    Ok(password.into())
}

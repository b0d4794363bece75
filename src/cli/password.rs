//! `tokenhouse hash` and `tokenhouse verify`

use std::io::{IsTerminal, Read};
use std::process::ExitCode;

use clap::Args;
use secrecy::{ExposeSecret, SecretSlice};

use super::EXIT_BAD_INPUT;
use super::output::{complain, say};
use crate::password::{Cost, PasswordError, hash_password, verify_password};

/// The arguments of `hash`.
#[derive(Debug, Args)]
pub(super) struct HashArgs {
    /// The bcrypt cost, 4 to 31. Each step doubles the work.
    #[arg(long, default_value = "12", value_parser = parse_cost)]
    cost: Cost,
}

/// The arguments of `verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The hash, in single quotes because of its dollar signs.
    #[arg(allow_hyphen_values = true)]
    hash: String,
}

/// Prints the hash of the password.
pub(super) fn hash(args: &HashArgs) -> ExitCode {
    print_result(|password| Ok((hash_password(password, args.cost)?, ExitCode::SUCCESS)))
}

/// Prints whether the password matches the hash.
pub(super) fn verify(args: &VerifyArgs) -> ExitCode {
    print_result(|password| {
        let matches = verify_password(password, &args.hash)?;
        let code = if matches {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
        Ok((matches.to_string(), code))
    })
}

fn parse_cost(text: &str) -> Result<Cost, String> {
    let number: u32 = text
        .parse()
        .map_err(|_error| "expected a whole number".to_owned())?;
    Cost::try_from(number).map_err(|error| error.to_string())
}

/// Reads the password, and prints the result or the error on one line.
fn print_result(
    compute: impl FnOnce(&[u8]) -> Result<(String, ExitCode), PasswordError>,
) -> ExitCode {
    let outcome = read_password().map(|password| {
        let (line, code) = compute(password.expose_secret()).unwrap_or_else(|error| {
            (
                format!("error: {}", error.code()),
                ExitCode::from(EXIT_BAD_INPUT),
            )
        });
        say(&line);
        code
    });
    outcome.unwrap_or_else(|error| {
        complain(&error.to_string());
        ExitCode::from(EXIT_BAD_INPUT)
    })
}

/// Reads all of standard input, including a newline at the end, or a line from the terminal without echo.
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

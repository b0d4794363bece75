//! `tokenhouse hash` and `tokenhouse verify`

use std::io::{IsTerminal, Read};
use std::process::ExitCode;

use clap::Args;
use secrecy::{ExposeSecret, SecretSlice};

use super::EXIT_BAD_INPUT;
use super::output::{complain, say};
use crate::password::{Cost, PasswordError, hash_password, verify_password};

/// What `hash` is told.
#[derive(Debug, Args)]
pub(super) struct HashArgs {
    /// How much work the hash is, 4 to 31: one more doubles it.
    #[arg(long, default_value = "12", value_parser = parse_cost)]
    cost: Cost,
}

/// What `verify` is told.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The hash, in single quotes: the shell would expand its dollar signs.
    #[arg(allow_hyphen_values = true)]
    hash: String,
}

/// Prints the hash of the password.
pub(super) fn hash(args: &HashArgs) -> ExitCode {
    answer_with(|password| Ok((hash_password(password, args.cost)?, ExitCode::SUCCESS)))
}

/// Prints whether the password is that of the hash.
pub(super) fn verify(args: &VerifyArgs) -> ExitCode {
    answer_with(|password| {
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

/// Reads the password, and prints one line of answer or of error.
fn answer_with(
    question: impl FnOnce(&[u8]) -> Result<(String, ExitCode), PasswordError>,
) -> ExitCode {
    let outcome = read_password().map(|password| {
        let (line, code) = question(password.expose_secret()).unwrap_or_else(|error| {
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

/// Every byte of standard input, a newline at the end included; or a line typed without echo.
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

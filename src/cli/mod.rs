//! The command line: one file for each verb.

mod audit;
mod domain;
mod healthcheck;
mod logging;
mod migrate;
mod openapi;
mod password;
mod serve;
mod token;
mod user;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Config;

/// The exit code for a setting, an argument or an input that cannot be used.
const EXIT_BAD_INPUT: u8 = 2;

/// A self-hosted token-authentication service.
///
/// Settings come from the environment and a file .env; .env.example lists them all. Without a
/// command, it serves.
#[derive(Debug, Parser)]
#[command(name = "tokenhouse", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve over HTTP until SIGTERM or Ctrl-C (what happens without a command).
    Serve,
    /// Bring the tables of the database up to date, and print what was done.
    Migrate,
    /// Ask a running service whether it is ready: exit code 0 if so, 1 if not.
    Healthcheck,
    /// Print the OpenAPI document.
    Openapi,
    /// See to users.
    #[command(subcommand)]
    User(user::UserCommand),
    /// See to login tokens.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// See to the audit trail.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Hash a password, read from standard input to its end, as passlib does.
    Hash(password::HashArgs),
    /// Verify a password, read from standard input to its end, against a hash: prints true, false,
    /// or why the question has no answer (exit code 0, 1, 2).
    Verify(password::VerifyArgs),
}

impl Cli {
    /// Does what was asked for. Errors are one line on standard error.
    pub fn run(self) -> ExitCode {
        match self.command.unwrap_or(Command::Serve) {
            Command::Serve => with_config(serve::run),
            Command::Migrate => with_config(migrate::run),
            Command::Healthcheck => with_config(healthcheck::run),
            Command::Openapi => openapi::run(),
            Command::User(command) => with_config(|config| user::run(config, command)),
            Command::Token(command) => with_config(|config| token::run(config, command)),
            Command::Audit(command) => with_config(|config| audit::run(config, command)),
            Command::Hash(args) => password::hash(&args),
            Command::Verify(args) => password::verify(&args),
        }
    }
}

/// Runs a command that needs the settings.
fn with_config(command: impl FnOnce(&Config) -> Result<(), String>) -> ExitCode {
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("tokenhouse: {error}");
            return ExitCode::from(EXIT_BAD_INPUT);
        }
    };
    logging::start(&config);
    match command(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("tokenhouse: {problem}");
            ExitCode::FAILURE
        }
    }
}

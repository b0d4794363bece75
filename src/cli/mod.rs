//! The command line: one file for each verb.

mod audit;
mod backup;
mod common;
mod completions;
mod config;
mod doctor;
mod healthcheck;
mod import;
mod key;
mod logging;
mod man;
mod migrate;
mod openapi;
mod output;
mod password;
mod restore;
mod serve;
mod token;
mod user;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, ConfigErrors, EnvFile};
use output::{Output, complain, note};

/// The exit code for a setting, an argument or an input that cannot be used.
const EXIT_BAD_INPUT: u8 = 2;

/// Why a command failed, as it is printed, and the exit code.
struct Failure {
    problem: String,
    code: u8,
}

impl From<String> for Failure {
    fn from(problem: String) -> Self {
        Self { problem, code: 1 }
    }
}

/// A self-hosted token-authentication service.
///
/// Settings come from the environment and the file .env of the working directory; .env.example
/// lists them all. Without a command, it serves. Exit codes: 0 when all went well, 1 when something did not, 2 for a setting,
/// an argument or an input that cannot be used.
#[derive(Debug, Parser)]
#[command(name = "tokenhouse", version)]
pub struct Cli {
    /// Print JSON, a document a line, in place of columns
    #[arg(long, global = true)]
    json: bool,
    /// Read settings from this file in place of .env; only its owner (you or root) may be able to
    /// write to it
    #[arg(long, global = true, value_name = "FILE")]
    env_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve over HTTP until SIGTERM or Ctrl-C (what happens without a command).
    Serve,
    /// Bring the tables of the database up to date, and print what was done.
    Migrate(migrate::MigrateArgs),
    /// Ask a running service whether it is ready: exit code 0 if so, 1 if not.
    Healthcheck,
    /// See to users.
    #[command(subcommand)]
    User(user::UserCommand),
    /// See to login tokens.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// See to API keys.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// See to the audit trail.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Copy the SQLite file, also while services run on it.
    Backup(backup::BackupArgs),
    /// Put a copy in the place of the SQLite file. No service may run on it. All login tokens and
    /// API keys end, and no id is given out for the second time.
    Restore(restore::RestoreArgs),
    /// Do to a database that was put back by other means, such as `pg_restore`, what restore does:
    /// end all login tokens and API keys, and let no id be given out for the second time.
    AfterRestore(restore::AfterRestoreArgs),
    /// See to the settings.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Look for what is wrong with an installation, and say what to do: exit code 1 if anything is.
    Doctor,
    /// Take over users with their password hashes, and live login tokens, from the tables of a
    /// FastAPI or Django program or from a file. Can be run again at any time: who is there already
    /// stays as they are.
    Import(import::ImportArgs),
    /// Hash a password, read from standard input to its end, as passlib does.
    Hash(password::HashArgs),
    /// Verify a password, read from standard input to its end, against a hash: prints true, false,
    /// or why the question has no answer (exit code 0, 1, 2).
    Verify(password::VerifyArgs),
    /// Print the OpenAPI document.
    Openapi,
    /// Print a script that completes commands in a shell.
    Completions(completions::CompletionsArgs),
    /// Write a man page for each command into a folder.
    Man(man::ManArgs),
}

impl Cli {
    /// Reads the arguments of the process. Ends it when they ask for help, or cannot be used.
    pub fn from_arguments() -> Self {
        Self::try_parse().unwrap_or_else(|error| {
            if !error.use_stderr() {
                error.exit();
            }
            error.render().to_string().lines().for_each(note);
            std::process::exit(error.exit_code())
        })
    }

    /// Does what was asked for. Errors are a line each on standard error.
    pub fn run(self) -> ExitCode {
        let output = Output { json: self.json };
        let file = self.env_file.as_deref();
        match self.command.unwrap_or(Command::Serve) {
            Command::Serve => run_with(file, serve::run),
            Command::Migrate(args) => run_with(file, |config| migrate::run(config, &args, output)),
            Command::Healthcheck => run_with(file, healthcheck::run),
            Command::User(command) => run_with(file, |config| user::run(config, command, output)),
            Command::Token(command) => run_with(file, |config| token::run(config, command, output)),
            Command::Key(command) => run_with(file, |config| key::run(config, command, output)),
            Command::Audit(command) => run_with(file, |config| audit::run(config, command, output)),
            Command::Backup(args) => run_with(file, |config| backup::backup(config, &args)),
            Command::Restore(args) => run_with(file, |config| restore::run(config, &args, output)),
            Command::AfterRestore(args) => {
                run_with(file, |config| restore::run_after(config, &args, output))
            }
            Command::Config(command) => run_with(file, |config| {
                config::run(config, &command, output);
                Ok::<(), String>(())
            }),
            Command::Doctor => run_with(file, |config| doctor::run(config, output)),
            Command::Import(args) => run_with(file, |config| import::run(config, args, output)),
            Command::Hash(args) => password::hash(&args),
            Command::Verify(args) => password::verify(&args),
            Command::Openapi => openapi::run(),
            Command::Completions(args) => completions::run(&args),
            Command::Man(args) => man::run(&args),
        }
    }
}

/// Runs a command that needs the settings.
fn run_with<F: Into<Failure>>(
    env_file: Option<&Path>,
    command: impl FnOnce(&Config) -> Result<(), F>,
) -> ExitCode {
    let config = match read_settings(env_file) {
        Ok(config) => config,
        Err(errors) => {
            errors.iter().for_each(|error| complain(&error.to_string()));
            return ExitCode::from(EXIT_BAD_INPUT);
        }
    };
    match command(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let Failure { problem, code } = failure.into();
            complain(&problem);
            ExitCode::from(code)
        }
    }
}

/// Reads the settings, starts the log, and says which file was read.
fn read_settings(env_file: Option<&Path>) -> Result<Config, ConfigErrors> {
    let file = match env_file {
        Some(path) => EnvFile::at(path)?,
        None => EnvFile::of_working_directory()?,
    };
    if let EnvFile::NotRead(why) = &file {
        // Before the log, which may be told to say nothing.
        complain(&why.to_string());
    }
    let config = Config::from_env_and(&file)?;
    logging::start(&config);
    if let EnvFile::Read(file) = &file {
        log::info!("settings: read {}", file.path().display());
    }
    Ok(config)
}

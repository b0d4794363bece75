//! The command line: one file for each verb.

mod app;
mod artifacts;
mod audit;
mod backup;
mod common;
mod config;
mod dev;
mod device;
mod doctor;
mod healthcheck;
mod import;
mod import_seed;
mod key;
mod keys;
mod mail;
mod mail_queue;
mod migrate;
mod output;
mod password;
mod prompt;
mod restore;
mod serve;
mod session;
mod table;
mod tail;
mod token;
mod usage;
mod user;
mod user_access;
mod user_list;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ColorChoice, Parser, Subcommand};

use crate::config::{Config, ConfigErrors, EnvFile};
use common::{EXIT_BAD_INPUT, Failure};
use output::{Output, complain, start_log, warn};

/// The version, the commit that was built, and the features.
const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (",
    env!("BUILD_DESCRIPTION"),
    ")"
);

/// A self-hosted token-authentication service.
///
/// Settings come from the environment and the file .env in the working directory; tokenhouse config
/// list shows all of them. Without a command, it serves.
///
/// Exit codes: 0 for success, 1 if the command failed or was refused, or what it names does not exist,
/// 2 for a setting, an argument or an input that cannot be used, 3 if audit verify cannot compare, 130
/// after Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "tokenhouse", version = VERSION)]
pub struct Cli {
    /// Print newline-delimited JSON; on standard error too, with the member error, warning or note
    #[arg(long, global = true)]
    json: bool,
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value_t = ColorChoice::Auto,
        hide_default_value = true,
        hide_possible_values = true,
        help = "When to use colours: always, never or, by default, auto: at a terminal, unless \
                NO_COLOR, CLICOLOR=0 or TERM=dumb is set"
    )]
    color: ColorChoice,
    /// Read settings from this file instead of .env; it must be writable only by its owner, who must be
    /// you or root
    #[arg(long, global = true, value_name = "FILE")]
    env_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve over HTTP until SIGTERM or Ctrl-C (the default command).
    Serve,
    /// Serve a temporary database for the tests of apps, until standard input ends: users without hash
    /// costs, a clock that can be moved, and resets. The first line of output is JSON with the URL and
    /// the keys.
    Dev(dev::DevArgs),
    /// Run pending migrations of the database, and print them.
    Migrate(migrate::MigrateArgs),
    /// Check whether a running service is ready: exit code 0 if so, 1 if not.
    Healthcheck,
    /// Manage users.
    #[command(subcommand)]
    User(user::UserCommand),
    /// Manage login tokens.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// List and end the sessions of a user.
    #[command(subcommand)]
    Session(session::SessionCommand),
    /// List and forget the trusted devices of a user, on which sign-ins need no second factor.
    #[command(subcommand)]
    Device(device::DeviceCommand),
    /// Manage API keys.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Rotate the keys of the service.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Manage apps: programs that own keys without being people.
    #[command(subcommand)]
    App(app::AppCommand),
    /// Check that mails can be sent, and manage those that wait or have failed.
    #[command(subcommand)]
    Mail(mail::MailCommand),
    /// Read, verify and maintain the audit trail.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Copy the SQLite file, even while services use it.
    Backup(backup::BackupArgs),
    /// Restore the SQLite file from a copy. No service may use the database. All login tokens and API
    /// keys end, and no id is used twice.
    Restore(restore::RestoreArgs),
    /// Complete a restore by other means, such as `pg_restore`: end all login tokens and API keys, and
    /// ensure that no id is used twice.
    AfterRestore(restore::AfterRestoreArgs),
    /// Check, show and list the settings, or write a settings file.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Find problems of an installation, and suggest solutions. Exit code 0 if there is none, also with
    /// warnings, 1 if there is any, and 2 for an invalid setting.
    Doctor(doctor::DoctorArgs),
    /// Import users with their password hashes, and valid login tokens, from the tables of a FastAPI or
    /// Django program or from a file. Can be repeated at any time: existing users stay unchanged.
    Import(import::ImportArgs),
    /// Hash a password, read from standard input to its end, as passlib does.
    Hash(password::HashArgs),
    /// Verify a password, read from standard input to its end, against a hash: prints true, false or
    /// an error (exit code 0, 1 or 2).
    Verify(password::VerifyArgs),
    /// Print the OpenAPI document of a service with the current settings.
    Openapi,
    /// Print a completion script for a shell.
    Completions(artifacts::CompletionsArgs),
    /// Write a man page for each command to a folder.
    Man(artifacts::ManArgs),
}

impl Cli {
    /// Parses the arguments of the process. Ends it when they are invalid or request help.
    pub fn from_arguments() -> Self {
        usage::parse()
    }

    /// Runs the command. Each error is a line on standard error.
    pub fn run(self) -> ExitCode {
        let output = Output::new(self.json, self.color);
        let file = self.env_file.as_deref();
        match self.command.unwrap_or(Command::Serve) {
            Command::Serve => run_with(file, output, serve::run),
            Command::Dev(args) => match dev::run(file, args, output) {
                Ok(()) => ExitCode::SUCCESS,
                Err(failure) => failure.report(),
            },
            Command::Migrate(args) => {
                run_with(file, output, |config| migrate::run(config, &args, output))
            }
            Command::Healthcheck => run_with(file, output, healthcheck::run),
            Command::User(command) => {
                run_with(file, output, |config| user::run(config, command, output))
            }
            Command::Token(command) => {
                run_with(file, output, |config| token::run(config, command, output))
            }
            Command::Session(command) => {
                run_with(file, output, |config| session::run(config, command, output))
            }
            Command::Device(command) => {
                run_with(file, output, |config| device::run(config, command, output))
            }
            Command::Key(command) => {
                run_with(file, output, |config| key::run(config, command, output))
            }
            Command::Keys(command) => {
                run_with(file, output, |config| keys::run(config, &command, output))
            }
            Command::App(command) => {
                run_with(file, output, |config| app::run(config, command, output))
            }
            Command::Mail(command) => {
                run_with(file, output, |config| mail::run(config, &command, output))
            }
            Command::Audit(command) => {
                run_with(file, output, |config| audit::run(config, command, output))
            }
            Command::Backup(args) => {
                run_with(file, output, |config| backup::backup(config, &args, output))
            }
            Command::Restore(args) => {
                run_with(file, output, |config| restore::run(config, &args, output))
            }
            Command::AfterRestore(args) => run_with(file, output, |config| {
                restore::run_after(config, &args, output)
            }),
            Command::Config(command) => config::run(file, &command, output),
            Command::Doctor(args) => {
                run_with(file, output, |config| doctor::run(config, &args, output))
            }
            Command::Import(args) => {
                run_with(file, output, |config| import::run(config, &args, output))
            }
            Command::Hash(args) => password::hash(&args, output),
            Command::Verify(args) => password::verify(&args, output),
            Command::Openapi => run_with(file, output, artifacts::openapi),
            Command::Completions(args) => artifacts::completions(&args),
            Command::Man(args) => artifacts::man(&args, output),
        }
    }
}

/// Runs a command that requires the settings.
fn run_with<F: Into<Failure>>(
    env_file: Option<&Path>,
    output: Output,
    command: impl FnOnce(&Config) -> Result<(), F>,
) -> ExitCode {
    let config = match read_settings(env_file, output) {
        Ok(config) => config,
        Err(errors) => {
            errors.iter().for_each(|error| complain(&error.to_string()));
            return ExitCode::from(EXIT_BAD_INPUT);
        }
    };
    match command(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.into().report(),
    }
}

/// Reads the settings, starts the log, and logs which file was read.
fn read_settings(env_file: Option<&Path>, output: Output) -> Result<Config, ConfigErrors> {
    let file = match env_file {
        Some(path) => EnvFile::from_path(path)?,
        None => EnvFile::from_working_directory()?,
    };
    if let EnvFile::Ignored(why) = &file {
        // Not through the log, which may be filtered.
        warn(&why.to_string());
    }
    let config = Config::from_env_and(&file)?;
    start_log(&config, output);
    if let EnvFile::Read(file) = &file {
        log::info!("settings: read {}", file.path().display());
    }
    Ok(config)
}

//! Code shared by the commands: failures, and the database without the server.

use std::process::ExitCode;

use chrono::TimeDelta;
use clap::Args;

use super::output::{complain, note};
use crate::auth::{AuditContext, Auth, OpenError, RevokedCredentials};
use crate::config::{Config, TimeSpan, TimeUnit};
use crate::error::{Error, FieldError, InvalidField};
use crate::import::grouped;
use crate::scope;

/// The exit code of a command that failed or was refused, or names what does not exist.
pub(super) const EXIT_FAILED: u8 = 1;

/// The exit code for a setting, an argument or an input that cannot be used.
pub(super) const EXIT_BAD_INPUT: u8 = 2;

/// The printed reason why a command failed, and the exit code.
#[derive(Debug)]
pub(super) struct Failure {
    problem: String,
    code: u8,
}

impl Failure {
    /// A failure with an exit code of its own.
    pub(super) fn with_code(problem: impl Into<String>, code: u8) -> Self {
        Self {
            problem: problem.into(),
            code,
        }
    }

    /// An argument or input cannot be used.
    pub(super) fn bad_input(problem: impl Into<String>) -> Self {
        Self::with_code(problem, EXIT_BAD_INPUT)
    }

    /// Prints the reason, and returns the exit code.
    pub(super) fn report(self) -> ExitCode {
        complain(&self.problem);
        ExitCode::from(self.code)
    }
}

impl From<String> for Failure {
    fn from(problem: String) -> Self {
        Self::with_code(problem, EXIT_FAILED)
    }
}

impl From<&str> for Failure {
    fn from(problem: &str) -> Self {
        problem.to_owned().into()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match &error {
            Error::InvalidInput(fields) => {
                let fields: Vec<String> = fields.iter().map(in_words).collect();
                Self::bad_input(fields.join("; "))
            }
            Error::ScopeNotHeld(_) => format!("{error}: grant it first, with user grant").into(),
            Error::AppName => Self::bad_input(error.to_string()),
            _ => error.to_string().into(),
        }
    }
}

/// What is wrong with a field, with its name at the command line.
fn in_words(error: &FieldError) -> String {
    let FieldError { field, reason, .. } = error;
    match *field {
        "new_password" => format!("password: {reason}"),
        field => format!("{field}: {reason}"),
    }
}

/// The arguments of commands that delete old rows.
#[derive(Debug, Args)]
pub(super) struct ConfirmArgs {
    /// Trust the clock of this machine, even if it is far ahead of the latest time in the database
    #[arg(long)]
    confirm: bool,
}

impl ConfirmArgs {
    /// Compares the clock with the latest recorded time, or trusts it.
    pub(super) async fn check_clock(&self, auth: &Auth) -> Result<(), Failure> {
        if self.confirm {
            auth.confirm_clock().await?;
        }
        if auth.check_clock().await? {
            return Ok(());
        }
        Err(Failure::from(
            "the clock is more than seven days ahead of the latest time in the database, so \
             nothing was deleted; if it is right, use --confirm",
        ))
    }
}

/// Opens the existing database without the server, and runs a command that may append to the audit
/// trail.
pub(super) fn with_auth(
    config: &Config,
    command: impl AsyncFnOnce(Auth) -> Result<(), Failure>,
) -> Result<(), Failure> {
    with_auth_creating(config, false, command)
}

/// Like [`with_auth`]. With `creates`, it creates and migrates the database first, unless the settings
/// disable that: the command may be the first one on it.
pub(super) fn with_auth_creating(
    config: &Config,
    creates: bool,
    command: impl AsyncFnOnce(Auth) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let opened = if creates && config.database.auto_migrate {
        Auth::open(config)
    } else {
        Auth::open_existing(config)
    };
    run(opened, async |auth| {
        auth.audit().begin().await?;
        command(auth).await
    })
}

/// Like [`with_auth`], for a command that works even if no event can be appended to the audit trail.
pub(super) fn with_reader(
    config: &Config,
    command: impl AsyncFnOnce(Auth) -> Result<(), Failure>,
) -> Result<(), Failure> {
    run(Auth::open_existing(config), command)
}

fn run(
    opened: Result<Auth, OpenError>,
    command: impl AsyncFnOnce(Auth) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let auth = opened.map_err(|error| error.to_string())?;
    let run = async {
        let operator = AuditContext::operator();
        auth.audit()
            .record_migrations(&operator, auth.store().migrated())
            .await?;
        let outcome = command(auth.clone()).await;
        // The command has done its work; the cause of an error is in the log.
        let _ = auth.flush().await;
        outcome
    };
    block_on(run)?
}

/// Runs a future to its end.
pub(super) fn block_on<F: Future>(future: F) -> Result<F::Output, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| error.to_string())?;
    Ok(runtime.block_on(future))
}

/// Converts the scopes of a command line to the form in which they are stored.
pub(super) fn check_scopes(scopes: &[String]) -> Result<String, Failure> {
    let scopes = scope::normalise(&scopes.join(" "));
    scopes
        .map_err(|error| Error::from(FieldError::new("scopes", InvalidField::Scopes(error))).into())
}

/// The id of a user who is named by an e-mail address or the id itself, also of a deleted user.
pub(super) async fn find_id(auth: &Auth, user: &str) -> Result<i64, Failure> {
    match user.parse() {
        Ok(id) => Ok(id),
        // No address is a number.
        Err(_not_a_number) => Ok(auth.find_user_id(user).await?),
    }
}

/// Parses a length of time such as `30d`, `12h`, `15m` or `90s`. `plain` is the unit of a number
/// without one.
pub(super) fn parse_span(text: &str, plain: TimeUnit) -> Option<TimeDelta> {
    let span = TimeSpan::parse(text, plain).ok()?;
    TimeDelta::from_std(span.as_duration()).ok()
}

/// A number with its noun: `1 login token`, `2,000 login tokens`.
pub(super) fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number as u64))
}

/// The end of a sentence about a change: which credentials it has ended; empty if there were none.
pub(super) fn and_ended(revoked: RevokedCredentials) -> String {
    let tokens = counted(revoked.sessions(), "login token");
    let keys = counted(revoked.keys(), "API key");
    match (revoked.sessions(), revoked.keys()) {
        (0, 0) => String::new(),
        (_, 0) => format!("; {tokens} ended"),
        (0, _) => format!("; {keys} ended"),
        _ => format!("; {tokens} and {keys} ended"),
    }
}

/// Says on standard error that a list is longer than what was printed. `total` is how many rows there
/// are in all, if that is known, and `after` where the rest begins.
pub(super) fn note_more(shown: usize, total: Option<i64>, noun: &str, after: &str) {
    let shown = grouped(shown as u64);
    let part = match total.and_then(|total| u64::try_from(total).ok()) {
        Some(total) => format!("{shown} of {} {noun}", grouped(total)),
        None => format!("the first {shown} {noun}"),
    };
    note(&format!("{part} \u{2014} continue with --after {after}"));
}

#[cfg(test)]
mod tests {
    use super::{counted, grouped};

    #[test]
    fn numbers_are_grouped_and_agree_with_their_noun() {
        for (number, expected) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (300_000, "300,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), expected);
        }
        assert_eq!(counted(1, "API key"), "1 API key");
        assert_eq!(counted(0, "API key"), "0 API keys");
    }
}

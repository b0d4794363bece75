//! Code shared by the commands that use the database without the server.

use std::io::{IsTerminal, Read};

use clap::Args;
use secrecy::SecretString;

use crate::auth::{AuditContext, Auth};
use crate::config::Config;
use crate::error::Error;

/// The printed reason why a command failed.
pub(super) struct Problem(pub(super) String);

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self(error.to_string())
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
    pub(super) async fn check_clock(&self, auth: &Auth) -> Result<(), Problem> {
        if self.confirm {
            auth.confirm_clock().await?;
        }
        if auth.check_clock().await? {
            return Ok(());
        }
        Err(Problem(
            "the clock is more than seven days ahead of the latest time in the database, so \
             nothing was deleted; if it is right, use --confirm"
                .to_owned(),
        ))
    }
}

/// Opens the database without the server, and runs a command that may append to the audit trail.
pub(super) fn with_auth(
    config: &Config,
    command: impl AsyncFnOnce(Auth) -> Result<(), Problem>,
) -> Result<(), String> {
    with_reader(config, async |auth| {
        auth.audit().begin().await?;
        command(auth).await
    })
}

/// Like [`with_auth`], for a command that works even if no event can be appended to the audit trail.
pub(super) fn with_reader(
    config: &Config,
    command: impl AsyncFnOnce(Auth) -> Result<(), Problem>,
) -> Result<(), String> {
    let auth = Auth::open(config).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| error.to_string())?;
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
    runtime.block_on(run).map_err(|Problem(problem)| problem)
}

/// Reads a new password: twice without echo at a terminal, otherwise from standard input to its
/// end, without one trailing line break.
pub(super) fn read_new_password() -> Result<SecretString, Problem> {
    let failed = |error: std::io::Error| Problem(error.to_string());
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        let first = rpassword::prompt_password("Password: ").map_err(failed)?;
        let second = rpassword::prompt_password("Confirm password: ").map_err(failed)?;
        if first != second {
            return Err(Problem("the two passwords differ".to_owned()));
        }
        return Ok(first.into());
    }
    let mut password = String::new();
    stdin.read_to_string(&mut password).map_err(failed)?;
    if password.ends_with('\n') {
        password.pop();
        if password.ends_with('\r') {
            password.pop();
        }
    }
    Ok(password.into())
}

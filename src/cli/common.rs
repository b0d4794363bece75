//! What the commands share that work on the database without the server.

use std::io::{IsTerminal, Read};

use clap::Args;
use secrecy::SecretString;

use crate::auth::{Auth, Origin};
use crate::config::Config;
use crate::error::Error;

/// Why a command failed, as it is printed.
pub(super) struct Problem(pub(super) String);

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

/// For commands that delete what is old.
#[derive(Debug, Args)]
pub(super) struct ConfirmArgs {
    /// The clock of this machine is right, though it is far from the latest time that was seen
    #[arg(long)]
    confirm: bool,
}

impl ConfirmArgs {
    /// Compares the clock with the latest time that was seen, or takes it for right.
    pub(super) async fn check_clock(&self, auth: &Auth) -> Result<(), Problem> {
        if self.confirm {
            auth.confirm_clock().await?;
        }
        if auth.check_clock().await? {
            return Ok(());
        }
        Err(Problem(
            "the clock is more than seven days ahead of the latest time that was seen, so nothing \
             was deleted; if it is right, --confirm"
                .to_owned(),
        ))
    }
}

/// Opens the service on its database, without the server, and runs a command that appends to the
/// audit trail.
pub(super) fn with_auth(
    config: &Config,
    command: impl AsyncFnOnce(Auth) -> Result<(), Problem>,
) -> Result<(), String> {
    with_reader(config, async |auth| {
        auth.begin_trail().await?;
        command(auth).await
    })
}

/// As [`with_auth`], for a command that can do with a trail that nothing can be appended to.
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
        let operator = Origin::operator();
        auth.note_migrations(&operator, auth.migrated()).await?;
        command(auth.clone()).await
    };
    runtime.block_on(run).map_err(|Problem(problem)| problem)
}

/// Reads a password: a line that is typed twice without echo, or standard input to its end but for
/// one line break.
pub(super) fn read_new_password() -> Result<SecretString, Problem> {
    let failed = |error: std::io::Error| Problem(error.to_string());
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        let first = rpassword::prompt_password("Password: ").map_err(failed)?;
        let second = rpassword::prompt_password("Once more: ").map_err(failed)?;
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

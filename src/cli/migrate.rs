//! `tokenhouse migrate`

use clap::Args;
use serde::Serialize;

use super::common::{Failure, with_auth};
use super::output::Output;
use crate::auth::AuditContext;
use crate::config::Config;
use crate::store;

/// The arguments of `migrate`.
#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    /// Only print how many migrations are pending: exit code 1 if there are any
    #[arg(long)]
    status: bool,
}

/// A completed migration.
#[derive(Serialize)]
struct Ran<'a> {
    ran: &'a str,
}

/// The number of pending migrations.
#[derive(Serialize)]
struct Pending {
    pending: usize,
}

/// Runs the pending migrations, and prints them.
pub(super) fn run(config: &Config, args: &MigrateArgs, output: Output) -> Result<(), Failure> {
    if args.status {
        return status(config, output);
    }
    let names = store::migrate(&config.database).map_err(|error| error.to_string())?;
    if names.is_empty() {
        output.print(&Pending { pending: 0 }, &["up to date"]);
    }
    for name in &names {
        output.print(&Ran { ran: name }, &[&format!("ran {name}")]);
    }
    if names.is_empty() {
        return Ok(());
    }
    with_auth(config, async |auth| {
        Ok(auth
            .audit()
            .record_migrations(&AuditContext::operator(), &names)
            .await?)
    })
}

fn status(config: &Config, output: Output) -> Result<(), Failure> {
    let pending = store::inspect(&config.database)
        .map_err(|error| error.to_string())?
        .pending;
    output.print(&Pending { pending }, &[&format!("{pending} pending")]);
    match pending {
        0 => Ok(()),
        _ => Err("the tables are not up to date".into()),
    }
}

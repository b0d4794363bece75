//! `tokenhouse session …`

use clap::{Args, Subcommand};
use serde::Serialize;

use super::common::{Failure, counted, with_auth};
use super::output::Output;
use super::prompt::YesArgs;
use super::table::{Cell, Column};
use super::user::UserArgs;
use crate::auth::{Administrator, Auth};
use crate::config::Config;
use crate::store::User;
use crate::views::SessionRead;

/// The columns of a list of sessions.
const COLUMNS: [Column; 6] = [
    Column::number("ID"),
    Column::text("NAME"),
    Column::whole("LAST USED"),
    Column::whole("EXPIRES"),
    Column::text("ADDRESS"),
    Column::rest("SCOPES"),
];

/// The commands for sessions.
#[derive(Debug, Subcommand)]
pub(super) enum SessionCommand {
    /// List the sessions of a user: id, name, last use, expiry, address and scopes.
    List(UserArgs),
    /// End sessions of a user. Their tokens are rejected by every process when the command returns.
    End(EndArgs),
}

#[derive(Debug, Args)]
pub(super) struct EndArgs {
    /// The user's e-mail address, in any spelling
    email: String,
    /// The id of the session
    #[arg(required_unless_present = "all")]
    id: Option<i64>,
    /// End all sessions of the user
    #[arg(long, conflicts_with = "id")]
    all: bool,
    #[command(flatten)]
    yes: YesArgs,
}

/// The number of ended sessions.
#[derive(Serialize)]
struct Ended {
    user_id: i64,
    ended: usize,
}

pub(super) fn run(config: &Config, command: SessionCommand, output: Output) -> Result<(), Failure> {
    with_auth(config, async |auth| {
        let operator = Administrator::operator();
        match command {
            SessionCommand::List(args) => list(&auth, &operator, &args.email, output).await,
            SessionCommand::End(args) => end(&auth, &operator, &args, output).await,
        }
    })
}

async fn list(
    auth: &Auth,
    operator: &Administrator,
    email: &str,
    output: Output,
) -> Result<(), Failure> {
    let User { id, .. } = auth.find_user_by_address(email).await?;
    let mut table = output.table("sessions", &COLUMNS);
    for session in &auth.list_sessions_of(operator, id).await? {
        let shown = SessionRead::new(session, None);
        let cells = vec![
            Cell::new(session.id.to_string()),
            Cell::new(&*session.name),
            Cell::time(&*shown.last_used_at, session.last_used_at),
            Cell::time(&*shown.expires_at, session.expires_at),
            Cell::new(&*session.last_ip),
            Cell::new(&*session.scopes),
        ];
        table.row(&shown, cells);
    }
    table.end();
    Ok(())
}

async fn end(
    auth: &Auth,
    operator: &Administrator,
    args: &EndArgs,
    output: Output,
) -> Result<(), Failure> {
    let User { id, email, .. } = auth.find_user_by_address(&args.email).await?;
    let ended = match args.id {
        Some(session) => {
            auth.end_session_of(operator, id, session).await?;
            1
        }
        None => {
            args.yes.confirm(&format!("End all sessions of {email}?"))?;
            auth.end_sessions_of(operator, id).await?
        }
    };
    let sentence = format!("ended {} of {email}", counted(ended, "session"));
    output.confirm(&Ended { user_id: id, ended }, &sentence);
    Ok(())
}

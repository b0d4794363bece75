//! `tokenhouse device …`

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
use crate::views::DeviceRead;

/// The columns of a list of devices.
const COLUMNS: [Column; 5] = [
    Column::number("ID"),
    Column::text("NAME"),
    Column::whole("TRUSTED SINCE"),
    Column::whole("LAST USED"),
    Column::whole("EXPIRES"),
];

/// The commands for trusted devices.
#[derive(Debug, Subcommand)]
pub(super) enum DeviceCommand {
    /// List the devices on which sign-ins of a user need no second factor: id, name, trusted since, last use and
    /// expiry.
    List(UserArgs),
    /// Forget trusted devices of a user: the next sign-in there asks for a code. Sessions stay.
    End(EndArgs),
}

#[derive(Debug, Args)]
pub(super) struct EndArgs {
    /// The user's e-mail address, in any spelling
    email: String,
    /// The id of the device
    #[arg(required_unless_present = "all")]
    id: Option<i64>,
    /// Forget all devices of the user
    #[arg(long, conflicts_with = "id")]
    all: bool,
    #[command(flatten)]
    yes: YesArgs,
}

/// The number of forgotten devices.
#[derive(Serialize)]
struct Ended {
    user_id: i64,
    ended: usize,
}

pub(super) fn run(config: &Config, command: DeviceCommand, output: Output) -> Result<(), Failure> {
    with_auth(config, async |auth| {
        let operator = Administrator::operator();
        match command {
            DeviceCommand::List(args) => list(&auth, &operator, &args.email, output).await,
            DeviceCommand::End(args) => end(&auth, &operator, &args, output).await,
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
    let mut table = output.table("devices", &COLUMNS);
    for device in &auth.list_devices_of(operator, id).await? {
        let shown = DeviceRead::from(device);
        let used = match (&shown.last_used_at, device.last_used_at) {
            (Some(text), Some(at)) => Cell::time(&**text, at),
            _ => Cell::new(""),
        };
        let cells = vec![
            Cell::new(device.id.to_string()),
            Cell::new(&*device.name),
            Cell::time(&*shown.created_at, device.created_at),
            used,
            Cell::time(&*shown.expires_at, device.expires_at),
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
    if args.id.is_none() {
        let question = format!("Forget all trusted devices of {email}?");
        args.yes.confirm(&question)?;
    }
    let ended = auth.end_devices_of(operator, id, args.id).await?;
    let sentence = format!("forgot {} of {email}", counted(ended, "trusted device"));
    output.confirm(&Ended { user_id: id, ended }, &sentence);
    Ok(())
}

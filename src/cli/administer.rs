//! `tokenhouse user …` and `tokenhouse token …`

use clap::{Args, Subcommand};

use crate::auth::Auth;
use crate::config::Config;
use crate::error::Error;
use crate::store::User;

/// What can be done with users.
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// List users in the order of their ids: id, address, name, and whether they are disabled,
    /// separated by tabs.
    List(ListArgs),
    /// Keep a user out: no sign-in, and no token is accepted.
    Disable(UserArgs),
    /// Let a user in again.
    Enable(UserArgs),
}

/// What can be done with login tokens.
#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// End a user's login token on every process, and return when it has ended.
    Revoke(UserArgs),
    /// Delete the tokens that have expired.
    Prune,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// How many at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// Only those after this id: the last one of the page before
    #[arg(long, default_value_t = 0)]
    after: i64,
}

#[derive(Debug, Args)]
pub(super) struct UserArgs {
    /// The user's e-mail address, in any spelling
    email: String,
}

pub(super) fn user(config: &Config, command: UserCommand) -> Result<(), String> {
    with_auth(config, async |auth| match command {
        UserCommand::List(args) => {
            for user in auth.list_users(args.after, args.limit).await? {
                print_user(&user);
            }
            Ok(())
        }
        UserCommand::Disable(args) => found(auth.disable_user(&args.email).await?.map(|_| ())),
        UserCommand::Enable(args) => found(auth.enable_user(&args.email).await?.map(|_| ())),
    })
}

pub(super) fn token(config: &Config, command: TokenCommand) -> Result<(), String> {
    with_auth(config, async |auth| match command {
        TokenCommand::Revoke(args) => found(auth.revoke_tokens_of(&args.email).await?.map(|was| {
            println!("{}", if was { "revoked" } else { "there was none" });
        })),
        TokenCommand::Prune => {
            println!("pruned {}", auth.prune_tokens().await?);
            Ok(())
        }
    })
}

/// Why a command failed, as it is printed.
struct Problem(String);

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

fn found(outcome: Option<()>) -> Result<(), Problem> {
    outcome.ok_or_else(|| Problem("no user has this address".to_owned()))
}

/// Opens the service on its database, without the server, and runs the command.
fn with_auth(
    config: &Config,
    command: impl AsyncFnOnce(Auth) -> Result<(), Problem>,
) -> Result<(), String> {
    let auth = Auth::open(config).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| error.to_string())?;
    runtime
        .block_on(command(auth))
        .map_err(|Problem(problem)| problem)
}

/// Prints a line without control characters: a name is what a stranger typed.
fn print_user(user: &User) {
    let state = match user.disabled_at {
        Some(at) => format!("disabled {}", at.and_utc().format("%Y-%m-%dT%H:%M:%SZ")),
        None => "enabled".to_owned(),
    };
    let columns = [&user.id.to_string(), &user.email, &user.name, &state];
    let plain = columns.map(|text| text.replace(char::is_control, " "));
    println!("{}", plain.join("\t"));
}

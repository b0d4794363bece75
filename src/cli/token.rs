//! `tokenhouse token …`

use clap::{Args, Subcommand};
use serde::Serialize;

use super::common::{ConfirmArgs, Failure, check_scopes, counted, note_more, with_auth};
use super::output::{Output, note};
use super::prompt::YesArgs;
use super::table::{Cell, Column, relative};
use super::user::UserArgs;
use crate::auth::{Administrator, Auth};
use crate::config::Config;
use crate::store::User;
use crate::views::utc;

/// The columns of a list of tokens.
const COLUMNS: [Column; 4] = [
    Column::number("USER"),
    Column::text("ADDRESS"),
    Column::whole("EXPIRES"),
    Column::rest("SCOPES"),
];

/// The commands for login tokens.
#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Issue a login token for a user without a password, and print it. The previous one ends.
    Issue(IssueArgs),
    /// List the valid tokens: id of the user, address, expiry and scopes.
    List(ListArgs),
    /// Revoke a user's login token. It is rejected by every process when the command returns.
    Revoke(UserArgs),
    /// Delete expired tokens.
    Prune(PruneArgs),
}

#[derive(Debug, Args)]
pub(super) struct IssueArgs {
    /// The user's e-mail address, in any spelling
    email: String,
    /// A scope of the token, by default all scopes of the user; can be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    #[command(flatten)]
    clock: ConfirmArgs,
    #[command(flatten)]
    yes: YesArgs,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// The maximum number of tokens
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// Start after the user with this id
    #[arg(long, default_value_t = 0)]
    after: i64,
}

/// A new token.
#[derive(Serialize)]
struct Issued<'a> {
    access_token: &'a str,
    expires_in: i64,
    scope: &'a str,
}

/// A valid token.
#[derive(Serialize)]
struct Live<'a> {
    user_id: i64,
    email: &'a str,
    expires_at: String,
    scope: &'a str,
}

/// Whether the user had a token.
#[derive(Serialize)]
struct Revoked {
    user_id: i64,
    revoked: bool,
}

/// The number of deleted tokens.
#[derive(Serialize)]
struct Pruned {
    pruned: usize,
}

pub(super) fn run(config: &Config, command: TokenCommand, output: Output) -> Result<(), Failure> {
    with_auth(config, async |auth| {
        let operator = Administrator::operator();
        match command {
            TokenCommand::Issue(args) => issue(&auth, &operator, &args, output).await,
            TokenCommand::List(args) => list(&auth, &operator, &args, output).await,
            TokenCommand::Revoke(args) => {
                let User { id, email, .. } = auth.find_user_by_address(&args.email).await?;
                let revoked = auth.revoke_token_of(&operator, id).await?;
                let sentence = match revoked {
                    true => format!("revoked the login token of {email}"),
                    false => format!("{email} had no login token"),
                };
                let user_id = id;
                output.confirm(&Revoked { user_id, revoked }, &sentence);
                Ok(())
            }
            TokenCommand::Prune(args) => {
                args.yes.confirm("Delete all expired login tokens?")?;
                args.clock.check_clock(&auth).await?;
                let pruned = auth.prune_tokens_for(&operator).await?;
                let sentence = format!("deleted {}", counted(pruned, "expired login token"));
                output.confirm(&Pruned { pruned }, &sentence);
                Ok(())
            }
        }
    })
}

async fn issue(
    auth: &Auth,
    operator: &Administrator,
    args: &IssueArgs,
    output: Output,
) -> Result<(), Failure> {
    let User { id, email, .. } = auth.find_user_by_address(&args.email).await?;
    let scope = check_scopes(&args.scopes)?;
    let scope = Some(scope).filter(|scope| !scope.is_empty());
    let issued = auth.issue_token_for(operator, id, scope).await?;
    let shown = Issued {
        access_token: issued.secret.expose(),
        expires_in: issued.lifetime.num_seconds(),
        scope: &issued.scopes,
    };
    output.print(&shown, &[issued.secret.expose()]);
    if output.is_for_people() {
        let expiry = relative(issued.expires_at, issued.expires_at - issued.lifetime);
        note(&format!(
            "issued the login token of {email}; it expires {expiry}"
        ));
    }
    Ok(())
}

async fn list(
    auth: &Auth,
    operator: &Administrator,
    args: &ListArgs,
    output: Output,
) -> Result<(), Failure> {
    let (tokens, has_more) = auth.list_tokens(operator, args.after, args.limit).await?;
    let mut table = output.table("login tokens", &COLUMNS);
    for (user, token) in &tokens {
        let live = Live {
            user_id: user.id,
            email: &user.email,
            expires_at: utc(token.expiration_date),
            scope: &token.scopes,
        };
        let cells = vec![
            Cell::new(user.id.to_string()),
            Cell::new(live.email),
            Cell::time(&*live.expires_at, token.expiration_date),
            Cell::new(live.scope),
        ];
        table.row(&live, cells);
    }
    table.end();
    if let Some((user, _)) = tokens.last().filter(|_| has_more) {
        let total = auth.count_tokens().await.ok();
        note_more(tokens.len(), total, "login tokens", &user.id.to_string());
    }
    Ok(())
}

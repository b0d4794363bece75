//! `tokenhouse token …`

use clap::{Args, Subcommand};
use serde::Serialize;

use super::common::{ConfirmArgs, Problem, with_auth};
use super::output::Output;
use super::user::UserArgs;
use crate::auth::{Administrator, Auth};
use crate::config::Config;
use crate::views::utc;

/// What can be done with login tokens.
#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a login token for a user without a password, and print it. The earlier one ends.
    Issue(IssueArgs),
    /// List the tokens that are good: id of the user, address, end, and scopes, separated by tabs.
    List(ListArgs),
    /// End a user's login token on every process, and return when it has ended.
    Revoke(UserArgs),
    /// Delete the tokens that have expired.
    Prune(ConfirmArgs),
}

#[derive(Debug, Args)]
pub(super) struct IssueArgs {
    /// The user's e-mail address, in any spelling
    email: String,
    /// What the token allows; all that the user may do when it is left out
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// How many at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// Only those of users after this id
    #[arg(long, default_value_t = 0)]
    after: i64,
}

/// A token just made.
#[derive(Serialize)]
struct Issued<'a> {
    access_token: &'a str,
    expires_in: i64,
    scope: &'a str,
}

/// A token that is good.
#[derive(Serialize)]
struct Live<'a> {
    user_id: i64,
    email: &'a str,
    expires_at: String,
    scope: &'a str,
}

/// What was done.
#[derive(Serialize)]
struct Revoked {
    revoked: bool,
}

/// How many.
#[derive(Serialize)]
struct Pruned {
    pruned: usize,
}

pub(super) fn run(config: &Config, command: TokenCommand, output: Output) -> Result<(), String> {
    with_auth(config, async |auth| {
        let operator = Administrator::operator();
        match command {
            TokenCommand::Issue(args) => issue(&auth, &operator, &args, output).await,
            TokenCommand::List(args) => list(&auth, &operator, &args, output).await,
            TokenCommand::Revoke(args) => {
                let id = auth.find_user_id(&args.email).await?;
                let revoked = auth.revoke_token_of(&operator, id).await?;
                let said = if revoked { "revoked" } else { "there was none" };
                output.print(&Revoked { revoked }, &[said]);
                Ok(())
            }
            TokenCommand::Prune(args) => {
                args.check_clock(&auth).await?;
                let pruned = auth.prune_tokens_for(&operator).await?;
                output.print(&Pruned { pruned }, &[&format!("pruned {pruned}")]);
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
) -> Result<(), Problem> {
    let id = auth.find_user_id(&args.email).await?;
    let scope = Some(args.scopes.join(" ")).filter(|scope| !scope.is_empty());
    let issued = auth.issue_token_for(operator, id, scope).await?;
    let shown = Issued {
        access_token: issued.secret.expose(),
        expires_in: issued.lifetime.num_seconds(),
        scope: &issued.token.scopes,
    };
    output.print(&shown, &[issued.secret.expose()]);
    Ok(())
}

async fn list(
    auth: &Auth,
    operator: &Administrator,
    args: &ListArgs,
    output: Output,
) -> Result<(), Problem> {
    for (user, token) in auth.list_tokens(operator, args.after, args.limit).await? {
        let live = Live {
            user_id: user.id,
            email: &user.email,
            expires_at: utc(token.expiration_date),
            scope: &token.scopes,
        };
        let id = user.id.to_string();
        output.print(&live, &[&id, live.email, &live.expires_at, live.scope]);
    }
    Ok(())
}

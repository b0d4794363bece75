//! `tokenhouse token …`

use clap::{Args, Subcommand};
use serde::Serialize;

use super::common::{ConfirmArgs, Problem, with_auth};
use super::output::Output;
use super::user::UserArgs;
use crate::auth::{Administrator, Auth};
use crate::config::Config;
use crate::views::utc;

/// The commands for login tokens.
#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Issue a login token for a user without a password, and print it. The previous one ends.
    Issue(IssueArgs),
    /// List the valid tokens: id of the user, address, expiry and scopes, separated by tabs.
    List(ListArgs),
    /// Revoke a user's login token. It is rejected by every process when the command returns.
    Revoke(UserArgs),
    /// Delete expired tokens.
    Prune(ConfirmArgs),
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
    revoked: bool,
}

/// The number of deleted tokens.
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
                let text = if revoked { "revoked" } else { "there was none" };
                output.print(&Revoked { revoked }, &[text]);
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

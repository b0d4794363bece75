//! `tokenhouse token …`

use clap::Subcommand;

use super::domain::with_auth;
use super::user::UserArgs;
use crate::auth::Administrator;
use crate::config::Config;

/// What can be done with login tokens.
#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// End a user's login token on every process, and return when it has ended.
    Revoke(UserArgs),
    /// Delete the tokens that have expired.
    Prune,
}

pub(super) fn run(config: &Config, command: TokenCommand) -> Result<(), String> {
    with_auth(config, async |auth| {
        match command {
            TokenCommand::Revoke(args) => {
                let id = auth.find_user_id(&args.email).await?;
                let operator = Administrator::operator();
                let was_there = auth.revoke_token_of(&operator, id).await?;
                println!(
                    "{}",
                    if was_there {
                        "revoked"
                    } else {
                        "there was none"
                    }
                );
            }
            TokenCommand::Prune => println!("pruned {}", auth.prune_tokens().await?),
        }
        Ok(())
    })
}

//! `tokenhouse key …`

use clap::{Args, Subcommand};
use serde::Serialize;

use super::common::with_auth;
use super::output::Output;
use super::user::UserArgs;
use crate::auth::{Administrator, KeyInput};
use crate::config::Config;
use crate::store::ApiKey;
use crate::views::{KeyCreated, KeyRead};

/// The commands for API keys.
#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Create an API key for a user, and print it.
    Create(CreateArgs),
    /// List the keys of a user that are not revoked: id, hint, name, expiry, last use and scopes,
    /// separated by tabs.
    List(UserArgs),
    /// Revoke a key of a user. It is rejected by every process when the command returns.
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// The user's e-mail address, in any spelling
    email: String,
    /// The name of the key
    #[arg(long)]
    name: String,
    /// A scope of the key, none by default; can be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// The lifetime in days, 1 to 366; 90 by default
    #[arg(long)]
    days: Option<i64>,
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// The user's e-mail address, in any spelling
    email: String,
    /// The id of the key
    id: i64,
}

/// Whether a key was revoked.
#[derive(Serialize)]
struct Revoked {
    id: i64,
    revoked: bool,
}

pub(super) fn run(config: &Config, command: KeyCommand, output: Output) -> Result<(), String> {
    with_auth(config, async |auth| {
        let operator = Administrator::operator();
        match command {
            KeyCommand::Create(args) => {
                let id = auth.find_user_id(&args.email).await?;
                let input = KeyInput {
                    name: Ok(args.name),
                    scopes: Ok(Some(args.scopes.join(" "))),
                    expires_in_days: Ok(args.days),
                };
                let issued = auth.create_key_for(&operator, id, input).await?;
                let shown = KeyCreated::from(&issued);
                output.print(&shown, &[issued.secret.expose()]);
            }
            KeyCommand::List(args) => {
                let id = auth.find_user_id(&args.email).await?;
                let keys = auth.list_keys_of(&operator, id).await?;
                keys.iter().for_each(|key| print_key(key, output));
            }
            KeyCommand::Revoke(args) => {
                let id = auth.find_user_id(&args.email).await?;
                auth.revoke_key_of(&operator, id, args.id).await?;
                let revoked = Revoked {
                    id: args.id,
                    revoked: true,
                };
                output.print(&revoked, &[&format!("revoked key {}", args.id)]);
            }
        }
        Ok(())
    })
}

fn print_key(key: &ApiKey, output: Output) {
    let shown = KeyRead::from(key);
    let last_use = shown.last_used_at.as_deref().unwrap_or("never");
    output.print(
        &shown,
        &[
            &key.id.to_string(),
            &key.hint,
            &key.name,
            &shown.expires_at,
            last_use,
            &key.scopes,
        ],
    );
}

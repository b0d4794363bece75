//! `tokenhouse key …`

use chrono::{NaiveDateTime, TimeDelta, Utc};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::common::{Failure, counted, note_more, parse_span, with_auth};
use super::output::{Output, Tone, note};
use super::prompt::YesArgs;
use super::table::{Cell, Column, relative};
use crate::auth::{Administrator, Auth, KeyInput};
use crate::config::{Config, TimeUnit};
use crate::store::{ApiKey, User};
use crate::views::{KeyCreated, KeyRead};

/// The columns of a list of keys.
static COLUMNS: [Column; 7] = [
    Column::number("ID"),
    Column::whole("KEY"),
    Column::text("NAME"),
    Column::whole("EXPIRES"),
    Column::whole("LAST USED"),
    Column::rest("SCOPES"),
    Column::text("OWNER"),
];

/// The number of the columns of a list of one user's keys.
const OWN_COLUMNS: usize = 6;

/// The longest lifetime of a key, in days.
const MAX_DAYS: i64 = 366;

/// How long before its expiry a key is shown as about to expire.
const WARNING_TIME: TimeDelta = TimeDelta::days(14);

/// The commands for API keys.
#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Create an API key for a user, and print it.
    Create(CreateArgs),
    /// List the keys of a user, or of all users, that are not revoked: id, hint, name, expiry, last
    /// use, scopes and, of all users, the owner.
    List(ListArgs),
    /// Revoke keys of a user. They are rejected by every process when the command returns.
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
    #[arg(long, value_parser = clap::value_parser!(i64).range(1..=MAX_DAYS))]
    days: Option<i64>,
    /// The lifetime in another unit, such as 12w: whole days, 1 to 366
    #[arg(long, value_name = "TIME", conflicts_with = "days", value_parser = parse_days)]
    expires: Option<i64>,
}

fn parse_days(text: &str) -> Result<i64, String> {
    let span =
        parse_span(text, TimeUnit::Day).filter(|span| *span == TimeDelta::days(span.num_days()));
    let days = span.map(|span| span.num_days());
    days.filter(|days| (1..=MAX_DAYS).contains(days))
        .ok_or_else(|| format!("expected 1 to {MAX_DAYS} whole days, such as 30d or 12w"))
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// The user's e-mail address, in any spelling; the keys of all users without it
    email: Option<String>,
    /// The maximum number of keys of all users
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// Start after the key with this id
    #[arg(long, default_value_t = 0, conflicts_with = "email")]
    after: i64,
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// The user's e-mail address, in any spelling
    email: String,
    /// The ids of the keys
    #[arg(required_unless_present = "all")]
    ids: Vec<i64>,
    /// Revoke all keys of the user
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    #[command(flatten)]
    yes: YesArgs,
}

/// A key and its owner.
#[derive(Serialize)]
struct OwnedKey<'a> {
    #[serde(flatten)]
    key: KeyRead<'a>,
    user_id: i64,
    email: &'a str,
}

/// A key that was revoked.
#[derive(Serialize)]
struct Revoked {
    id: i64,
    revoked: bool,
}

pub(super) fn run(config: &Config, command: KeyCommand, output: Output) -> Result<(), Failure> {
    with_auth(config, async |auth| {
        let operator = Administrator::operator();
        match command {
            KeyCommand::Create(args) => create(&auth, &operator, args, output).await,
            KeyCommand::List(ListArgs {
                email: Some(email), ..
            }) => list_of_user(&auth, &operator, &email, output).await,
            KeyCommand::List(args) => list_all(&auth, &operator, &args, output).await,
            KeyCommand::Revoke(args) => revoke(&auth, &operator, args, output).await,
        }
    })
}

async fn create(
    auth: &Auth,
    operator: &Administrator,
    args: CreateArgs,
    output: Output,
) -> Result<(), Failure> {
    let User { id, email, .. } = auth.find_user_by_address(&args.email).await?;
    let input = KeyInput {
        name: Ok(args.name),
        scopes: Ok(Some(args.scopes.join(" "))),
        expires_in_days: Ok(args.days.or(args.expires)),
    };
    let issued = auth.create_key_for(operator, id, input).await?;
    output.print(&KeyCreated::from(&issued), &[issued.secret.expose()]);
    if output.is_for_people() {
        let key = &issued.key;
        let expiry = relative(key.expires_at, key.created_at);
        note(&format!(
            "created key {} of {email}; it expires {expiry}, and is shown only now",
            key.id
        ));
    }
    Ok(())
}

async fn list_of_user(
    auth: &Auth,
    operator: &Administrator,
    email: &str,
    output: Output,
) -> Result<(), Failure> {
    let User { id, email, .. } = auth.find_user_by_address(email).await?;
    let mut table = output.table("API keys", &COLUMNS[..OWN_COLUMNS]);
    for key in &auth.list_keys_of(operator, id).await? {
        let mut cells = cells(key, &email);
        cells.truncate(OWN_COLUMNS);
        table.row(&owned(key, &email), cells);
    }
    table.end();
    Ok(())
}

async fn list_all(
    auth: &Auth,
    operator: &Administrator,
    args: &ListArgs,
    output: Output,
) -> Result<(), Failure> {
    let (keys, has_more) = auth.list_all_keys(operator, args.after, args.limit).await?;
    let mut table = output.table("API keys", &COLUMNS);
    for (key, email) in &keys {
        table.row(&owned(key, email), cells(key, email));
    }
    table.end();
    if let Some((key, _)) = keys.last().filter(|_| has_more) {
        let total = auth.count_keys().await.ok();
        note_more(keys.len(), total, "API keys", &key.id.to_string());
    }
    Ok(())
}

/// Revokes all of the keys or, when the user does not have one of them, none.
async fn revoke(
    auth: &Auth,
    operator: &Administrator,
    args: RevokeArgs,
    output: Output,
) -> Result<(), Failure> {
    let User { id, email, .. } = auth.find_user_by_address(&args.email).await?;
    let keys: Vec<i64> = auth.list_keys(id).await?.iter().map(|key| key.id).collect();
    let ids = if args.all { keys.clone() } else { args.ids };
    if let Some(unknown) = ids.iter().find(|id| !keys.contains(id)) {
        let problem = format!("no such API key: {email} has no key {unknown}");
        return Err(problem.into());
    }
    if ids.is_empty() {
        return Err(format!("{email} has no API keys").into());
    }
    if ids.len() > 1 {
        let keys = counted(ids.len(), "API key");
        args.yes.confirm(&format!("Revoke {keys} of {email}?"))?;
    }
    for id_of_key in ids {
        auth.revoke_key_of(operator, id, id_of_key).await?;
        let revoked = Revoked {
            id: id_of_key,
            revoked: true,
        };
        output.confirm(&revoked, &format!("revoked key {id_of_key} of {email}"));
    }
    Ok(())
}

fn owned<'a>(key: &'a ApiKey, email: &'a str) -> OwnedKey<'a> {
    OwnedKey {
        key: KeyRead::from(key),
        user_id: key.user_id,
        email,
    }
}

fn cells(key: &ApiKey, email: &str) -> Vec<Cell> {
    let shown = KeyRead::from(key);
    let last_use = match (shown.last_used_at, key.last_used_at) {
        (Some(text), Some(at)) => Cell::time(text, at),
        _ => Cell::new("never"),
    };
    vec![
        Cell::new(key.id.to_string()),
        Cell::new(&*key.hint),
        Cell::new(&*key.name),
        Cell::time(shown.expires_at, key.expires_at).tone(tone_of_expiry(key.expires_at)),
        last_use,
        Cell::new(&*key.scopes),
        Cell::new(email),
    ]
}

pub(super) fn tone_of_expiry(at: NaiveDateTime) -> Tone {
    let left = at - Utc::now().naive_utc();
    if left <= TimeDelta::zero() {
        Tone::Bad
    } else if left < WARNING_TIME {
        Tone::Warning
    } else {
        Tone::Plain
    }
}

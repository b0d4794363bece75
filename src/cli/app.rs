//! `tokenhouse app …`

use chrono::TimeDelta;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::common::{Failure, parse_span, with_auth};
use super::healthcheck::reachable;
use super::key::tone_of_expiry;
use super::output::{Output, Tone, note};
use super::prompt::YesArgs;
use super::table::{Cell, Column, Table};
use crate::auth::{Administrator, Auth, IssuedKey};
use crate::config::{Config, TimeUnit};
use crate::store::{ApiKey, AppRef, User};
use crate::views::utc;

/// The longest lifetime of an app's key that has an end, in days.
const MAX_DAYS: i64 = 3_660;

/// The columns of a list of apps.
static COLUMNS: [Column; 7] = [
    Column::text("APP"),
    Column::number("KEY"),
    Column::whole("HINT"),
    Column::whole("EXPIRES"),
    Column::whole("LAST USED"),
    Column::text("SCOPES"),
    Column::optional("ID"),
];

/// The commands for apps.
#[derive(Debug, Subcommand)]
pub(super) enum AppCommand {
    /// Create an app, a program that owns keys without being a person, and print the settings with
    /// which it reaches this service. Its key is shown only here.
    Create(CreateArgs),
    /// Create another key of an app, and print the settings as create does. Earlier keys stay valid.
    AddKey(AddKeyArgs),
    /// List the apps, with a line for each key: name, id of the key, hint, expiry, last use, scopes
    /// and id of the app.
    List,
    /// Delete an app and all its keys, which every process rejects when the command returns.
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// Lower-case letters, digits, '.', '_' and '-'; the first one a letter
    name: String,
    /// A scope of the app, such as introspect; can be repeated
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<String>,
    #[command(flatten)]
    key: KeyArgs,
}

#[derive(Debug, Args)]
pub(super) struct AddKeyArgs {
    /// The name of the app, or its id
    #[arg(allow_negative_numbers = true, value_parser = parse_app)]
    app: AppRef,
    #[command(flatten)]
    key: KeyArgs,
}

#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    /// When the key ends: after 1d to 3660d, in whole days, or never
    #[arg(long, value_name = "TIME", default_value = "never", value_parser = parse_expiry)]
    expires: Expiry,
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// The name of the app, or its id
    #[arg(allow_negative_numbers = true, value_parser = parse_app)]
    app: AppRef,
    /// Revoke only the key with this id, and keep the app
    #[arg(long, value_name = "ID")]
    key: Option<i64>,
    #[command(flatten)]
    yes: YesArgs,
}

/// How long a key lasts; `None` for no end.
#[derive(Clone, Copy, Debug)]
struct Expiry(Option<TimeDelta>);

fn parse_expiry(text: &str) -> Result<Expiry, String> {
    if text == "never" {
        return Ok(Expiry(None));
    }
    let span = parse_span(text, TimeUnit::Day);
    let in_range = |span: &TimeDelta| {
        (1..=MAX_DAYS).contains(&span.num_days()) && *span == TimeDelta::days(span.num_days())
    };
    match span.filter(in_range) {
        Some(span) => Ok(Expiry(Some(span))),
        None => Err(format!("expected whole days, 1d to {MAX_DAYS}d, or never")),
    }
}

/// A name begins with a letter, so a number is an id.
fn parse_app(text: &str) -> Result<AppRef, String> {
    Ok(match text.parse() {
        Ok(id) => AppRef::Id(id),
        Err(_not_a_number) => AppRef::Name(text.to_owned()),
    })
}

/// A new key of an app.
#[derive(Serialize)]
struct Issued<'a> {
    id: i64,
    name: &'a str,
    scopes: &'a str,
    key_id: i64,
    expires_at: Option<String>,
    #[serde(rename = "TOKENHOUSE_URL")]
    url: &'a str,
    #[serde(rename = "TOKENHOUSE_CLIENT_KEY")]
    key: &'a str,
}

/// A key of an app, or an app without one.
#[derive(Serialize)]
struct Listed<'a> {
    id: i64,
    name: &'a str,
    scopes: &'a str,
    created_at: String,
    key: Option<ListedKey>,
}

/// A key of an app; no expiry means that it has no end.
#[derive(Serialize)]
struct ListedKey {
    id: i64,
    hint: String,
    created_at: String,
    expires_at: Option<String>,
    last_used_at: Option<String>,
}

/// The end of an app, or of one of its keys.
#[derive(Serialize)]
struct Revoked<'a> {
    id: i64,
    name: &'a str,
    key_id: Option<i64>,
    revoked: bool,
}

pub(super) fn run(config: &Config, command: AppCommand, output: Output) -> Result<(), Failure> {
    with_auth(config, async |auth| {
        let operator = Administrator::operator();
        match command {
            AppCommand::Create(args) => {
                let (scopes, lifetime) = (args.scopes.join(" "), args.key.expires.0);
                let created = auth.create_app(&operator, args.name, scopes, lifetime);
                print_issued(config, &created.await?, output);
            }
            AppCommand::AddKey(args) => {
                let lifetime = args.key.expires.0;
                let added = auth.add_app_key(&operator, args.app, lifetime).await?;
                print_issued(config, &added, output);
            }
            AppCommand::List => {
                let mut table = output.table("apps", &COLUMNS);
                for (app, keys) in auth.list_apps(&operator).await? {
                    list(&mut table, &app, &keys);
                }
                table.end();
            }
            AppCommand::Revoke(args) => revoke(&auth, &operator, args, output).await?,
        }
        Ok(())
    })
}

async fn revoke(
    auth: &Auth,
    operator: &Administrator,
    args: RevokeArgs,
    output: Output,
) -> Result<(), Failure> {
    if args.key.is_none() {
        let name = match &args.app {
            AppRef::Name(name) => name.clone(),
            AppRef::Id(id) => id.to_string(),
        };
        args.yes
            .confirm(&format!("Delete the app {name} and all its keys?"))?;
    }
    let app = auth.revoke_app(operator, args.app, args.key).await?;
    let revoked = Revoked {
        id: app.id,
        name: &app.name,
        key_id: args.key,
        revoked: true,
    };
    let sentence = match args.key {
        Some(key) => format!("revoked key {key} of {}", app.name),
        None => format!("revoked {} and all its keys", app.name),
    };
    output.confirm(&revoked, &sentence);
    Ok(())
}

/// Prints the settings of the app, as the lines of an env file.
fn print_issued(config: &Config, (app, issued): &(User, IssuedKey), output: Output) {
    let url = match &config.server.public_url {
        Some(url) => url.to_string(),
        None => format!("http://{}", reachable(config.server.bind)),
    };
    let shown = Issued {
        id: app.id,
        name: &app.name,
        scopes: &app.scopes,
        key_id: issued.key.id,
        expires_at: expiry_of(&issued.key),
        url: &url,
        key: issued.secret.expose(),
    };
    let lines = [
        format!("TOKENHOUSE_URL={url}"),
        format!("TOKENHOUSE_CLIENT_KEY={}", shown.key),
    ];
    output.print_lines(&shown, &lines);
    if output.is_for_people() {
        note(&format!("the key of {} is shown only now", app.name));
    }
}

/// Adds a row for each key of an app, or one for an app without a key. In JSON an app is one object.
fn list(table: &mut Table, app: &User, keys: &[ApiKey]) {
    let shown = |key: &ApiKey| ListedKey {
        id: key.id,
        hint: key.hint.clone(),
        created_at: utc(key.created_at),
        expires_at: expiry_of(key),
        last_used_at: key.last_used_at.map(utc),
    };
    let row = |key: Option<&ApiKey>| {
        let row = Listed {
            id: app.id,
            name: &app.name,
            scopes: &app.scopes,
            created_at: utc(app.created_at),
            key: key.map(shown),
        };
        let expiry = match key {
            None => Cell::new("no key").tone(Tone::Warning),
            Some(key) if key.is_endless() => Cell::new("never"),
            Some(key) => {
                Cell::time(utc(key.expires_at), key.expires_at).tone(tone_of_expiry(key.expires_at))
            }
        };
        let last_use = match key.and_then(|key| key.last_used_at) {
            Some(at) => Cell::time(utc(at), at),
            None => Cell::new("never"),
        };
        let cells = vec![
            Cell::new(&*app.name),
            Cell::new(key.map(|key| key.id.to_string()).unwrap_or_default()),
            Cell::new(key.map(|key| key.hint.clone()).unwrap_or_default()),
            expiry,
            last_use,
            Cell::new(&*app.scopes),
            Cell::new(app.id.to_string()),
        ];
        (row, cells)
    };
    let rows = match keys {
        [] => vec![row(None)],
        keys => keys.iter().map(|key| row(Some(key))).collect(),
    };
    for (value, cells) in rows {
        table.row(&value, cells);
    }
}

fn expiry_of(key: &ApiKey) -> Option<String> {
    (!key.is_endless()).then(|| utc(key.expires_at))
}

//! `tokenhouse audit tail`

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, SubsecRound, Utc};
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::common::{Failure, find_id, parse_span};
use super::output::{Output, Tone, note};
use super::table::{Cell, Column, Table};
use crate::audit::AuditContext;
use crate::auth::{Addresses, Auth};
use crate::config::TimeUnit;
use crate::store::{AuditEvent, EventMatch};
use crate::views::EventRead;

/// How often new events are polled for.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The maximum number of events per query.
const PAGE_SIZE: i64 = 500;

/// How many of the last events are printed by default.
const DEFAULT_LINES: i64 = 10;

/// The columns of a list of events.
static COLUMNS: [Column; 14] = [
    Column::number("ID"),
    Column::whole("TIME"),
    Column::text("ACTOR"),
    Column::whole("ACTION"),
    Column::text("TARGET"),
    Column::whole("RESULT"),
    Column::hidden("CREDENTIAL"),
    Column::hidden("LEVEL"),
    Column::optional("CLIENT"),
    Column::hidden("REQUEST"),
    Column::hidden("CLIENT REQUEST"),
    Column::rest("DETAIL"),
    Column::hidden("ACTOR ADDRESS"),
    Column::hidden("TARGET ADDRESS"),
];

#[derive(Debug, Args)]
pub(super) struct TailArgs {
    /// How many of the last events to print first: 10 by default, 500 with --since
    #[arg(long, short = 'n', value_parser = clap::value_parser!(i64).range(0..=PAGE_SIZE))]
    lines: Option<i64>,
    /// Continue with new events
    #[arg(long, short)]
    follow: bool,
    /// Only events by this user or on this user and the user's keys: an e-mail address, or the id of a
    /// user, also of a deleted one
    #[arg(long, value_name = "ADDRESS|ID")]
    user: Option<String>,
    /// Only events of this kind, such as login
    #[arg(long)]
    action: Option<String>,
    /// Only events from this time on: RFC 3339, or a time before now, such as 2h
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<NaiveDateTime>,
    /// Only events before this time: RFC 3339, or a time before now, such as 30m
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<NaiveDateTime>,
    /// Only events of the request with this id, of the service or of the client
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
}

/// Parses a time, or how long ago it was.
fn parse_time(text: &str) -> Result<NaiveDateTime, String> {
    let expected =
        || "expected a time such as 2026-11-29T12:00:00Z, or 2h for two hours ago".to_owned();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.naive_utc());
    }
    let span = parse_span(text, TimeUnit::Second).ok_or_else(expected)?;
    let now = Utc::now().naive_utc().trunc_subsecs(6);
    now.checked_sub_signed(span).ok_or_else(expected)
}

impl TailArgs {
    fn lines(&self) -> i64 {
        let default = match self.since {
            Some(_) => PAGE_SIZE,
            None => DEFAULT_LINES,
        };
        self.lines.unwrap_or(default)
    }

    async fn criteria(&self, auth: &Auth) -> Result<EventMatch, Failure> {
        let participants = match &self.user {
            Some(user) => {
                let id = find_id(auth, user).await?;
                Some(auth.names_in_trail(id).await?)
            }
            None => None,
        };
        Ok(EventMatch {
            participants,
            action: self.action.clone(),
            request_id: self.request_id.clone(),
            since: self.since,
            until: self.until,
        })
    }
}

/// An event with the addresses of its users.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    event: EventRead<'a>,
    /// The address of the actor, or of the owner of the key.
    actor_email: Option<&'a str>,
    target_email: Option<&'a str>,
}

/// Prints events. The command itself is an event, but not one of the last events that it prints.
pub(super) async fn tail(auth: &Auth, args: &TailArgs, output: Output) -> Result<(), Failure> {
    let criteria = args.criteria(auth).await?;
    let (mut last, lines) = (auth.audit().last_id().await?, args.lines());
    auth.audit()
        .record_tail(&AuditContext::operator(), lines, args.follow)
        .await?;
    let mut table = output.table("events", &COLUMNS);
    // One more, to detect whether there are more.
    let mut events = auth
        .audit()
        .list_last_matching(&criteria, last, lines + 1)
        .await?;
    let has_more = events.len() as i64 > lines;
    if has_more {
        events.remove(0);
    }
    print(auth, &mut table, &events, args).await?;
    if has_more && args.lines.is_none() && args.since.is_some() {
        note(&format!(
            "only the last {lines} events are shown; audit export prints all"
        ));
    }
    if !args.follow {
        table.end();
        return Ok(());
    }
    loop {
        table.flush();
        let (events, compared) = auth
            .audit()
            .follow_matching(&criteria, last, PAGE_SIZE)
            .await?;
        print(auth, &mut table, &events, args).await?;
        if compared == last {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        last = compared;
    }
}

async fn print(
    auth: &Auth,
    table: &mut Table,
    events: &[AuditEvent],
    args: &TailArgs,
) -> Result<(), Failure> {
    let addresses = auth.find_addresses(events).await?;
    for event in events {
        let shown = Shown {
            event: EventRead::from(event),
            actor_email: addresses.of(&event.actor),
            target_email: addresses.of(&event.target),
        };
        table.row(&shown, cells(event, &addresses, args));
    }
    Ok(())
}

fn cells(event: &AuditEvent, addresses: &Addresses, args: &TailArgs) -> Vec<Cell> {
    let at = event.at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    // A line that stays on the screen while others follow needs a time that stays true.
    let time = match args.follow {
        true => Cell::new(at).shown_as(event.at.format("%Y-%m-%d %H:%M:%S").to_string()),
        false => Cell::time(at, event.at),
    };
    let named = |name: &str| match addresses.of(name) {
        Some(email) => Cell::new(name).shown_as(format!("{name} {email}")),
        None => Cell::new(name),
    };
    let address = |name| Cell::new(addresses.of(name).unwrap_or_default());
    let tone = match event.result.as_str() {
        "ok" => Tone::Plain,
        _ => Tone::Bad,
    };
    vec![
        Cell::new(event.id.to_string()),
        time,
        named(&event.actor),
        Cell::new(&*event.action),
        named(&event.target),
        Cell::new(&*event.result).tone(tone),
        Cell::new(&*event.credential),
        Cell::new(&*event.level),
        Cell::new(&*event.ip),
        Cell::new(&*event.request_id),
        Cell::new(&*event.client_request_id),
        Cell::new(&*event.detail).shown_as(in_words(&event.detail)),
        address(&event.actor),
        address(&event.target),
    ]
}

/// The details of an event, such as `keys 2, token true`.
fn in_words(detail: &str) -> String {
    let Ok(Value::Object(members)) = serde_json::from_str(detail) else {
        return detail.to_owned();
    };
    let members = members.iter().filter_map(|(name, value)| match value {
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(format!("{name} {text}")),
        value => Some(format!("{name} {value}")),
    });
    members.collect::<Vec<_>>().join(", ")
}

//! `tokenhouse mail queue`, `retry` and `drop`

use clap::Args;
use serde::Serialize;

use super::common::{Failure, with_auth};
use super::output::{Output, Tone, note};
use super::table::{Cell, Column};
use crate::auth::Administrator;
use crate::config::Config;
use crate::store::{MailState, OutboxMail};
use crate::views::{MailRead, utc};

/// The columns of a list of mails.
const COLUMNS: [Column; 7] = [
    Column::number("ID"),
    Column::whole("STATE"),
    Column::text("ADDRESS"),
    Column::whole("KIND"),
    Column::number("TRIES"),
    Column::whole("WHEN"),
    Column::wrapped("REPLY"),
];

#[derive(Debug, Args)]
pub(super) struct QueueArgs {
    /// Only the mails in this state; those that were sent are listed for 30 days
    #[arg(long, value_parser = MailState::NAMES)]
    state: Option<String>,
    /// The maximum number of mails in each state
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// Only mails before this id: the last one of the previous page
    #[arg(long)]
    before: Option<i64>,
}

#[derive(Debug, Args)]
pub(super) struct MailArgs {
    /// The id of the mail
    id: i64,
}

/// What was done with a mail.
#[derive(Serialize)]
struct Changed {
    id: i64,
    state: &'static str,
}

pub(super) fn list(config: &Config, args: &QueueArgs, output: Output) -> Result<(), Failure> {
    let states = match args.state.as_deref().and_then(MailState::of_name) {
        Some(state) => vec![state],
        None => vec![MailState::Failed, MailState::Waiting],
    };
    with_auth(config, async |auth| {
        let operator = Administrator::operator();
        let mut table = output.table("mails", &COLUMNS);
        let mut more = Vec::new();
        for state in states {
            let page = auth
                .list_mails(&operator, Some(state), args.before, args.limit)
                .await?;
            for mail in &page.mails {
                table.row(&MailRead::from(mail), cells(mail));
            }
            more.extend(page.next.map(|before| (state.name(), before)));
        }
        table.end();
        for (state, before) in more {
            note(&format!(
                "more mails: continue with --state {state} --before {before}"
            ));
        }
        Ok(())
    })
}

fn cells(mail: &OutboxMail) -> Vec<Cell> {
    let state = mail.state();
    let (at, tone) = match state {
        MailState::Waiting => (mail.next_at, Tone::Plain),
        MailState::Sent => (mail.sent_at.unwrap_or(mail.queued_at), Tone::Good),
        MailState::Failed => (mail.failed_at.unwrap_or(mail.queued_at), Tone::Bad),
    };
    vec![
        Cell::new(mail.id.to_string()),
        Cell::new(state.name()).tone(tone),
        Cell::new(&*mail.to_address),
        Cell::new(&*mail.purpose),
        Cell::new(mail.attempts.to_string()),
        Cell::time(utc(at), at),
        Cell::new(&*mail.last_reply),
    ]
}

pub(super) fn retry(config: &Config, args: &MailArgs, output: Output) -> Result<(), Failure> {
    with_auth(config, async |auth| {
        auth.retry_mail(&Administrator::operator(), args.id).await?;
        let state = MailState::Waiting.name();
        let sentence = format!("mail {} is queued again", args.id);
        output.confirm(&Changed { id: args.id, state }, &sentence);
        Ok(())
    })
}

pub(super) fn delete(config: &Config, args: &MailArgs, output: Output) -> Result<(), Failure> {
    with_auth(config, async |auth| {
        auth.drop_mail(&Administrator::operator(), args.id).await?;
        let state = "dropped";
        let sentence = format!("dropped mail {}", args.id);
        output.confirm(&Changed { id: args.id, state }, &sentence);
        Ok(())
    })
}

//! `tokenhouse import`

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use chrono_tz::Tz;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::common::{Failure, with_auth};
use super::output::{Output, note};
use crate::config::Config;
use crate::import::ImportMode;
use crate::import::{self, Format, Options, Progress};

/// How often progress is printed without a terminal.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

const STYLE: &str = "{wide_bar} {human_pos}/{human_len} users, {per_sec:.0}, {eta} left";

const SOURCE_HELP: &str = "The source of the users: sqlite://FILE, \
     postgres://USER:PASSWORD@HOST/NAME, FILE.csv or FILE.jsonl; it is only read";

const SOURCE_LONG_HELP: &str = "The source of the users: sqlite://FILE, \
     postgres://USER:PASSWORD@HOST/NAME, FILE.csv or FILE.jsonl. It is only read.\n\n\
     CSV begins with a line of names; JSONL has an object per line. The fields are email and \
     hashed_password and, optionally, id, name, surname, website, disabled, created_at, \
     access_token and expiration_date. Others are ignored.";

const LIFETIME_HELP: &str = "The maximum lifetime of tokens; a later expiry is reduced to it. Also the \
     lifetime of tokens without an expiry in the source: of fastapi-users after their creation (its \
     lifetime_seconds), of others from now on. Defaults to TOKENHOUSE_TOKEN_LIFETIME";

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    #[arg(help = SOURCE_HELP, long_help = SOURCE_LONG_HELP)]
    source: String,
    /// The format of the source: tutorial, fastapi-users, django, csv or jsonl; detected by default
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    from: Option<Format>,
    /// Change nothing, and report what an import would do
    #[arg(long)]
    dry_run: bool,
    /// Also import users who were deleted here; their tokens have ended permanently
    #[arg(long)]
    again: bool,
    /// The maximum number of rows of a table in the source, as a view may be endless
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10_000_000,
        value_parser = clap::value_parser!(u64).range(1..=1_000_000_000)
    )]
    max_rows: u64,
    /// Time zone of timestamps that have no offset, such as Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = parse_timezone)]
    timezone: Tz,
    #[arg(
        long,
        value_name = "SECONDS",
        help = LIFETIME_HELP,
        value_parser = clap::value_parser!(i64).range(1..=3_155_760_000)
    )]
    token_lifetime: Option<i64>,
    /// Users per transaction
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = parse_batch)]
    batch: usize,
}

fn parse_format(text: &str) -> Result<Format, String> {
    let found = Format::ALL.into_iter().find(|format| format.name() == text);
    found.ok_or_else(|| "expected tutorial, fastapi-users, django, csv or jsonl".to_owned())
}

fn parse_timezone(text: &str) -> Result<Tz, String> {
    text.parse()
        .map_err(|_error| "expected a name such as Europe/Berlin".to_owned())
}

/// A larger batch would exceed the time limit of a transaction.
fn parse_batch(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=5_000) => Ok(number),
        _ => Err("expected a whole number from 1 to 5000".to_owned()),
    }
}

pub(super) fn run(config: &Config, args: ImportArgs, output: Output) -> Result<(), Failure> {
    with_auth(config, async |auth| {
        let lifetime = match args.token_lifetime {
            Some(seconds) => TimeDelta::seconds(seconds),
            None => TimeDelta::from_std(config.auth.token_lifetime).unwrap_or(TimeDelta::MAX),
        };
        let options = Options {
            source: args.source,
            format: args.from,
            timezone: args.timezone,
            token_lifetime: lifetime,
            mode: ImportMode {
                dry_run: args.dry_run,
                again: args.again,
            },
            max_rows: args.max_rows,
            batch: args.batch,
        };
        let mut display = Display::new();
        let outcome = import::run(&auth, options, |progress| display.show(progress)).await;
        display.end();
        let report = outcome.map_err(|error| Failure::from(error.to_string()))?;
        let lines: Vec<String> = report.to_string().lines().map(str::to_owned).collect();
        output.print_lines(&report, &lines);
        Ok(())
    })
}

/// The progress, on standard error: a bar on a terminal, otherwise a line at intervals.
enum Display {
    Bar(ProgressBar),
    Lines { started: Instant, last: Instant },
}

impl Display {
    fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            let now = Instant::now();
            return Self::Lines {
                started: now,
                last: now,
            };
        }
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template(STYLE) {
            bar.set_style(style);
        }
        Self::Bar(bar)
    }

    fn show(&mut self, progress: Progress) {
        let Progress { done, total } = progress;
        match self {
            Self::Bar(bar) => {
                bar.set_length(total.unwrap_or(done).max(done));
                bar.set_position(done);
            }
            Self::Lines { started, last } if last.elapsed() >= PROGRESS_INTERVAL => {
                *last = Instant::now();
                note(&line_of(progress, started.elapsed()));
            }
            Self::Lines { .. } => {}
        }
    }

    fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn line_of(Progress { done, total }: Progress, elapsed: Duration) -> String {
    let millis = u64::try_from(elapsed.as_millis())
        .unwrap_or(u64::MAX)
        .max(1);
    let rate = done.saturating_mul(1_000) / millis;
    let mut line = format!("{done} users, {rate} per second");
    if let Some(total) = total
        && rate > 0
    {
        let left = total.saturating_sub(done) / rate;
        line.push_str(&format!(", {total} in all, about {left} s left"));
    }
    line
}

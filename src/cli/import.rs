//! `tokenhouse import`

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use chrono_tz::Tz;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use pydantic_email::EmailAddress;

use super::common::{Failure, block_on, with_auth_creating};
use super::import_seed::{self, SeedMode};
use super::output::{Output, note};
use crate::config::{Config, TimeSpan};
use crate::import::{
    self, Format, IdMap, ImportMode, Options, Phase, Plan, Progress, Report, TableChoice,
};
use crate::seed::Seed;
use crate::store::{ImportTarget, StoreConnection, open_import_target};

/// How often progress is printed without a terminal.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

const STYLE: &str =
    "{prefix:9} {wide_bar} {human_pos}/{human_len} users, {msg} per second, {eta} left";

const SOURCE_HELP: &str = "The source of the users: sqlite://FILE, \
     postgres://USER:PASSWORD@HOST/NAME, FILE.csv, FILE.jsonl, or a seed file; it is only read";

const SOURCE_LONG_HELP: &str = "The source of the users: sqlite://FILE, \
     postgres://USER:PASSWORD@HOST/NAME, FILE.csv or FILE.jsonl. It is only read.\n\n\
     CSV begins with a line of names; JSONL has an object per line. The fields are email and \
     hashed_password and, optionally, id, username, name, surname, website, disabled, is_active, \
     created_at, access_token and expiration_date. Others are listed as not read.\n\n\
     A seed file, FILE.json or FILE.toml, holds users with passwords, which are hashed, and scopes: \
     {\"users\": [{\"email\": \"ada@example.com\", \"name\": \"Ada\", \"password\": \"...\", \
     \"scopes\": [\"orders:read\"]}]}";

const LIFETIME_HELP: &str = "How long login tokens keep working for which the source states no end, \
     such as 30d or 1y: those of fastapi-users after their creation (its lifetime_seconds), others from \
     now on. Required for such sources. Also the maximum lifetime of all others, which defaults to \
     TOKENHOUSE_TOKEN_LIFETIME; a later expiry is reduced to it";

const MAP_HELP: &str = "Write old_id, new_id and email of all users of the source who exist then to a \
     new CSV file";

const RENUMBER_HELP: &str = "Give new ids to users who cannot keep those of the source, because other \
     users have or had them, or because they are not integers from 1 on";

/// See `max_rows`, without the option.
const MAX_ROWS: u64 = 10_000_000;

/// See `batch`, without the option.
const BATCH: usize = 1_000;

/// The longest lifetime of tokens, in seconds: a hundred years.
const MAX_LIFETIME: i64 = 3_155_760_000;

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    #[arg(help = SOURCE_HELP, long_help = SOURCE_LONG_HELP)]
    source: String,
    /// The format of the source: tutorial, fastapi-users, django, csv or jsonl; detected by default
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    from: Option<Format>,
    /// The table of users in a database, on Postgres also SCHEMA.TABLE; detected by default
    #[arg(long, value_name = "TABLE")]
    users_table: Option<String>,
    /// The table of login tokens in a database; detected by default
    #[arg(long, value_name = "TABLE")]
    tokens_table: Option<String>,
    /// What to do with a user whose values cannot be read: skip, or import disabled
    #[arg(long, value_enum, value_name = "CHOICE", default_value_t = Unreadable::Skip)]
    unreadable: Unreadable,
    /// Let users sign in with their user names too; users without an address get NAME@DOMAIN
    #[arg(long, value_name = "DOMAIN", value_parser = parse_domain)]
    usernames: Option<String>,
    /// Change nothing, and report what an import would do
    #[arg(long)]
    dry_run: bool,
    /// Also import users who were deleted here; their tokens have ended permanently
    #[arg(long)]
    again: bool,
    #[arg(long, value_name = "FILE", help = MAP_HELP)]
    map: Option<PathBuf>,
    #[arg(long, requires = "map", help = RENUMBER_HELP)]
    renumber: bool,
    /// The maximum number of rows of a table in the source, as a view may be endless
    /// [default: 10000000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    max_rows: Option<u64>,
    /// Time zone of timestamps that have no offset, such as Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = parse_timezone)]
    timezone: Tz,
    #[arg(long, value_name = "TIME", help = LIFETIME_HELP, value_parser = parse_lifetime)]
    token_lifetime: Option<TimeDelta>,
    /// Users per transaction [default: 1000]
    #[arg(long, value_name = "N", value_parser = parse_batch)]
    batch: Option<usize>,
}

/// What happens to a user whose values cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Unreadable {
    Skip,
    Disable,
}

fn parse_format(text: &str) -> Result<Format, String> {
    let found = Format::ALL.into_iter().find(|format| format.name() == text);
    found.ok_or_else(|| "expected tutorial, fastapi-users, django, csv or jsonl".to_owned())
}

fn parse_domain(text: &str) -> Result<String, String> {
    match EmailAddress::parse(&format!("a@{text}")) {
        Ok(_valid) => Ok(text.to_owned()),
        Err(_invalid) => {
            Err("expected the domain of an address, such as users.example.com".to_owned())
        }
    }
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

/// A number of seconds, or of a larger unit.
fn parse_lifetime(text: &str) -> Result<TimeDelta, String> {
    let span = text.parse::<TimeSpan>().map(TimeSpan::as_duration);
    let span = span.ok().and_then(|span| TimeDelta::from_std(span).ok());
    let is_valid = |span: &TimeDelta| (1..=MAX_LIFETIME).contains(&span.num_seconds());
    span.filter(is_valid)
        .ok_or_else(|| "expected a time up to 100 years, such as 12h, 30d, 1y or 3600".to_owned())
}

impl ImportArgs {
    /// The seed file, if the source is one.
    fn seed_file(&self) -> Option<&Path> {
        let file = Path::new(&self.source);
        let is_seed = self.from.is_none() && !self.source.contains("://") && Seed::is_named(file);
        is_seed.then_some(file)
    }

    /// Whether an option is set that says how to read or store the users of another system.
    fn is_for_other_systems(&self) -> bool {
        self.users_table.is_some()
            || self.tokens_table.is_some()
            || self.unreadable != Unreadable::Skip
            || self.usernames.is_some()
            || self.map.is_some()
            || self.token_lifetime.is_some()
            || self.timezone != Tz::UTC
            || self.renumber
            || self.max_rows.is_some()
            || self.batch.is_some()
    }

    fn options(&self, config: &Config) -> Options {
        let own = TimeDelta::from_std(config.auth.token_lifetime).unwrap_or(TimeDelta::MAX);
        Options {
            source: self.source.clone(),
            format: self.from,
            tables: TableChoice {
                users: self.users_table.clone(),
                tokens: self.tokens_table.clone(),
            },
            disable_unreadable: self.unreadable == Unreadable::Disable,
            usernames: self.usernames.clone(),
            timezone: self.timezone,
            max_lifetime: self.token_lifetime.unwrap_or(own),
            token_lifetime: self.token_lifetime,
            max_cost: config.auth.max_cost,
            mode: ImportMode {
                dry_run: self.dry_run,
                again: self.again,
                renumber: self.renumber,
                sessions: config.auth.sessions.per_user,
            },
            max_rows: self.max_rows.unwrap_or(MAX_ROWS),
            batch: self.batch.unwrap_or(BATCH),
        }
    }
}

pub(super) fn run(config: &Config, args: &ImportArgs, output: Output) -> Result<(), Failure> {
    if let Some(file) = args.seed_file() {
        return import_seed(config, args, file, output);
    }
    let options = args.options(config);
    if let Some(map) = &args.map {
        IdMap::check(map)?;
    }
    import::check_source(&options, &config.database.url)?;
    let target = open_import_target(&config.database).map_err(|error| error.to_string())?;
    let plan = match target {
        ImportTarget::Empty => Some(predict(None, options.clone())?),
        ImportTarget::Ready(conn) => Some(predict(Some(conn), options.clone())?),
        ImportTarget::Pending(count) if args.dry_run => {
            let problem = format!(
                "{}: {count} migration(s) are pending, which a dry run does not run: run tokenhouse \
                 migrate first",
                config.database.url
            );
            return Err(problem.into());
        }
        // Storing users requires them anyway.
        ImportTarget::Pending(_) => None,
    };
    if let Some(plan) = plan {
        if args.dry_run || !plan.report.refused.is_empty() {
            return print(&plan.report, output);
        }
        return store(config, plan, args.map.as_deref(), output);
    }
    with_auth_creating(config, true, async |_auth| Ok(()))?;
    match open_import_target(&config.database).map_err(|error| error.to_string())? {
        ImportTarget::Ready(conn) => {
            let plan = predict(Some(conn), options)?;
            if plan.report.refused.is_empty() {
                store(config, plan, args.map.as_deref(), output)
            } else {
                print(&plan.report, output)
            }
        }
        _ => Err("the database is not migrated: run tokenhouse migrate first"
            .to_owned()
            .into()),
    }
}

/// Imports users whom the operator has written down, with their passwords.
fn import_seed(
    config: &Config,
    args: &ImportArgs,
    file: &Path,
    output: Output,
) -> Result<(), Failure> {
    if args.is_for_other_systems() {
        let problem = "a seed file needs no options but --dry-run and --again";
        return Err(Failure::bad_input(format!("{}: {problem}", file.display())));
    }
    let mode = SeedMode {
        dry_run: args.dry_run,
        again: args.again,
    };
    import_seed::run(config, file, mode, output)
}

/// Predicts the outcome without changing anything.
fn predict(target: Option<StoreConnection>, options: Options) -> Result<Plan, Failure> {
    let mut display = Display::new();
    let predicted = block_on(import::predict(target, options, |progress| {
        display.show(progress);
    }));
    display.end();
    Ok(predicted?.map_err(|error| error.to_string())?)
}

/// Stores the users.
fn store(config: &Config, plan: Plan, map: Option<&Path>, output: Output) -> Result<(), Failure> {
    with_auth_creating(config, true, async |auth| {
        let mut display = Display::new();
        let stored = import::store(&auth, plan, map, |progress| display.show(progress)).await;
        display.end();
        let report = stored.map_err(|error| Failure::from(error.to_string()))?;
        print(&report, output)
    })
}

/// Prints the report. Why the import was refused is an error.
fn print(report: &Report, output: Output) -> Result<(), Failure> {
    let lines: Vec<String> = report.to_string().lines().map(str::to_owned).collect();
    output.print_lines(report, &lines);
    if report.refused.is_empty() {
        Ok(())
    } else {
        Err(report.refused.join("; ").into())
    }
}

/// The progress, on standard error: a bar on a terminal, otherwise a line at intervals.
enum Display {
    Bar(ProgressBar, Instant),
    Lines {
        phase: Phase,
        started: Instant,
        last: Instant,
    },
}

impl Display {
    fn new() -> Self {
        let now = Instant::now();
        if !std::io::stderr().is_terminal() {
            return Self::Lines {
                phase: Phase::Reading,
                started: now,
                last: now,
            };
        }
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template(STYLE) {
            bar.set_style(style);
        }
        Self::Bar(bar, now)
    }

    fn show(&mut self, progress: Progress) {
        let Progress { phase, done, total } = progress;
        match self {
            Self::Bar(bar, started) => {
                if bar.prefix() != name_of(phase) {
                    bar.set_prefix(name_of(phase));
                    bar.reset();
                    *started = Instant::now();
                }
                bar.set_length(total.unwrap_or(done).max(done));
                bar.set_position(done);
                bar.set_message(rate(done, started.elapsed()).to_string());
            }
            Self::Lines {
                phase: shown,
                started,
                last,
            } => {
                if *shown != phase {
                    (*shown, *started) = (phase, Instant::now());
                }
                if last.elapsed() >= PROGRESS_INTERVAL {
                    *last = Instant::now();
                    note(&line_of(progress, started.elapsed()));
                }
            }
        }
    }

    fn end(&self) {
        if let Self::Bar(bar, _) = self {
            bar.finish_and_clear();
        }
    }
}

const fn name_of(phase: Phase) -> &'static str {
    match phase {
        Phase::Reading => "reading",
        Phase::Comparing => "comparing",
        Phase::Storing => "importing",
    }
}

fn rate(done: u64, elapsed: Duration) -> u64 {
    let millis = u64::try_from(elapsed.as_millis())
        .unwrap_or(u64::MAX)
        .max(1);
    done.saturating_mul(1_000) / millis
}

fn line_of(progress: Progress, elapsed: Duration) -> String {
    let Progress { phase, done, total } = progress;
    let rate = rate(done, elapsed);
    let mut line = format!("{}: {done} users, {rate} per second", name_of(phase));
    if let Some(total) = total
        && rate > 0
    {
        let left = total.saturating_sub(done) / rate;
        line.push_str(&format!(", {total} in all, about {left} s left"));
    }
    line
}

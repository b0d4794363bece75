//! `tokenhouse audit …`

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use secrecy::SecretString;
use serde::Serialize;

use super::Failure;
use super::common::{ConfirmArgs, Problem, with_reader};
use super::output::{Output, say};
use crate::auth::{Administrator, Adoption, Auth, MarkState, Verification};
use crate::config::Config;
use crate::store::AuditEvent;
use crate::views::EventRead;

/// How often `tail` looks for new events.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The exit code of a verification that finds nothing wrong and cannot judge the mark.
const EXIT_MARK_PRUNED: u8 = 3;

/// Events that are read at once.
const PAGE: i64 = 500;

/// What can be done with the audit trail.
#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Look for events that were altered, removed, reordered or cut off, and say which: exit
    /// code 0 when there are none, 1 when there are, 3 when there are none but what --contains
    /// names was deleted for its age, so that it cannot be told.
    Verify(VerifyArgs),
    /// Print the last events, and with --follow those to come until Ctrl-C.
    Tail(TailArgs),
    /// Print all events, the oldest first, as one JSON document a line.
    Export(ExportArgs),
    /// Go over to another key: to the audit key of the settings as they are now, or to the one in
    /// the database when they have none. Verifies the trail with the key until now, and records the
    /// change. Stop every process first, and start them with the new key.
    AdoptKey(AdoptKeyArgs),
    /// Delete the events that are older than the settings want to keep, as the service does every
    /// hour.
    Prune(ConfirmArgs),
}

#[derive(Debug, Args)]
pub(super) struct AdoptKeyArgs {
    /// A file with the key until now; not needed for the one in the database
    #[arg(long, value_name = "FILE")]
    old_key_file: Option<PathBuf>,
    /// Go over to the new key also when the trail was altered: verify reports that for ever
    #[arg(long)]
    despite_problems: bool,
}

/// What was done.
#[derive(Serialize)]
struct Adopted {
    adopted: bool,
    event: Option<i64>,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Only events after this id: the last one of an earlier export
    #[arg(long, default_value_t = 0)]
    after: i64,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// What an earlier verification printed as the last event, such as 17:3f…: finds out too
    /// whether the whole trail was put back to a state before that. Keep a newer one after every
    /// verification: it can be compared until its event is deleted for its age
    #[arg(long, value_name = "ID:DIGEST", value_parser = parse_mark)]
    contains: Option<(i64, String)>,
}

#[derive(Debug, Args)]
pub(super) struct TailArgs {
    /// How many of the last events to begin with
    #[arg(long, short = 'n', default_value_t = 10, value_parser = clap::value_parser!(i64).range(0..=PAGE))]
    lines: i64,
    /// Go on with the events to come
    #[arg(long, short)]
    follow: bool,
}

/// How many.
#[derive(Serialize)]
struct Pruned {
    pruned: usize,
}

pub(super) fn run(config: &Config, command: AuditCommand, output: Output) -> Result<(), Failure> {
    let mut mark = MarkState::Contained;
    with_reader(config, async |auth| match command {
        AuditCommand::Verify(args) => {
            mark = verify(&auth, args.contains).await?;
            Ok(())
        }
        AuditCommand::Tail(args) => tail(&auth, &args, output).await,
        AuditCommand::Export(args) => export(&auth, args.after).await,
        AuditCommand::AdoptKey(args) => adopt_key(&auth, args, output).await,
        AuditCommand::Prune(args) => {
            auth.begin_trail().await?;
            args.check_clock(&auth).await?;
            let pruned = auth.prune_events_for(&Administrator::operator()).await?;
            output.print(&Pruned { pruned }, &[&format!("pruned {pruned}")]);
            Ok(())
        }
    })?;
    match mark {
        MarkState::Contained | MarkState::Missing => Ok(()),
        MarkState::Pruned => Err(Failure {
            problem:
                "the event of --contains was deleted for its age, so whether the trail was put \
                      back to a state before it cannot be told"
                    .to_owned(),
            code: EXIT_MARK_PRUNED,
        }),
    }
}

fn parse_mark(text: &str) -> Result<(i64, String), String> {
    let expected = || "expected an id and a digest, such as 17:3f…".to_owned();
    let (id, digest) = text.split_once(':').ok_or_else(expected)?;
    let id = id.parse().map_err(|_error| expected())?;
    Ok((id, digest.to_owned()))
}

async fn verify(auth: &Auth, contains: Option<(i64, String)>) -> Result<MarkState, Problem> {
    let Verification {
        events,
        last: (id, digest),
        key_changes,
        mut problems,
    } = auth.verify_trail().await?;
    let mut mark = MarkState::Contained;
    if let Some((id, digest)) = contains {
        mark = auth.compare_mark(id, &digest).await?;
        if mark == MarkState::Missing {
            problems.push(crate::auth::Problem::EndsDiffer(id));
        }
    }
    for id in key_changes {
        say(&format!(
            "event {id}: an operator adopted another key, after the events before were verified"
        ));
    }
    for problem in &problems {
        say(&problem.to_string());
    }
    if problems.is_empty() {
        say(&format!(
            "{events} events, none altered; the last is {id}:{digest}"
        ));
        Ok(mark)
    } else {
        let count = problems.len();
        Err(Problem(format!("{count} problem(s) in {events} events")))
    }
}

async fn adopt_key(auth: &Auth, args: AdoptKeyArgs, output: Output) -> Result<(), Problem> {
    let old = args.old_key_file.as_deref().map(read_key).transpose()?;
    let Adoption {
        events,
        problems,
        event,
    } = auth.adopt_audit_key(old, args.despite_problems).await?;
    let said = match event {
        Some(id) => format!("{events} events were verified, event {id} adopts the new key"),
        None => "the present key has signed the trail already".to_owned(),
    };
    for problem in &problems {
        say(&problem.to_string());
    }
    if event.is_none() && !problems.is_empty() {
        let count = problems.len();
        return Err(Problem(format!(
            "the key was not adopted: {count} problem(s) in {events} events"
        )));
    }
    let adopted = event.is_some();
    output.print(&Adopted { adopted, event }, &[&said]);
    Ok(())
}

/// The key in a file, without the line break at its end.
fn read_key(path: &Path) -> Result<SecretString, Problem> {
    let text = fs::read_to_string(path)
        .map_err(|error| Problem(format!("{}: {}", path.display(), error.kind())))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned().into())
}

/// That they are printed is an event too, and the last one of them.
async fn export(auth: &Auth, mut after: i64) -> Result<(), Problem> {
    auth.note_export(&Administrator::operator(), after).await?;
    loop {
        let events = auth.follow_events(after, PAGE).await?;
        let Some(last) = events.last() else {
            return Ok(());
        };
        after = last.id;
        for event in &events {
            print_event(event, Output { json: true });
        }
    }
}

/// That they are printed is an event too, which is none of the last ones.
async fn tail(auth: &Auth, args: &TailArgs, output: Output) -> Result<(), Problem> {
    let end = auth.last_event().await?;
    auth.note_tail(&Administrator::operator(), args.lines, args.follow)
        .await?;
    let mut last = end - args.lines;
    loop {
        let events = auth.follow_events(last, PAGE).await?;
        for event in &events {
            if event.id > end && !args.follow {
                return Ok(());
            }
            print_event(event, output);
            last = event.id;
        }
        if events.is_empty() {
            if !args.follow {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn print_event(event: &AuditEvent, output: Output) {
    let at = event.at.and_utc().format("%Y-%m-%dT%H:%M:%S%.3fZ");
    output.print(
        &EventRead::from(event),
        &[
            &event.id.to_string(),
            &at.to_string(),
            &event.actor,
            &event.action,
            &event.target,
            &event.result,
            &event.credential,
            &event.level,
            &event.ip,
            &event.request_id,
            &event.client_request_id,
            &event.detail,
        ],
    );
}

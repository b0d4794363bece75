//! `tokenhouse audit …`

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use secrecy::SecretString;
use serde::Serialize;

use super::common::{ConfirmArgs, Failure, counted, with_reader};
use super::output::Output;
use super::prompt::YesArgs;
use super::tail::{TailArgs, tail};
use crate::audit::{Adoption, AuditContext, MarkState, Verification};
use crate::auth::Auth;
use crate::config::Config;
use crate::private_file::reason;
use crate::views::EventRead;

/// The exit code of a verification without problems that cannot check the mark.
const EXIT_MARK_PRUNED: u8 = 3;

/// The number of events per query.
const PAGE_SIZE: i64 = 500;

/// The commands for the audit trail.
#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Find events that were altered, removed, reordered or cut off. Exit code 0 if there are none, 1
    /// if there are any, 3 if there are none but the event of --contains has been pruned, so that it
    /// cannot be compared.
    Verify(VerifyArgs),
    /// Print the last events, and with --follow new ones until Ctrl-C: id, time, actor, action, target,
    /// result, credential, level, address of the client, both request ids, details, and the e-mail
    /// addresses of the actor and the target.
    Tail(TailArgs),
    /// Print all events as newline-delimited JSON, oldest first.
    Export(ExportArgs),
    /// Change the audit key: to the key in the settings, or to the one in the database if the settings
    /// have none. Verifies the trail with the old key, and records the change. Stop every process
    /// first, and start them with the new key.
    AdoptKey(AdoptKeyArgs),
    /// Delete the events that are older than the retention in the settings, as the service does every
    /// hour.
    Prune(PruneArgs),
}

#[derive(Debug, Args)]
pub(super) struct AdoptKeyArgs {
    /// A file with the old key; not required for the one in the database
    #[arg(long, value_name = "FILE")]
    old_key_file: Option<PathBuf>,
    /// Change the key even if the trail was altered, which verify reports forever
    #[arg(long)]
    despite_problems: bool,
}

/// The result of `adopt-key`.
#[derive(Serialize)]
struct Adopted {
    adopted: bool,
    event: Option<i64>,
    problems: Vec<String>,
}

/// The result of `verify`.
#[derive(Serialize)]
struct Verified {
    events: u64,
    last: String,
    key_changes: Vec<i64>,
    problems: Vec<String>,
}

impl Verified {
    fn lines(&self) -> Vec<String> {
        let key_changes = self.key_changes.iter().map(|id| {
            format!(
                "event {id}: an operator adopted another key, after the events before were verified"
            )
        });
        let mut lines: Vec<String> = key_changes.chain(self.problems.iter().cloned()).collect();
        if self.problems.is_empty() {
            let Self { events, last, .. } = self;
            lines.push(format!("{events} events, none altered; the last is {last}"));
        }
        lines
    }
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Only events after this id: the last one of a previous export
    #[arg(long, default_value_t = 0)]
    after: i64,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The last event as a previous verification printed it, such as 17:3f…: also detects a trail that
    /// was reset to an earlier state. Store the new one after every verification: it can be compared
    /// until its event is pruned
    #[arg(long, value_name = "ID:DIGEST", value_parser = parse_mark)]
    contains: Option<(i64, String)>,
}

#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    #[command(flatten)]
    clock: ConfirmArgs,
    #[command(flatten)]
    yes: YesArgs,
}

/// The number of deleted events.
#[derive(Serialize)]
struct Pruned {
    pruned: usize,
}

pub(super) fn run(config: &Config, command: AuditCommand, output: Output) -> Result<(), Failure> {
    let mut mark = MarkState::Contained;
    with_reader(config, async |auth| match command {
        AuditCommand::Verify(args) => {
            mark = verify(&auth, args.contains, output).await?;
            Ok(())
        }
        AuditCommand::Tail(args) => tail(&auth, &args, output).await,
        AuditCommand::Export(args) => export(&auth, args.after, output).await,
        AuditCommand::AdoptKey(args) => adopt_key(&auth, args, output).await,
        AuditCommand::Prune(args) => {
            args.yes
                .confirm("Delete all events that are older than the retention?")?;
            auth.audit().begin().await?;
            args.clock.check_clock(&auth).await?;
            let pruned = auth.audit().prune_by(&AuditContext::operator()).await?;
            let sentence = format!("deleted {}", counted(pruned, "event"));
            output.confirm(&Pruned { pruned }, &sentence);
            Ok(())
        }
    })?;
    match mark {
        MarkState::Contained | MarkState::Missing => Ok(()),
        MarkState::Pruned => Err(Failure::with_code(
            "the event of --contains has been pruned, so it cannot be told whether the trail was \
             reset to a state before it",
            EXIT_MARK_PRUNED,
        )),
    }
}

fn parse_mark(text: &str) -> Result<(i64, String), String> {
    let expected = || "expected an id and a digest, such as 17:3f…".to_owned();
    let (id, digest) = text.split_once(':').ok_or_else(expected)?;
    let id = id.parse().map_err(|_error| expected())?;
    Ok((id, digest.to_owned()))
}

async fn verify(
    auth: &Auth,
    contains: Option<(i64, String)>,
    output: Output,
) -> Result<MarkState, Failure> {
    let Verification {
        events,
        last: (id, digest),
        key_changes,
        mut problems,
    } = auth.audit().verify().await?;
    let mut mark = MarkState::Contained;
    if let Some((id, digest)) = contains {
        mark = auth.audit().compare_mark(id, &digest).await?;
        if mark == MarkState::Missing {
            problems.push(crate::audit::Problem::EndsDiffer(id));
        }
    }
    let verified = Verified {
        events,
        last: format!("{id}:{digest}"),
        key_changes,
        problems: problems.iter().map(ToString::to_string).collect(),
    };
    output.print_lines(&verified, &verified.lines());
    match problems.len() {
        0 => Ok(mark),
        count => {
            let problem = format!("{} in {events} events", counted(count, "problem"));
            Err(problem.into())
        }
    }
}

async fn adopt_key(auth: &Auth, args: AdoptKeyArgs, output: Output) -> Result<(), Failure> {
    let old = args.old_key_file.as_deref().map(read_key).transpose()?;
    let Adoption {
        events,
        problems,
        event,
    } = auth.audit().adopt_key(old, args.despite_problems).await?;
    let is_refused = event.is_none() && !problems.is_empty();
    let mut lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let adopted = Adopted {
        adopted: event.is_some(),
        event,
        problems: lines.clone(),
    };
    match event {
        Some(id) => lines.push(format!(
            "{events} events were verified, event {id} adopts the new key"
        )),
        None if !is_refused => lines.push("the trail is already signed with this key".to_owned()),
        None => {}
    }
    output.print_lines(&adopted, &lines);
    if is_refused {
        let count = counted(problems.len(), "problem");
        return Err(Failure::from(format!(
            "the key was not adopted: {count} in {events} events"
        )));
    }
    Ok(())
}

/// The key in a file, without its trailing line break.
fn read_key(path: &Path) -> Result<SecretString, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::from(format!("{}: {}", path.display(), reason(&error))))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned().into())
}

/// The export itself is an event, the last one that it prints.
async fn export(auth: &Auth, mut after: i64, output: Output) -> Result<(), Failure> {
    auth.audit()
        .record_export(&AuditContext::operator(), after)
        .await?;
    loop {
        let events = auth.audit().follow(after, PAGE_SIZE).await?;
        let Some(last) = events.last() else {
            return Ok(());
        };
        after = last.id;
        for event in &events {
            output.print_json(&EventRead::from(event));
        }
    }
}

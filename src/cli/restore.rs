//! `tokenhouse restore` and `tokenhouse after-restore`

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::common::{Failure, counted, with_auth_creating};
use super::output::Output;
use super::prompt::YesArgs;
use crate::auth::{Administrator, Auth, Restore, Restored};
use crate::config::Config;
use crate::store::{self, LostEvents, ReplacedDatabase, SchemaComparison, StagedCopy};

/// The arguments of `restore`.
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// A file written by `backup`
    file: PathBuf,
    /// Replace an existing database
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    after: AfterRestoreArgs,
}

/// The arguments of `after-restore`.
#[derive(Debug, Args)]
pub(super) struct AfterRestoreArgs {
    /// Keep API keys, including those that were revoked after the copy was made
    #[arg(long)]
    keep_keys: bool,
    /// Accept a copy whose audit trail was altered or cannot be verified with the current
    /// `TOKENHOUSE_AUDIT_KEY`
    #[arg(long)]
    accept_altered_trail: bool,
    #[command(flatten)]
    yes: YesArgs,
}

impl AfterRestoreArgs {
    /// What ends, in the words of a question.
    fn credentials(&self) -> &'static str {
        match self.keep_keys {
            true => "all login tokens",
            false => "all login tokens and API keys",
        }
    }
}

/// The result.
#[derive(Serialize)]
struct Report {
    copy: String,
    /// The last event of the replaced database.
    replaced: Option<String>,
    /// The number of events after the copy, by action.
    lost_events: Option<BTreeMap<String, i64>>,
    ended_tokens: usize,
    ended_keys: usize,
    kept_keys: bool,
    next_ids: BTreeMap<String, i64>,
    trail_problems: usize,
}

/// Replaces the SQLite file by a copy. No service may use it.
pub(super) fn run(config: &Config, args: &RestoreArgs, output: Output) -> Result<(), Failure> {
    if args.replace {
        args.after.yes.confirm(&format!(
            "Replace {} by {}, and end {}?",
            config.database.url,
            args.file.display(),
            args.after.credentials()
        ))?;
    }
    let mut staged = StagedCopy::new(&config.database, &args.file, args.replace)
        .map_err(|error| error.to_string())?;
    let copy_config = Config {
        database: staged.database().clone(),
        ..config.clone()
    };
    let mut report = None;
    with_auth_creating(&copy_config, true, async |auth| {
        report = Some(prepare(&auth, &args.after, staged.replaced()).await?);
        Ok(())
    })?;
    staged.install().map_err(|error| error.to_string())?;
    if let Some(report) = report {
        output.print_lines(&report, &report.lines());
    }
    Ok(())
}

/// Prepares a database that was restored by other means.
pub(super) fn run_after(
    config: &Config,
    args: &AfterRestoreArgs,
    output: Output,
) -> Result<(), Failure> {
    // Before the migrations, which would run unknown triggers.
    match store::compare_schema(&config.database).map_err(|error| error.to_string())? {
        SchemaComparison::Equal => {}
        SchemaComparison::Differs(differences) => {
            let all = differences.join("; ");
            let problem = format!("the database differs from the migrations: {all}");
            return Err(problem.into());
        }
        SchemaComparison::NotPermitted => {
            return Err(Failure::from(
                "the role may not create the schema for the comparison of the tables: GRANT CREATE ON \
                 DATABASE, or run this as the owner of the database",
            ));
        }
    }
    args.yes.confirm(&format!("End {}?", args.credentials()))?;
    with_auth_creating(config, true, async |auth| {
        let report = prepare(&auth, args, None).await?;
        output.print_lines(&report, &report.lines());
        Ok(())
    })
}

/// Verifies the trail of the copy, ends the credentials that it revives, and reports the result.
async fn prepare(
    auth: &Auth,
    args: &AfterRestoreArgs,
    replaced: Option<&mut ReplacedDatabase>,
) -> Result<Report, Failure> {
    let problems = auth.audit().verify().await?.problems;
    if let Some(first) = problems.first().filter(|_| !args.accept_altered_trail) {
        return Err(Failure::from(format!(
            "the audit trail of the copy: {first}; {} in all. Use --accept-altered-trail to accept it",
            counted(problems.len(), "problem")
        )));
    }
    let last_state = |replaced: &ReplacedDatabase| {
        let sequences = replaced.sequences.clone().unwrap_or_default();
        (sequences, replaced.last_event.clone())
    };
    let (replaced_sequences, replaced_mark) =
        replaced.as_deref().map(last_state).unwrap_or_default();
    let restore = Restore {
        keep_keys: args.keep_keys,
        accepted_problems: problems.len(),
        replaced_sequences,
        replaced_mark: replaced_mark.clone(),
    };
    let operator = Administrator::operator();
    let restored = auth.after_restore(&operator, restore).await?;
    let (id, digest) = &restored.mark;
    let lost = replaced.and_then(|replaced| replaced.lost_events(*id, digest));
    Ok(Report::new(
        args,
        restored,
        problems.len(),
        replaced_mark,
        lost,
    ))
}

impl Report {
    fn new(
        args: &AfterRestoreArgs,
        restored: Restored,
        trail_problems: usize,
        replaced_mark: Option<(i64, String)>,
        lost: Option<Vec<LostEvents>>,
    ) -> Self {
        let text = |(id, digest): (i64, String)| format!("{id}:{digest}");
        let counted = |lost: Vec<LostEvents>| {
            let counts = lost.into_iter().map(|lost| (lost.action, lost.count));
            counts.collect()
        };
        let next_ids = restored.next_ids.into_iter();
        Self {
            copy: text(restored.mark),
            replaced: replaced_mark.map(text),
            lost_events: lost.map(counted),
            ended_tokens: restored.tokens,
            ended_keys: restored.keys,
            kept_keys: args.keep_keys,
            next_ids: next_ids.map(|next| (next.table, next.id)).collect(),
            trail_problems,
        }
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("the last event of the copy is {}", self.copy)];
        if self.trail_problems > 0 {
            let problems = counted(self.trail_problems, "problem");
            lines.push(format!("accepted {problems} in its audit trail"));
        }
        if let Some(replaced) = &self.replaced {
            lines.push(format!(
                "the last event of the replaced database is {replaced}"
            ));
            lines.push(self.lost());
        }
        lines.push(format!(
            "ended {} and {}{}",
            counted(self.ended_tokens, "login token"),
            counted(self.ended_keys, "API key"),
            if self.kept_keys {
                ", keys are kept"
            } else {
                ""
            }
        ));
        lines.push(format!("the next ids are {}", list(&self.next_ids)));
        lines
    }

    /// The lost changes, which the operator may have to repeat, such as disabling a user.
    fn lost(&self) -> String {
        match &self.lost_events {
            None => "the copy is from another database, or the replaced database is too damaged to compare"
                .to_owned(),
            Some(lost) if lost.is_empty() => "it has no events after the copy".to_owned(),
            Some(lost) => format!(
                "its events after the copy are lost: {}",
                list(lost)
            ),
        }
    }
}

fn list(numbers: &BTreeMap<String, i64>) -> String {
    let all = numbers
        .iter()
        .map(|(name, number)| format!("{name} {number}"));
    all.collect::<Vec<_>>().join(", ")
}

//! `tokenhouse restore` and `tokenhouse after-restore`

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::common::{Problem, with_auth};
use super::output::{Output, say};
use crate::auth::{Administrator, Auth, Restore, Restored};
use crate::config::Config;
use crate::store::{self, LostEvents, ReplacedDatabase, SchemaComparison, StagedCopy};

/// What `restore` is told.
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// A file that `backup` has written
    file: PathBuf,
    /// Put it in the place of a database that is there
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    after: AfterRestoreArgs,
}

/// What `after-restore` is told.
#[derive(Debug, Args)]
pub(super) struct AfterRestoreArgs {
    /// Let API keys stay good, also those that were revoked after the copy was made
    #[arg(long)]
    keep_keys: bool,
    /// Take the copy though its audit trail was altered, or cannot be verified with this
    /// `TOKENHOUSE_AUDIT_KEY`
    #[arg(long)]
    accept_altered_trail: bool,
}

/// What has come of it.
#[derive(Serialize)]
struct Report {
    copy: String,
    /// Of the database that was there.
    replaced: Option<String>,
    /// What happened there after the copy was made.
    lost_events: Option<BTreeMap<String, i64>>,
    ended_tokens: usize,
    ended_keys: usize,
    kept_keys: bool,
    next_ids: BTreeMap<String, i64>,
    trail_problems: usize,
}

/// Puts a copy in the place of the SQLite file. No service may run on it.
pub(super) fn run(config: &Config, args: &RestoreArgs, output: Output) -> Result<(), String> {
    let mut staged = StagedCopy::new(&config.database, &args.file, args.replace)
        .map_err(|error| error.to_string())?;
    let of_copy = Config {
        database: staged.database().clone(),
        ..config.clone()
    };
    let mut report = None;
    with_auth(&of_copy, async |auth| {
        report = Some(prepare(&auth, &args.after, staged.replaced()).await?);
        Ok(())
    })?;
    staged.install().map_err(|error| error.to_string())?;
    if let Some(report) = report {
        report.print(output);
    }
    Ok(())
}

/// Prepares a database that other programs have put back.
pub(super) fn run_after(
    config: &Config,
    args: &AfterRestoreArgs,
    output: Output,
) -> Result<(), String> {
    // Before the migrations: what a trigger does is not known yet.
    match store::compare_schema(&config.database).map_err(|error| error.to_string())? {
        SchemaComparison::Equal => {}
        SchemaComparison::Differs(differences) => {
            let all = differences.join("; ");
            return Err(format!("the database is not as Tokenhouse makes it: {all}"));
        }
        SchemaComparison::NotPermitted => {
            return Err(
                "the role may not make the schema that the tables are compared with: GRANT CREATE \
                 ON DATABASE, or run this as the owner of the database"
                    .to_owned(),
            );
        }
    }
    with_auth(config, async |auth| {
        prepare(&auth, args, None).await?.print(output);
        Ok(())
    })
}

/// Verifies the trail of the copy, ends what it revives, and says what was done.
async fn prepare(
    auth: &Auth,
    args: &AfterRestoreArgs,
    replaced: Option<&mut ReplacedDatabase>,
) -> Result<Report, Problem> {
    let problems = auth.verify_trail().await?.problems;
    if let Some(first) = problems.first().filter(|_| !args.accept_altered_trail) {
        return Err(Problem(format!(
            "the audit trail of the copy: {first}; {} problem(s) in all. --accept-altered-trail \
             takes it as it is",
            problems.len()
        )));
    }
    let of_replaced = |replaced: &ReplacedDatabase| {
        let sequences = replaced.sequences.clone().unwrap_or_default();
        (sequences, replaced.last_event.clone())
    };
    let (replaced_sequences, replaced_mark) =
        replaced.as_deref().map(of_replaced).unwrap_or_default();
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

    fn print(&self, output: Output) {
        if output.json {
            return output.print(self, &[]);
        }
        say(&format!("the last event of the copy is {}", self.copy));
        if self.trail_problems > 0 {
            let count = self.trail_problems;
            say(&format!(
                "{count} problem(s) in its audit trail were accepted"
            ));
        }
        if let Some(replaced) = &self.replaced {
            say(&format!(
                "the last event of the database that was there is {replaced}"
            ));
            say(&self.lost());
        }
        say(&format!(
            "ended {} login token(s) and {} API key(s){}",
            self.ended_tokens,
            self.ended_keys,
            if self.kept_keys {
                ", keys are kept"
            } else {
                ""
            }
        ));
        say(&format!("the next ids are {}", list(&self.next_ids)));
    }

    /// What has to be done again by hand, such as disabling a user.
    fn lost(&self) -> String {
        match &self.lost_events {
            None => "the copy is not of that database, or that is too damaged to compare them"
                .to_owned(),
            Some(lost) if lost.is_empty() => "nothing had happened there since the copy".to_owned(),
            Some(lost) => format!(
                "what happened there since the copy is undone: {}",
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

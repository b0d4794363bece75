//! `reliability history`

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use reliability::history::History;

use super::options::Options;
use super::{built, project_root, report};

/// How the history is made, and what becomes of it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    options: Options,
    /// The program; without it, the release binary is built
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Where the history goes, whatever the verdict is
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

/// Makes a history and judges it. On a violation the history is saved in any case.
pub(super) fn run(args: &Args) -> Result<bool, String> {
    let root = project_root();
    let binary = built(args.binary.as_ref())?;
    let (history, verdict) = args.options.run(&binary)?;
    if let Some(file) = &args.save {
        save(&history, file)?;
    }
    let is_good = report(&verdict);
    if matches!(is_good, Ok(false)) && args.save.is_none() {
        save(&history, &unnamed_file(&root.join("target"))?)?;
    }
    is_good
}

fn save(history: &History, file: &Path) -> Result<(), String> {
    let shown = file.display();
    history
        .save(file)
        .map_err(|error| format!("{shown}: {error}"))?;
    println!("the history is in {shown}");
    Ok(())
}

fn unnamed_file(folder: &Path) -> Result<PathBuf, String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Ok(folder.join(format!("violation-{}.jsonl", now.as_secs())))
}

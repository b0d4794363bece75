//! `reliability mutants`

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Parser;
use reliability::Scratch;
use reliability::checker::Verdict;

use super::options::Options;
use super::{cargo, project_root, races};

/// Starts the line of a patch that has options for its run: not every mistake shows on every
/// database, or without faults.
const RUN_WITH: &str = "Run-With:";

/// Starts the line of a patch that is found out by races and not by a history, with the arguments of
/// `races`.
const RACE_WITH: &str = "Race-With:";

/// A mutant is built once and run for seconds: that it builds soon counts for more than its speed.
const BUILD_SETTINGS: [(&str, &str); 2] = [
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
];

/// Which mutants, and how they are run.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only those patches, without `.patch`
    names: Vec<String>,
    /// The folder of the patches
    #[arg(long, default_value_os_t = project_root().join("reliability/mutants"))]
    patches: PathBuf,
    /// Options of each run, as for `history`, before those that the patch names in its line
    /// `Run-With:`
    #[arg(last = true)]
    options: Vec<String>,
}

/// The options of a run, apart from the rest of a command line. The later of two counts.
#[derive(Debug, Parser)]
#[command(args_override_self = true)]
struct RunOptions {
    #[command(flatten)]
    options: Options,
}

/// Builds and runs every mutant. All have to be found out.
pub(super) fn run(args: &Args) -> Result<bool, String> {
    let patches = patches(args)?;
    let mut survivors = 0;
    for patch in &patches {
        let name = name(patch);
        println!("mutant {name}");
        match fate(patch, args).map_err(|problem| format!("mutant {name}: {problem}"))? {
            Fate::FoundOut(why) => println!("found out: {}", why.trim_end()),
            Fate::Survived => {
                println!("SURVIVED");
                survivors += 1;
            }
        }
    }
    println!("{} mutants, {survivors} of them survived", patches.len());
    Ok(survivors == 0)
}

/// The patches, in the order of their names; at least one, and each that was named.
fn patches(args: &Args) -> Result<Vec<PathBuf>, String> {
    let folder = args.patches.display();
    let entries = fs::read_dir(&args.patches).map_err(|error| format!("{folder}: {error}"))?;
    let mut patches: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "patch")
        })
        .filter(|path| args.names.is_empty() || args.names.contains(&name(path)))
        .collect();
    patches.sort();
    if patches.is_empty() || patches.len() < args.names.len() {
        return Err(format!("{folder} does not have these patches"));
    }
    Ok(patches)
}

fn name(patch: &Path) -> String {
    patch
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// What became of a mutant.
enum Fate {
    FoundOut(String),
    Survived,
}

fn fate(patch: &Path, args: &Args) -> Result<Fate, String> {
    let text = fs::read_to_string(patch).map_err(|error| error.to_string())?;
    let root = project_root();
    let mutants = root.join("target/mutants");
    let sources = mutants.join(name(patch));
    copy_sources(&root, &sources)?;
    let scratch = Scratch::take_over(sources).map_err(|error| error.to_string())?;
    apply(patch, scratch.path())?;
    let target = mutants.join("target");
    let binary = cargo::build(scratch.path(), &target, &BUILD_SETTINGS)?;
    if let Some(words) = text.lines().find_map(|line| line.strip_prefix(RACE_WITH)) {
        let races = races::Args::parse(words.split_whitespace())?;
        return Ok(match races.count_stale(&binary)? {
            0 => Fate::Survived,
            stale => Fate::FoundOut(format!("{stale} stale")),
        });
    }
    match options(&text, &args.options)?.run(&binary)?.1 {
        Verdict::Violation(violation) => Ok(Fate::FoundOut(violation.to_string())),
        Verdict::Linearizable => Ok(Fate::Survived),
        Verdict::Undecided(_) => Err("undecided".to_owned()),
    }
}

fn options(text: &str, given: &[String]) -> Result<Options, String> {
    let of_patch = text.lines().find_map(|line| line.strip_prefix(RUN_WITH));
    let of_patch = of_patch.unwrap_or_default().split_whitespace();
    let words = ["run", "--seconds", "20"].into_iter();
    let words = words
        .chain(given.iter().map(String::as_str))
        .chain(of_patch);
    let parsed = RunOptions::try_parse_from(words).map_err(|error| error.to_string())?;
    Ok(parsed.options)
}

/// Copies what git knows or would take: no build products, and nothing of git itself.
fn copy_sources(root: &Path, to: &Path) -> Result<(), String> {
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("git: {error}"))?;
    if !listed.status.success() {
        return Err(format!("{} is no working tree of git", root.display()));
    }
    if to.exists() {
        fs::remove_dir_all(to).map_err(|error| format!("{}: {error}", to.display()))?;
    }
    let files = str::from_utf8(&listed.stdout).map_err(|error| error.to_string())?;
    for file in files.split_terminator('\0') {
        let (from, to) = (root.join(file), to.join(file));
        // Git still lists what was deleted a moment ago.
        if from.is_file() {
            copy_file(&from, &to).map_err(|error| format!("{file}: {error}"))?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    fs::copy(from, to)?;
    Ok(())
}

fn apply(patch: &Path, sources: &Path) -> Result<(), String> {
    let input = File::open(patch).map_err(|error| error.to_string())?;
    let output = Command::new("patch")
        .args([
            "--strip=1",
            "--fuzz=0",
            "--forward",
            "--batch",
            "--no-backup-if-mismatch",
        ])
        .current_dir(sources)
        .stdin(input)
        .output()
        .map_err(|error| format!("patch: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        Err(format!("the patch does not apply any more: {said}"))
    }
}

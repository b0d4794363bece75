//! Weakened versions of Tokenhouse, which the checks have to find.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use clap::{Args, Parser};
use test_support::ScratchDir;

use crate::{Cli, project_root};

/// The line with which the section of a mutant begins, before its name.
const MUTANT: &str = "# Mutant: ";

/// The line of a section with the check that finds the mutant, as on the command line.
const CHECK: &str = "Check:";

/// A section of the file of mutants.
struct Mutant {
    name: String,
    patch: String,
}

/// The options of `mutants`.
#[derive(Debug, Args)]
pub(crate) struct MutantsArgs {
    /// Only these mutants
    names: Vec<String>,
    /// The file with the patches
    #[arg(long, default_value_os_t = project_root().join("reliability/mutants.patch"))]
    patches: PathBuf,
    /// Options of each check, before those in the file
    #[arg(last = true)]
    options: Vec<String>,
}

/// Builds and checks every mutant. All have to be found.
pub(crate) fn run(args: &MutantsArgs) -> Result<bool, String> {
    let mutants = read(&args.patches, &args.names)?;
    let root = project_root();
    let target = root.join("target/mutants");
    // All mutants are built in the same folder, so that only what a patch changes is built again.
    let sources = target.join("sources");
    fs::create_dir_all(&sources).map_err(|error| error.to_string())?;
    let sources = ScratchDir::take_over(sources).map_err(|error| error.to_string())?;
    let (mut results, mut survivors, mut errors) = (Vec::new(), 0, 0);
    for mutant in &mutants {
        let name = &mutant.name;
        println!("mutant {name}");
        let built = copy_sources(&root, &sources)
            .and_then(|()| apply(mutant, &sources, &[]))
            .and_then(|()| build(&sources, &target, false));
        let begun = Instant::now();
        let result = built.and_then(|binary| check(mutant, &args.options)?.command.run(&binary));
        let seconds = begun.elapsed().as_secs();
        let result = match result {
            Ok(false) => format!("found after {seconds} s"),
            Ok(true) => {
                survivors += 1;
                format!("SURVIVED {seconds} s")
            }
            Err(problem) => {
                errors += 1;
                format!("no result: {problem}")
            }
        };
        println!("{result}");
        results.push(format!("  {name:<40} {result}"));
    }
    println!("{} mutants:\n{}", results.len(), results.join("\n"));
    match errors {
        0 => Ok(survivors == 0),
        _ => Err(format!("{errors} mutants have no result")),
    }
}

/// The mutants in the order of the file; at least one, and each that was named.
fn read(file: &Path, names: &[String]) -> Result<Vec<Mutant>, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let sections = text.split(MUTANT).skip(1);
    let mutants: Vec<Mutant> = sections
        .filter_map(|section| section.split_once('\n'))
        .map(|(name, patch)| Mutant {
            name: name.to_owned(),
            patch: patch.to_owned(),
        })
        .filter(|mutant| names.is_empty() || names.contains(&mutant.name))
        .collect();
    if mutants.is_empty() || mutants.len() < names.len() {
        return Err(format!("{} lacks these mutants", file.display()));
    }
    Ok(mutants)
}

/// The check of a mutant, with further options after its name.
fn check(mutant: &Mutant, options: &[String]) -> Result<Cli, String> {
    let mut lines = mutant.patch.lines();
    let check = lines.find_map(|line| line.strip_prefix(CHECK));
    let check = check.ok_or("the mutant has no check")?.trim();
    let (verb, rest) = check.split_once(' ').unwrap_or((check, ""));
    let options = options.iter().map(String::as_str);
    let words = options.chain(rest.split(' ').filter(|word| !word.is_empty()));
    let words = ["reliability", verb].into_iter().chain(words);
    Cli::try_parse_from(words).map_err(|error| error.to_string())
}

/// Copies the files that git knows or would add. Unchanged files keep their times, so that they are not
/// built again.
fn copy_sources(root: &Path, to: &Path) -> Result<(), String> {
    let mut list = Command::new("git");
    list.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let files = output(list.current_dir(root))?;
    for file in files.split_terminator('\0') {
        let (from, to) = (root.join(file), to.join(file));
        // Git still lists files that were deleted a moment ago.
        let Ok(content) = fs::read(&from) else {
            continue;
        };
        if fs::read(&to).is_ok_and(|present| present == content) {
            continue;
        }
        let folder = to.parent().unwrap_or(&to);
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&to, content));
        written.map_err(|error| format!("{file}: {error}"))?;
    }
    Ok(())
}

/// Patches the sources, with further options of `patch`.
fn apply(mutant: &Mutant, sources: &Path, options: &[&str]) -> Result<(), String> {
    let scratch = ScratchDir::new("mutant");
    let file = scratch.join("patch");
    fs::write(&file, &mutant.patch).map_err(|error| error.to_string())?;
    let mut patch = Command::new("patch");
    patch
        .args(["--strip=1", "--fuzz=0", "--forward", "--batch"])
        .args(["--no-backup-if-mismatch", "--input"])
        .arg(&file)
        .args(options)
        .current_dir(sources);
    output(&mut patch).map(drop)
}

/// Builds Tokenhouse from these sources, and returns the path of the program. A mutant is not optimized:
/// it runs for seconds only, and is built again for each patch.
pub(crate) fn build(sources: &Path, target: &Path, is_release: bool) -> Result<PathBuf, String> {
    let mut command = Command::new("cargo");
    command
        .args(["build", "--quiet", "--locked", "--bin", "tokenhouse"])
        .args(is_release.then_some("--release"))
        .arg("--target-dir")
        .arg(target);
    output(command.current_dir(sources))?;
    let folder = if is_release { "release" } else { "debug" };
    Ok(target.join(folder).join("tokenhouse"))
}

/// Runs a command that has to succeed, and returns its output.
fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program}: {stdout}{stderr}"))
}

/// Whether the checks find the mutants takes minutes: `reliability mutants`.
#[test]
fn every_mutant_fits_the_sources_and_names_a_check() {
    let root = project_root();
    let mutants = read(&root.join("reliability/mutants.patch"), &[]).unwrap();
    for mutant in mutants {
        check(&mutant, &[]).unwrap();
        apply(&mutant, &root, &["--dry-run"]).unwrap();
    }
}

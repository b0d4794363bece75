//! The command line: one file for each verb, and what they share.

mod audit;
mod cargo;
mod check;
mod durability;
mod faults;
mod history;
mod hostile;
mod mutants;
mod options;
mod races;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use reliability::checker::Verdict;

/// The exit code for a violation, or for a mutant that survives.
const EXIT_VIOLATION: u8 = 1;

/// The exit code when the question has no answer: something does not run, or the history proves
/// nothing.
const EXIT_NO_ANSWER: u8 = 2;

/// Runs Tokenhouse under faults and checks that every answer fits one order of the operations.
///
/// Exit codes: 0 when all is well, 1 for a violation or a mutant that survives, 2 when there is no
/// answer.
#[derive(Debug, Parser)]
#[command(name = "reliability")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a history and judge it.
    History(history::Args),
    /// Judge a history that was written to a file.
    Check(check::Args),
    /// End credentials while they are in use or being issued, and look for any that work after.
    Races(races::Args),
    /// Kill the process in the middle of changes, and compare the state with the audit trail.
    Audit(audit::Args),
    /// Show that what was acknowledged survives kills, power cuts and failing disks.
    Durability(durability::Args),
    /// Let Postgres fail, and show that every answer is right or 503, soon.
    Faults(faults::Args),
    /// Hold thousands of connections without getting on, and show that nobody else notices.
    Hostile(hostile::Args),
    /// Show that broken versions of Tokenhouse are found out.
    Mutants(mutants::Args),
}

impl Cli {
    /// Does what was asked for. Errors are one line on standard error.
    pub fn run(&self) -> ExitCode {
        let outcome = match &self.command {
            Command::History(args) => history::run(args),
            Command::Check(args) => check::run(args),
            Command::Races(args) => races::run(args),
            Command::Audit(args) => audit::run(args),
            Command::Durability(args) => durability::run(args),
            Command::Faults(args) => faults::run(args),
            Command::Hostile(args) => hostile::run(args),
            Command::Mutants(args) => mutants::run(args),
        };
        match outcome {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(EXIT_VIOLATION),
            Err(problem) => {
                eprintln!("reliability: {problem}");
                ExitCode::from(EXIT_NO_ANSWER)
            }
        }
    }
}

/// The root of the project, where Tokenhouse is built.
fn project_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The program to run: what was given, or a release binary built now.
fn built(binary: Option<&PathBuf>) -> Result<PathBuf, String> {
    let root = project_root();
    match binary {
        Some(binary) => Ok(binary.clone()),
        None => cargo::build(&root, &root.join("target"), &[]),
    }
}

/// Prints some of what is wrong.
fn tell_examples(examples: &[String]) {
    for example in examples {
        println!("  {example}");
    }
}

/// Prints the verdict. False for a violation, an error for none.
fn report(verdict: &Verdict) -> Result<bool, String> {
    match verdict {
        Verdict::Linearizable => {
            println!("verdict: every answer fits one order of the operations");
            Ok(true)
        }
        Verdict::Violation(violation) => {
            print!("verdict: VIOLATION\n{violation}");
            Ok(false)
        }
        Verdict::Undecided(users) => Err(format!(
            "undecided: the time or the memory did not suffice for the users {users:?}"
        )),
    }
}

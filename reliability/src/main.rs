//! The command line of the checks.

mod mutants;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand};
use reliability::checker::{Guarantee, Verdict, check};
use reliability::durability::{Audit, IoErrors, Kills, PowerCut};
use reliability::faults::Faults;
use reliability::groups::Groups;
use reliability::history::{Action, History, Outcome, Run};
use reliability::hostile::Hostile;
use reliability::races::{Races, Tally};
use reliability::refresh::Refreshes;

/// The exit code for a violation, or for a mutant that survives.
const EXIT_VIOLATION: u8 = 1;

/// The exit code when there is no result: a program does not run, or the history proves nothing.
const EXIT_NO_RESULT: u8 = 2;

/// Runs Tokenhouse under faults and checks its responses and its data.
///
/// Exit codes: 0 when all checks pass, 1 for a violation or a mutant that survives, 2 when there is no
/// result.
#[derive(Debug, Parser)]
#[command(name = "reliability", args_override_self = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// The program; without this option, the release binary is built
    #[arg(long, global = true)]
    binary: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a history and check that every response fits one order of the operations
    #[command(args_override_self = true)]
    History(HistoryArgs),
    /// Check a history from a file
    Check {
        /// A file written by `history --save`
        file: PathBuf,
        #[command(flatten)]
        check: CheckArgs,
    },
    /// End credentials while clients use or request them, and check that none works afterwards
    Races(Races),
    /// Kill the server during changes, and compare the tables with the audit trail
    Audit(Audit),
    /// Check that acknowledged changes survive kills, power cuts and failing disks
    #[command(subcommand)]
    Durability(Durability),
    /// Let Postgres fail, and check that every response is correct or 503, in time
    Faults(Faults),
    /// Register the same addresses and sign in at the same moments, and check that refusals undo
    /// nothing else
    Groups(Groups),
    /// Refresh sessions while processes are killed and answers lost, and check that no honest client is
    /// signed out
    Refresh(Refreshes),
    /// Hold thousands of connections without progress, and check that other clients are not affected
    Hostile(Hostile),
    /// Check that weakened versions of Tokenhouse are found
    Mutants(mutants::MutantsArgs),
}

#[derive(Debug, Subcommand)]
enum Durability {
    /// Kill the server on SQLite (kill -9), or the Postgres server behind it
    Kills(Kills),
    /// Cut the power of the disk of SQLite at many moments of a recorded run
    PowerCut(PowerCut),
    /// Let the k-th write or sync of SQLite fail, for every k, once and until the disk is repaired
    IoErrors(IoErrors),
}

#[derive(Debug, Args)]
struct HistoryArgs {
    #[command(flatten)]
    run: Run,
    #[command(flatten)]
    check: CheckArgs,
    /// Write the history to this file
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// The guarantee to check
    #[arg(long, value_enum, default_value = "linearizable")]
    guarantee: Guarantee,
    /// Time limit of the check in seconds
    #[arg(long, default_value_t = 300)]
    check_seconds: u64,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match (&cli.command, &cli.binary) {
        // These need no program.
        (command @ (Command::Mutants(_) | Command::Check { .. }), _) => command.run(Path::new("")),
        (command, Some(binary)) => command.run(binary),
        (command, None) => {
            let root = project_root();
            mutants::build(&root, &root.join("target"), true)
                .and_then(|binary| command.run(&binary))
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_VIOLATION),
        Err(problem) => {
            eprintln!("reliability: {problem}");
            ExitCode::from(EXIT_NO_RESULT)
        }
    }
}

impl Command {
    /// Runs the check with this program and prints the result. Returns whether it passes.
    fn run(&self, binary: &Path) -> Result<bool, String> {
        let report = match self {
            Self::History(args) => return args.run(binary),
            Self::Check { file, check } => {
                let history = History::load(file);
                let history = history.map_err(|error| format!("{}: {error}", file.display()))?;
                return check.run(&history);
            }
            Self::Races(races) => {
                let mut stale = 0;
                println!("{}", Tally::heads());
                races.execute(binary, |tally| {
                    println!("{tally}");
                    stale += tally.sum.stale;
                })?;
                println!("verdict: {stale} stale");
                return Ok(stale == 0);
            }
            Self::Audit(audit) => audit.execute(binary)?,
            Self::Durability(Durability::Kills(kills)) => kills.execute(binary)?,
            Self::Durability(Durability::PowerCut(power_cut)) => power_cut.execute(binary)?,
            Self::Durability(Durability::IoErrors(io_errors)) => io_errors.execute(binary)?,
            Self::Faults(faults) => faults.execute(binary)?,
            Self::Groups(groups) => groups.execute(binary)?,
            Self::Refresh(refreshes) => refreshes.execute(binary)?,
            Self::Hostile(hostile) => hostile.execute(binary)?,
            Self::Mutants(args) => return mutants::run(args),
        };
        println!("{report}");
        Ok(report.is_good)
    }
}

impl HistoryArgs {
    /// Makes a history and checks it. A history with a violation is saved in any case.
    fn run(&self, binary: &Path) -> Result<bool, String> {
        let history = self.run.execute(binary)?;
        println!("{history}");
        if let Some(file) = &self.save {
            save(&history, file)?;
        }
        if let Some(response) = history.unexpected.first() {
            let count = history.unexpected.len();
            return Err(format!(
                "{count} or more responses are unexpected, such as: {response}"
            ));
        }
        let result = self.check.run(&history);
        if matches!(result, Ok(false)) && self.save.is_none() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let name = format!("violation-{}.jsonl", now.unwrap_or_default().as_secs());
            save(&history, &project_root().join("target").join(name))?;
        }
        let has_no = |outcome| history.count(Action::Use(0), outcome) == 0;
        if result == Ok(true) && (has_no(Outcome::Ok) || has_no(Outcome::Refused)) {
            return Err("no use was accepted, or none refused: that proves nothing".to_owned());
        }
        result
    }
}

fn save(history: &History, file: &Path) -> Result<(), String> {
    let shown = file.display();
    let saved = history.save(file);
    saved.map_err(|error| format!("{shown}: {error}"))?;
    println!("the history is in {shown}");
    Ok(())
}

impl CheckArgs {
    fn run(&self, history: &History) -> Result<bool, String> {
        let limit = Duration::from_secs(self.check_seconds);
        match check(history, self.guarantee, limit) {
            Verdict::Linearizable => {
                println!("verdict: every response fits one order of the operations");
                Ok(true)
            }
            Verdict::Violation(violation) => {
                print!("verdict: VIOLATION\n{violation}");
                Ok(false)
            }
            Verdict::Undecided(users) => Err(format!(
                "undecided: time or memory ran out for the users {users:?}"
            )),
        }
    }
}

/// The root of the project.
fn project_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

//! `reliability races`

use std::path::{Path, PathBuf};

use clap::Parser;
use reliability::races::{Kind, Races, Tally};

use super::options::{Backend, Database};
use super::{cargo, project_root};

/// How many rounds of which kinds.
#[derive(Debug, Parser)]
#[command(name = "races", no_binary_name = true)]
pub(super) struct Args {
    /// What the processes share
    #[arg(long, value_enum, default_value = "sqlite")]
    database: Backend,
    /// Rounds of each kind
    #[arg(long, default_value_t = 1_000)]
    rounds: usize,
    /// Only this kind; may be given several times
    #[arg(long = "kind", value_name = "KIND", value_parser = kind)]
    kinds: Vec<Kind>,
    /// The program; without it, the release binary is built
    #[arg(long)]
    binary: Option<PathBuf>,
}

fn kind(name: &str) -> Result<Kind, String> {
    let found = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

/// Runs the rounds and prints what was seen. False when something works that must not.
pub(super) fn run(args: &Args) -> Result<bool, String> {
    let binary = match &args.binary {
        Some(binary) => binary.clone(),
        None => {
            let root = project_root();
            cargo::build(&root, &root.join("target"), &[])?
        }
    };
    let stale = args.count_stale(&binary)?;
    println!("verdict: {stale} stale");
    Ok(stale == 0)
}

impl Args {
    /// Reads arguments, as of the command line.
    pub(super) fn parse<'a>(words: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        Self::try_parse_from(words).map_err(|error| error.to_string())
    }

    /// Runs the rounds with this program, prints what was seen, and returns how much of it was
    /// stale.
    pub(super) fn count_stale(&self, binary: &Path) -> Result<usize, String> {
        let kinds = match self.kinds.as_slice() {
            [] => &Kind::ALL[..],
            named => named,
        };
        let database = Database::start(self.database)?;
        let races = Races {
            binary: binary.to_owned(),
            database_url: database.url(),
            rounds: self.rounds,
        };
        let mut stale = 0;
        println!("{}", Tally::heads());
        races.execute(kinds, |tally| {
            println!("{tally}");
            stale += tally.stale;
        })?;
        Ok(stale)
    }
}

//! Races between whoever uses a credential, or is about to get one, and whoever ends it: in rounds,
//! on two processes with one database.
//!
//! A *hot* round lets clients on all workers of both processes use a credential, ends it, and counts
//! the uses that were begun after the acknowledgement and accepted. A *barrier* round lets a sign-in,
//! or the making of a key, and the end of the user's access start at one moment, and counts what
//! was issued and works afterwards. All these counts have to be 0.

mod barrier;
mod hot;
mod kind;
mod stage;
mod subject;

use std::fmt;
use std::path::PathBuf;

use crate::guardian::Scratch;
use crate::server::Program;

pub use kind::Kind;

use kind::Contest;
use stage::Stage;

/// Rounds without an answer that are put up with, for each that had one, and on top of a few.
const UNANSWERED_IN: usize = 10;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Races {
    /// The program `tokenhouse`.
    pub binary: PathBuf,
    /// `DATABASE_URL` of both processes.
    pub database_url: String,
    /// Rounds of each kind that count.
    pub rounds: usize,
}

/// What was seen in the rounds of a kind.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Of which kind.
    pub kind: Kind,
    /// Rounds whose change was acknowledged.
    pub rounds: usize,
    /// Rounds in which a sign-in, or the making of a key, came before the change; for barriers.
    pub issued: usize,
    /// Uses that were begun before the acknowledgement.
    pub before: usize,
    /// Uses that were begun after it.
    pub after: usize,
    /// How many of those were accepted, and what else was there that must not be.
    pub stale: usize,
}

impl Tally {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            rounds: 0,
            issued: 0,
            before: 0,
            after: 0,
            stale: 0,
        }
    }

    fn add(&mut self, seen: Seen) {
        self.rounds += 1;
        self.issued += usize::from(seen.issued);
        self.before += seen.before;
        self.after += seen.after;
        self.stale += seen.stale;
    }

    /// The heads of the columns.
    pub fn heads() -> String {
        format!(
            "{:<32} {:>7} {:>7} {:>9} {:>9} {:>6}",
            "", "rounds", "issued", "before", "after", "stale"
        )
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issued = match self.kind.contest() {
            Contest::Hot => "-".to_owned(),
            Contest::Barrier(_) => self.issued.to_string(),
        };
        write!(
            f,
            "{:<32} {:>7} {issued:>7} {:>9} {:>9} {:>6}",
            self.kind.name(),
            self.rounds,
            self.before,
            self.after,
            self.stale
        )
    }
}

/// What was seen in a round.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    issued: bool,
    before: usize,
    after: usize,
    stale: usize,
}

impl Races {
    /// Runs the rounds of these kinds, and tells the tally of each as soon as it is there.
    ///
    /// # Errors
    /// One sentence: a process does not start, or an answer is none that the service may give.
    pub fn execute(&self, kinds: &[Kind], mut tell: impl FnMut(&Tally)) -> Result<(), String> {
        // Dropped after the processes, which write into it.
        let scratch = Scratch::new("races").map_err(|error| error.to_string())?;
        let program = Program::new(&self.binary, &self.database_url, scratch.path(), &[])?;
        let mut stage = Stage::start(program)?;
        for kind in kinds {
            let tally = self.run(&mut stage, *kind);
            tell(&tally.map_err(|problem| format!("{}: {problem}", kind.name()))?);
        }
        Ok(())
    }

    fn run(&self, stage: &mut Stage, kind: Kind) -> Result<Tally, String> {
        let mut tally = Tally::new(kind);
        // Those of an earlier kind were idle meanwhile, and the service may be closing them.
        stage.keep(Vec::new());
        let mut subject = stage.subject()?;
        let most = self.rounds + self.rounds / UNANSWERED_IN + UNANSWERED_IN;
        for round in 0..most {
            if tally.rounds == self.rounds {
                return Ok(tally);
            }
            let seen = match kind.contest() {
                Contest::Hot => hot::round(stage, &mut subject, kind, round)?,
                Contest::Barrier(prize) => barrier::round(stage, &mut subject, kind, prize, round)?,
            };
            if let Some(seen) = seen {
                tally.add(seen);
            }
        }
        Err("too many rounds had no answer".to_owned())
    }
}

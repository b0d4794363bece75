//! Checks of Tokenhouse under faults: that every response of several processes fits one order of the
//! operations, that credentials end when their end is acknowledged, and that nothing acknowledged is
//! lost.
//!
//! [`history::Run`] makes a history of several processes on one database, and [`checker::check`]
//! decides whether it is linearizable. The other modules are checks of their own; each has a struct
//! with the options of the command line and a method `execute`.

pub mod checker;
pub mod durability;
pub mod faults;
mod fixture;
pub mod groups;
pub mod history;
pub mod hostile;
pub mod races;
pub mod refresh;
mod user;

use std::fmt;

use clap::{Args, Command};

pub use fixture::Backend;

/// Parses options as the command line does, such as `--rounds 3 --seed 7`. Later options replace
/// earlier ones.
///
/// # Errors
/// The message of the command line, when they are not valid.
pub fn parse_options<T: Args>(options: &str) -> Result<T, String> {
    let command = T::augment_args(Command::new("options").no_binary_name(true));
    let matches = command
        .args_override_self(true)
        .try_get_matches_from(options.split_whitespace());
    matches
        .and_then(|matches| T::from_arg_matches(&matches))
        .map_err(|error| error.to_string())
}

/// The number of findings that are described.
const MAX_EXAMPLES: usize = 8;

/// The result of a check.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was done, one line each.
    pub summary: Vec<String>,
    /// The number of acknowledged changes.
    pub acknowledged: usize,
    /// The number of changes without a response, or with 503.
    pub unacknowledged: usize,
    /// What is wrong.
    pub findings: Findings,
    /// Whether the check passes.
    pub is_good: bool,
}

impl Report {
    /// Sets whether the check passes: nothing is wrong, and something was tried.
    pub(crate) fn judge(mut self) -> Self {
        self.is_good = self.acknowledged > 0 && self.findings.is_clean();
        self
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.summary {
            writeln!(f, "{line}")?;
        }
        if self.acknowledged > 0 {
            let (acknowledged, findings) = (self.acknowledged, &self.findings);
            writeln!(f, "{acknowledged} changes acknowledged: {findings}")?;
        }
        write!(f, "verdict: {}", if self.is_good { "good" } else { "BAD" })
    }
}

/// The result of one comparison or of many.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Acknowledged changes that were looked up.
    pub acknowledged: usize,
    /// Changes without an acknowledgement that were made, as they may be.
    pub unacknowledged_made: usize,
    /// Acknowledged changes that are missing.
    pub lost: usize,
    /// Ended credentials and deleted users that exist, and disabled users who are enabled.
    pub resurrected: usize,
    /// Anything else: damage, changes made twice, tables that contradict the audit trail, responses
    /// that no fault explains.
    pub wrong: usize,
    /// Descriptions of some findings.
    pub examples: Vec<String>,
}

impl Findings {
    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.lost + self.resurrected + self.wrong == 0
    }

    pub(crate) fn add_lost(&mut self, example: String) {
        self.lost += 1;
        self.describe(example);
    }

    pub(crate) fn add_resurrected(&mut self, example: String) {
        self.resurrected += 1;
        self.describe(example);
    }

    pub(crate) fn add_wrong(&mut self, example: String) {
        self.wrong += 1;
        self.describe(example);
    }

    /// Adds the findings of another comparison, which `place` names.
    pub(crate) fn add(&mut self, mut other: Self, place: &str) {
        for example in &mut other.examples {
            *example = format!("{place}: {example}");
        }
        self.append(other);
    }

    /// Adds other findings.
    pub(crate) fn append(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.unacknowledged_made += other.unacknowledged_made;
        self.lost += other.lost;
        self.resurrected += other.resurrected;
        self.wrong += other.wrong;
        let room = MAX_EXAMPLES.saturating_sub(self.examples.len());
        self.examples.extend(other.examples.into_iter().take(room));
    }

    fn describe(&mut self, example: String) {
        if self.examples.len() < MAX_EXAMPLES {
            self.examples.push(example);
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lost, resurrected, wrong) = (self.lost, self.resurrected, self.wrong);
        write!(
            f,
            "{lost} lost, {resurrected} resurrected, {wrong} wrong otherwise"
        )?;
        let mut examples = self.examples.iter();
        examples.try_for_each(|example| write!(f, "\n  {example}"))
    }
}

#[test]
fn options_are_parsed_as_on_the_command_line() {
    let races = parse_options::<races::Races>("--rounds 3 --kind delete-key --rounds 4").unwrap();
    assert_eq!(
        (races.rounds, races.kinds),
        (4, vec![races::Kind::DeleteKey])
    );
    assert_eq!(races.database, Backend::Sqlite);
    let run = parse_options::<history::Run>("--kills --setting A=b=c").unwrap();
    assert_eq!(run.settings, [("A".to_owned(), "b=c".to_owned())]);
    assert!(parse_options::<races::Races>("--rounds many").is_err());
}

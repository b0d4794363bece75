//! What was asked and answered, and when.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// Stands for an access token. The secret itself never gets into a history.
pub type Token = u32;

/// What a client or an operator wanted of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "action", content = "token", rename_all = "lowercase")]
pub enum Action {
    /// Sign in, with the right password. Holds the token that was answered, if one was.
    Login(Option<Token>),
    /// Ask for a page that is for users.
    Use(Token),
    /// End this token.
    Logout(Token),
    /// End the user's token, whichever it is.
    Revoke,
    /// Let the user in no more.
    Disable,
    /// Let the user in again.
    Enable,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was acknowledged.
    Ok,
    /// It was refused: 401.
    Refused,
    /// Nobody knows: it may have taken effect, may do so at any later time, or never.
    Unknown,
}

/// One operation of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// On whose account.
    pub user: u32,
    /// Who did it.
    pub client: u32,
    /// Which process was asked; `None` for the command line.
    pub process: Option<u32>,
    /// What was wanted.
    #[serde(flatten)]
    pub action: Action,
    /// What came of it.
    pub outcome: Outcome,
    /// When, in nanoseconds of the history's clock, before the first byte was sent.
    pub invoked: u64,
    /// When the whole answer had been read, or when the client gave up.
    pub returned: u64,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.action {
            Action::Login(Some(token)) => write!(f, "login -> t{token}")?,
            Action::Login(None) => f.write_str("login")?,
            Action::Use(token) => write!(f, "use t{token}")?,
            Action::Logout(token) => write!(f, "logout t{token}")?,
            Action::Revoke => f.write_str("revoke")?,
            Action::Disable => f.write_str("disable")?,
            Action::Enable => f.write_str("enable")?,
        }
        f.write_str(match (self.action, self.outcome) {
            (Action::Login(Some(_)), Outcome::Ok) => "",
            (Action::Use(_), Outcome::Ok) => " -> accepted",
            (_, Outcome::Ok) => " -> ok",
            (_, Outcome::Refused) => " -> refused",
            (_, Outcome::Unknown) => " -> unknown",
        })
    }
}

/// All operations of a run, in no particular order.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The operations.
    pub operations: Vec<Operation>,
    /// Answers that no rule of the service allows, such as a status 500. Their operations count
    /// as unknown.
    pub unexpected: Vec<String>,
}

impl History {
    /// The operations of each user. Users do not influence each other, so a history is
    /// linearizable when the history of each user is.
    pub fn by_user(&self) -> BTreeMap<u32, Vec<Operation>> {
        let mut users: BTreeMap<u32, Vec<Operation>> = BTreeMap::new();
        for operation in &self.operations {
            users.entry(operation.user).or_default().push(*operation);
        }
        users
    }

    /// How many operations there are of a kind with an outcome. Which token the kind names does
    /// not matter.
    pub fn count(&self, kind: Action, outcome: Outcome) -> usize {
        let same = std::mem::discriminant(&kind);
        let of_kind = self.operations.iter().filter(|operation| {
            std::mem::discriminant(&operation.action) == same && operation.outcome == outcome
        });
        of_kind.count()
    }

    /// Writes one JSON object a line for each operation.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for operation in &self.operations {
            serde_json::to_writer(&mut file, operation)?;
            file.write_all(b"\n")?;
        }
        file.flush()
    }

    /// Reads what [`Self::save`] wrote.
    ///
    /// # Errors
    /// When the file cannot be read, or a line of it is no operation.
    pub fn load(path: &Path) -> io::Result<Self> {
        let mut history = Self::default();
        for line in BufReader::new(File::open(path)?).lines() {
            history.operations.push(serde_json::from_str(&line?)?);
        }
        Ok(history)
    }
}

/// The one clock of a history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since the start; the same for all threads, and never going back.
    pub(crate) fn now(&self) -> u64 {
        // Full after 584 years.
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_survives_the_trip_through_a_file() {
        let actions = [
            (Action::Login(Some(7)), Outcome::Ok),
            (Action::Login(None), Outcome::Unknown),
            (Action::Use(7), Outcome::Refused),
            (Action::Logout(7), Outcome::Ok),
            (Action::Revoke, Outcome::Ok),
            (Action::Disable, Outcome::Ok),
            (Action::Enable, Outcome::Unknown),
        ];
        let operations = (0..).zip(actions).map(|(at, (action, outcome))| Operation {
            user: 1,
            client: 2,
            process: (at % 2 == 0).then_some(3),
            action,
            outcome,
            invoked: at,
            returned: u64::MAX - at,
        });
        let history = History {
            operations: operations.collect(),
            unexpected: Vec::new(),
        };
        let scratch = crate::Scratch::new("history").unwrap();
        let path = scratch.path().join("history.jsonl");
        history.save(&path).unwrap();
        assert_eq!(History::load(&path).unwrap().operations, history.operations);
        assert_eq!(history.count(Action::Use(0), Outcome::Refused), 1);
    }
}

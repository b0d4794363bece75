//! Histories: the operations of clients on several processes under faults, with their times.

mod context;
mod nemesis;
mod run;
mod tokens;
mod turns;
mod worker;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::mem::discriminant;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use run::Run;

/// Stands for a login token and the refresh token that was issued with it, if any. A history never holds
/// the tokens themselves.
pub type Token = u32;

/// What a client or an operator asks of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "action", content = "token", rename_all = "lowercase")]
pub enum Action {
    /// Sign in with the correct password. Holds the token of the response, if there is one.
    Login(Option<Token>),
    /// Request a page for users.
    Use(Token),
    /// Exchange the refresh token. Holds the tokens of the response, if there are any.
    Refresh(Token, Option<Token>),
    /// End the session of this token.
    Logout(Token),
    /// Request with the first token to end the session of the second one.
    End(Token, Token),
    /// Request with this token to end all sessions but its own.
    EndOthers(Token),
    /// End the user's sessions.
    Revoke,
    /// Disable the user.
    Disable,
    /// Enable the user.
    Enable,
}

/// The outcome of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was acknowledged.
    Ok,
    /// It was refused: 401; 400 for a refresh; 404 for a session.
    Refused,
    /// It may have taken effect, may do so at any later time, or never.
    Unknown,
}

/// One operation of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// The user it is about.
    pub user: u32,
    /// The client that asked.
    pub client: u32,
    /// The process that was asked; `None` for a command.
    pub process: Option<u32>,
    /// What was asked.
    #[serde(flatten)]
    pub action: Action,
    /// The outcome.
    pub outcome: Outcome,
    /// The time before the first byte was sent, in nanoseconds of the history's clock.
    pub invoked: u64,
    /// The time when the whole response had been read, or when the client gave up.
    pub returned: u64,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.action {
            Action::Login(Some(token)) => write!(f, "login -> t{token}")?,
            Action::Login(None) => f.write_str("login")?,
            Action::Use(token) => write!(f, "use t{token}")?,
            Action::Refresh(token, Some(next)) => write!(f, "refresh t{token} -> t{next}")?,
            Action::Refresh(token, None) => write!(f, "refresh t{token}")?,
            Action::Logout(token) => write!(f, "logout t{token}")?,
            Action::End(by, token) => write!(f, "end t{token} by t{by}")?,
            Action::EndOthers(by) => write!(f, "end others by t{by}")?,
            Action::Revoke => f.write_str("revoke")?,
            Action::Disable => f.write_str("disable")?,
            Action::Enable => f.write_str("enable")?,
        }
        f.write_str(match (self.action, self.outcome) {
            (Action::Login(Some(_)) | Action::Refresh(_, Some(_)), Outcome::Ok) => "",
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
    /// The number of sessions that a user may have.
    pub sessions_per_user: usize,
    /// The operations.
    pub operations: Vec<Operation>,
    /// Responses that the service must not give, such as a status 500. Their operations count as
    /// unknown.
    pub unexpected: Vec<String>,
}

impl History {
    /// The operations of each user. Users do not influence each other, so a history is linearizable
    /// when the history of each user is.
    pub fn by_user(&self) -> BTreeMap<u32, Vec<Operation>> {
        let mut users: BTreeMap<u32, Vec<Operation>> = BTreeMap::new();
        for operation in &self.operations {
            users.entry(operation.user).or_default().push(*operation);
        }
        users
    }

    /// The number of operations of this kind with this outcome, whatever their tokens.
    pub fn count(&self, kind: Action, outcome: Outcome) -> usize {
        let operations = self.operations.iter();
        let operations = operations.filter(|operation| operation.outcome == outcome);
        operations
            .filter(|operation| discriminant(&operation.action) == discriminant(&kind))
            .count()
    }

    /// Writes the number of sessions and the operations, one JSON object a line.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        let head = Head {
            sessions_per_user: self.sessions_per_user,
        };
        serde_json::to_writer(&mut file, &head)?;
        file.write_all(b"\n")?;
        for operation in &self.operations {
            serde_json::to_writer(&mut file, operation)?;
            file.write_all(b"\n")?;
        }
        file.flush()
    }

    /// Reads a file written by [`Self::save`].
    ///
    /// # Errors
    /// When the file cannot be read, or a line is no operation.
    pub fn load(path: &Path) -> io::Result<Self> {
        let mut lines = BufReader::new(File::open(path)?).lines();
        let head = lines.next().unwrap_or_else(|| Ok(String::new()))?;
        let Head { sessions_per_user } = serde_json::from_str(&head)?;
        let operations = lines.map(|line| Ok(serde_json::from_str(&line?)?));
        Ok(Self {
            sessions_per_user,
            operations: operations.collect::<io::Result<_>>()?,
            unexpected: Vec::new(),
        })
    }
}

/// The first line of a file.
#[derive(Serialize, Deserialize)]
struct Head {
    sessions_per_user: usize,
}

/// Prints the number of operations of each kind and outcome.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            ("login", Action::Login(None)),
            ("use", Action::Use(0)),
            ("refresh", Action::Refresh(0, None)),
            ("logout", Action::Logout(0)),
            ("end", Action::End(0, 0)),
            ("end others", Action::EndOthers(0)),
            ("revoke", Action::Revoke),
            ("disable", Action::Disable),
            ("enable", Action::Enable),
        ];
        writeln!(f, "{} operations", self.operations.len())?;
        write!(
            f,
            "  {:<10} {:>9} {:>9} {:>9}",
            "", "ok", "refused", "unknown"
        )?;
        for (name, kind) in kinds {
            write!(f, "\n  {name:<10}")?;
            for outcome in [Outcome::Ok, Outcome::Refused, Outcome::Unknown] {
                write!(f, " {:>9}", self.count(kind, outcome))?;
            }
        }
        Ok(())
    }
}

#[test]
fn saved_history_is_loaded_unchanged() {
    let actions = [
        (Action::Login(Some(7)), Outcome::Ok),
        (Action::Login(None), Outcome::Unknown),
        (Action::Use(7), Outcome::Refused),
        (Action::Refresh(7, Some(8)), Outcome::Ok),
        (Action::Refresh(8, None), Outcome::Unknown),
        (Action::End(7, 8), Outcome::Refused),
        (Action::EndOthers(8), Outcome::Ok),
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
        sessions_per_user: 3,
        operations: operations.collect(),
        unexpected: Vec::new(),
    };
    let scratch = test_support::ScratchDir::new("history");
    let path = scratch.join("history.jsonl");
    history.save(&path).unwrap();
    let loaded = History::load(&path).unwrap();
    assert_eq!(loaded.operations, history.operations);
    assert_eq!(loaded.sessions_per_user, history.sessions_per_user);
    assert_eq!(history.count(Action::Use(0), Outcome::Refused), 1);
}

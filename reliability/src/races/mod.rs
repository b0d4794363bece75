//! Races between the use or the issue of a credential and its end, in rounds, on two processes with
//! one database.
//!
//! A *hot* round uses a credential on all workers of both processes, ends it, and counts the uses that
//! were begun after the acknowledgement and accepted. A *barrier* round starts a sign-in or the
//! creation of a key, and the end of the user's access, at the same moment, and counts what was
//! issued and works afterwards. All these counts have to be 0.

mod fixture;
mod rounds;

use std::fmt;
use std::path::Path;

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::fixture::{Backend, Database};
use crate::user::Change;
use fixture::{RaceFixture, SCOPE};

/// One round in this many may stay without a response, and a few more.
const UNANSWERED_IN: usize = 10;

/// The kinds of races, by what ends the credential and what it races with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// `POST /logout`
    Logout,
    /// `POST /revoke` with the login token
    RevokeToken,
    /// `POST /revoke` with the API key
    RevokeKey,
    /// `DELETE /users/me/keys/{id}`
    DeleteKey,
    /// Another `POST /token`
    NewerLogin,
    /// `POST /users/me/password`, which ends the key
    PasswordChange,
    /// `PATCH /admin/users/{id}`, disabled
    Disable,
    /// `DELETE /users/me` and `DELETE /admin/users/{id}` in turns
    Delete,
    /// `PATCH /admin/users/{id}`, without the scope that is used
    ScopeTaken,
    /// `DELETE /admin/users/{id}/tokens`
    SignOut,
    /// `tokenhouse user disable`
    CommandLine,
    /// A concurrent sign-in and disable
    LoginAgainstDisable,
    /// A concurrent sign-in and password change
    LoginAgainstPasswordChange,
    /// A concurrent sign-in and deletion
    LoginAgainstDelete,
    /// A concurrent creation of a key and disable
    KeyAgainstDisable,
    /// A concurrent creation of a key and password change
    KeyAgainstPasswordChange,
    /// A concurrent creation of a key and deletion
    KeyAgainstDelete,
}

impl Kind {
    /// All kinds.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// The name on the command line.
    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What ends the access, and the change that a barrier round makes at the same moment; `None` for a
    /// hot round.
    const fn halves(self) -> (Self, Option<Change>) {
        let (login, key) = (Some(Change::Login), Some(Change::CreateKey(SCOPE)));
        match self {
            Self::LoginAgainstDisable => (Self::Disable, login),
            Self::LoginAgainstPasswordChange => (Self::PasswordChange, login),
            Self::LoginAgainstDelete => (Self::Delete, login),
            Self::KeyAgainstDisable => (Self::Disable, key),
            Self::KeyAgainstPasswordChange => (Self::PasswordChange, key),
            Self::KeyAgainstDelete => (Self::Delete, key),
            hot => (hot, None),
        }
    }

    /// Whether it ends the login token, and whether it ends the key.
    const fn ends(self) -> [bool; 2] {
        match self {
            Self::Logout | Self::RevokeToken | Self::NewerLogin => [true, false],
            // The session that changes the password stays.
            Self::RevokeKey | Self::DeleteKey | Self::PasswordChange => [false, true],
            _ => [true, true],
        }
    }
}

/// The options of a run.
#[derive(Clone, Debug, Args)]
pub struct Races {
    /// The database that the processes share
    #[arg(long, value_enum, default_value = "sqlite")]
    pub database: Backend,
    /// Rounds of each kind
    #[arg(long, default_value_t = 1_000)]
    pub rounds: usize,
    /// Remove the users from the calls of changes, as in those of earlier versions: each change pauses
    /// the other processes altogether
    #[arg(long)]
    pub unnamed_calls: bool,
    /// Only this kind; may be repeated
    #[arg(
        long = "kind",
        value_name = "KIND",
        value_enum,
        hide_possible_values = true
    )]
    pub kinds: Vec<Kind>,
}

/// What happened in a round, or in many.
#[derive(Clone, Debug, Default)]
pub struct Round {
    /// Credentials that were issued before the change. For barrier rounds.
    pub issued: usize,
    /// Uses that were begun before the acknowledgement.
    pub before: usize,
    /// Uses that were begun after it.
    pub after: usize,
    /// Accepted uses among those, and anything else that must not exist.
    pub stale: usize,
    /// What the last number counts, in words.
    pub findings: Vec<String>,
}

impl Round {
    fn plus(mut self, other: Self) -> Self {
        self.findings.extend(other.findings);
        Self {
            issued: self.issued + other.issued,
            before: self.before + other.before,
            after: self.after + other.after,
            stale: self.stale + other.stale,
            findings: self.findings,
        }
    }

    /// Adds the events of the user to the findings, if there are any.
    fn explain(&mut self, number: usize, events: &[Value]) {
        let text = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let summary = |event: &Value| {
            let words = ["action", "result", "target"].map(|name| text(event, name));
            format!("{} {}", event["id"], words.join(" "))
        };
        let events: Vec<String> = events.iter().map(summary).collect();
        let events = events.join(", ");
        self.findings
            .push(format!("round {number}, the last event first: {events}"));
    }

    fn add_stale(&mut self, count: usize, what: &str) {
        if count > 0 {
            self.stale += count;
            self.findings.push(format!("{count}: {what}"));
        }
    }
}

/// The result of all rounds of a kind.
#[derive(Clone, Debug)]
pub struct Tally {
    /// The kind.
    pub kind: Kind,
    /// Rounds whose change was acknowledged.
    pub rounds: usize,
    /// The sum of these rounds.
    pub sum: Round,
}

impl Tally {
    /// The heads of the columns.
    pub fn heads() -> String {
        let heads = ["rounds", "issued", "before", "after", "stale"];
        let heads = heads.map(|head| format!(" {head:>9}"));
        format!("{:<30}{}", "", heads.concat())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = &self.sum;
        let counts = [self.rounds, sum.issued, sum.before, sum.after, sum.stale];
        let counts = counts.map(|count| format!(" {count:>9}"));
        write!(f, "{:<30}{}", self.kind.name(), counts.concat())?;
        sum.findings
            .iter()
            .try_for_each(|finding| write!(f, "\n    {finding}"))
    }
}

impl Races {
    /// Runs the rounds, and reports the tally of each kind as soon as it is complete.
    ///
    /// # Errors
    /// One sentence: a process does not start, or a response is none that the service may give.
    pub fn execute(&self, binary: &Path, mut report: impl FnMut(&Tally)) -> Result<(), String> {
        let database = Database::start(self.database)?;
        let mut fixture = RaceFixture::start(binary, &database.url())?;
        if self.unnamed_calls {
            database.forget_users_of_calls()?;
        }
        let kinds = match self.kinds.as_slice() {
            [] => Kind::all(),
            chosen => chosen,
        };
        for kind in kinds {
            let tally = self.run(&mut fixture, *kind);
            report(&tally.map_err(|problem| format!("{}: {problem}", kind.name()))?);
        }
        Ok(())
    }

    fn run(&self, fixture: &mut RaceFixture, kind: Kind) -> Result<Tally, String> {
        let mut tally = Tally {
            kind,
            rounds: 0,
            sum: Round::default(),
        };
        for number in 0..self.rounds + self.rounds / UNANSWERED_IN + UNANSWERED_IN {
            if tally.rounds == self.rounds {
                return Ok(tally);
            }
            let round = match kind.halves() {
                (_, None) => rounds::run_hot(fixture, kind, number)?,
                (end, Some(change)) => rounds::run_barrier(fixture, &change, end, number)?,
            };
            if let Some(round) = round {
                tally.rounds += 1;
                tally.sum = tally.sum.plus(round);
            }
        }
        Err("too many rounds stayed without a response".to_owned())
    }
}

//! What became of everybody.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use chrono::TimeDelta;
use serde::Serialize;

use super::source::Batch;
use crate::auth::{BatchOutcome, Outcome};

/// Problems that are kept one by one; the rest is counted.
const PROBLEMS_KEPT: usize = 1_000;

/// Problems that are printed for people.
const PROBLEMS_SHOWN: usize = 20;

/// The report of an import.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What the source was.
    pub format: &'static str,
    /// Whether nothing was stored: then these are the numbers that there would be.
    pub dry_run: bool,
    /// Of the users.
    pub users: UserCounts,
    /// Imported users who cannot sign in, by what is the matter with their hashes.
    pub hashes: BTreeMap<&'static str, u64>,
    /// Of the tokens.
    pub tokens: TokenReport,
    /// Seconds that tokens live for which the source does not say it.
    pub token_lifetime: i64,
    /// Users who were left out, the first thousand.
    pub problems: Vec<Problem>,
    /// How long it took.
    pub seconds: f64,
    /// Users that were read.
    pub users_per_second: u64,
}

/// What became of the users.
#[derive(Clone, Debug, Default, Serialize)]
pub struct UserCounts {
    /// All of them.
    pub read: u64,
    /// Stored.
    pub imported: u64,
    /// Were there, with the same address, and the same hash or the same names.
    pub already_there: u64,
    /// Left out: the address is there in another spelling.
    pub spelled_otherwise: u64,
    /// Left out: somebody else has the address.
    pub address_taken: u64,
    /// Left out: the address is none.
    pub invalid_address: u64,
    /// Left out: the line of the file is not readable.
    pub unreadable: u64,
}

/// What became of the tokens.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TokenReport {
    /// All of them.
    pub read: u64,
    /// Stored: they go on working.
    pub imported: u64,
    /// Left out: do not work at the source any more either.
    pub expired: u64,
    /// Left out: their users have a newer one, and there is one for each here.
    pub superseded: u64,
    /// Left out: their users were not imported now.
    pub of_users_left_out: u64,
    /// Left out, by the reason. `knox-digest`: knox was told to digest with something else than
    /// SHA-512, which is not known here; those users sign in again.
    pub not_importable: BTreeMap<&'static str, u64>,
}

/// A user who was left out.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// The user's id at the source, or the number of the line.
    pub id: String,
    /// Why.
    pub problem: &'static str,
}

impl Report {
    pub(super) fn new(dry_run: bool, token_lifetime: TimeDelta) -> Self {
        Self {
            format: "",
            dry_run,
            users: UserCounts::default(),
            hashes: BTreeMap::new(),
            tokens: TokenReport::default(),
            token_lifetime: token_lifetime.num_seconds(),
            problems: Vec::new(),
            seconds: 0.0,
            users_per_second: 0,
        }
    }

    /// Counts in a batch.
    pub(super) fn add(&mut self, batch: &Batch, outcome: &BatchOutcome) {
        let mut live = 0;
        for (read, outcome) in batch.users.iter().zip(&outcome.users) {
            self.users.read += 1;
            live += u64::from(read.user.token.is_some());
            match outcome {
                Outcome::Imported => {
                    self.users.imported += 1;
                    if let Some(problem) = read.hash_problem {
                        *self.hashes.entry(problem).or_default() += 1;
                    }
                }
                Outcome::AlreadyThere => self.users.already_there += 1,
                Outcome::SpelledOtherwise => {
                    self.users.spelled_otherwise += 1;
                    self.note(read.id.clone(), "spelled-otherwise");
                }
                Outcome::Taken => {
                    self.users.address_taken += 1;
                    self.note(read.id.clone(), "address-taken");
                }
            }
        }
        for id in &batch.invalid {
            self.users.read += 1;
            self.users.invalid_address += 1;
            self.note(id.clone(), "invalid-address");
        }
        for line in &batch.unreadable {
            self.users.read += 1;
            self.users.unreadable += 1;
            self.note(format!("line {line}"), "unreadable");
        }
        let read = &batch.tokens;
        let imported = outcome.tokens as u64;
        let not_importable: u64 = read.not_importable.values().sum();
        let tokens = &mut self.tokens;
        tokens.read += read.read;
        tokens.imported += imported;
        tokens.expired += read.expired;
        tokens.superseded += read.superseded;
        // Those of users without an address were chosen too, and went no further.
        let chosen = read.read - read.expired - read.superseded - not_importable;
        debug_assert!(live <= chosen);
        tokens.of_users_left_out += chosen - imported;
        for (reason, count) in &read.not_importable {
            *tokens.not_importable.entry(reason).or_default() += count;
        }
    }

    fn note(&mut self, id: String, problem: &'static str) {
        if self.problems.len() < PROBLEMS_KEPT {
            self.problems.push(Problem { id, problem });
        }
    }

    pub(super) fn end(&mut self, took: Duration) {
        self.seconds = took.as_secs_f64();
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
        self.users_per_second = self.users.read * 1_000 / millis;
    }

    fn lines(&self) -> Vec<(String, u64)> {
        let (users, tokens) = (&self.users, &self.tokens);
        let mut lines = vec![
            ("users read", users.read),
            ("  imported", users.imported),
            ("  already there", users.already_there),
            (
                "  left out: the address is there in another spelling",
                users.spelled_otherwise,
            ),
            (
                "  left out: somebody else has the address",
                users.address_taken,
            ),
            (
                "  left out: the address is not valid",
                users.invalid_address,
            ),
            ("  left out: the line is not readable", users.unreadable),
        ];
        lines.extend(self.hashes.iter().map(|(problem, count)| match *problem {
            "too-costly" => ("  imported, cannot sign in: the hash is too costly", *count),
            "malformed-hash" => ("  imported, cannot sign in: the hash is broken", *count),
            "too-long" => ("  imported without the hash: it is too long", *count),
            _ => (
                "  imported, cannot sign in: the hash is of unknown kind",
                *count,
            ),
        }));
        lines.extend([
            ("tokens read", tokens.read),
            ("  imported", tokens.imported),
            ("  left out: expired", tokens.expired),
            ("  left out: the user has a newer one", tokens.superseded),
            (
                "  left out: the user was not imported now",
                tokens.of_users_left_out,
            ),
        ]);
        lines.extend(
            tokens
                .not_importable
                .iter()
                .map(|(reason, count)| match *reason {
                    "knox-digest" => ("  left out: knox's digest is not SHA-512", *count),
                    _ => (
                        "  left out: the time at which it ends is not readable",
                        *count,
                    ),
                }),
        );
        let owned = lines.into_iter();
        owned
            .map(|(text, count)| (text.to_owned(), count))
            .collect()
    }
}

/// A table for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dry_run {
            writeln!(f, "Dry run: nothing was stored. An import would give:")?;
        }
        for (text, count) in self.lines() {
            writeln!(f, "{text:<56}{count:>10}")?;
        }
        writeln!(
            f,
            "Tokens for which the source ({}) does not say it live {} s.",
            self.format, self.token_lifetime
        )?;
        for Problem { id, problem } in self.problems.iter().take(PROBLEMS_SHOWN) {
            // An id may be whatever a stranger typed.
            writeln!(f, "{}: {problem}", id.replace(char::is_control, " "))?;
        }
        if self.problems.len() > PROBLEMS_SHOWN {
            writeln!(f, "More are listed with --json.")?;
        }
        write!(
            f,
            "{:.1} s, {} users a second",
            self.seconds, self.users_per_second
        )
    }
}

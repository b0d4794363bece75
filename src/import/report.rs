//! What became of everybody.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use chrono::TimeDelta;
use serde::Serialize;

use super::source::Batch;
use super::users::Reason;
use crate::auth::{BatchOutcome, Outcome, TokenOutcome};

/// Problems that are kept one by one; the rest is counted.
const PROBLEMS_KEPT: usize = 1_000;

/// Characters of an id that are kept: a source may hold anything.
const ID_KEPT: usize = 100;

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
    /// Left out: a user of this address was deleted here. `--again` takes them over.
    pub deleted_here: u64,
    /// Left out: the address is none.
    pub invalid_address: u64,
    /// Left out: the name, surname or website is longer than `/register` takes.
    pub too_long: u64,
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
    /// Of these: end earlier than at the source, because tokens live no longer here.
    pub cut: u64,
    /// Left out: were here before, and have ended.
    pub ended_here: u64,
    /// Left out: another user has the same.
    pub of_another_user: u64,
    /// Left out: do not work at the source any more either.
    pub expired: u64,
    /// Left out: their users have a newer one, and there is one for each here.
    pub superseded: u64,
    /// Left out: their users were not imported now.
    pub of_users_left_out: u64,
    /// Left out, by the reason; those users sign in again. `weak`: could be guessed. `too-many`: the
    /// user has more than a thousand. `unreadable-time`: of the end. `knox-digest`: knox was told to
    /// digest with something else than SHA-512, which is not known here.
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
        for (read, outcome) in batch.users.iter().zip(&outcome.users) {
            self.users.read += 1;
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
                    self.note(&read.id, "spelled-otherwise");
                }
                Outcome::Taken => {
                    self.users.address_taken += 1;
                    self.note(&read.id, "address-taken");
                }
                Outcome::DeletedHere => {
                    self.users.deleted_here += 1;
                    self.note(&read.id, "deleted-here");
                }
            }
        }
        for left_out in &batch.left_out {
            self.users.read += 1;
            match left_out.reason {
                Reason::InvalidAddress => self.users.invalid_address += 1,
                _ => self.users.too_long += 1,
            }
            self.note(&left_out.id, left_out.reason.problem());
        }
        for line in &batch.unreadable {
            self.users.read += 1;
            self.users.unreadable += 1;
            self.note(&format!("line {line}"), "unreadable");
        }
        self.add_tokens(batch, outcome);
    }

    fn add_tokens(&mut self, batch: &Batch, outcome: &BatchOutcome) {
        let (read, tokens) = (&batch.tokens, &mut self.tokens);
        let not_importable: u64 = read.not_importable.values().sum();
        tokens.read += read.read;
        tokens.expired += read.expired;
        tokens.superseded += read.superseded;
        // Those of users without an address were chosen too, and went no further.
        let mut left_out = read.read - read.expired - read.superseded - not_importable;
        for (read, outcome) in batch.users.iter().zip(&outcome.tokens) {
            match outcome {
                Some(TokenOutcome::Imported) => {
                    tokens.imported += 1;
                    tokens.cut += u64::from(read.token_is_cut);
                }
                Some(TokenOutcome::EndedHere) => tokens.ended_here += 1,
                Some(TokenOutcome::OfAnotherUser) => tokens.of_another_user += 1,
                None => continue,
            }
            left_out = left_out.saturating_sub(1);
        }
        tokens.of_users_left_out += left_out;
        for (reason, count) in &read.not_importable {
            *tokens.not_importable.entry(reason).or_default() += count;
        }
    }

    fn note(&mut self, id: &str, problem: &'static str) {
        if self.problems.len() < PROBLEMS_KEPT {
            let id = id.chars().take(ID_KEPT).collect();
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
                "  left out: deleted here (--again takes them over)",
                users.deleted_here,
            ),
            (
                "  left out: the address is not valid",
                users.invalid_address,
            ),
            ("  left out: a field is too long", users.too_long),
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
            ("  of these, end earlier here", tokens.cut),
            ("  left out: ended here", tokens.ended_here),
            (
                "  left out: another user has the same",
                tokens.of_another_user,
            ),
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
                    "weak" => ("  left out: easy to guess", *count),
                    "too-many" => ("  left out: the user has more than a thousand", *count),
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

//! The report of an import.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use chrono::TimeDelta;
use serde::Serialize;

use super::importer::{BatchOutcome, Outcome, TokenOutcome};
use super::record::{Place, Reason};
use super::source::Batch;

/// The maximum number of listed problems; further ones are only counted.
const MAX_PROBLEMS: usize = 1_000;

/// The maximum length of an id in the report, as a source may contain any text.
const MAX_ID: usize = 100;

/// The maximum number of problems in the text output.
const MAX_PRINTED_PROBLEMS: usize = 20;

/// The report of an import.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The format of the source.
    pub format: &'static str,
    /// Whether this was a dry run, which changes nothing.
    pub dry_run: bool,
    /// The users.
    pub users: UserCounts,
    /// Imported users who cannot sign in, by the problem of their hashes.
    pub hashes: BTreeMap<&'static str, u64>,
    /// The tokens.
    pub tokens: TokenReport,
    /// The lifetime of tokens without an expiry in the source, in seconds.
    pub token_lifetime: i64,
    /// The skipped users, at most a thousand.
    pub problems: Vec<Problem>,
    /// The duration.
    pub seconds: f64,
    /// The number of users read per second.
    pub users_per_second: u64,
}

/// The outcome for users.
#[derive(Clone, Debug, Default, Serialize)]
pub struct UserCounts {
    /// The number of users read.
    pub read: u64,
    /// Stored.
    pub imported: u64,
    /// Existed, with the same address, and the same hash or the same names.
    pub already_there: u64,
    /// Skipped: the address exists in another spelling.
    pub spelled_otherwise: u64,
    /// Skipped: another user has the address.
    pub address_taken: u64,
    /// Skipped: a user with this address was deleted here. `--again` imports them.
    pub deleted_here: u64,
    /// Skipped: the address is invalid.
    pub invalid_address: u64,
    /// Skipped: the name, surname or website is longer than `/register` accepts.
    pub too_long: u64,
    /// Skipped: the line of the file is malformed.
    pub unreadable: u64,
}

/// The outcome for tokens.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TokenReport {
    /// The number of tokens read.
    pub read: u64,
    /// Stored: they remain valid.
    pub imported: u64,
    /// The imported tokens that expire earlier than at the source, because of the maximum lifetime.
    pub cut: u64,
    /// Skipped: they were imported before, and have ended.
    pub ended_here: u64,
    /// Skipped: another user has the same token.
    pub of_another_user: u64,
    /// Skipped: they have expired at the source as well.
    pub expired: u64,
    /// Skipped: the user has a newer one, and users have one token.
    pub superseded: u64,
    /// Skipped: the user was not imported now.
    pub of_users_left_out: u64,
    /// Skipped, by reason; these users sign in again. `weak`: can be guessed. `too-many`: the user has more
    /// than a thousand. `unreadable-time`: the expiry is malformed. `knox-digest`: knox is configured with
    /// another digest than SHA-512.
    pub not_importable: BTreeMap<&'static str, u64>,
}

/// A skipped user.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// The user's id at the source, or the line number.
    pub id: String,
    /// The reason.
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

    /// Adds a batch.
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
                    self.add_problem(&read.place, "spelled-otherwise");
                }
                Outcome::Taken => {
                    self.users.address_taken += 1;
                    self.add_problem(&read.place, "address-taken");
                }
                Outcome::DeletedHere => {
                    self.users.deleted_here += 1;
                    self.add_problem(&read.place, "deleted-here");
                }
            }
        }
        for left_out in &batch.left_out {
            self.users.read += 1;
            match left_out.reason {
                Reason::InvalidAddress => self.users.invalid_address += 1,
                Reason::Unreadable => self.users.unreadable += 1,
                _ => self.users.too_long += 1,
            }
            self.add_problem(&left_out.place, left_out.reason.problem());
        }
        self.add_tokens(batch, outcome);
    }

    fn add_tokens(&mut self, batch: &Batch, outcome: &BatchOutcome) {
        let (read, tokens) = (&batch.tokens, &mut self.tokens);
        let not_importable: u64 = read.not_importable.values().sum();
        tokens.read += read.read;
        tokens.expired += read.expired;
        tokens.superseded += read.superseded;
        // Tokens of users without an address were selected but not imported.
        let mut skipped = read.read - read.expired - read.superseded - not_importable;
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
            skipped = skipped.saturating_sub(1);
        }
        tokens.of_users_left_out += skipped;
        for (reason, count) in &read.not_importable {
            *tokens.not_importable.entry(reason).or_default() += count;
        }
    }

    fn add_problem(&mut self, place: &Place, problem: &'static str) {
        if self.problems.len() < MAX_PROBLEMS {
            let id = place.to_string().chars().take(MAX_ID).collect();
            self.problems.push(Problem { id, problem });
        }
    }

    pub(super) fn end(&mut self, duration: Duration) {
        self.seconds = duration.as_secs_f64();
        let millis = u64::try_from(duration.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        self.users_per_second = self.users.read * 1_000 / millis;
    }

    fn lines(&self) -> Vec<(String, u64)> {
        let (users, tokens) = (&self.users, &self.tokens);
        let mut lines = vec![
            ("users read", users.read),
            ("  imported", users.imported),
            ("  already there", users.already_there),
            (
                "  skipped: the address exists in another spelling",
                users.spelled_otherwise,
            ),
            (
                "  skipped: another user has the address",
                users.address_taken,
            ),
            (
                "  skipped: deleted here (--again imports them)",
                users.deleted_here,
            ),
            ("  skipped: the address is not valid", users.invalid_address),
            ("  skipped: a field is too long", users.too_long),
            ("  skipped: the line is malformed", users.unreadable),
        ];
        lines.extend(self.hashes.iter().map(|(problem, count)| match *problem {
            "too-costly" => ("  imported, cannot sign in: the hash is too costly", *count),
            "malformed-hash" => ("  imported, cannot sign in: the hash is malformed", *count),
            "too-long" => ("  imported without the hash: it is too long", *count),
            _ => (
                "  imported, cannot sign in: the format of the hash is unknown",
                *count,
            ),
        }));
        lines.extend([
            ("tokens read", tokens.read),
            ("  imported", tokens.imported),
            ("  of these, expire earlier here", tokens.cut),
            ("  skipped: ended here", tokens.ended_here),
            (
                "  skipped: another user has the same",
                tokens.of_another_user,
            ),
            ("  skipped: expired", tokens.expired),
            ("  skipped: the user has a newer one", tokens.superseded),
            (
                "  skipped: the user was not imported now",
                tokens.of_users_left_out,
            ),
        ]);
        lines.extend(
            tokens
                .not_importable
                .iter()
                .map(|(reason, count)| match *reason {
                    "knox-digest" => ("  skipped: knox's digest is not SHA-512", *count),
                    "weak" => ("  skipped: easy to guess", *count),
                    "too-many" => ("  skipped: the user has more than a thousand", *count),
                    _ => ("  skipped: the expiry is malformed", *count),
                }),
        );
        let owned = lines.into_iter();
        owned
            .map(|(text, count)| (text.to_owned(), count))
            .collect()
    }
}

/// The report as text.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dry_run {
            writeln!(f, "Dry run: nothing was stored. An import would result in:")?;
        }
        for (text, count) in self.lines() {
            writeln!(f, "{text:<56}{count:>10}")?;
        }
        writeln!(
            f,
            "Tokens without an expiry in the source ({}) live {} s.",
            self.format, self.token_lifetime
        )?;
        for Problem { id, problem } in self.problems.iter().take(MAX_PRINTED_PROBLEMS) {
            // A client may have chosen the id.
            writeln!(f, "{}: {problem}", id.replace(char::is_control, " "))?;
        }
        if self.problems.len() > MAX_PRINTED_PROBLEMS {
            writeln!(f, "More are listed with --json.")?;
        }
        write!(
            f,
            "{:.1} s, {} users per second",
            self.seconds, self.users_per_second
        )
    }
}

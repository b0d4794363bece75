//! The report of an import. `summary.rs` writes it as text.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{NaiveDateTime, TimeDelta};
use serde::Serialize;

use super::ids::{IdConflict, NewId};
use super::importer::{BatchOutcome, ImportedToken, Outcome, TokenOutcome};
use super::layouts::Format;
use super::record::{Place, Reason};
use super::source::Batch;
use super::users::ReadUser;

/// The maximum number of listed problems; further ones are only counted.
const MAX_PROBLEMS: usize = 1_000;

/// The maximum length of an id or an address in the report, as a source may contain any text.
const MAX_TEXT: usize = 100;

/// The maximum number of conflicts in the reason of a refusal.
const MAX_NAMED_CONFLICTS: usize = 5;

/// The report of an import.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The format of the source.
    pub format: &'static str,
    /// Columns of the source that are not read.
    pub columns_not_read: Vec<String>,
    /// Whether this was a dry run, which changes nothing.
    pub dry_run: bool,
    /// Why nothing was imported, a sentence each; empty if the import is possible.
    pub refused: Vec<String>,
    /// The users.
    pub users: UserCounts,
    /// The ids of the imported users.
    pub ids: IdCounts,
    /// Imported users who cannot sign in, by the problem of their hashes.
    pub hashes: BTreeMap<&'static str, u64>,
    /// The tokens.
    pub tokens: TokenReport,
    /// The lifetime of tokens for which the source states no end, in seconds; `None` if it was not set.
    pub token_lifetime: Option<i64>,
    /// The maximum lifetime of tokens, in seconds.
    pub max_token_lifetime: i64,
    /// The users who were skipped or who differ from the source, at most a thousand.
    pub problems: Vec<Problem>,
    /// The imported users who cannot sign in, at most a thousand.
    pub cannot_sign_in: Vec<Problem>,
    /// The duration.
    pub seconds: f64,
    /// The number of users read per second.
    pub users_per_second: u64,
    /// The first ids that cannot be kept, with the reasons.
    #[serde(skip)]
    conflicts: Vec<String>,
    #[serde(skip)]
    now: NaiveDateTime,
}

/// The outcome for users.
#[derive(Clone, Debug, Default, Serialize)]
pub struct UserCounts {
    /// The number of users read.
    pub read: u64,
    /// Stored.
    pub imported: u64,
    /// Of these, disabled.
    pub disabled: u64,
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
    /// Skipped: the line of the file is malformed, or a value cannot be read.
    pub unreadable: u64,
    /// Skipped: the id of the source cannot be kept. `--renumber` imports them with new ids.
    pub id_not_free: u64,
    /// Skipped: the database does not accept the values.
    pub not_accepted: u64,
}

/// The ids of imported users.
#[derive(Clone, Debug, Default, Serialize)]
pub struct IdCounts {
    /// The same as at the source.
    pub kept: u64,
    /// New ones instead of those of the source.
    pub renumbered: u64,
    /// New ones; those of the source are the external ids.
    pub external: u64,
    /// New ones; the source has none.
    pub new: u64,
    /// The users who existed already, and have other ids than at the source.
    pub other_here: u64,
}

/// The outcome for tokens.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TokenReport {
    /// The number of tokens read.
    pub read: u64,
    /// Stored: they remain valid.
    pub imported: u64,
    /// When the imported tokens end.
    pub ends: TokenEnds,
    /// The imported tokens that expire earlier than at the source, because of the maximum lifetime.
    pub cut: u64,
    /// The tokens to import for which neither the source nor the operator states an end.
    pub without_end: u64,
    /// Skipped: they were imported before, and have ended.
    pub ended_here: u64,
    /// Skipped: another user has the same token.
    pub of_another_user: u64,
    /// Skipped: they have expired at the source as well.
    pub expired: u64,
    /// Skipped: the user has one that lasts longer, and users have one token.
    pub superseded: u64,
    /// Skipped: the user was not imported now.
    pub of_users_left_out: u64,
    /// Skipped, by reason; these users sign in again. `weak`: can be guessed. `too-many`: the user has more
    /// than a thousand. `unreadable-time`: the expiry is malformed. `knox-digest`: knox is configured with
    /// another digest than SHA-512. `no-lifetime`: it lacks an end, and was added during the import.
    pub not_importable: BTreeMap<&'static str, u64>,
}

/// The number of tokens that end within a time from now, and after the previous one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TokenEnds {
    /// 24 hours.
    pub within_a_day: u64,
    /// 7 days.
    pub within_a_week: u64,
    /// 30 days.
    pub within_30_days: u64,
    /// 365 days.
    pub within_a_year: u64,
    /// Later.
    pub later: u64,
}

/// A user of the source with a problem.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// The user's id at the source, or the line.
    pub id: String,
    /// The line of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The address at the source, or the user name of a user without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The problem.
    pub problem: &'static str,
    /// The column with the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The address of the user who has the same address or id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_by: Option<String>,
}

impl Problem {
    fn new(place: &Place, problem: &'static str) -> Self {
        Self {
            id: cut(&place.to_string()),
            line: place.line,
            email: place
                .address
                .as_deref()
                .filter(|address| !address.is_empty())
                .map(cut),
            problem,
            column: None,
            held_by: None,
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

impl Report {
    pub(super) fn new(
        dry_run: bool,
        token_lifetime: Option<TimeDelta>,
        max_lifetime: TimeDelta,
        now: NaiveDateTime,
    ) -> Self {
        Self {
            format: "",
            columns_not_read: Vec::new(),
            dry_run,
            refused: Vec::new(),
            users: UserCounts::default(),
            ids: IdCounts::default(),
            hashes: BTreeMap::new(),
            tokens: TokenReport::default(),
            token_lifetime: token_lifetime.map(|lifetime| lifetime.num_seconds()),
            max_token_lifetime: max_lifetime.num_seconds(),
            problems: Vec::new(),
            cannot_sign_in: Vec::new(),
            seconds: 0.0,
            users_per_second: 0,
            conflicts: Vec::new(),
            now,
        }
    }

    /// Notes what is known when the source is open.
    pub(super) fn open(&mut self, format: Format, not_read: Vec<String>) {
        self.format = format.name();
        self.columns_not_read = not_read;
    }

    /// Adds a batch.
    pub(super) fn add(&mut self, batch: &Batch, outcome: &BatchOutcome) {
        for (read, decision) in batch.users.iter().zip(&outcome.users) {
            self.users.read += 1;
            self.add_user(read, &decision.outcome);
            if decision.is_username_taken {
                list(&mut self.problems, problem_of(read, "username-taken"));
            }
            let own = u64::from(read.user.token.is_some());
            let others = read.user.other_tokens.len() as u64;
            if decision.tokens.is_empty() {
                self.tokens.of_users_left_out += own + others;
            }
            for token in &decision.tokens {
                self.add_token(token);
            }
        }
        for left_out in &batch.left_out {
            self.users.read += 1;
            match left_out.reason {
                Reason::InvalidAddress => self.users.invalid_address += 1,
                Reason::NameTooLong | Reason::SurnameTooLong | Reason::WebsiteTooLong => {
                    self.users.too_long += 1;
                }
                _ => self.users.unreadable += 1,
            }
            let mut problem = Problem::new(&left_out.place, left_out.reason.problem());
            problem.column = left_out.column.as_deref().map(cut);
            list(&mut self.problems, problem);
        }
        let (read, tokens) = (&batch.tokens, &mut self.tokens);
        tokens.read += read.read;
        tokens.expired += read.expired;
        tokens.of_users_left_out += read.of_users_left_out;
        for (reason, count) in &read.not_importable {
            *tokens.not_importable.entry(reason).or_default() += count;
        }
    }

    fn add_user(&mut self, read: &ReadUser, outcome: &Outcome) {
        match outcome {
            Outcome::Imported(new_id) => self.add_imported(read, *new_id),
            Outcome::AlreadyThere { has_other_id } => {
                self.users.already_there += 1;
                if *has_other_id {
                    self.ids.other_here += 1;
                    list(&mut self.problems, problem_of(read, "other-id-here"));
                }
            }
            Outcome::SpelledOtherwise(holder) => {
                self.users.spelled_otherwise += 1;
                let problem = problem_of(read, "spelled-otherwise");
                list(&mut self.problems, held_by(problem, holder));
            }
            Outcome::Taken => {
                self.users.address_taken += 1;
                list(&mut self.problems, problem_of(read, "address-taken"));
            }
            Outcome::DeletedHere => {
                self.users.deleted_here += 1;
                list(&mut self.problems, problem_of(read, "deleted-here"));
            }
            Outcome::IdNotFree(conflict) => {
                self.users.id_not_free += 1;
                let problem = match conflict {
                    IdConflict::OutOfRange => problem_of(read, "id-out-of-range"),
                    IdConflict::NotStorable => problem_of(read, "id-not-storable"),
                    IdConflict::GivenBefore => problem_of(read, "id-given-before"),
                    IdConflict::Unforeseen => problem_of(read, "added-meanwhile"),
                    IdConflict::HeldBy(holder) => held_by(problem_of(read, "id-taken"), holder),
                };
                if self.conflicts.len() < MAX_NAMED_CONFLICTS {
                    let address = problem.email.as_deref().unwrap_or_default();
                    let named = format!("{} ({address}: {conflict})", problem.id);
                    self.conflicts.push(named);
                }
                list(&mut self.problems, problem);
            }
            Outcome::NotAccepted => {
                self.users.not_accepted += 1;
                list(&mut self.problems, problem_of(read, "not-accepted"));
            }
        }
    }

    fn add_imported(&mut self, read: &ReadUser, new_id: NewId) {
        self.users.imported += 1;
        self.users.disabled += u64::from(read.user.disabled);
        match new_id {
            NewId::New => self.ids.new += 1,
            NewId::Kept(_) => self.ids.kept += 1,
            NewId::External => self.ids.external += 1,
            NewId::Renumbered => self.ids.renumbered += 1,
        }
        if let Some(problem) = read.hash_problem {
            *self.hashes.entry(problem).or_default() += 1;
            list(&mut self.cannot_sign_in, problem_of(read, problem));
        }
        if let Some((reason, column)) = &read.disabled_for {
            let mut problem = problem_of(read, reason.problem());
            problem.column = Some(cut(column));
            list(&mut self.cannot_sign_in, problem);
        }
    }

    fn add_token(&mut self, outcome: &TokenOutcome) {
        match outcome {
            TokenOutcome::Imported(token) => self.count(token, 1),
            TokenOutcome::Replaces { token, other } => {
                self.count(token, 1);
                self.count(other, -1);
                self.tokens.superseded += 1;
            }
            TokenOutcome::Counted => {}
            TokenOutcome::Superseded => self.tokens.superseded += 1,
            TokenOutcome::EndedHere => self.tokens.ended_here += 1,
            TokenOutcome::OfAnotherUser => self.tokens.of_another_user += 1,
            TokenOutcome::LacksLifetime => {
                *self.tokens.not_importable.entry("no-lifetime").or_default() += 1;
            }
        }
    }

    /// Counts a stored token, or one less.
    fn count(&mut self, token: &ImportedToken, change: i64) {
        let tokens = &mut self.tokens;
        let ends = &mut tokens.ends;
        let limits = [
            (1, &mut ends.within_a_day),
            (7, &mut ends.within_a_week),
            (30, &mut ends.within_30_days),
            (365, &mut ends.within_a_year),
        ];
        let left = token.expires_at - self.now;
        let within = limits
            .into_iter()
            .find(|(days, _)| left <= TimeDelta::days(*days));
        let end = within.map_or(&mut ends.later, |(_, count)| count);
        let has_end = i64::from(!token.lacks_lifetime);
        let is_cut = i64::from(token.is_cut);
        let lacks_lifetime = i64::from(token.lacks_lifetime);
        for (count, change) in [
            (end, has_end * change),
            (&mut tokens.imported, change),
            (&mut tokens.cut, is_cut * change),
            (&mut tokens.without_end, lacks_lifetime * change),
        ] {
            *count = count.saturating_add_signed(change);
        }
    }

    /// Finds out whether the import is possible as requested.
    pub(super) fn decide_refusal(&mut self) {
        let count = self.users.id_not_free;
        if count > 0 {
            let mut named = self.conflicts.join(", ");
            let rest = count - self.conflicts.len() as u64;
            if rest > 0 {
                named.push_str(&format!(" and {rest} more"));
            }
            self.refused.push(format!(
                "the ids of {count} user(s) cannot be kept: {named}; with --renumber --map FILE \
                 these users get new ids, and the file lists them"
            ));
        }
        let without_end = self.tokens.without_end;
        if without_end > 0 {
            self.refused.push(format!(
                "the source does not say when {without_end} login token(s) end; set with \
                 --token-lifetime how long they keep working, such as 30d or 1y"
            ));
        }
    }

    pub(super) fn end(&mut self, duration: Duration) {
        self.seconds = duration.as_secs_f64();
        let millis = u64::try_from(duration.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        self.users_per_second = self.users.read * 1_000 / millis;
    }
}

/// A problem of a user whose values can be read: the address is valid, or was made of the user name.
fn problem_of(read: &ReadUser, problem: &'static str) -> Problem {
    let mut problem = Problem::new(&read.place, problem);
    let address = || cut(&read.user.email.to_string());
    problem.email = Some(problem.email.unwrap_or_else(address));
    problem
}

fn list(problems: &mut Vec<Problem>, problem: Problem) {
    if problems.len() < MAX_PROBLEMS {
        problems.push(problem);
    }
}

fn held_by(problem: Problem, holder: &str) -> Problem {
    Problem {
        held_by: Some(cut(holder)),
        ..problem
    }
}

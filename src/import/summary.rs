//! The report of an import as text.

use std::fmt;

use super::report::{Problem, Report};

/// The maximum number of problems of a kind in the text; all are in the JSON.
const MAX_PRINTED: usize = 20;

/// The width of the names of counts.
const LABEL_WIDTH: usize = 58;

/// The width of the counts.
const COUNT_WIDTH: usize = 11;

/// What a problem means for the operator.
fn explain(problem: &Problem) -> String {
    let holder = problem.held_by.as_deref().unwrap_or("another user");
    let column = match &problem.column {
        Some(column) => format!(" (column {column})"),
        None => String::new(),
    };
    let text = match problem.problem {
        "other-id-here" => "already here, with another id".to_owned(),
        "spelled-otherwise" => format!("the address exists as {holder}"),
        "address-taken" => "another user has the address".to_owned(),
        "deleted-here" => "was deleted here; --again imports the user".to_owned(),
        "id-taken" => format!("the id belongs to {holder}"),
        "added-meanwhile" => "was added to the source meanwhile; import again".to_owned(),
        "id-given-before" => "the id was given to a deleted user before".to_owned(),
        "id-out-of-range" => "the id is not an integer from 1 to 2^62".to_owned(),
        "id-not-storable" => "the id is too long, or has a null character".to_owned(),
        "duplicate-id" => "another row has the same id".to_owned(),
        "username-taken" => "another user has the user name; the address signs in".to_owned(),
        "not-accepted" => "the database does not accept the values".to_owned(),
        "invalid-address" => "the address is not valid".to_owned(),
        "name-too-long" => "the name is too long".to_owned(),
        "surname-too-long" => "the surname is too long".to_owned(),
        "website-too-long" => "the website is too long".to_owned(),
        "unreadable" => "the line cannot be read".to_owned(),
        "unreadable-flag" => "neither active nor disabled".to_owned(),
        "unreadable-time" => "the time is not valid".to_owned(),
        "not-utf-8" => "a text is not UTF-8".to_owned(),
        other => explain_hash(other).to_owned(),
    };
    format!("{text}{column}")
}

/// Why a user cannot sign in with a hash.
fn explain_hash(problem: &str) -> &str {
    match problem {
        "too-costly" => "the hash costs more than TOKENHOUSE_BCRYPT_MAX_COST allows",
        "malformed-hash" => "the hash is malformed",
        "too-long" => "the hash is too long, and was not stored",
        "unknown-hash" => "the format of the hash is unknown",
        other => other,
    }
}

fn explain_token(reason: &str) -> &str {
    match reason {
        "knox-digest" => "knox's digest is not SHA-512",
        "weak" => "easy to guess",
        "no-lifetime" => "added without an end meanwhile",
        "too-many" => "the user has more than a thousand",
        "unreadable-time" => "the expiry is not valid",
        other => other,
    }
}

/// A whole number with a comma after each thousand.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A length of time in its largest whole unit.
fn time(seconds: i64) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
    let unit = units.into_iter().find(|(unit, _)| seconds % unit == 0);
    let (number, name) = unit.map_or((seconds, "second"), |(unit, name)| (seconds / unit, name));
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {name}{plural}")
}

/// Writes lines with counts, without those that are zero.
struct Counts<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Counts<'_, '_> {
    fn always(&mut self, label: &str, count: u64) -> fmt::Result {
        let count = grouped(count);
        writeln!(self.0, "{label:<LABEL_WIDTH$}{count:>COUNT_WIDTH$}")
    }

    fn unless_zero(&mut self, label: &str, count: u64) -> fmt::Result {
        match count {
            0 => Ok(()),
            count => self.always(label, count),
        }
    }
}

impl Report {
    fn write_users(&self, counts: &mut Counts<'_, '_>) -> fmt::Result {
        let users = &self.users;
        counts.always("Users", users.read)?;
        let imported = match self.refused.is_empty() {
            true => "  imported",
            false => "  would be imported",
        };
        counts.always(imported, users.imported)?;
        counts.unless_zero("    of these, disabled", users.disabled)?;
        for (problem, count) in &self.hashes {
            let label = format!("    of these, cannot sign in: {}", explain_hash(problem));
            counts.always(&label, *count)?;
        }
        counts.unless_zero("  already here, unchanged", users.already_there)?;
        let other_here = self.ids.other_here;
        counts.unless_zero("    of these, with another id here", other_here)?;
        for (label, count) in [
            (
                "the address exists in another spelling",
                users.spelled_otherwise,
            ),
            ("another user has the address", users.address_taken),
            ("deleted here (--again imports them)", users.deleted_here),
            ("the address is not valid", users.invalid_address),
            ("a field is too long", users.too_long),
            ("a value cannot be read", users.unreadable),
            ("the id cannot be kept", users.id_not_free),
            (
                "the database does not accept the values",
                users.not_accepted,
            ),
        ] {
            counts.unless_zero(&format!("  skipped: {label}"), count)?;
        }
        let ids = &self.ids;
        writeln!(
            counts.0,
            "  ids kept: {}, renumbered: {}, external ids: {}, new: {}",
            grouped(ids.kept),
            grouped(ids.renumbered),
            grouped(ids.external),
            grouped(ids.new)
        )
    }

    fn write_tokens(&self, counts: &mut Counts<'_, '_>) -> fmt::Result {
        let tokens = &self.tokens;
        counts.always("Login tokens", tokens.read)?;
        let imported = match self.refused.is_empty() {
            true => "  imported: their users stay signed in",
            false => "  would be imported",
        };
        counts.always(imported, tokens.imported)?;
        let ends = &tokens.ends;
        for (label, count) in [
            ("    end within 24 hours", ends.within_a_day),
            ("    end within 7 days", ends.within_a_week),
            ("    end within 30 days", ends.within_30_days),
            ("    end within 365 days", ends.within_a_year),
            ("    end later", ends.later),
            ("    have no end (set --token-lifetime)", tokens.without_end),
            ("    end earlier here than at the source", tokens.cut),
        ] {
            counts.unless_zero(label, count)?;
        }
        for (label, count) in [
            ("  expired", tokens.expired),
            (
                "  signed out: the user has a longer-lasting one",
                tokens.superseded,
            ),
            ("  skipped: ended here", tokens.ended_here),
            (
                "  skipped: another user has the same",
                tokens.of_another_user,
            ),
            (
                "  skipped: the user was not imported now",
                tokens.of_users_left_out,
            ),
        ] {
            counts.unless_zero(label, count)?;
        }
        for (reason, count) in &tokens.not_importable {
            let label = format!("  signed out: {}", explain_token(reason));
            counts.always(&label, *count)?;
        }
        if let Some(lifetime) = self.token_lifetime {
            let lifetime = time(lifetime);
            writeln!(
                counts.0,
                "  those without an end at the source last {lifetime}"
            )?;
        }
        if tokens.cut > 0 {
            let longest = time(self.max_token_lifetime);
            writeln!(
                counts.0,
                "  none lasts longer than {longest} here; --token-lifetime sets another maximum"
            )?;
        }
        Ok(())
    }
}

/// Writes a list of users with their problems, if there are any.
fn write_problems(f: &mut fmt::Formatter<'_>, title: &str, problems: &[Problem]) -> fmt::Result {
    if problems.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{title}:")?;
    for problem in problems.iter().take(MAX_PRINTED) {
        // A client may have chosen the texts.
        let on_one_line = |text: &str| text.replace(char::is_control, " ");
        let id = on_one_line(&problem.id);
        let email = on_one_line(problem.email.as_deref().unwrap_or("-"));
        writeln!(
            f,
            "  {id:<8}  {email:<32}  {}",
            on_one_line(&explain(problem))
        )?;
    }
    if problems.len() > MAX_PRINTED {
        writeln!(f, "  More are listed with --json.")?;
    }
    Ok(())
}

/// The report as text.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.refused.is_empty(), self.dry_run) {
            (false, _) => writeln!(f, "Nothing was imported. The source ({}):", self.format)?,
            (true, true) => writeln!(
                f,
                "Dry run: nothing was stored. An import of this source ({}) results in:",
                self.format
            )?,
            (true, false) => writeln!(f, "Imported ({}):", self.format)?,
        }
        writeln!(f)?;
        self.write_users(&mut Counts(f))?;
        writeln!(f)?;
        self.write_tokens(&mut Counts(f))?;
        write_problems(f, "Users to look at", &self.problems)?;
        write_problems(
            f,
            "Imported users who cannot sign in until their passwords are set",
            &self.cannot_sign_in,
        )?;
        if !self.columns_not_read.is_empty() {
            let names = self.columns_not_read.join(", ");
            let names = names.replace(char::is_control, " ");
            writeln!(f, "\nColumns that were not read: {names}")?;
        }
        write!(
            f,
            "\n{:.0} s, {} users per second",
            self.seconds.ceil(),
            grouped(self.users_per_second)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{grouped, time};

    #[test]
    fn numbers_and_times_are_readable() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
        for (seconds, text) in [
            (1, "1 second"),
            (90, "90 seconds"),
            (3_600, "1 hour"),
            (2_592_000, "30 days"),
        ] {
            assert_eq!(time(seconds), text);
        }
    }
}

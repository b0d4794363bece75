//! Parses timestamps of other programs.

use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Timelike};
use chrono_tz::Tz;

/// The length of the date in `2026-01-02 03:04:05`.
const DATE_LENGTH: usize = 10;

/// Parses a timestamp, to the microsecond, and converts it to UTC. A timestamp without an offset is
/// in `timezone`.
pub(super) fn parse(text: &str, timezone: Tz) -> Option<NaiveDateTime> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<i64>() {
        return DateTime::from_timestamp(seconds, 0).map(|time| time.naive_utc());
    }
    if text.len() == DATE_LENGTH {
        let midnight = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        return to_utc(midnight.and_hms_opt(0, 0, 0)?, timezone);
    }
    let (date, rest) = text.split_at_checked(DATE_LENGTH)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, offset) = split_offset(rest);
    let local = format!("{date} {clock}");
    let local = NaiveDateTime::parse_from_str(&local, "%Y-%m-%d %H:%M:%S%.f")
        .or_else(|_| NaiveDateTime::parse_from_str(&local, "%Y-%m-%d %H:%M"))
        .ok()?;
    let local = local.with_nanosecond(local.nanosecond() / 1_000 * 1_000)?;
    match offset {
        Some(offset) => local.checked_sub_signed(read_offset(offset)?),
        None => to_utc(local, timezone),
    }
}

/// Splits the offset, such as `Z`, `+02`, `-0330` or `+02:00`, from the time of day.
fn split_offset(text: &str) -> (&str, Option<&str>) {
    match text.find(['Z', 'z', '+', '-']) {
        Some(index) => {
            let (clock, offset) = text.split_at(index);
            (clock.trim_end(), Some(offset))
        }
        None => (text, None),
    }
}

fn read_offset(text: &str) -> Option<TimeDelta> {
    if text.eq_ignore_ascii_case("z") {
        return Some(TimeDelta::zero());
    }
    let digits = text.get(1..)?.replace(':', "");
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let minutes = match digits.len() {
        2 => digits.parse::<i64>().ok()? * 60,
        4 => digits[..2].parse::<i64>().ok()? * 60 + digits[2..].parse::<i64>().ok()?,
        _ => return None,
    };
    let sign = if text.starts_with('-') { -1 } else { 1 };
    TimeDelta::try_minutes(sign * minutes)
}

/// For a time that occurs twice in autumn, the later one, so that no user is signed out early. For a time
/// that does not occur in spring, the time without the change.
fn to_utc(local: NaiveDateTime, timezone: Tz) -> Option<NaiveDateTime> {
    match timezone.from_local_datetime(&local) {
        LocalResult::Single(time) => Some(time.naive_utc()),
        LocalResult::Ambiguous(_, later) => Some(later.naive_utc()),
        LocalResult::None => {
            let before = local.checked_sub_signed(TimeDelta::hours(1))?;
            let before = timezone.from_local_datetime(&before).latest()?;
            before.naive_utc().checked_add_signed(TimeDelta::hours(1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<String> {
        parse(text, Tz::Europe__Berlin).map(|time| time.format("%F %T%.f").to_string())
    }

    #[test]
    fn python_and_database_formats_are_parsed() {
        let cases = [
            ("2026-01-02 03:04:05.123456", "2026-01-02 02:04:05.123456"),
            ("2026-07-02T03:04:05", "2026-07-02 01:04:05"),
            ("2026-07-02T03:04:05Z", "2026-07-02 03:04:05"),
            ("2026-07-02 03:04:05.5+00", "2026-07-02 03:04:05.500"),
            ("2026-07-02 03:04:05+0530", "2026-07-01 21:34:05"),
            ("2026-07-02 03:04:05-03:30", "2026-07-02 06:34:05"),
            ("2026-01-02 03:04", "2026-01-02 02:04:00"),
            ("2026-01-02", "2026-01-01 23:00:00"),
            ("1767322800", "2026-01-02 03:00:00"),
        ];
        for (text, expected) in cases {
            assert_eq!(parsed(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            "infinity",
            "tomorrow",
            "2026-13-02 03:04:05",
            "2026-01-02 03:04:05+x",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn times_during_clock_changes_are_parsed() {
        assert_eq!(
            parsed("2026-10-25 02:30:00").unwrap(),
            "2026-10-25 01:30:00"
        );
        assert_eq!(
            parsed("2026-03-29 02:30:00").unwrap(),
            "2026-03-29 01:30:00"
        );
    }
}

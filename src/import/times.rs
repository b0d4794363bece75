//! Parses timestamps of other programs.

use std::ops::Range;

use chrono::{
    DateTime, Datelike, LocalResult, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Timelike,
};
use chrono_tz::Tz;

/// The length of the date in `2026-01-02 03:04:05`.
const DATE_LENGTH: usize = 10;

/// Parses a timestamp, to the microsecond, and converts it to UTC. A timestamp without an offset is
/// in `timezone`. `None` for a year that is not from 1 to 9999: neither database nor RFC 3339 can write
/// all others.
pub(super) fn parse(text: &str, timezone: Tz) -> Option<NaiveDateTime> {
    let text = text.trim();
    let time = match parse_number(text) {
        Some(time) => time?,
        None => parse_date(text, timezone)?,
    };
    (1..=9999).contains(&time.year()).then_some(time)
}

/// Parses the time since 1970. The number of digits tells the unit, as all times from 1973 to 2286 have the
/// same: seconds, milliseconds, microseconds or nanoseconds. Other numbers are ambiguous, and so is one
/// that is a date without its hyphens. The outer `None` stands for a text that is no number.
fn parse_number(text: &str) -> Option<Option<NaiveDateTime>> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !are_digits(whole) || !are_digits(fraction) {
        return None;
    }
    let Ok(number) = whole.parse::<i64>() else {
        return Some(None);
    };
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let micros = match whole.len() {
        8 if NaiveDate::parse_from_str(whole, "%Y%m%d").is_ok_and(is_recent) => None,
        1..=10 => {
            let fraction: String = fraction.chars().chain("000000".chars()).take(6).collect();
            let fraction = fraction.parse::<i64>().ok();
            fraction.map(|fraction| number * 1_000_000 + fraction)
        }
        13 => Some(number * 1_000),
        16 => Some(number),
        19 => Some(number / 1_000),
        _ => None,
    };
    Some(micros.and_then(|micros| {
        DateTime::from_timestamp_micros(sign * micros).map(|time| time.naive_utc())
    }))
}

fn is_recent(date: NaiveDate) -> bool {
    (1900..2200).contains(&date.year())
}

fn parse_date(text: &str, timezone: Tz) -> Option<NaiveDateTime> {
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
    // A leap second is the last microsecond of the second before.
    let micros = (local.nanosecond() / 1_000).min(999_999);
    let local = local.with_nanosecond(micros * 1_000)?;
    match offset {
        Some(offset) => local.checked_sub_signed(read_offset(offset)?),
        None => to_utc(local, timezone),
    }
}

/// Splits the offset, such as `Z`, ` UTC`, `+02`, `-0330` or `+02:00`, from the time of day.
fn split_offset(text: &str) -> (&str, Option<&str>) {
    if let Some(clock) = text
        .strip_suffix(" UTC")
        .or_else(|| text.strip_suffix(" GMT"))
    {
        return (clock, Some("Z"));
    }
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
    let number = |range: Range<usize>| match digits.get(range) {
        Some("") | None => Some(0),
        Some(digits) => digits.parse::<i64>().ok(),
    };
    let (hours, minutes, seconds) = (number(0..2)?, number(2..4)?, number(4..6)?);
    let is_valid = matches!(digits.len(), 2 | 4 | 6) && hours < 24 && minutes < 60 && seconds < 60;
    let offset = TimeDelta::seconds(hours * 3_600 + minutes * 60 + seconds);
    is_valid.then(|| {
        if text.starts_with('-') {
            -offset
        } else {
            offset
        }
    })
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
            ("2026-07-02 03:04:05 UTC", "2026-07-02 03:04:05"),
            ("1883-11-18 12:00:00-04:56:02", "1883-11-18 16:56:02"),
            ("2016-12-31T23:59:60.5Z", "2016-12-31 23:59:59.999999"),
            ("1767322800", "2026-01-02 03:00:00"),
            ("1767322800.25", "2026-01-02 03:00:00.250"),
            ("1767322800123", "2026-01-02 03:00:00.123"),
            ("1767322800123456", "2026-01-02 03:00:00.123456"),
            ("1767322800123456789", "2026-01-02 03:00:00.123456"),
            ("0", "1970-01-01 00:00:00"),
            ("-1", "1969-12-31 23:59:59"),
            ("9999-12-31T23:59:59Z", "9999-12-31 23:59:59"),
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
            "2026-01-02 03:04:05+99",
            "2026-01-02 03:04:05+1",
            // Neither database writes these.
            "0000-01-01 00:00:00",
            "0000-00-00 00:00:00",
            "10000-01-01 00:00:00",
            "9999-12-31 23:59:59-01",
            "0001-01-01 00:00:00+01",
            "0044-03-15 00:00:00 BC",
            "-infinity",
            "NaN",
            // No unit fits.
            "253402300800",
            "17673228001",
            "99999999999999999999",
            "-9223372036854775808999",
            "20260102",
            "20260102030405",
            "1e12",
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

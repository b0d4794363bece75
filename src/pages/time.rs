//! Times as the pages show them.

use chrono::{NaiveDateTime, SecondsFormat};

use super::Language;
use super::texts::account::AccountTexts;

/// For programs: RFC 3339.
pub(crate) fn iso(time: NaiveDateTime) -> String {
    time.and_utc().to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// For people, the same in every language: the pages do not know the user's time zone.
pub(crate) fn date_time(time: NaiveDateTime) -> String {
    time.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// Only the day.
pub(crate) fn date(time: NaiveDateTime) -> String {
    time.format("%Y-%m-%d").to_string()
}

/// How long ago a time was; in minutes at the least.
pub(crate) fn ago(time: NaiveDateTime, now: NaiveDateTime, language: Language) -> String {
    let t = AccountTexts::of(language);
    let minutes = u64::try_from((now - time).num_minutes()).unwrap_or(0);
    match minutes {
        // Uses are recorded a minute or two late.
        0..3 => t.now.to_owned(),
        3..60 => language.count(t.minutes_ago, minutes),
        60..1_440 => language.count(t.hours_ago, minutes / 60),
        _ => language.count(t.days_ago, minutes / 1_440),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_down() {
        let now = chrono::DateTime::from_timestamp(1_800_000_000, 0)
            .unwrap()
            .naive_utc();
        let shown = |seconds| {
            let time = now - chrono::TimeDelta::seconds(seconds);
            ago(time, now, Language::German)
        };
        for (seconds, text) in [
            (-5, "gerade eben"),
            (179, "gerade eben"),
            (180, "vor 3 Minuten"),
            (3_600, "vor 1 Stunde"),
            (86_399, "vor 23 Stunden"),
            (86_400, "vor 1 Tag"),
            (10 * 86_400, "vor 10 Tagen"),
        ] {
            assert_eq!(shown(seconds), text);
        }
        assert_eq!(iso(now), "2027-01-15T08:00:00Z");
    }
}

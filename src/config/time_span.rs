//! Lengths of time as settings and options write them: `30d`, `12h`, `15m`, `90s`, `1w` or `500ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// `ms`
    Millisecond,
    /// `s`
    Second,
    /// `m`
    Minute,
    /// `h`
    Hour,
    /// `d`, 24 hours
    Day,
    /// `w`, 7 days
    Week,
    /// `y`, 365 days
    Year,
}

impl TimeUnit {
    /// All units, from the longest to the shortest.
    const ALL: [Self; 7] = [
        Self::Year,
        Self::Week,
        Self::Day,
        Self::Hour,
        Self::Minute,
        Self::Second,
        Self::Millisecond,
    ];

    const fn suffix(self) -> &'static str {
        match self {
            Self::Millisecond => "ms",
            Self::Second => "s",
            Self::Minute => "m",
            Self::Hour => "h",
            Self::Day => "d",
            Self::Week => "w",
            Self::Year => "y",
        }
    }

    const fn milliseconds(self) -> u64 {
        match self {
            Self::Millisecond => 1,
            Self::Second => 1_000,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
            Self::Week => 604_800_000,
            Self::Year => 31_536_000_000,
        }
    }
}

/// A length of time. [`FromStr`] reads a number without a unit as seconds; `Display` writes the form that
/// it reads, such as `30d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeSpan(Duration);

/// The text is not a length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a time such as 30d, 12h, 15m or 90s")]
pub struct InvalidTimeSpan;

impl TimeSpan {
    /// Parses a whole number and a unit. `plain` is the unit of a number without one.
    ///
    /// # Errors
    /// The text has another form, or the time is longer than 2^64 milliseconds.
    pub fn parse(text: &str, plain: TimeUnit) -> Result<Self, InvalidTimeSpan> {
        let text = text.trim();
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(digits);
        let mut units = TimeUnit::ALL.into_iter();
        let unit = match suffix.trim_start() {
            "" => plain,
            suffix => units
                .find(|unit| unit.suffix() == suffix)
                .ok_or(InvalidTimeSpan)?,
        };
        let number: Option<u64> = number.parse().ok();
        let milliseconds = number.and_then(|number| number.checked_mul(unit.milliseconds()));
        milliseconds
            .map(|milliseconds| Self(Duration::from_millis(milliseconds)))
            .ok_or(InvalidTimeSpan)
    }

    /// A number of these units, such as 30 days.
    pub(super) const fn new(number: u64, unit: TimeUnit) -> Self {
        Self(Duration::from_millis(number * unit.milliseconds()))
    }

    /// The time as a [`Duration`].
    pub const fn as_duration(self) -> Duration {
        self.0
    }
}

impl FromStr for TimeSpan {
    type Err = InvalidTimeSpan;

    fn from_str(text: &str) -> Result<Self, InvalidTimeSpan> {
        Self::parse(text, TimeUnit::Second)
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.as_millis();
        let mut exact = TimeUnit::ALL
            .into_iter()
            // `28d` is more usual than `4w`, and `365d` says how long a year is.
            .skip(2)
            .filter(|unit| milliseconds.is_multiple_of(u128::from(unit.milliseconds())));
        match exact.next() {
            Some(unit) if milliseconds > 0 => {
                let number = milliseconds / u128::from(unit.milliseconds());
                write!(f, "{number}{}", unit.suffix())
            }
            _ => f.write_str("0s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_and_without_units_are_times() {
        for (text, seconds, shown) in [
            ("30d", 2_592_000, "30d"),
            ("1w", 604_800, "7d"),
            ("1y", 31_536_000, "365d"),
            ("12h", 43_200, "12h"),
            ("15m", 900, "15m"),
            ("90s", 90, "90s"),
            ("90", 90, "90s"),
            ("86400", 86_400, "1d"),
            (" 2 d ", 172_800, "2d"),
            ("5000ms", 5, "5s"),
            ("0", 0, "0s"),
            ("0d", 0, "0s"),
        ] {
            let span: TimeSpan = text.parse().unwrap();
            assert_eq!(span.as_duration(), Duration::from_secs(seconds), "{text}");
            assert_eq!(span.to_string(), shown, "{text}");
            assert_eq!(shown.parse(), Ok(span), "{text}");
        }
        let days = TimeSpan::parse("30", TimeUnit::Day).unwrap();
        assert_eq!(days, TimeSpan::new(30, TimeUnit::Day));
        let short = TimeSpan::parse("1500", TimeUnit::Millisecond).unwrap();
        assert_eq!(short.to_string(), "1500ms");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "d",
            "-1",
            "+1",
            "1.5h",
            "1d12h",
            "30D",
            "30M",
            "1 day",
            "soon",
            "1e3",
            "99999999999999999999",
            "99999999999999w",
            "\u{662}d",
            "0x10",
        ] {
            assert_eq!(text.parse::<TimeSpan>(), Err(InvalidTimeSpan), "{text}");
        }
    }
}

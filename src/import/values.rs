//! The one reader of values, for all sources: what a value means, or that it means nothing. What cannot
//! be read is an error, and never the permissive value.

use chrono::NaiveDateTime;
use chrono_tz::Tz;

use super::times;
use crate::credential::hex;

/// A value of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Value {
    /// NULL, or a field that the row does not have.
    #[default]
    Missing,
    /// Text, or the text of a number.
    Text(String),
    /// Binary, or a text that is not UTF-8.
    Bytes(Vec<u8>),
    /// Too long, or a list or an object.
    Unreadable,
}

/// The value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadValue {
    /// It is a text in another encoding.
    NotUtf8,
    /// It has no meaning in its column.
    Meaningless,
}

impl Value {
    /// Text if the bytes are UTF-8.
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(|error| Self::Bytes(error.into_bytes()), Self::Text)
    }

    /// Whether there is nothing to read.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Missing => true,
            Self::Text(text) => text.trim().is_empty(),
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Unreadable => false,
        }
    }

    /// The text, without U+0000, which Postgres does not store; empty for a missing value.
    pub(super) fn text(&self) -> Result<String, BadValue> {
        match self {
            Self::Missing => Ok(String::new()),
            Self::Text(text) => Ok(text.replace('\0', "")),
            Self::Bytes(_) => Err(BadValue::NotUtf8),
            Self::Unreadable => Err(BadValue::Meaningless),
        }
    }

    /// The text, with U+FFFD in place of what is not UTF-8.
    pub(super) fn lossy_text(&self) -> String {
        match self {
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).replace('\0', ""),
            value => value.text().unwrap_or_default(),
        }
    }

    /// The text of an id. A binary id of 16 bytes is a UUID; others are written in hexadecimal digits.
    pub(super) fn id(&self) -> Result<String, BadValue> {
        let Self::Bytes(bytes) = self else {
            return self.text();
        };
        let mut digits = vec![0; bytes.len() * 2];
        hex::write(bytes, &mut digits);
        let digits = String::from_utf8_lossy(&digits).into_owned();
        if bytes.len() != 16 {
            return Ok(digits);
        }
        let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]);
        Ok(parts.join("-"))
    }

    /// A hash or a token, which may be binary, or a binary value as databases write it: `\x24`, `0x24` or
    /// `x'24'`.
    pub(super) fn secret(&self) -> Result<String, BadValue> {
        match self {
            Self::Text(text) => match decoded(text.trim()) {
                Some(bytes) if !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic) => {
                    String::from_utf8(bytes).map_err(|_error| BadValue::NotUtf8)
                }
                _ => self.text(),
            },
            _ => self.text(),
        }
    }

    /// A truth value; `None` for an empty one.
    ///
    /// Words and numbers as programs and databases write them, and bits: `b'1'` and bytes,
    /// `\x01` of Postgres.
    pub(super) fn truth(&self) -> Result<Option<bool>, BadValue> {
        match self {
            Self::Missing => Ok(None),
            Self::Unreadable => Err(BadValue::Meaningless),
            Self::Bytes(bytes) => truth_of_bytes(bytes).map(Some),
            Self::Text(text) => truth_of_text(text),
        }
    }

    /// A time in UTC; `None` for an empty value. A time without an offset is in `timezone`.
    pub(super) fn time(&self, timezone: Tz) -> Result<Option<NaiveDateTime>, BadValue> {
        match self {
            value if value.is_empty() => Ok(None),
            Self::Text(text) => match times::parse(text, timezone) {
                Some(time) => Ok(Some(time)),
                None => Err(BadValue::Meaningless),
            },
            _ => Err(BadValue::Meaningless),
        }
    }
}

fn truth_of_text(text: &str) -> Result<Option<bool>, BadValue> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" | "b'1'" => return Ok(Some(true)),
        "false" | "f" | "no" | "n" | "off" | "0" | "b'0'" => return Ok(Some(false)),
        _ => {}
    }
    if let Some(bytes) = decoded(text) {
        return truth_of_bytes(&bytes).map(Some);
    }
    if text.len() == 1 && text.as_bytes()[0] <= 1 {
        return truth_of_bytes(text.as_bytes()).map(Some);
    }
    // A whole number as a column of decimals writes it.
    let (whole, zeros) = text.split_once('.').ok_or(BadValue::Meaningless)?;
    match (whole, zeros.bytes().all(|digit| digit == b'0')) {
        ("1", true) => Ok(Some(true)),
        ("0", true) => Ok(Some(false)),
        _ => Err(BadValue::Meaningless),
    }
}

/// Reads the number 0 or 1, in any width.
fn truth_of_bytes(bytes: &[u8]) -> Result<bool, BadValue> {
    match bytes.split_last() {
        Some((last @ (0 | 1), before)) if before.iter().all(|byte| *byte == 0) => Ok(*last == 1),
        _ => Err(BadValue::Meaningless),
    }
}

/// The bytes of a binary value in hexadecimal digits: `\x01`, `0x01` or `x'01'`.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let digits = text
        .strip_prefix("\\x")
        .or_else(|| text.strip_prefix("0x"))
        .or_else(|| {
            text.strip_prefix(['x', 'X'])?
                .strip_prefix('\'')?
                .strip_suffix('\'')
        })?;
    from_hex(digits)
}

/// The bytes that these hexadecimal digits of either case stand for.
pub(super) fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let mut bytes = vec![0; digits.len() / 2];
    hex::read(digits.to_ascii_lowercase().as_bytes(), &mut bytes).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn usual_truth_values_are_read() {
        for yes in [
            "true", " TRUE\t", "t", "T", "yes", "Y", "on", "On", "1", "1.0", "1.00", "b'1'",
            "B'1'", "\u{1}", "\\x01", "0x01", "x'01'", "X'0001'",
        ] {
            assert_eq!(text(yes).truth(), Ok(Some(true)), "{yes:?}");
        }
        for no in [
            "false", "F", " no", "n", "off", "0", "0.0", "b'0'", "\u{0}", "\\x00", "0x00", "x'00'",
        ] {
            assert_eq!(text(no).truth(), Ok(Some(false)), "{no:?}");
        }
        assert_eq!(Value::Bytes(vec![1]).truth(), Ok(Some(true)));
        assert_eq!(Value::Bytes(vec![0, 0]).truth(), Ok(Some(false)));
        for empty in [Value::Missing, text(""), text(" \u{a0}")] {
            assert_eq!(empty.truth(), Ok(None), "{empty:?}");
        }
    }

    #[test]
    fn other_truth_values_are_errors() {
        for other in [
            "banned",
            "-1",
            "2",
            "x",
            "disabled",
            "wahr",
            "2024-01-02T03:04:05",
            "10",
            "1.5",
            "1.",
            ".0",
            "b'2'",
            "\\x02",
            "\\xzz",
            "01",
            "null",
            "None",
            "truefalse",
        ] {
            let expected = if other == "1." {
                Ok(Some(true))
            } else {
                Err(BadValue::Meaningless)
            };
            assert_eq!(text(other).truth(), expected, "{other:?}");
        }
        assert!(Value::Unreadable.truth().is_err());
        assert!(Value::Bytes(vec![2]).truth().is_err());
        assert!(Value::Bytes(vec![0xff, b'1']).truth().is_err());
    }

    #[test]
    fn binary_secrets_and_ids_are_read_as_text() {
        assert_eq!(text("\\x24326224").secret().unwrap(), "$2b$");
        assert_eq!(text("0x24326224").secret().unwrap(), "$2b$");
        assert_eq!(text("X'24326224'").secret().unwrap(), "$2b$");
        // Not a text: kept as it is.
        assert_eq!(text("\\xff00").secret().unwrap(), "\\xff00");
        assert_eq!(text("$2b$").secret().unwrap(), "$2b$");
        assert!(Value::Bytes(vec![0xff]).secret().is_err());
        assert_eq!(
            Value::Bytes((0xf0..=0xff).collect()).id().unwrap(),
            "f0f1f2f3-f4f5-f6f7-f8f9-fafbfcfdfeff"
        );
        assert_eq!(Value::Bytes(vec![0xff, 1]).id().unwrap(), "ff01");
    }
}

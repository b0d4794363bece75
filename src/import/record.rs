//! A user as a source describes them: every value is read, and nothing is known of the target.

use std::fmt;

use chrono::NaiveDateTime;
use pydantic_email::EmailAddress;

use crate::credential::token::TokenDigest;

/// The id of a user at the source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SourceId {
    /// A whole number.
    Integer(i64),
    /// Any other text, such as a UUID.
    Text(String),
}

impl SourceId {
    /// `None` for an empty text. Only the shortest form of a whole number is one: `007` and `7` are two
    /// ids.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        match text.parse::<i64>() {
            Ok(number) if number.to_string() == text => Some(Self::Integer(number)),
            _ if text.is_empty() => None,
            _ => Some(Self::Text(text.to_owned())),
        }
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Where a user is in the source, for the report. Texts are as long as the source's.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// The line of a file, from 1.
    pub(super) line: Option<u64>,
    pub(super) id: Option<SourceId>,
    /// The address, or the user name of a user without one; not validated.
    pub(super) address: Option<String>,
}

/// The id, or the line of a user without one.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.id, self.line) {
            (Some(id), _) => write!(f, "{id}"),
            (None, Some(line)) => write!(f, "line {line}"),
            (None, None) => Ok(()),
        }
    }
}

/// A user of the source.
#[derive(Clone, Debug)]
pub(super) struct SourceUser {
    pub(super) place: Place,
    pub(super) email: EmailAddress,
    /// The name that the user signs in with besides the address, by [`username_key`](crate::store).
    pub(super) username: Option<String>,
    /// The name, or the user name of a user without one.
    pub(super) name: String,
    pub(super) surname: String,
    pub(super) website: String,
    /// As in the source; not checked.
    pub(super) hashed_password: String,
    pub(super) disabled: bool,
    /// Why the user is disabled here although the source may not say so: a value in this column
    /// cannot be read.
    pub(super) disabled_for: Option<(Reason, String)>,
    /// UTC; `None` if the source does not say.
    pub(super) created_at: Option<NaiveDateTime>,
    /// All tokens that can be imported, also expired ones, in the order of the source.
    pub(super) tokens: Vec<SourceToken>,
    /// Why each of the other tokens cannot be imported, as in
    /// [`super::report::TokenReport::not_importable`].
    pub(super) bad_tokens: Vec<&'static str>,
}

/// A login token of the source.
#[derive(Clone, Debug)]
pub(super) struct SourceToken {
    pub(super) digest: TokenDigest,
    pub(super) end: TokenEnd,
}

/// When a token ends at the source, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenEnd {
    /// At a stated time.
    At(NaiveDateTime),
    /// A lifetime after this time, which the source does not state.
    SinceCreation(NaiveDateTime),
    /// Never.
    Endless,
}

/// A user who cannot be read.
#[derive(Clone, Debug)]
pub(super) struct LeftOut {
    pub(super) place: Place,
    pub(super) reason: Reason,
    /// The column with the value that cannot be read.
    pub(super) column: Option<String>,
    /// The number of the user's tokens.
    pub(super) tokens: u64,
}

/// Why a user cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    InvalidAddress,
    NameTooLong,
    SurnameTooLong,
    WebsiteTooLong,
    /// A line is malformed, or a value too long or not scalar.
    Unreadable,
    /// A value says neither that the user is active nor that the user is not.
    UnreadableFlag,
    /// The time of the registration is no time, or one that a database cannot store.
    UnreadableTime,
    /// A text is not UTF-8.
    NotUtf8,
    /// Another user has the same id.
    DuplicateId,
}

impl Reason {
    /// The name in the report.
    pub(super) const fn problem(self) -> &'static str {
        match self {
            Self::InvalidAddress => "invalid-address",
            Self::NameTooLong => "name-too-long",
            Self::SurnameTooLong => "surname-too-long",
            Self::WebsiteTooLong => "website-too-long",
            Self::Unreadable => "unreadable",
            Self::UnreadableFlag => "unreadable-flag",
            Self::UnreadableTime => "unreadable-time",
            Self::NotUtf8 => "not-utf-8",
            Self::DuplicateId => "duplicate-id",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SourceId;

    #[test]
    fn only_shortest_form_of_whole_number_is_integer() {
        for (text, expected) in [
            ("7", Some(SourceId::Integer(7))),
            (" 7\n", Some(SourceId::Integer(7))),
            ("-3", Some(SourceId::Integer(-3))),
            ("9223372036854775807", Some(SourceId::Integer(i64::MAX))),
            ("007", Some(SourceId::Text("007".to_owned()))),
            ("+7", Some(SourceId::Text("+7".to_owned()))),
            ("7.0", Some(SourceId::Text("7.0".to_owned()))),
            (
                "9223372036854775808",
                Some(SourceId::Text("9223372036854775808".to_owned())),
            ),
            ("", None),
            (" ", None),
        ] {
            assert_eq!(SourceId::parse(text), expected, "{text}");
        }
    }
}

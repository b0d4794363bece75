//! Which id an imported user gets: apps refer to users by id, so the id of the source is kept, or the
//! operator is told.

use std::fmt;

use super::record::SourceId;
use crate::store::MAX_EXTERNAL_ID;

/// The largest id that is kept. Half of all ids remain for new users.
pub(super) const MAX_KEPT_ID: i64 = i64::MAX / 2;

/// The id that an imported user gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewId {
    /// A new one: the source has none.
    New,
    /// The one of the source.
    Kept(i64),
    /// A new one; the one of the source is not an integer, and becomes the external id.
    External,
    /// A new one instead of the one of the source.
    Renumbered,
}

/// Why a user cannot keep the id of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdConflict {
    /// It is a number, but not an integer from 1 to half of 2^63.
    OutOfRange,
    /// It is not an integer, and too long for an external id, or has a null character.
    NotStorable,
    /// The user with this address has it.
    HeldBy(String),
    /// It was given to a user who no longer exists.
    GivenBefore,
    /// It was added to the source after the prediction, so no ids are reserved up to it.
    Unforeseen,
}

impl fmt::Display for IdConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange => f.write_str("not an integer from 1 to 2^62"),
            Self::NotStorable => f.write_str("too long, or with a null character"),
            Self::HeldBy(address) => write!(f, "the id of {address}"),
            Self::GivenBefore => f.write_str("given to a deleted user before"),
            Self::Unforeseen => f.write_str("added to the source meanwhile"),
        }
    }
}

/// The form in which an id of a source can be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form<'a> {
    /// As the id.
    Id(i64),
    /// As the external id.
    External(&'a str),
}

/// How an id can be kept.
pub(super) fn form(id: &SourceId) -> Result<Form<'_>, IdConflict> {
    match id {
        SourceId::Integer(id @ 1..=MAX_KEPT_ID) => Ok(Form::Id(*id)),
        SourceId::Integer(_) => Err(IdConflict::OutOfRange),
        SourceId::Text(text) if is_number(text) => Err(IdConflict::OutOfRange),
        SourceId::Text(text) if text.len() > MAX_EXTERNAL_ID || text.contains('\0') => {
            Err(IdConflict::NotStorable)
        }
        SourceId::Text(text) => Ok(Form::External(text)),
    }
}

/// Whether a text is a number of another form: `007`, `7.0` or one beyond 64 bits.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !whole.is_empty() && is_digits(whole) && is_digits(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_texts_become_external_ids() {
        for (id, expected) in [
            ("1", Ok(Form::Id(1))),
            ("4611686018427387903", Ok(Form::Id(MAX_KEPT_ID))),
            ("4611686018427387904", Err(IdConflict::OutOfRange)),
            ("0", Err(IdConflict::OutOfRange)),
            ("-7", Err(IdConflict::OutOfRange)),
            ("007", Err(IdConflict::OutOfRange)),
            ("7.0", Err(IdConflict::OutOfRange)),
            ("7.", Err(IdConflict::OutOfRange)),
            ("+7", Err(IdConflict::OutOfRange)),
            ("18446744073709551616", Err(IdConflict::OutOfRange)),
            ("7e3", Ok(Form::External("7e3"))),
            ("user_7", Ok(Form::External("user_7"))),
            ("-", Ok(Form::External("-"))),
        ] {
            assert_eq!(form(&SourceId::parse(id).unwrap()), expected, "{id}");
        }
        let long = SourceId::Text("x".repeat(256));
        assert_eq!(form(&long), Err(IdConflict::NotStorable));
    }
}

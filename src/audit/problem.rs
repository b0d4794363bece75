//! Problems that a verification finds.

use std::fmt;

/// A problem with the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The row that says where the trail begins and ends is missing.
    NoHead,
    /// That row was changed, or never signed.
    HeadAltered,
    /// These rows are missing, from the first to the last.
    Missing(i64, i64),
    /// This row was altered.
    Altered(i64),
    /// These rows, from the first to the last, were signed with the key in the database, and no operator
    /// has adopted another one since.
    OtherKey(i64, i64),
    /// At this row another key took over, which no operator has adopted.
    KeyChanged(i64),
    /// These rows, from the first to the last, were signed with an earlier key, and some have changed
    /// since the present key was adopted.
    EarlierAltered(i64, i64),
    /// This row does not follow the one before it.
    OutOfOrder(i64),
    /// This row is after the end.
    Surplus(i64),
    /// This row is before the beginning: rows up to there were pruned.
    Before(i64),
    /// The head has another digest of the last row, or of the last pruned row.
    EndsDiffer(i64),
    /// When this row was written, the head had been altered.
    FoundAltered(i64),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHead => write!(f, "the head of the trail is missing"),
            Self::HeadAltered => write!(
                f,
                "the head of the trail was altered, or was signed with another key"
            ),
            Self::Missing(first, last) => {
                write!(f, "{} missing", Rows(*first, *last))
            }
            Self::Altered(id) => {
                write!(f, "event {id} was altered, or was signed with another key")
            }
            Self::OtherKey(first, last) => write!(
                f,
                "{} signed with the key in the database, and no operator has adopted another one \
                 since (tokenhouse audit adopt-key)",
                Rows(*first, *last)
            ),
            Self::KeyChanged(id) => write!(
                f,
                "at event {id} another key took over, which no operator has adopted (tokenhouse \
                 audit adopt-key)"
            ),
            Self::EarlierAltered(first, last) => write!(
                f,
                "{} not as they were when the operator adopted the present key",
                Rows(*first, *last)
            ),
            Self::OutOfOrder(id) => write!(f, "event {id} does not follow the one before it"),
            Self::Surplus(id) => write!(f, "event {id} is after the end of the trail"),
            Self::Before(id) => write!(f, "event {id} is before the beginning of the trail"),
            Self::FoundAltered(id) => write!(
                f,
                "before event {id} the head of the trail was altered, or signed with another key"
            ),
            Self::EndsDiffer(id) => write!(f, "event {id} does not match the head"),
        }
    }
}

/// A range of rows, as the beginning of a sentence.
struct Rows(i64, i64);

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(first, last) if first == last => write!(f, "event {first} is"),
            Self(first, last) => write!(f, "events {first} to {last} are"),
        }
    }
}

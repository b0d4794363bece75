//! What can be wrong with the trail.

use std::fmt;

/// Something that is wrong with the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The row that says where the trail begins and ends is not there.
    NoHead,
    /// That row was changed, or never signed.
    HeadAltered,
    /// These rows are not there, from the first to the last.
    Missing(i64, i64),
    /// This row is not as it was written.
    Altered(i64),
    /// These rows, from the first to the last, were made with the key in the database, and no
    /// operator has said that another one takes over.
    OtherKey(i64, i64),
    /// With this row another key took over, and no operator has said so.
    KeyChanged(i64),
    /// Of these rows, from the first to the last, which were made with an earlier key, not all are
    /// as they were when the present key took over.
    EarlierAltered(i64, i64),
    /// This row was written after another row than the one before it.
    OutOfOrder(i64),
    /// This row is behind the end.
    Surplus(i64),
    /// This row is before the beginning: those up to there were deleted for their age.
    Before(i64),
    /// The head knows another digest of the last row, or of the last one that was pruned.
    EndsDiffer(i64),
    /// When this row was written, the head was found altered.
    FoundAltered(i64),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHead => write!(f, "the head of the trail is missing"),
            Self::HeadAltered => write!(
                f,
                "the head of the trail was altered, or was made with another key"
            ),
            Self::Missing(first, last) => {
                write!(f, "{} missing", Rows(*first, *last))
            }
            Self::Altered(id) => write!(f, "event {id} was altered, or was made with another key"),
            Self::OtherKey(first, last) => write!(
                f,
                "{} made with the key in the database, and no operator has adopted another one \
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
                "{} not as the operator found them when the present key was adopted",
                Rows(*first, *last)
            ),
            Self::OutOfOrder(id) => write!(f, "event {id} does not follow the one before it"),
            Self::Surplus(id) => write!(f, "event {id} is behind the end of the trail"),
            Self::Before(id) => write!(f, "event {id} is before the beginning of the trail"),
            Self::FoundAltered(id) => write!(
                f,
                "before event {id} the head of the trail was altered, or made with another key"
            ),
            Self::EndsDiffer(id) => write!(f, "event {id} is not the one that the head knows"),
        }
    }
}

/// From the first to the last, as the beginning of a sentence.
struct Rows(i64, i64);

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(first, last) if first == last => write!(f, "event {first} is"),
            Self(first, last) => write!(f, "events {first} to {last} are"),
        }
    }
}

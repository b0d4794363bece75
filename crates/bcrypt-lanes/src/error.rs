use core::fmt;

use crate::{MAX_COST, MIN_COST};

/// Why nothing was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The cost is not one of bcrypt.
    CostNotAllowed(u32),
    /// The slice of digests is not as long as that of the inputs.
    LengthsDiffer {
        /// How many inputs there are.
        inputs: usize,
        /// For how many digests there is room.
        digests: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CostNotAllowed(cost) => {
                write!(
                    formatter,
                    "expected a cost of {MIN_COST} to {MAX_COST}, not {cost}"
                )
            }
            Self::LengthsDiffer { inputs, digests } => {
                write!(formatter, "{inputs} inputs, but {digests} digests")
            }
        }
    }
}

impl core::error::Error for Error {}

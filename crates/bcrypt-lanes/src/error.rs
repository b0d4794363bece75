use core::fmt;

use crate::{MAX_COST, MIN_COST};

/// Why nothing was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The cost is not a bcrypt cost.
    CostNotAllowed(u32),
    /// The slices of digests and of inputs have different lengths.
    LengthsDiffer {
        /// The number of inputs.
        inputs: usize,
        /// The number of digests.
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

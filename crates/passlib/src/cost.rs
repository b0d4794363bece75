//! The cost of a hash.

/// How much work a hash takes: 2 to the power of the cost rounds of bcrypt. From 4 to 31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cost(u32);

/// The number is not a bcrypt cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a bcrypt cost, 4 to 31")]
pub struct InvalidCost;

impl Cost {
    /// The lowest cost of bcrypt: about 1 ms per hash, where 12 is about 250 ms.
    pub const MIN: Self = Self(4);
    /// The highest cost of bcrypt: more than a day per hash.
    pub const MAX: Self = Self(31);

    /// The number of rounds of a bcrypt of this cost.
    pub const fn rounds(self) -> u32 {
        1 << self.0
    }
}

impl TryFrom<u32> for Cost {
    type Error = InvalidCost;

    fn try_from(number: u32) -> Result<Self, InvalidCost> {
        let cost = Self(number);
        if (Self::MIN..=Self::MAX).contains(&cost) {
            Ok(cost)
        } else {
            Err(InvalidCost)
        }
    }
}

impl From<Cost> for u32 {
    fn from(cost: Cost) -> Self {
        cost.0
    }
}

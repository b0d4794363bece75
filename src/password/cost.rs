//! The cost of a hash.

/// How much work a hash is: 2 to this power rounds of bcrypt. From 4 to 31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cost(u32);

/// The number is no bcrypt cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a bcrypt cost, 4 to 31")]
pub struct InvalidCost;

impl Cost {
    /// The cheapest that bcrypt knows: some 2 ms a hash, where 12 is some 250 ms.
    pub const MIN: Self = Self(4);
    /// The dearest that bcrypt knows: more than a day a hash.
    pub const MAX: Self = Self(31);

    /// The rounds of a bcrypt of this cost.
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

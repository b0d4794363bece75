//! Sets of small numbers.

/// A set of numbers below a length that is fixed when it is made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BitSet(Vec<u64>);

impl BitSet {
    pub(crate) fn new(length: usize) -> Self {
        Self(vec![0; length.div_ceil(64)])
    }

    pub(crate) fn insert(&mut self, number: usize) {
        self.0[number / 64] |= 1 << (number % 64);
    }

    pub(crate) fn remove(&mut self, number: usize) {
        self.0[number / 64] &= !(1 << (number % 64));
    }

    pub(crate) fn contains(&self, number: usize) -> bool {
        self.0[number / 64] & 1 << (number % 64) != 0
    }

    /// Both are of the same length.
    pub(crate) fn is_subset(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(&other.0)
            .all(|(one, two)| one & !two == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_was_put_in() {
        let mut set = BitSet::new(130);
        (0..70).chain([129]).for_each(|number| set.insert(number));
        set.remove(66);
        let found: Vec<usize> = (0..130).filter(|number| set.contains(*number)).collect();
        let expected: Vec<usize> = (0..66).chain(67..70).chain([129]).collect();
        assert_eq!(found, expected);

        let smaller = {
            let mut smaller = set.clone();
            smaller.remove(129);
            smaller
        };
        assert!(smaller.is_subset(&set) && !set.is_subset(&smaller));
    }
}

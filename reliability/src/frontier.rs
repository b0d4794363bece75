//! The configurations in which a user may be at some time.

use std::collections::HashMap;

use crate::bitset::BitSet;
use crate::model::State;

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    pub(crate) state: State,
    /// Which of the items under way have happened.
    pub(crate) done: BitSet,
    /// Which doubts were taken to have happened.
    pub(crate) used: BitSet,
}

/// A set of them, without those that can do no more than another one: the same with more doubts
/// used.
#[derive(Debug, Default)]
pub(crate) struct Frontier {
    places: HashMap<(State, BitSet), Vec<BitSet>>,
    len: usize,
}

impl Frontier {
    /// Adds one, unless it can do no more than one that is there. Returns whether it did.
    pub(crate) fn add(&mut self, configuration: Configuration) -> bool {
        let Configuration { state, done, used } = configuration;
        let known = self.places.entry((state, done)).or_default();
        if known.iter().any(|known| known.is_subset(&used)) {
            return false;
        }
        self.len -= known.len();
        known.retain(|known| !used.is_subset(known));
        known.push(used);
        self.len += known.len();
        true
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl IntoIterator for Frontier {
    type Item = Configuration;
    type IntoIter = Box<dyn Iterator<Item = Configuration>>;

    fn into_iter(self) -> Self::IntoIter {
        let places = self.places.into_iter();
        Box::new(places.flat_map(|((state, done), known)| {
            known.into_iter().map(move |used| Configuration {
                state,
                done: done.clone(),
                used,
            })
        }))
    }
}

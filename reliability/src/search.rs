//! The search for an order of operations that a correct service could have followed: Wing and
//! Gong's, in the form that Lowe calls just-in-time (G. Lowe, "Testing for linearizability", 2017).
//!
//! It goes through the calls and returns in the order of time with all configurations in which the
//! user may be by then. Something happens no earlier than some return needs it, so a configuration
//! is a state and the set of those operations under way that have happened already. When nothing is
//! under way only the states are left, so that a history is cut by itself at its quiet moments.
//!
//! Three more things keep the configurations few, and none of them loses an order:
//!
//! - A step that changes nothing happens as soon as it may. In any order in which it comes later
//!   it can be moved to the front: it only gets out of the way.
//! - A step that may or may not have happened, and at any time, happens only right before a step
//!   that is impossible otherwise, or that covers it ([`Step::covers`](crate::model::Step::covers)).
//!   In any order it can be moved back to there, or left out.
//! - Of two configurations that differ only in the doubts that were used up, one with fewer of them
//!   can do all that the other can.

use std::time::Instant;

use crate::bitset::BitSet;
use crate::frontier::{Configuration, Frontier};
use crate::items::{Doubt, Item};
use crate::model::{Remedy, State};

/// How many configurations there may be at once: some hundred megabytes of them.
const CONFIGURATIONS: usize = 500_000;

/// How often the clock is looked at.
const STEPS_BETWEEN_LOOKS: u32 = 256;

/// What came of a search.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// There is an order.
    Order,
    /// There is none up to this item's return, but there is one up to what returned before.
    Stuck(usize),
    /// The time or the memory is used up.
    Undecided,
}

/// Searches for an order of the items that starts in one of the states.
pub(crate) fn search(
    items: &[Item],
    doubts: &[Doubt],
    starts: &[State],
    deadline: Instant,
) -> Found {
    let mut search = Search {
        items,
        doubts,
        under_way: Vec::new(),
        deadline,
        steps: 0,
    };
    let events = events(items);
    let most_at_once = most_at_once(&events);
    let mut frontier = Frontier::default();
    for state in starts {
        frontier.add(Configuration {
            state: *state,
            done: BitSet::new(most_at_once),
            used: BitSet::new(doubts.len()),
        });
    }
    for event in events {
        match event.kind {
            Kind::Call => frontier = search.call(event.item, frontier),
            Kind::Return => match search.pass_return(&event, frontier) {
                None => return Found::Undecided,
                Some(passed) if passed.is_empty() => return Found::Stuck(event.item),
                Some(passed) => frontier = passed,
            },
        }
    }
    Found::Order
}

/// At the same time, calls come first, so that operations that only touch count as concurrent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Call,
    Return,
}

/// A call or a return.
struct Event {
    time: u64,
    kind: Kind,
    item: usize,
}

fn events(items: &[Item]) -> Vec<Event> {
    let event = |time, kind, item| Event { time, kind, item };
    let calls = (0..)
        .zip(items)
        .map(|(at, item)| event(item.call, Kind::Call, at));
    let returns = (0..)
        .zip(items)
        .filter_map(|(at, item)| Some(event(item.returned?, Kind::Return, at)));
    let mut events: Vec<Event> = calls.chain(returns).collect();
    events.sort_by_key(|event| (event.time, event.kind));
    events
}

/// How many items are under way at once, at most.
fn most_at_once(events: &[Event]) -> usize {
    let mut now = 0;
    let mut most = 0;
    for event in events {
        match event.kind {
            Kind::Call => now += 1,
            Kind::Return => now -= 1,
        }
        most = most.max(now);
    }
    most
}

struct Search<'a> {
    items: &'a [Item],
    doubts: &'a [Doubt],
    /// The items under way. Their places here are what [`Configuration::done`] counts in.
    under_way: Vec<Option<usize>>,
    deadline: Instant,
    steps: u32,
}

impl Search<'_> {
    fn call(&mut self, item: usize, frontier: Frontier) -> Frontier {
        let place = match self.under_way.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                self.under_way.push(None);
                self.under_way.len() - 1
            }
        };
        self.under_way[place] = Some(item);
        let step = self.items[item].step;
        let mut called = Frontier::default();
        for mut configuration in frontier {
            if step.is_idle(configuration.state) {
                configuration.done.insert(place);
            }
            called.add(configuration);
        }
        called
    }

    /// What is left when the item has to have happened; `None` when there is no end to it.
    fn pass_return(&mut self, event: &Event, frontier: Frontier) -> Option<Frontier> {
        let is_it = |under_way: &Option<usize>| *under_way == Some(event.item);
        let place = self.under_way.iter().position(is_it)?;
        let mut passed = Frontier::default();
        let mut seen = Frontier::default();
        let mut waiting: Vec<Configuration> = frontier.into_iter().collect();
        while let Some(mut configuration) = waiting.pop() {
            if self.is_exhausted(seen.len() + passed.len()) {
                return None;
            }
            if configuration.done.contains(place) {
                configuration.done.remove(place);
                passed.add(configuration);
                continue;
            }
            for next in self.successors(&configuration, event) {
                if seen.add(next.clone()) {
                    waiting.push(next);
                }
            }
        }
        self.under_way[place] = None;
        Some(passed)
    }

    /// Where one is after any one of the items under way.
    fn successors(&self, at: &Configuration, event: &Event) -> Vec<Configuration> {
        let mut successors = Vec::new();
        for (place, item) in self.places_left(at) {
            let step = self.items[item].step;
            if let Some(state) = step.apply(at.state) {
                successors.push(self.after(at, place, state, None));
                let covered = step.covers(at.state);
                let doubt =
                    covered.and_then(|change| self.unused_doubt(change, &at.used, event.time));
                let before = doubt.and_then(|doubt| self.doubts[doubt].step.apply(at.state));
                if let Some(state) = before.and_then(|state| step.apply(state)) {
                    successors.push(self.after(at, place, state, doubt));
                }
                continue;
            }
            for remedy in step.remedies(at.state) {
                // Until it has to return, something else may come that ends the token anyway.
                if matches!(remedy, Remedy::End(_)) && item != event.item {
                    continue;
                }
                let doubt = self.unused_doubt(remedy, &at.used, event.time);
                let remedied = doubt.and_then(|doubt| self.doubts[doubt].step.apply(at.state));
                if let Some(state) = remedied.and_then(|state| step.apply(state)) {
                    successors.push(self.after(at, place, state, doubt));
                }
            }
        }
        successors
    }

    /// The configuration after the item at `place`, and after all that then changes nothing.
    fn after(
        &self,
        at: &Configuration,
        place: usize,
        state: State,
        doubt: Option<usize>,
    ) -> Configuration {
        let mut next = Configuration {
            state,
            ..at.clone()
        };
        next.done.insert(place);
        if let Some(doubt) = doubt {
            next.used.insert(doubt);
        }
        for (place, item) in self.places_left(&next.clone()) {
            if self.items[item].step.is_idle(state) {
                next.done.insert(place);
            }
        }
        next
    }

    /// The items under way that have not happened.
    fn places_left(&self, at: &Configuration) -> impl Iterator<Item = (usize, usize)> {
        let under_way = (0..).zip(&self.under_way);
        under_way.filter_map(|(place, item)| {
            Some((place, (*item)?)).filter(|_| !at.done.contains(place))
        })
    }

    /// A doubt that was called by then and does this. Those that do the same are as good as each
    /// other, since they all stay available.
    fn unused_doubt(&self, remedy: Remedy, used: &BitSet, time: u64) -> Option<usize> {
        let called = self.doubts.partition_point(|doubt| doubt.call <= time);
        remedy.steps().find_map(|step| {
            let mut unused = (0..called).filter(|doubt| !used.contains(*doubt));
            unused.find(|doubt| self.doubts[*doubt].step == step)
        })
    }

    fn is_exhausted(&mut self, configurations: usize) -> bool {
        self.steps = self.steps.wrapping_add(1);
        let look = self.steps.is_multiple_of(STEPS_BETWEEN_LOOKS);
        configurations > CONFIGURATIONS || look && Instant::now() >= self.deadline
    }
}

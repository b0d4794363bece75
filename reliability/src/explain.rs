//! Makes a violation small enough to read: the fewest operations before it that still leave no
//! order, whatever the state was before them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::history::{Action, Operation, Outcome};
use crate::items::{Item, Items};
use crate::model::{State, Step};
use crate::search::{Found, search};
use crate::violation::Violation;

/// How long one may be at it. What is found until then is a violation too, only longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many changes before the window are shown.
const SHOWN_BEFORE: usize = 3;

/// Cuts the window out. `stuck` is the operation that has no place.
pub(crate) fn explain(operations: &[Operation], items: &Items, stuck: usize) -> Violation {
    let culprit = operations[stuck];
    let explainer = Explainer {
        items,
        until: until(items, culprit.returned),
        deadline: Instant::now() + PATIENCE,
    };
    let (window, any_start) = explainer.window();
    let (needed, others): (Vec<Item>, Vec<Item>) =
        window.iter().partition(|item| item.returned.is_some());
    let of =
        |items: &[Item]| -> BTreeSet<usize> { items.iter().map(|item| item.operation).collect() };
    let (needed, others) = (of(&needed), of(&others));
    let doubts = items.doubts.iter();
    let doubts = doubts.filter(|doubt| doubt.call <= culprit.returned);
    let mut shown: Vec<Operation> = needed.iter().map(|needed| operations[*needed]).collect();
    shown.sort_by_key(|operation| operation.invoked);
    Violation {
        culprit,
        before: last_changes(operations, shown.first().unwrap_or(&culprit).invoked),
        operations: shown,
        any_start,
        others: others.difference(&needed).count() + doubts.count(),
    }
}

/// The last changes that were acknowledged before that time.
fn last_changes(operations: &[Operation], time: u64) -> Vec<Operation> {
    let mut changes: Vec<Operation> = operations
        .iter()
        .filter(|operation| {
            operation.outcome == Outcome::Ok
                && !matches!(operation.action, Action::Use(_))
                && operation.returned < time
        })
        .copied()
        .collect();
    changes.sort_by_key(|change| change.returned);
    changes.split_off(changes.len().saturating_sub(SHOWN_BEFORE))
}

/// Leaves out the reads in a part of the window, and lets the rest of the part happen or not. `None`
/// when that changes nothing.
fn weaken(window: &[Item], part: Range<usize>) -> Option<Vec<Item>> {
    let is_needed = |item: &Item| item.returned.is_some();
    if !window[part.clone()].iter().any(is_needed) {
        return None;
    }
    let optional = window[part.clone()].iter().map(|item| Item {
        returned: None,
        ..*item
    });
    let optional = optional.filter(|item| !item.step.is_read());
    let before = window[..part.start].iter().copied();
    let after = window[part.end..].iter().copied();
    Some(before.chain(optional).chain(after).collect())
}

/// What was called until then. What had not returned by then need not have happened.
fn until(items: &Items, end: u64) -> Vec<Item> {
    let called = items.items.iter().filter(|item| item.call <= end);
    let open = called.map(|item| Item {
        returned: item.returned.filter(|returned| *returned <= end),
        ..*item
    });
    open.filter(|item| item.returned.is_some() || !item.step.is_read())
        .collect()
}

struct Explainer<'a> {
    items: &'a Items,
    /// In the order of their calls, up to the violation.
    until: Vec<Item>,
    deadline: Instant,
}

impl Explainer<'_> {
    /// The window, and whether it is a violation whatever state it starts in.
    fn window(&self) -> (Vec<Item>, bool) {
        match self.latest_start() {
            Some(first) => (self.weakened(self.since(first), true), true),
            None => (self.weakened(self.until.clone(), false), false),
        }
    }

    /// The last item from which on there is no order, whatever came before. Fewer items are less
    /// to contradict each other, so a search by halves finds it.
    fn latest_start(&self) -> Option<usize> {
        let count = self.until.len();
        let mut back = 1;
        while !self.is_violation(&self.since(count - back.min(count)), true) {
            if back >= count {
                return None;
            }
            back *= 2;
        }
        let mut violates = count - back.min(count);
        let mut fits = count - back / 2;
        while violates + 1 < fits {
            let middle = usize::midpoint(violates, fits);
            if self.is_violation(&self.since(middle), true) {
                violates = middle;
            } else {
                fits = middle;
            }
        }
        Some(violates)
    }

    /// What was called from the item `first` on. What was under way then is still to be thought
    /// of, but may as well be over.
    fn since(&self, first: usize) -> Vec<Item> {
        let from = self.until[first].call;
        let under_way = self.until[..first].iter().filter(|item| {
            !item.step.is_read() && item.returned.is_none_or(|returned| returned >= from)
        });
        let may_be_over = under_way.map(|item| Item {
            returned: None,
            ..*item
        });
        may_be_over
            .chain(self.until[first..].iter().copied())
            .collect()
    }

    /// Weakens what the violation does not need: halves first, then smaller parts.
    fn weakened(&self, mut window: Vec<Item>, any_start: bool) -> Vec<Item> {
        let mut size = window.len();
        while size > 0 && Instant::now() < self.deadline {
            let mut from = 0;
            while from < window.len() {
                let to = (from + size).min(window.len());
                match weaken(&window, from..to) {
                    Some(weaker) if self.is_violation(&weaker, any_start) => {
                        from = to - (window.len() - weaker.len());
                        window = weaker;
                    }
                    _ => from = to,
                }
            }
            size /= 2;
        }
        window
    }

    /// Whether there is no order of these. When the time is up, nothing is a violation any more,
    /// which ends every search for a smaller one.
    fn is_violation(&self, window: &[Item], any_start: bool) -> bool {
        let starts = if any_start {
            any_state(window)
        } else {
            vec![State::NEW]
        };
        let found = search(window, &self.items.doubts, &starts, self.deadline);
        matches!(found, Found::Stuck(_))
    }
}

/// Every state that the window can tell from others.
fn any_state(window: &[Item]) -> Vec<State> {
    let tokens = window.iter().filter_map(|item| match item.step {
        Step::SignIn(token) => token,
        Step::Accepted(token) | Step::Refused(token) | Step::End(token) => Some(token),
        _ => None,
    });
    let live: BTreeSet<_> = tokens.map(Some).chain([None]).collect();
    live.into_iter()
        .flat_map(|live| [false, true].map(|disabled| State { live, disabled }))
        // A disable ends the live token.
        .filter(|state| !state.disabled || state.live.is_none())
        .collect()
}

//! Makes a violation small enough to read: the fewest operations before it that still have no order,
//! whatever the state was before them.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::model::{State, Step, TimedStep, Timeline};
use super::search::{self, search};
use crate::history::{Action, Operation, Outcome};

/// The time for making it smaller. After that the violation is only longer.
const EXPLAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// The number of changes shown from before the window.
const SHOWN_BEFORE: usize = 3;

/// The number of operations that are printed: the last ones.
const MAX_PRINTED: usize = 60;

/// Operations of one user that no correct service answers in this way.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The operation that has no place: all before it have an order, but not together with it.
    pub culprit: Operation,
    /// The last acknowledged changes before the window, for orientation.
    pub before: Vec<Operation>,
    /// The window: the operations that contradict each other, in the order of their calls.
    pub operations: Vec<Operation>,
    /// Whether the window is a violation whatever the state was before it. Otherwise it starts at the
    /// beginning of the history.
    pub any_start: bool,
    /// The number of further operations that do not explain it either: those with unknown outcomes,
    /// and those of the window that may never have taken effect.
    pub others: usize,
}

/// Finds the window. `culprit` is the index of the operation that has no place.
pub(super) fn explain(operations: &[Operation], timeline: &Timeline, culprit: usize) -> Violation {
    let culprit = operations[culprit];
    let explainer = Explainer {
        timeline,
        steps: steps_until(timeline, culprit.returned),
        deadline: Instant::now() + EXPLAIN_TIMEOUT,
    };
    let (window, any_start) = match explainer.latest_start() {
        Some(first) => (explainer.weaken(explainer.since(first), true), true),
        None => (explainer.weaken(explainer.steps.clone(), false), false),
    };
    let indexes = |is_required: bool| -> BTreeSet<usize> {
        let steps = window.iter();
        let steps = steps.filter(|step| step.returned.is_some() == is_required);
        steps.map(|step| step.operation).collect()
    };
    let (required, others) = (indexes(true), indexes(false));
    let optional = timeline.optional.iter();
    let optional = optional.filter(|step| step.call <= culprit.returned);
    let mut shown: Vec<Operation> = required.iter().map(|index| operations[*index]).collect();
    shown.sort_by_key(|operation| operation.invoked);
    Violation {
        culprit,
        before: last_changes(operations, shown.first().unwrap_or(&culprit).invoked),
        operations: shown,
        any_start,
        others: others.difference(&required).count() + optional.count(),
    }
}

/// The last changes that were acknowledged before this time.
fn last_changes(operations: &[Operation], time: u64) -> Vec<Operation> {
    let is_change = |operation: &&Operation| {
        operation.outcome == Outcome::Ok
            && !matches!(operation.action, Action::Use(_))
            && operation.returned < time
    };
    let mut changes: Vec<Operation> = operations.iter().filter(is_change).copied().collect();
    changes.sort_by_key(|change| change.returned);
    changes.split_off(changes.len().saturating_sub(SHOWN_BEFORE))
}

/// Removes the reads of a part of the window and makes its other steps optional. `None` when that
/// changes nothing.
fn weaken_part(window: &[TimedStep], part: Range<usize>) -> Option<Vec<TimedStep>> {
    let is_required = |step: &TimedStep| step.returned.is_some();
    if !window[part.clone()].iter().any(is_required) {
        return None;
    }
    let weaker = window[part.clone()].iter().copied().filter_map(optional);
    let before = window[..part.start].iter().copied();
    let after = window[part.end..].iter().copied();
    Some(before.chain(weaker).chain(after).collect())
}

/// The step as one that may never take effect; `None` for a read, which then proves nothing.
fn optional(step: TimedStep) -> Option<TimedStep> {
    let returned = None;
    (!step.step.is_read()).then_some(TimedStep { returned, ..step })
}

/// The steps called until then. Those that had not returned may never have taken effect.
fn steps_until(timeline: &Timeline, end: u64) -> Vec<TimedStep> {
    let called = timeline.steps.iter().filter(|step| step.call <= end);
    called
        .filter_map(|step| match step.returned {
            Some(returned) if returned <= end => Some(*step),
            _ => optional(*step),
        })
        .collect()
}

struct Explainer<'a> {
    timeline: &'a Timeline,
    /// In the order of their calls, up to the violation.
    steps: Vec<TimedStep>,
    deadline: Instant,
}

impl Explainer<'_> {
    /// The last step from which on there is no order, whatever came before. Fewer steps contradict
    /// each other less, so a binary search finds it.
    fn latest_start(&self) -> Option<usize> {
        let count = self.steps.len();
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

    /// The steps called from the step `first` on. Those in progress then may take effect, or may have
    /// taken effect already.
    fn since(&self, first: usize) -> Vec<TimedStep> {
        let from = self.steps[first].call;
        let earlier = self.steps[..first].iter();
        let in_progress = earlier.filter(|step| step.returned.is_none_or(|time| time >= from));
        let in_progress = in_progress.copied().filter_map(optional);
        in_progress
            .chain(self.steps[first..].iter().copied())
            .collect()
    }

    /// Weakens what the violation does not need: halves first, then smaller parts.
    fn weaken(&self, mut window: Vec<TimedStep>, any_start: bool) -> Vec<TimedStep> {
        let mut size = window.len();
        while size > 0 && Instant::now() < self.deadline {
            let mut from = 0;
            while from < window.len() {
                let to = (from + size).min(window.len());
                match weaken_part(&window, from..to) {
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

    /// Whether these have no order. After the deadline nothing counts as a violation, which ends every
    /// search for a smaller one.
    fn is_violation(&self, window: &[TimedStep], any_start: bool) -> bool {
        let starts = if any_start {
            distinguishable_states(window)
        } else {
            vec![State::NEW]
        };
        let found = search(window, &self.timeline.optional, &starts, self.deadline);
        matches!(found, search::Outcome::Stuck(_))
    }
}

/// Every state that the window can tell from others.
fn distinguishable_states(window: &[TimedStep]) -> Vec<State> {
    let tokens = window.iter().filter_map(|step| match step.step {
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

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.culprit.user;
        let start = if self.any_start {
            ", whatever was before them"
        } else {
            " since the user registered"
        };
        writeln!(
            f,
            "user {user}: no order of these operations explains the responses{start}"
        )?;
        if self.others > 0 {
            let count = self.others;
            writeln!(
                f,
                "({count} more, unknown or not needed, do not explain them either)"
            )?;
        }
        let omitted = self.operations.len().saturating_sub(MAX_PRINTED);
        if omitted > 0 {
            writeln!(f, "({omitted} more before these)")?;
        }
        writeln!(
            f,
            "    called ms   returned ms  client  process    operation"
        )?;
        for operation in &self.operations[omitted..] {
            self.write_line(f, operation)?;
        }
        if !self.before.is_empty() {
            writeln!(f, "the last acknowledged changes before these:")?;
        }
        let mut before = self.before.iter();
        before.try_for_each(|operation| self.write_line(f, operation))
    }
}

impl Violation {
    fn write_line(&self, f: &mut fmt::Formatter<'_>, operation: &Operation) -> fmt::Result {
        let process = match operation.process {
            Some(process) => format!("process {process}"),
            None => "command".to_owned(),
        };
        let mark = if *operation == self.culprit {
            "   <-- has no place"
        } else {
            ""
        };
        writeln!(
            f,
            "{:>13} {:>13}  {:<6}  {process:<9}  {operation}{mark}",
            milliseconds(operation.invoked),
            milliseconds(operation.returned),
            format!("c{}", operation.client),
        )
    }
}

fn milliseconds(nanoseconds: u64) -> String {
    let micro = nanoseconds / 1_000;
    format!("{}.{:03}", micro / 1_000, micro % 1_000)
}

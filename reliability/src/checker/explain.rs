//! Makes a violation small enough to read: the fewest operations before it that still have no order,
//! whatever the state was before them.

use std::collections::BTreeSet;
use std::fmt;
use std::iter;
use std::time::{Duration, Instant};

use super::search::{self, search};
use super::starts::{distinguishable_states, tokens_of};
use super::state::State;
use super::timeline::{Context, NEVER, Timeline, is_required};
use crate::history::{Action, Operation, Outcome, Token};

/// The time for making it smaller. After that the violation is only longer.
const EXPLAIN_TIMEOUT: Duration = Duration::from_secs(5);

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
pub(super) fn explain(operations: &[Operation], culprit: usize, context: &Context) -> Violation {
    let culprit = operations[culprit];
    let called = operations.iter().copied();
    let called = called.filter(|operation| operation.invoked <= culprit.returned);
    let explainer = Explainer {
        operations: called
            .filter_map(|operation| match operation.returned <= culprit.returned {
                true => Some(operation),
                false => weaken(operation),
            })
            .collect(),
        context,
        any_start: context.of_any_start(),
        deadline: Instant::now() + EXPLAIN_TIMEOUT,
    };
    // The other sessions make a search long, and rarely contribute.
    let of_session = explainer.of_session(&culprit);
    let end = of_session.contradictory_end();
    let (window, any_start) = match end.or_else(|| explainer.contradictory_end()) {
        Some(end) => (explainer.minimize(end, true), true),
        None => (
            explainer.minimize(explainer.operations.clone(), false),
            false,
        ),
    };
    let (required, others): (Vec<Operation>, Vec<Operation>) =
        window.into_iter().partition(is_required);
    Violation {
        culprit,
        before: last_changes(operations, required.first().unwrap_or(&culprit).invoked),
        operations: required,
        any_start,
        others: others.len(),
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

/// The operation as one that may never take effect; `None` when it then proves nothing.
fn weaken(operation: Operation) -> Option<Operation> {
    let is_read = match operation.action {
        Action::Use(_) => true,
        // It may end the session.
        Action::Refresh(..) => false,
        _ => operation.outcome == Outcome::Refused,
    };
    (!is_read).then_some(match operation.outcome {
        Outcome::Unknown => operation,
        _ => Operation {
            returned: NEVER,
            ..operation
        },
    })
}

struct Explainer<'a> {
    /// In the order of their calls, up to the violation.
    operations: Vec<Operation>,
    context: &'a Context,
    /// The same for a window.
    any_start: Context,
    deadline: Instant,
}

impl Explainer<'_> {
    /// Only the operations that concern the session of this one, or the user.
    fn of_session(&self, operation: &Operation) -> Self {
        let sessions = |operation: &Operation| {
            let tokens = tokens_of(operation.action).into_iter();
            let names = tokens.map(|token| self.context.name(token).session);
            names.collect::<BTreeSet<Token>>()
        };
        let named = sessions(operation);
        let mut operations = self.operations.clone();
        operations.retain(|operation| {
            let concerned = sessions(operation);
            let is_of_user = matches!(operation.action, Action::EndOthers(_));
            is_of_user || concerned.is_empty() || !concerned.is_disjoint(&named)
        });
        Self {
            operations,
            any_start: self.any_start.clone(),
            ..*self
        }
    }

    /// The fewest last operations that have no order, whatever came before. More of them contradict
    /// each other more, so a binary search finds their number.
    fn contradictory_end(&self) -> Option<Vec<Operation>> {
        let count = self.operations.len();
        let end = |length: usize| self.since(count - length);
        let is_violation = |length: usize| self.is_violation(&end(length), true);
        let mut doubled = iter::successors(Some(1), |length| {
            (*length < count).then_some(count.min(length * 2))
        });
        let longest = doubled.find(|length| is_violation(*length))?;
        let lengths: Vec<usize> = (longest / 2..longest).collect();
        let fitting = lengths.partition_point(|length| !is_violation(*length));
        Some(end(longest / 2 + fitting))
    }

    /// The operations called from this one on. Those in progress then may take effect, or may have
    /// taken effect already.
    fn since(&self, first: usize) -> Vec<Operation> {
        let (earlier, later) = self.operations.split_at(first);
        let from = later.first().map_or(NEVER, |operation| operation.invoked);
        let in_progress = earlier
            .iter()
            .filter(|operation| !is_required(operation) || operation.returned >= from);
        let in_progress = in_progress.copied().filter_map(weaken);
        in_progress.chain(later.iter().copied()).collect()
    }

    /// Weakens what the violation does not need: halves first, then smaller parts.
    fn minimize(&self, mut window: Vec<Operation>, any_start: bool) -> Vec<Operation> {
        let mut size = window.len();
        while size > 0 && Instant::now() < self.deadline {
            let mut from = 0;
            while from < window.len() {
                let to = (from + size).min(window.len());
                let mut weaker = window.clone();
                let part = window[from..to].iter().copied().filter_map(weaken);
                weaker.splice(from..to, part);
                from = to;
                if weaker != window && self.is_violation(&weaker, any_start) {
                    from -= window.len() - weaker.len();
                    window = weaker;
                }
            }
            size /= 2;
        }
        window
    }

    /// Whether these have no order. After the deadline nothing counts as a violation, which ends every
    /// search for a smaller one.
    fn is_violation(&self, window: &[Operation], any_start: bool) -> bool {
        let (starts, context) = match any_start {
            true => (
                distinguishable_states(window, self.context),
                &self.any_start,
            ),
            false => (vec![State::NEW], self.context),
        };
        let timeline = Timeline::new(window, context);
        !starts.is_empty()
            && matches!(
                search(&timeline, &starts, self.deadline),
                search::Outcome::Stuck(_)
            )
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = match self.any_start {
            true => ", whatever was before them",
            false => " since the user registered",
        };
        let user = self.culprit.user;
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
        let shown = &self.operations[omitted..];
        shown.iter().try_for_each(|it| self.write_line(f, it))?;
        if !self.before.is_empty() {
            writeln!(f, "the last acknowledged changes before these:")?;
        }
        self.before.iter().try_for_each(|it| self.write_line(f, it))
    }
}

impl Violation {
    fn write_line(&self, f: &mut fmt::Formatter<'_>, operation: &Operation) -> fmt::Result {
        let [called, returned] = [operation.invoked, operation.returned].map(milliseconds);
        let client = format!("c{}", operation.client);
        let process = operation.process;
        let process = process.map_or("command".to_owned(), |number| format!("process {number}"));
        let mark = match *operation == self.culprit {
            true => "   <-- has no place",
            false => "",
        };
        writeln!(
            f,
            "{called:>13} {returned:>13}  {client:<6}  {process:<9}  {operation}{mark}"
        )
    }
}

fn milliseconds(nanoseconds: u64) -> String {
    let micro = nanoseconds / 1_000;
    format!("{}.{:03}", micro / 1_000, micro % 1_000)
}

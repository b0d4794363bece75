//! A history in the terms of the specification: the operations as steps, each with the time in which it
//! takes effect.

use std::collections::BTreeMap;

use clap::ValueEnum;

use super::model::Step;
use super::state::{Name, Room};
use crate::history::{Action, Operation, Outcome, Token};

/// The guarantee that is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Guarantee {
    /// Every operation takes effect at one moment, for all processes at once.
    #[default]
    Linearizable,
    /// The same from each acknowledgement on. Before it, processes may disagree about refusals: a
    /// refusal during a change of that user's credentials proves nothing. A change with an unknown
    /// outcome stays in progress.
    Acknowledged,
}

/// A step that takes effect between its call and its return.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimedStep {
    pub(super) step: Step,
    pub(super) call: u64,
    /// `None` when it may never take effect.
    pub(super) returned: Option<u64>,
    /// The index of the operation that it is part of.
    pub(super) operation: usize,
}

/// A step of an operation with an unknown outcome: it takes effect at any time after its call, or
/// never.
#[derive(Clone, Copy, Debug)]
pub(super) struct OptionalStep {
    pub(super) step: Step,
    pub(super) call: u64,
}

/// The time of the return of an operation that may never take effect although its outcome is known:
/// one that a violation does not need.
pub(super) const NEVER: u64 = u64::MAX;

/// Whether the operation has to take effect, and by the end of the window.
pub(super) fn is_required(operation: &Operation) -> bool {
    operation.outcome != Outcome::Unknown && operation.returned != NEVER
}

/// What a part of a user's history does not say itself.
#[derive(Clone, Debug)]
pub(super) struct Context {
    /// The session of each token.
    sessions: BTreeMap<Token, Token>,
    /// The number of sessions that a user may have.
    pub(super) limit: usize,
    /// The calls of the sign-ins without a response, in order.
    lost_sign_ins: Vec<u64>,
    /// The number of sessions that may be live although the part does not name them.
    unnamed: usize,
}

impl Context {
    /// Of all operations of a user.
    pub(super) fn new(operations: &[Operation], limit: usize) -> Self {
        let mut sessions = BTreeMap::new();
        let mut by_return: Vec<&Operation> = operations.iter().collect();
        by_return.sort_by_key(|operation| operation.returned);
        for operation in by_return {
            match operation.action {
                Action::Login(Some(token)) => _ = sessions.entry(token).or_insert(token),
                Action::Refresh(token, Some(next)) => {
                    let session = sessions.get(&token).copied().unwrap_or(token);
                    sessions.entry(next).or_insert(session);
                }
                _ => {}
            }
        }
        let lost = operations.iter().filter(|operation| {
            matches!(operation.action, Action::Login(_)) && operation.outcome == Outcome::Unknown
        });
        let mut lost_sign_ins: Vec<u64> = lost.map(|operation| operation.invoked).collect();
        lost_sign_ins.sort_unstable();
        Self {
            sessions,
            limit,
            lost_sign_ins,
            unnamed: 0,
        }
    }

    /// The same for a part of the history of which nothing is known before it.
    pub(super) fn of_any_start(&self) -> Self {
        Self {
            unnamed: self.sessions.len(),
            ..self.clone()
        }
    }

    pub(super) fn name(&self, token: Token) -> Name {
        let session = self.sessions.get(&token).copied().unwrap_or(token);
        Name { session, token }
    }

    /// The room at a sign-in that returns by `time`.
    fn room(&self, time: u64) -> Room {
        let lost = self.lost_sign_ins.partition_point(|call| *call <= time);
        Room {
            limit: self.limit,
            unknown: lost + self.unnamed,
        }
    }
}

/// A user's history. Both lists are in the order of the calls.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    pub(super) steps: Vec<TimedStep>,
    pub(super) optional: Vec<OptionalStep>,
}

impl Timeline {
    pub(super) fn new(operations: &[Operation], context: &Context) -> Self {
        let mut timeline = Self::default();
        for (index, operation) in operations.iter().enumerate() {
            timeline.add(index, operation, context);
        }
        timeline.steps.sort_by_key(|step| step.call);
        timeline.optional.sort_by_key(|step| step.call);
        timeline
    }

    fn add(&mut self, index: usize, operation: &Operation, context: &Context) {
        let call = operation.invoked;
        if operation.outcome == Outcome::Unknown {
            let step = optional_step(operation.action, context);
            let optional = step.map(|step| OptionalStep { step, call });
            self.optional.extend(optional);
            return;
        }
        let returned = Some(operation.returned).filter(|time| *time != NEVER);
        let steps = known_steps(operation, context).into_iter();
        // A read that may never happen proves nothing.
        let steps = steps.filter(|step| returned.is_some() || !step.is_read());
        self.steps.extend(steps.map(|step| TimedStep {
            step,
            call,
            returned,
            operation: index,
        }));
    }
}

/// The steps of an operation with a known outcome.
fn known_steps(operation: &Operation, context: &Context) -> Vec<Step> {
    let is_refused = operation.outcome == Outcome::Refused;
    let name = |token| context.name(token);
    let step = match operation.action {
        Action::Login(Some(token)) if !is_refused => {
            Step::SignIn(token, context.room(operation.returned))
        }
        Action::Login(_) => Step::SignInRefused,
        Action::Use(token) | Action::Logout(token) | Action::EndOthers(token) if is_refused => {
            Step::Refused(name(token))
        }
        Action::Use(token) => Step::Accepted(name(token)),
        // The service checks the token and then ends its session. Two concurrent sign-outs may both see
        // it alive, and both may report its end.
        Action::Logout(token) => {
            return vec![Step::Accepted(name(token)), Step::SignOut(name(token))];
        }
        Action::Refresh(token, Some(next)) if !is_refused => Step::Refreshed(name(token), next),
        Action::Refresh(token, _) => Step::RefreshRefused(name(token)),
        Action::End(by, token) if is_refused => Step::EndRefused(name(by), name(token).session),
        Action::End(by, token) => Step::End(Some(name(by)), name(token).session),
        Action::EndOthers(by) => Step::EndOthers(Some(name(by)), name(by).session),
        // No service refuses a command.
        Action::Revoke | Action::Disable | Action::Enable if is_refused => return Vec::new(),
        Action::Revoke => Step::EndAll,
        Action::Disable => Step::Disable,
        Action::Enable => Step::Enable,
    };
    vec![step]
}

/// The effect of an operation with an unknown outcome. No client knows the token of such a sign-in.
fn optional_step(action: Action, context: &Context) -> Option<Step> {
    let name = |token| context.name(token);
    match action {
        Action::Use(_) => None,
        Action::Login(_) => Some(Step::LostSignIn(context.room(NEVER))),
        Action::Logout(token) => Some(Step::SignOut(name(token))),
        Action::Refresh(token, _) => Some(Step::LostRefresh(name(token))),
        Action::End(_, token) => Some(Step::End(None, name(token).session)),
        Action::EndOthers(by) => Some(Step::EndOthers(None, name(by).session)),
        Action::Revoke => Some(Step::EndAll),
        Action::Disable => Some(Step::Disable),
        Action::Enable => Some(Step::Enable),
    }
}

impl Guarantee {
    /// The operations that prove something, in the order of their calls.
    pub(super) fn relevant(self, mut operations: Vec<Operation>) -> Vec<Operation> {
        operations.sort_by_key(|operation| operation.invoked);
        if self == Self::Linearizable {
            return operations;
        }
        let changes = changes(&operations);
        let proofs = (0..).zip(&operations).filter_map(|(index, operation)| {
            if operation.outcome != Outcome::Refused {
                return Some(*operation);
            }
            let begun = changes.partition_point(|(call, _)| *call <= operation.returned);
            let is_during = begun > 0 && changes[begun - 1].1 >= operation.invoked;
            match operation.action {
                // It is a change itself, and may have ended the session.
                Action::Refresh(..) if is_during_another_change(&operations, index) => {
                    Some(Operation {
                        outcome: Outcome::Unknown,
                        ..*operation
                    })
                }
                Action::Refresh(..) => Some(*operation),
                _ => (!is_during).then_some(*operation),
            }
        });
        proofs.collect()
    }
}

/// The times during which the user's credentials were being changed: the calls in order, each with
/// the latest end of this and all earlier changes.
fn changes(operations: &[Operation]) -> Vec<(u64, u64)> {
    let mut latest = 0;
    let changes = operations.iter().filter(|operation| is_change(operation));
    let times = changes.map(|operation| {
        latest = latest.max(end(operation));
        (operation.invoked, latest)
    });
    times.collect()
}

/// Whether an operation may have changed the user's credentials.
fn is_change(operation: &Operation) -> bool {
    match operation.action {
        Action::Use(_) => false,
        Action::Refresh(..) => true,
        _ => operation.outcome != Outcome::Refused,
    }
}

/// The time from which on an operation has no further effect.
fn end(operation: &Operation) -> u64 {
    match operation.outcome {
        Outcome::Unknown => u64::MAX,
        _ => operation.returned,
    }
}

fn is_during_another_change(operations: &[Operation], index: usize) -> bool {
    let this = &operations[index];
    (0..).zip(operations).any(|(other, operation)| {
        other != index
            && is_change(operation)
            && operation.invoked <= this.returned
            && end(operation) >= this.invoked
    })
}

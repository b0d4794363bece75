//! The sequential specification of a user, and a history in its terms: the operations as steps, each with
//! the time in which it takes effect.

use clap::ValueEnum;

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

/// The state of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    /// The token that is accepted. `None` also stands for a token that no client knows.
    pub(super) live: Option<Token>,
    pub(super) disabled: bool,
}

impl State {
    /// A user who has just registered.
    pub(super) const NEW: Self = Self {
        live: None,
        disabled: false,
    };

    fn accepts(self, token: Token) -> bool {
        self.live == Some(token) && !self.disabled
    }
}

/// Something that takes effect at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A new token replaces the previous one; `None` for a token that no client has received.
    SignIn(Option<Token>),
    SignInRefused,
    Accepted(Token),
    Refused(Token),
    /// Ends this token, if it is the live one.
    End(Token),
    EndAny,
    /// Ends the live token as well.
    Disable,
    Enable,
}

impl Step {
    /// The state after this step; `None` when a correct service cannot take it in `state`.
    pub(super) fn apply(self, state: State) -> Option<State> {
        let live = |live| State { live, ..state };
        match self {
            Self::SignIn(token) => (!state.disabled).then(|| live(token)),
            Self::SignInRefused => state.disabled.then_some(state),
            Self::Accepted(token) => state.accepts(token).then_some(state),
            Self::Refused(token) => (!state.accepts(token)).then_some(state),
            Self::End(token) if state.live == Some(token) => Some(live(None)),
            Self::End(_) => Some(state),
            Self::EndAny => Some(live(None)),
            Self::Disable => Some(State {
                live: None,
                disabled: true,
            }),
            Self::Enable => Some(State {
                disabled: false,
                ..state
            }),
        }
    }

    /// Whether it is possible in `state`, and changes neither that state nor any that can follow.
    pub(super) fn is_idle(self, state: State) -> bool {
        match self {
            // A token that is not live has ended, and never comes back.
            Self::End(token) => state.live != Some(token),
            _ => self.is_read() && self.apply(state).is_some(),
        }
    }

    /// Whether it leaves every state unchanged.
    pub(super) fn is_read(self) -> bool {
        matches!(
            self,
            Self::SignInRefused | Self::Accepted(_) | Self::Refused(_)
        )
    }

    /// A change that may have come right before this step although the step is possible without it,
    /// because nothing after the step shows the difference: an enable undoes a disable, except for the
    /// token that the disable has ended.
    pub(super) fn covers(self, state: State) -> Option<Step> {
        (self == Self::Enable && state.live.is_some()).then_some(Self::Disable)
    }

    /// The changes that make this step possible in a state in which it is impossible. Each is a list of
    /// the steps that have this effect, in the order in which to use them up: ending this very token
    /// serves no other purpose.
    pub(super) fn remedies(self, state: State) -> Vec<Vec<Step>> {
        match self {
            Self::Refused(token) if state.accepts(token) => {
                vec![vec![Self::End(token), Self::EndAny], vec![Self::Disable]]
            }
            Self::SignInRefused if !state.disabled => vec![vec![Self::Disable]],
            Self::SignIn(_) if state.disabled => vec![vec![Self::Enable]],
            _ => Vec::new(),
        }
    }
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

/// A user's history. Both lists are in the order of the calls.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    pub(super) steps: Vec<TimedStep>,
    pub(super) optional: Vec<OptionalStep>,
}

impl Timeline {
    pub(super) fn new(operations: &[Operation]) -> Self {
        let mut timeline = Self::default();
        for (index, operation) in operations.iter().enumerate() {
            timeline.add(index, operation);
        }
        timeline.steps.sort_by_key(|step| step.call);
        timeline.optional.sort_by_key(|step| step.call);
        timeline
    }

    fn add(&mut self, index: usize, operation: &Operation) {
        let call = operation.invoked;
        if operation.outcome == Outcome::Unknown {
            let step = optional_step(operation.action);
            let optional = step.map(|step| OptionalStep { step, call });
            self.optional.extend(optional);
            return;
        }
        let steps: &[Step] = match (operation.action, operation.outcome) {
            (Action::Login(token), Outcome::Ok) => &[Step::SignIn(token)],
            (Action::Login(_), _) => &[Step::SignInRefused],
            (Action::Use(token), Outcome::Ok) => &[Step::Accepted(token)],
            (Action::Use(token) | Action::Logout(token), Outcome::Refused) => {
                &[Step::Refused(token)]
            }
            // The service checks the token and then ends it. Two concurrent sign-outs may both see it
            // alive, and both may report its end.
            (Action::Logout(token), _) => &[Step::Accepted(token), Step::End(token)],
            (Action::Revoke, Outcome::Ok) => &[Step::EndAny],
            (Action::Disable, Outcome::Ok) => &[Step::Disable],
            (Action::Enable, Outcome::Ok) => &[Step::Enable],
            _ => &[],
        };
        let returned = Some(operation.returned).filter(|time| *time != NEVER);
        let steps = steps.iter().copied();
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

/// The effect of an operation with an unknown outcome. No client knows the token of such a sign-in.
fn optional_step(action: Action) -> Option<Step> {
    match action {
        Action::Use(_) => None,
        Action::Logout(token) => Some(Step::End(token)),
        Action::Login(_) | Action::Revoke => Some(Step::EndAny),
        Action::Disable => Some(Step::Disable),
        Action::Enable => Some(Step::Enable),
    }
}

impl Guarantee {
    /// The operations that prove something, in the order of their calls.
    pub(super) fn relevant(self, mut operations: Vec<Operation>) -> Vec<Operation> {
        operations.sort_by_key(|operation| operation.invoked);
        if self == Self::Acknowledged {
            let changes = changes(&operations);
            operations.retain(|operation| {
                let begun = changes.partition_point(|(call, _)| *call <= operation.returned);
                let is_during = begun > 0 && changes[begun - 1].1 >= operation.invoked;
                operation.outcome != Outcome::Refused || !is_during
            });
        }
        operations
    }
}

/// The times during which the user's credentials were being changed: the calls in order, each with
/// the latest end of this and all earlier changes.
fn changes(operations: &[Operation]) -> Vec<(u64, u64)> {
    let changes = operations.iter().filter(|operation| {
        operation.outcome != Outcome::Refused && !matches!(operation.action, Action::Use(_))
    });
    let mut latest = 0;
    let times = changes.map(|operation| {
        latest = latest.max(match operation.outcome {
            Outcome::Unknown => u64::MAX,
            _ => operation.returned,
        });
        (operation.invoked, latest)
    });
    times.collect()
}

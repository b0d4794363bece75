//! A user's operations, as steps with a time in which each has to happen.

use crate::checker::Promise;
use crate::history::{Action, Operation, Outcome};
use crate::model::Step;

/// A step that happened between its call and its return.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) step: Step,
    pub(crate) call: u64,
    /// `None` when it need not happen at all.
    pub(crate) returned: Option<u64>,
    /// Which of the user's operations it is part of.
    pub(crate) operation: usize,
}

/// A step of an operation with an unknown outcome: it may have happened at any time after its
/// call, or never.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doubt {
    pub(crate) step: Step,
    pub(crate) call: u64,
}

/// A user's history, both lists in the order of their calls.
#[derive(Debug, Default)]
pub(crate) struct Items {
    pub(crate) items: Vec<Item>,
    pub(crate) doubts: Vec<Doubt>,
}

impl Items {
    pub(crate) fn of(operations: &[Operation], promise: Promise) -> Self {
        let changes = Changes::of(operations);
        let mut all = Self::default();
        for (at, operation) in operations.iter().enumerate() {
            let excused = promise == Promise::Acknowledged && changes.excuse(operation);
            all.add(at, operation, excused);
        }
        all.items.sort_by_key(|item| item.call);
        all.doubts.sort_by_key(|doubt| doubt.call);
        all
    }

    fn add(&mut self, at: usize, operation: &Operation, excused: bool) {
        if operation.outcome == Outcome::Unknown {
            self.doubts
                .extend(doubt(operation.action).map(|step| Doubt {
                    step,
                    call: operation.invoked,
                }));
            return;
        }
        let steps: &[Step] = match (operation.action, operation.outcome) {
            (_, Outcome::Refused) if excused => &[],
            (Action::Login(token), Outcome::Ok) => &[Step::SignIn(token)],
            (Action::Login(_), _) => &[Step::SignInRefused],
            (Action::Use(token), Outcome::Ok) => &[Step::Accepted(token)],
            (Action::Use(token) | Action::Logout(token), Outcome::Refused) => {
                &[Step::Refused(token)]
            }
            // The service looks at the token and then ends it. Two at once may both have seen it
            // alive, and both are right to say that it has ended.
            (Action::Logout(token), _) => &[Step::Accepted(token), Step::End(token)],
            (Action::Revoke, Outcome::Ok) => &[Step::EndAny],
            (Action::Disable, Outcome::Ok) => &[Step::Disable],
            (Action::Enable, Outcome::Ok) => &[Step::Enable],
            _ => &[],
        };
        self.items.extend(steps.iter().map(|step| Item {
            step: *step,
            call: operation.invoked,
            returned: Some(operation.returned),
            operation: at,
        }));
    }
}

/// What it would do, if it did. No client knows the token of such a login.
fn doubt(action: Action) -> Option<Step> {
    match action {
        Action::Use(_) => None,
        Action::Logout(token) => Some(Step::End(token)),
        Action::Login(_) | Action::Revoke => Some(Step::EndAny),
        Action::Disable => Some(Step::Disable),
        Action::Enable => Some(Step::Enable),
    }
}

/// When the user's sessions were being changed.
struct Changes(Vec<Change>);

struct Change {
    invoked: u64,
    /// The latest end of this and all earlier changes.
    ended: u64,
}

impl Changes {
    fn of(operations: &[Operation]) -> Self {
        let changing = operations.iter().filter(|operation| {
            operation.outcome != Outcome::Refused && !matches!(operation.action, Action::Use(_))
        });
        let mut changes: Vec<Change> = changing
            .map(|operation| Change {
                invoked: operation.invoked,
                ended: match operation.outcome {
                    Outcome::Unknown => u64::MAX,
                    _ => operation.returned,
                },
            })
            .collect();
        changes.sort_by_key(|change| change.invoked);
        let mut latest = 0;
        for change in &mut changes {
            latest = change.ended.max(latest);
            change.ended = latest;
        }
        Self(changes)
    }

    /// Whether a change was under way at some time during the operation.
    fn excuse(&self, operation: &Operation) -> bool {
        let begun = self
            .0
            .partition_point(|change| change.invoked <= operation.returned);
        begun > 0 && self.0[begun - 1].ended >= operation.invoked
    }
}

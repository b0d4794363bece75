//! The checker against a slow one that tries every order of small histories, most of them wrong.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use reliability::checker::Guarantee;
use reliability::history::{Action, Operation, Outcome, Token};

use crate::{User, is_linearizable, operation};

/// The largest number of operations in a history.
const MAX_OPERATIONS: u32 = 7;

const HISTORIES: u64 = 100_000;

#[test]
fn checker_agrees_with_trying_every_order() {
    let mut good = 0;
    for seed in 0..HISTORIES {
        let history = random_history(&mut StdRng::seed_from_u64(seed));
        let found = is_linearizable(&history, Guarantee::Linearizable);
        assert_eq!(found, has_order(&history), "seed {seed}: {history:#?}");
        good += u64::from(found);
    }
    // Neither result dominates.
    assert!((HISTORIES / 4..HISTORIES * 3 / 4).contains(&good), "{good}");
}

/// Random operations. A token is used only after the response to its sign-in.
fn random_history(rng: &mut StdRng) -> Vec<Operation> {
    let mut history: Vec<Operation> = Vec::new();
    let mut invoked = 0;
    for number in 0..rng.random_range(2..=MAX_OPERATIONS) {
        invoked += rng.random_range(0..5);
        let returned = invoked + rng.random_range(0..12);
        let known: Vec<Token> = history
            .iter()
            .filter(|earlier| earlier.returned < invoked)
            .filter_map(|earlier| match earlier.action {
                Action::Login(token) => token,
                _ => None,
            })
            .collect();
        let token = *known.choose(rng).unwrap_or(&1_000);
        let outcomes = [Outcome::Ok, Outcome::Ok, Outcome::Refused, Outcome::Unknown];
        let outcome = *outcomes.choose(rng).unwrap_or(&Outcome::Ok);
        let (action, outcome) = match rng.random_range(0..12) {
            0..3 if outcome == Outcome::Ok => (Action::Login(Some(number)), outcome),
            0..3 => (Action::Login(None), outcome),
            3..7 => (Action::Use(token), outcome),
            7..9 => (Action::Logout(token), outcome),
            other => {
                let action = [Action::Revoke, Action::Disable, Action::Enable][other - 9];
                let is_known = outcome != Outcome::Unknown;
                (action, if is_known { Outcome::Ok } else { outcome })
            }
        };
        history.push(operation(invoked..returned, action, outcome));
    }
    history
}

/// A part of an operation that takes effect at one moment.
#[derive(Clone, Copy)]
struct Part {
    operation: Operation,
    /// Whether it is the second part of a sign-out, which ends the token that the first has checked.
    is_end: bool,
    /// The part that has to come before.
    after: Option<usize>,
}

fn has_order(history: &[Operation]) -> bool {
    let mut parts = Vec::new();
    for operation in history.iter().copied() {
        if let (Action::Use(_), Outcome::Unknown) = (operation.action, operation.outcome) {
            continue;
        }
        let has_two =
            matches!(operation.action, Action::Logout(_)) && operation.outcome != Outcome::Refused;
        for is_end in [false, true].into_iter().take(1 + usize::from(has_two)) {
            parts.push(Part {
                operation,
                is_end,
                after: is_end.then(|| parts.len() - 1),
            });
        }
    }
    can_finish(&parts, &mut vec![false; parts.len()], User::default())
}

/// Whether the parts that have not taken effect can do so in some order.
fn can_finish(parts: &[Part], done: &mut Vec<bool>, user: User) -> bool {
    let must = |part: &Part| part.operation.outcome != Outcome::Unknown;
    let left: Vec<usize> = (0..parts.len()).filter(|part| !done[*part]).collect();
    if !left.iter().any(|part| must(&parts[*part])) {
        return true;
    }
    left.iter().any(|&next| {
        let part = parts[next];
        let is_too_early = left
            .iter()
            .map(|other| &parts[*other])
            .any(|other| must(other) && other.operation.returned < part.operation.invoked);
        if is_too_early || part.after.is_some_and(|before| !done[before]) {
            return false;
        }
        let Some(user) = take_effect(&part, user) else {
            return false;
        };
        done[next] = true;
        let can = can_finish(parts, done, user);
        done[next] = false;
        can
    })
}

/// The user afterwards, if this is possible now.
fn take_effect(part: &Part, mut user: User) -> Option<User> {
    let action = part.operation.action;
    let is_refused = part.operation.outcome == Outcome::Refused;
    let is_possible = match action {
        Action::Login(_) => is_refused == user.is_disabled,
        Action::Logout(_) if part.is_end => true,
        Action::Use(token) | Action::Logout(token) => is_refused != user.accepts(token),
        Action::Revoke | Action::Disable | Action::Enable => true,
    };
    let is_check = matches!(action, Action::Logout(_)) && !part.is_end;
    if !is_refused && !is_check {
        user.apply(action);
    }
    is_possible.then_some(user)
}

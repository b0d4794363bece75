//! The checker against a slow one that tries every order: small histories, most of them nonsense.

use crate::shorthand::{judge, operation};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use reliability::checker::{Promise, Verdict};
use reliability::history::{Action, Operation, Outcome, Token};

/// Up to this many operations in a history.
const OPERATIONS: u32 = 7;

const HISTORIES: u64 = 100_000;

#[test]
fn it_agrees_with_trying_every_order() {
    let mut good = 0;
    for seed in 0..HISTORIES {
        let history = random_history(&mut StdRng::seed_from_u64(seed));
        let expected = has_order(&history);
        let verdict = judge(&history, Promise::Linearizable);
        let found = matches!(verdict, Verdict::Linearizable);
        assert_eq!(found, expected, "seed {seed}: {verdict:?}\n{history:#?}");
        good += u64::from(found);
    }
    // Neither answer is right too often.
    assert!((HISTORIES / 4..HISTORIES * 3 / 4).contains(&good), "{good}");
}

/// Operations at random. Tokens are used once the sign-in that gave them is answered.
fn random_history(rng: &mut StdRng) -> Vec<Operation> {
    let mut history: Vec<Operation> = Vec::new();
    let mut invoked = 0;
    for number in 0..rng.random_range(2..=OPERATIONS) {
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
        let outcome = *[Outcome::Ok, Outcome::Ok, Outcome::Refused, Outcome::Unknown]
            .choose(rng)
            .unwrap_or(&Outcome::Ok);
        let (action, outcome) = match rng.random_range(0..12) {
            0..3 if outcome == Outcome::Ok => (Action::Login(Some(number)), outcome),
            0..3 => (Action::Login(None), outcome),
            3..7 => (Action::Use(token), outcome),
            7..9 => (Action::Logout(token), outcome),
            other => {
                let action = [Action::Revoke, Action::Disable, Action::Enable][other - 9];
                let known = outcome != Outcome::Unknown;
                (action, if known { Outcome::Ok } else { outcome })
            }
        };
        history.push(operation(invoked..returned, action, outcome));
    }
    history
}

/// A part of an operation that happens at one moment.
#[derive(Clone, Copy)]
struct Part {
    of: Operation,
    kind: Kind,
    /// The part that has to have happened before.
    after: Option<usize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Whole,
    /// The two parts of a logout: it looks at the token, and then ends it.
    Look,
    End,
}

#[derive(Clone, Copy)]
struct User {
    live: Option<Token>,
    disabled: bool,
}

fn has_order(history: &[Operation]) -> bool {
    let mut parts = Vec::new();
    for of in history {
        let part = |kind, after| Part {
            of: *of,
            kind,
            after,
        };
        match (of.action, of.outcome) {
            (Action::Use(_), Outcome::Unknown) => {}
            (Action::Logout(_), Outcome::Ok | Outcome::Unknown) => {
                parts.push(part(Kind::Look, None));
                parts.push(part(Kind::End, Some(parts.len() - 1)));
            }
            _ => parts.push(part(Kind::Whole, None)),
        }
    }
    let user = User {
        live: None,
        disabled: false,
    };
    can_finish(&parts, &mut vec![false; parts.len()], user)
}

/// Whether the parts that have not happened can happen in some order.
fn can_finish(parts: &[Part], happened: &mut Vec<bool>, user: User) -> bool {
    let must = |part: &Part| part.of.outcome != Outcome::Unknown;
    let left: Vec<usize> = (0..parts.len()).filter(|part| !happened[*part]).collect();
    if !left.iter().any(|part| must(&parts[*part])) {
        return true;
    }
    left.iter().any(|&next| {
        let part = parts[next];
        let is_too_early = left
            .iter()
            .any(|other| must(&parts[*other]) && parts[*other].of.returned < part.of.invoked);
        if is_too_early || part.after.is_some_and(|before| !happened[before]) {
            return false;
        }
        let Some(user) = happen(&part, user) else {
            return false;
        };
        happened[next] = true;
        let can = can_finish(parts, happened, user);
        happened[next] = false;
        can
    })
}

/// The user afterwards, if this may happen now.
fn happen(part: &Part, mut user: User) -> Option<User> {
    let accepts = |token| user.live == Some(token) && !user.disabled;
    let refused = part.of.outcome == Outcome::Refused;
    let allowed = match part.of.action {
        Action::Login(_) => refused == user.disabled,
        Action::Logout(_) if part.kind == Kind::End => true,
        Action::Use(token) | Action::Logout(token) => refused != accepts(token),
        Action::Revoke | Action::Disable | Action::Enable => true,
    };
    match part.of.action {
        Action::Login(token) if !refused => user.live = token,
        Action::Logout(token) if part.kind == Kind::End && user.live == Some(token) => {
            user.live = None;
        }
        Action::Revoke => user.live = None,
        Action::Disable => {
            user.live = None;
            user.disabled = true;
        }
        Action::Enable => user.disabled = false,
        _ => {}
    }
    allowed.then_some(user)
}

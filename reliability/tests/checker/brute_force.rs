//! The checker against a slow one that tries every order of small histories, most of them wrong.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use reliability::checker::Guarantee;
use reliability::history::{Action, Operation, Outcome, Token};

use crate::user::{Refreshed, User};
use crate::{is_linearizable, operation};

/// The largest number of operations in a history.
const MAX_OPERATIONS: u32 = 7;

const HISTORIES: u64 = 50_000;

#[test]
fn checker_agrees_with_trying_every_order() {
    let mut good = 0;
    for seed in 0..HISTORIES {
        let mut rng = StdRng::seed_from_u64(seed);
        let limit = rng.random_range(1..=3);
        let history = random_history(&mut rng);
        let found = is_linearizable(&history, limit, Guarantee::Linearizable);
        let expected = Orders::of(&history, limit).has_one();
        assert_eq!(found, expected, "seed {seed}, {limit}: {history:#?}");
        good += u64::from(found);
    }
    // Neither result dominates.
    assert!((HISTORIES / 4..HISTORIES * 3 / 4).contains(&good), "{good}");
}

/// Random operations. A token is used only after the response that brought it.
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
                Action::Login(token) | Action::Refresh(_, token) => token,
                _ => None,
            })
            .collect();
        let token = *known.choose(rng).unwrap_or(&1_000);
        let other = *known.choose(rng).unwrap_or(&1_000);
        let outcomes = [
            Outcome::Ok,
            Outcome::Ok,
            Outcome::Refused,
            Outcome::Unknown,
            Outcome::Unknown,
        ];
        let outcome = *outcomes.choose(rng).unwrap_or(&Outcome::Ok);
        let is_ok = outcome == Outcome::Ok;
        let (action, outcome) = match rng.random_range(0..19) {
            0..5 => (Action::Login(is_ok.then_some(number)), outcome),
            5..8 => (Action::Use(token), outcome),
            8..12 => {
                let next = next_token(rng, &history, token).unwrap_or(number);
                (Action::Refresh(token, is_ok.then_some(next)), outcome)
            }
            12..14 => (Action::Logout(token), outcome),
            14 => (Action::End(token, other), outcome),
            15 => (Action::EndOthers(token), outcome),
            other => {
                let action = [Action::Revoke, Action::Disable, Action::Enable][other - 16];
                let is_known = outcome != Outcome::Unknown;
                (action, if is_known { Outcome::Ok } else { outcome })
            }
        };
        history.push(operation(invoked..returned, action, outcome));
    }
    history
}

/// Mostly the token that an earlier refresh has given for this one.
fn next_token(rng: &mut StdRng, history: &[Operation], token: Token) -> Option<Token> {
    let next = history.iter().find_map(|earlier| match earlier.action {
        Action::Refresh(from, next) if from == token => next,
        _ => None,
    });
    next.filter(|_| rng.random_ratio(7, 8))
}

/// A part of an operation that takes effect at one moment.
#[derive(Clone, Copy)]
struct Part {
    operation: Operation,
    /// Whether it is the second part of a sign-out, which ends the session of the token that the first
    /// has checked.
    is_end: bool,
    /// The part that has to come before.
    after: Option<usize>,
}

impl Part {
    fn is_unknown(&self) -> bool {
        self.operation.outcome == Outcome::Unknown
    }
}

/// The orders of a history.
struct Orders {
    parts: Vec<Part>,
    /// The number of sessions that a user may have.
    limit: usize,
}

impl Orders {
    fn of(history: &[Operation], limit: usize) -> Self {
        let mut parts = Vec::new();
        for operation in history.iter().copied() {
            if let (Action::Use(_), Outcome::Unknown) = (operation.action, operation.outcome) {
                continue;
            }
            let kinds: &[bool] = match (operation.action, operation.outcome) {
                (Action::Logout(_), Outcome::Ok) => &[false, true],
                (Action::Logout(_), Outcome::Unknown) => &[true],
                _ => &[false],
            };
            for is_end in kinds.iter().copied() {
                parts.push(Part {
                    operation,
                    is_end,
                    after: (is_end && kinds.len() > 1).then(|| parts.len() - 1),
                });
            }
        }
        Self { parts, limit }
    }

    fn has_one(&self) -> bool {
        self.can_finish(&mut vec![false; self.parts.len()], &User::default())
    }

    /// Whether the parts that have not taken effect can do so in some order.
    fn can_finish(&self, done: &mut Vec<bool>, user: &User) -> bool {
        let parts = &self.parts;
        let left: Vec<usize> = (0..parts.len()).filter(|part| !done[*part]).collect();
        if left.iter().all(|part| parts[*part].is_unknown()) {
            return true;
        }
        left.iter().any(|&next| {
            let part = parts[next];
            let others = left.iter().map(|other| &parts[*other]);
            let is_too_early = others
                .filter(|other| !other.is_unknown())
                .any(|other| other.operation.returned < part.operation.invoked);
            if is_too_early || part.after.is_some_and(|before| !done[before]) {
                return false;
            }
            done[next] = true;
            let mut users = self.take_effect(&part, user.clone()).into_iter();
            let can = users.any(|user| self.can_finish(done, &user));
            done[next] = false;
            can
        })
    }

    /// What the user may be afterwards; nothing if this is not possible now.
    fn take_effect(&self, part: &Part, mut user: User) -> Vec<User> {
        let is_unknown = part.is_unknown();
        let is_refused = part.operation.outcome == Outcome::Refused;
        let is_possible = match part.operation.action {
            Action::Login(_) if is_refused => user.is_disabled,
            Action::Login(token) => return self.sign_in(&user, token, part.operation.returned),
            Action::Use(token) => is_refused != user.accepts(token),
            Action::Refresh(token, next) => match user.refresh(token, next) {
                _ if is_unknown => true,
                Refreshed::Refused => is_refused,
                Refreshed::First => !is_refused,
                Refreshed::Again(None) => !is_refused,
                Refreshed::Again(current) => !is_refused && current == next,
            },
            Action::Logout(token) if part.is_end => {
                if user.accepts(token) {
                    user.end(token);
                }
                true
            }
            Action::Logout(token) => is_refused != user.accepts(token),
            Action::End(by, token) => {
                let can = user.accepts(by) && user.session_of(token).is_some();
                if !is_refused {
                    user.end(token);
                }
                is_unknown || is_refused != can
            }
            Action::EndOthers(by) => {
                let can = user.accepts(by);
                if !is_refused {
                    user.end_others(by);
                }
                is_unknown || is_refused != can
            }
            Action::Revoke => {
                user.sessions.clear();
                true
            }
            Action::Disable => {
                user.disable();
                true
            }
            Action::Enable => {
                user.is_disabled = false;
                true
            }
        };
        Vec::from_iter(is_possible.then_some(user))
    }

    /// The results of a sign-in that returns at this time. Sign-ins without a response may have taken
    /// room.
    fn sign_in(&self, user: &User, token: Option<Token>, returned: u64) -> Vec<User> {
        let lost = self.parts.iter().filter(|part| {
            let is_called = token.is_none() || part.operation.invoked <= returned;
            part.is_unknown() && matches!(part.operation.action, Action::Login(_)) && is_called
        });
        let known = user.sessions.len();
        let may_evict = known + lost.count() >= self.limit;
        if user.is_disabled {
            // A lost one has no effect.
            return Vec::from_iter(token.is_none().then(|| user.clone()));
        }
        let mut users = Vec::new();
        if known < self.limit {
            users.push(user.clone());
        }
        for place in 0..known {
            if may_evict {
                let mut user = user.clone();
                user.sessions.remove(place);
                users.push(user);
            }
        }
        for user in &mut users {
            if token.is_some() {
                user.begin(token);
            }
        }
        users
    }
}

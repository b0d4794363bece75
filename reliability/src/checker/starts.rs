//! The states from which a part of a history is searched when nothing is known before it.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use super::state::{Session, State};
use super::timeline::{Context, is_required};
use crate::history::{Action, Operation, Outcome, Token};

/// The limit for states from which a window is searched.
const MAX_STARTS: usize = 500;

/// Every state that the window can tell from others; none if there are too many.
pub(super) fn distinguishable_states(window: &[Operation], context: &Context) -> Vec<State> {
    // A window that fits with a live session fits without it too, unless the session is used.
    let mut used = BTreeSet::new();
    let mut begun = BTreeSet::new();
    let mut tokens: BTreeMap<Token, BTreeSet<Token>> = BTreeMap::new();
    for operation in window {
        if let Action::Login(Some(token)) = operation.action {
            begun.insert(token);
        }
        for token in tokens_of(operation.action) {
            let session = context.name(token).session;
            tokens.entry(session).or_default().insert(token);
            if operation.outcome == Outcome::Ok && is_required(operation) {
                used.insert(session);
            }
        }
    }
    tokens.retain(|session, _| used.contains(session) && !begun.contains(session));
    let mut states = vec![State::NEW];
    for (session, tokens) in tokens {
        let sessions = possible_sessions(session, &tokens);
        let with_each = states.iter().flat_map(|state| {
            let with = |session: &Session| state.with(*session);
            sessions.iter().map(with)
        });
        states = with_each.collect();
        if states.len() > MAX_STARTS {
            return Vec::new();
        }
    }
    states.retain(|state| state.live.len() <= context.limit);
    // A disable ends all sessions.
    states.push(State {
        is_disabled: true,
        ..State::NEW
    });
    states.push(State::NEW);
    states
}

/// The tokens that an operation names.
pub(super) fn tokens_of(action: Action) -> Vec<Token> {
    match action {
        Action::Refresh(token, next) => iter::once(token).chain(next).collect(),
        Action::Use(token) | Action::Logout(token) | Action::EndOthers(token) => vec![token],
        Action::End(by, token) => vec![by, token],
        Action::Login(_) | Action::Revoke | Action::Disable | Action::Enable => Vec::new(),
    }
}

/// The states of a session in which it accepts some of these tokens.
fn possible_sessions(name: Token, tokens: &BTreeSet<Token>) -> Vec<Session> {
    let known: Vec<Option<Token>> = tokens.iter().copied().map(Some).chain([None]).collect();
    let pairs = known.iter().flat_map(|previous| {
        known.iter().map(move |current| Session {
            name,
            previous: *previous,
            current: *current,
        })
    });
    pairs.filter(|it| it.previous != it.current).collect()
}

//! Histories of simulated services: correct ones, which have to pass, and broken ones, which must not.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use reliability::checker::{Guarantee, Verdict, check};
use reliability::history::{Action, History, Operation, Outcome, Token};

use crate::user::{Refreshed, User};
use crate::{accepted, is_linearizable, operation, revoke};

/// The number of histories of each service.
const SEEDS: usize = 10;

/// The time for which a stale cache remembers.
const STALE_TIME: u64 = 100;

/// The longest time until a process hears of the end of a token.
const MAX_NOTIFICATION_TIME: u64 = 80;

/// The longest time from a call to its effect, and from there to the response.
const LONG_DELAY: u64 = 200;

const PROCESSES: u32 = 3;

/// So many sessions that no sign-in ends another one.
const MANY: usize = 1_000;

/// A simulated service.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Service {
    /// Each operation takes effect at one moment, for all processes.
    Atomic,
    /// Processes remember accepted tokens for some time, and do not hear of changes.
    StaleCache,
    /// Processes remember accepted tokens, and each forgets a token between its end and the
    /// acknowledgement.
    InvalidatedCaches,
    /// A session that a client ends by another one survives now and then.
    SurvivingSession,
    /// A sign-in ends another session now and then although there is room.
    SignInEndsAnother,
    /// A user may have one session more.
    TooManySessions,
    /// A refresh ends another session now and then.
    RefreshEndsAnother,
    /// A repeated refresh gives a new token now and then.
    RefreshForks,
    /// The login token before the current one ends with a refresh.
    RefreshEndsPrevious,
}

#[test]
fn simulated_services_are_judged_by_both_guarantees() {
    let expected = [
        (Service::Atomic, 1, true, true),
        (Service::Atomic, 3, true, true),
        (Service::Atomic, MANY, true, true),
        (Service::StaleCache, 1, false, false),
        (Service::StaleCache, MANY, false, false),
        (Service::InvalidatedCaches, 1, false, true),
        (Service::InvalidatedCaches, MANY, false, true),
        (Service::SurvivingSession, MANY, false, false),
        (Service::SignInEndsAnother, MANY, false, false),
        (Service::TooManySessions, 3, false, false),
        (Service::RefreshEndsAnother, MANY, false, false),
        (Service::RefreshForks, MANY, false, false),
        (Service::RefreshEndsPrevious, MANY, false, false),
    ];
    for (service, limit, linearizable, acknowledged) in expected {
        for (guarantee, is_good) in [
            (Guarantee::Linearizable, linearizable),
            (Guarantee::Acknowledged, acknowledged),
        ] {
            let good = (0..SEEDS).filter(|seed| {
                let history = simulate(service, limit, *seed, 1_500, 9);
                is_linearizable(&history.operations, limit, guarantee)
            });
            let good = good.count();
            // A wrong service may happen to do nothing wrong in some histories.
            assert_eq!(
                good == SEEDS,
                is_good,
                "{service:?}, {limit}, {guarantee:?}: {good} of {SEEDS}"
            );
        }
    }
}

#[test]
fn long_history_of_many_clients_is_judged_in_time() {
    let mut history = simulate(Service::Atomic, MANY, 1, 10_000, 2);
    let limit = Duration::from_secs(30);
    let verdict = check(&history, Guarantee::Linearizable, limit);
    assert!(matches!(verdict, Verdict::Linearizable), "{verdict:?}");

    // A violation at the end takes no longer: there are no alternatives to try before it.
    let returned = history.operations.iter().map(|last| last.returned);
    let end = returned.max().unwrap_or(0) + 1;
    let late = [revoke(end..end + 1), accepted(end + 2..end + 3, 0)];
    history.operations.extend(late);
    let Verdict::Violation(violation) = check(&history, Guarantee::Linearizable, limit) else {
        panic!("not found");
    };
    assert_eq!(violation.operations, late);
}

#[test]
fn search_without_time_is_undecided() {
    let history = simulate(Service::Atomic, MANY, 1, 1_500, 9);
    let verdict = check(&history, Guarantee::Linearizable, Duration::ZERO);
    assert!(matches!(verdict, Verdict::Undecided(users) if users == [0]));
}

/// The history of one user and clients without number. The operations take effect one after the other,
/// at most `interval` apart.
fn simulate(
    service: Service,
    limit: usize,
    seed: usize,
    operations: usize,
    interval: u64,
) -> History {
    let mut simulation = Simulation {
        rng: StdRng::seed_from_u64(seed as u64),
        service,
        limit,
        now: 10 * LONG_DELAY,
        user: User::default(),
        remembered: BTreeMap::new(),
        tokens: Vec::new(),
    };
    let operations = (0..operations).map(|_| {
        simulation.now += simulation.rng.random_range(0..=interval);
        simulation.operate()
    });
    History {
        sessions_per_user: limit,
        operations: operations.collect(),
        unexpected: Vec::new(),
    }
}

struct Simulation {
    rng: StdRng,
    service: Service,
    /// The number of sessions that a user may have.
    limit: usize,
    now: u64,
    user: User,
    /// The time until which a process accepts a token from memory.
    remembered: BTreeMap<(u32, Token), u64>,
    /// All tokens, with the time from which on clients know them.
    tokens: Vec<(Token, u64)>,
}

impl Simulation {
    /// Lets an operation take effect, between its call and its response.
    fn operate(&mut self) -> Operation {
        let (called, mut returned) = (self.now - self.delay(), self.now + self.delay());
        let process = self.rng.random_range(0..PROCESSES);
        let action = self.choose_action(called);
        let before = self.user.clone();
        let (mut action, mut outcome) = self.take_effect(process, action);
        let heard = self.forget_ended(&before);
        if outcome == Outcome::Ok || matches!(action, Action::Refresh(..)) {
            returned = returned.max(heard);
        }
        let is_lost = self.rng.random_ratio(1, 100);
        match action {
            Action::Login(Some(token)) | Action::Refresh(_, Some(token)) if !is_lost => {
                self.learn(token, returned);
            }
            _ => {}
        }
        if is_lost {
            outcome = Outcome::Unknown;
            action = match action {
                Action::Login(_) => Action::Login(None),
                Action::Refresh(token, _) => Action::Refresh(token, None),
                other => other,
            };
        }
        let mut operation = operation(called..returned, action, outcome);
        operation.process = Some(process);
        operation
    }

    /// Mostly short, now and then long.
    fn delay(&mut self) -> u64 {
        let is_long = self.rng.random_ratio(1, 50);
        self.rng
            .random_range(1..=if is_long { LONG_DELAY } else { 6 })
    }

    fn choose_action(&mut self, called: u64) -> Action {
        let (token, other) = (self.known_token(called), self.known_token(called));
        match (self.rng.random_range(0..300), token, other) {
            (0..270, Some(token), _) => Action::Use(token),
            (270..277, Some(token), _) => Action::Refresh(token, None),
            (277..279, Some(token), _) => Action::Logout(token),
            (279..283, Some(token), Some(other)) => Action::End(token, other),
            (283, Some(token), _) => Action::EndOthers(token),
            (284, ..) => Action::Revoke,
            (285, ..) => Action::Disable,
            (290.., ..) => Action::Login(None),
            _ => Action::Enable,
        }
    }

    /// One of the last few tokens that clients know.
    fn known_token(&mut self, called: u64) -> Option<Token> {
        let tokens = self.tokens.iter().rev();
        let known = tokens.filter(|(_, known_from)| *known_from < called);
        let last: Vec<Token> = known.take(6).map(|(token, _)| *token).collect();
        last.choose(&mut self.rng).copied()
    }

    /// Changes the user, and returns the response.
    fn take_effect(&mut self, process: u32, action: Action) -> (Action, Outcome) {
        let new = self.tokens.len().try_into().unwrap();
        let is_broken = self.rng.random_ratio(1, 2);
        let is_accepted = match action {
            Action::Login(_) => !self.user.is_disabled,
            Action::Use(token) | Action::Logout(token) => self.accepts(process, token),
            // The service checks the token again when it makes the change.
            Action::End(by, token) => {
                self.user.accepts(by) && self.user.session_of(token).is_some()
            }
            Action::EndOthers(by) => self.user.accepts(by),
            _ => true,
        };
        if !is_accepted {
            return (action, Outcome::Refused);
        }
        match action {
            Action::Login(_) => {
                self.sign_in(new, is_broken);
                return (Action::Login(Some(new)), Outcome::Ok);
            }
            Action::Refresh(token, _) => return self.refresh(token, new, is_broken),
            Action::Use(_) => {}
            Action::Logout(token) if self.user.accepts(token) => self.user.end(token),
            Action::Logout(_) => {}
            Action::End(..) if self.service == Service::SurvivingSession && is_broken => {}
            Action::End(_, token) => self.user.end(token),
            Action::EndOthers(by) => self.user.end_others(by),
            Action::Revoke => self.user.sessions.clear(),
            Action::Disable => self.user.disable(),
            Action::Enable => self.user.is_disabled = false,
        }
        (action, Outcome::Ok)
    }

    fn sign_in(&mut self, token: Token, is_broken: bool) {
        let count = self.user.sessions.len();
        let ends_another = match self.service {
            Service::SignInEndsAnother if is_broken => count > 0,
            Service::TooManySessions => count > self.limit,
            _ => count >= self.limit,
        };
        if ends_another {
            self.user.sessions.remove(0);
        }
        self.user.begin(Some(token));
        // Until the response, no client knows it.
        self.tokens.push((token, u64::MAX));
    }

    fn refresh(&mut self, token: Token, new: Token, is_broken: bool) -> (Action, Outcome) {
        let session = self.user.session_of(token);
        let next = match self.user.refresh(token, Some(new)) {
            Refreshed::Refused => return (Action::Refresh(token, None), Outcome::Refused),
            Refreshed::Again(current) if self.service != Service::RefreshForks || !is_broken => {
                current.unwrap()
            }
            Refreshed::First | Refreshed::Again(_) => {
                self.tokens.push((new, u64::MAX));
                new
            }
        };
        if self.service == Service::RefreshEndsAnother && is_broken && session != Some(0) {
            self.user.sessions.remove(0);
        }
        if let (Service::RefreshEndsPrevious, Some(session)) = (self.service, session) {
            let tokens = &mut self.user.sessions[session].0;
            tokens.insert(tokens.len() - 1, None);
        }
        (Action::Refresh(token, Some(next)), Outcome::Ok)
    }

    /// Records that clients know a token from this time on.
    fn learn(&mut self, token: Token, from: u64) {
        let known = self.tokens.iter_mut().find(|known| known.0 == token);
        if let Some((_, known_from)) = known {
            *known_from = from.min(*known_from);
        }
    }

    fn accepts(&mut self, process: u32, token: Token) -> bool {
        let remembered = self.remembered.get(&(process, token));
        if remembered.is_some_and(|until| self.now < *until) {
            return true;
        }
        let is_accepted = self.user.accepts(token);
        let until = match self.service {
            Service::StaleCache => Some(self.now + STALE_TIME),
            Service::InvalidatedCaches => Some(u64::MAX),
            _ => None,
        };
        let until = until.filter(|_| is_accepted);
        self.remembered
            .extend(until.map(|until| ((process, token), until)));
        is_accepted
    }

    /// Processes with invalidated caches hear of the end of tokens one after the other. Returns the
    /// time when they have heard of all ends, before which there is no response.
    fn forget_ended(&mut self, before: &User) -> u64 {
        if self.service != Service::InvalidatedCaches {
            return 0;
        }
        for ((_, token), until) in &mut self.remembered {
            if before.accepts(*token) && !self.user.accepts(*token) {
                let heard = self.now + self.rng.random_range(1..=MAX_NOTIFICATION_TIME);
                *until = heard.min(*until);
            }
        }
        let heard = self.remembered.values().filter(|time| **time != u64::MAX);
        heard.copied().max().unwrap_or(0)
    }
}

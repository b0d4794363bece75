//! Histories of simulated services: correct ones, which have to pass, and broken ones, which must not.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reliability::checker::{Guarantee, Verdict, check};
use reliability::history::{Action, History, Operation, Outcome, Token};

use crate::{User, accepted, is_linearizable, operation, revoke};

const SEEDS: u64 = 40;

/// The time for which a stale cache remembers.
const STALE_TIME: u64 = 60;

/// The longest time until a process hears of the end of a token.
const MAX_NOTIFICATION_TIME: u64 = 80;

/// The longest time from a call to its effect, and from there to the response.
const LONG_DELAY: u64 = 200;

const PROCESSES: u32 = 3;

/// A simulated service.
#[derive(Clone, Copy, PartialEq)]
enum Service {
    /// Each operation takes effect at one moment, for all processes.
    Atomic,
    /// Processes remember accepted tokens for some time, and do not hear of changes.
    StaleCache,
    /// Processes remember accepted tokens, and each forgets a token between its end and the
    /// acknowledgement.
    InvalidatedCaches,
}

#[test]
fn simulated_services_are_judged_by_both_guarantees() {
    let expected = [
        (Service::Atomic, true, true),
        (Service::StaleCache, false, false),
        (Service::InvalidatedCaches, false, true),
    ];
    for (service, linearizable, acknowledged) in expected {
        for seed in 0..SEEDS {
            let history = simulate(service, seed, 1_500, 9).operations;
            let is_good = |guarantee| is_linearizable(&history, guarantee);
            assert_eq!(
                is_good(Guarantee::Linearizable),
                linearizable,
                "seed {seed}"
            );
            assert_eq!(
                is_good(Guarantee::Acknowledged),
                acknowledged,
                "seed {seed}"
            );
        }
    }
}

#[test]
fn long_history_of_many_clients_is_judged_in_time() {
    let mut history = simulate(Service::Atomic, 1, 10_000, 2);
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
    let history = simulate(Service::Atomic, 1, 1_500, 9);
    let verdict = check(&history, Guarantee::Linearizable, Duration::ZERO);
    assert!(matches!(verdict, Verdict::Undecided(users) if users == [0]));
}

/// The history of one user and clients without number. The operations take effect one after the other,
/// at most `interval` apart.
fn simulate(service: Service, seed: u64, operations: usize, interval: u64) -> History {
    let mut simulation = Simulation {
        rng: StdRng::seed_from_u64(seed),
        service,
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
        operations: operations.collect(),
        unexpected: Vec::new(),
    }
}

struct Simulation {
    rng: StdRng,
    service: Service,
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
        let mut action = self.choose_action(called);
        let mut outcome = match action {
            Action::Login(_) if self.user.is_disabled => Outcome::Refused,
            Action::Use(token) | Action::Logout(token) if !self.accepts(process, token) => {
                Outcome::Refused
            }
            _ => Outcome::Ok,
        };
        let is_lost = self.rng.random_ratio(1, 100);
        if outcome == Outcome::Ok {
            let token = Token::try_from(self.tokens.len()).unwrap();
            if let Action::Login(_) = action {
                action = Action::Login(Some(token));
            }
            returned = returned.max(self.change(action));
            if let Action::Login(_) = action {
                self.tokens
                    .push((token, if is_lost { u64::MAX } else { returned }));
            }
        }
        if is_lost {
            outcome = Outcome::Unknown;
            if let Action::Login(_) = action {
                action = Action::Login(None);
            }
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
        // One of the last few tokens.
        let is_last: bool = self.rng.random();
        let back = if is_last {
            0
        } else {
            self.rng.random_range(1..3)
        };
        let tokens = self.tokens.iter().rev();
        let mut known = tokens.filter(|(_, known_from)| *known_from < called);
        let token = known.nth(back).map(|(token, _)| *token);
        match (self.rng.random_range(0..100), token) {
            (0..90, Some(token)) => Action::Use(token),
            (90..92, Some(token)) => Action::Logout(token),
            (92, _) => Action::Revoke,
            (93, _) => Action::Disable,
            (94..96, _) => Action::Enable,
            _ => Action::Login(None),
        }
    }

    fn accepts(&mut self, process: u32, token: Token) -> bool {
        let remembered = self.remembered.get(&(process, token));
        if remembered.is_some_and(|until| self.now < *until) {
            return true;
        }
        let is_accepted = self.user.accepts(token);
        let until = match self.service {
            Service::Atomic => None,
            Service::StaleCache => Some(self.now + STALE_TIME),
            Service::InvalidatedCaches => Some(u64::MAX),
        };
        let until = until.filter(|_| is_accepted);
        self.remembered
            .extend(until.map(|until| ((process, token), until)));
        is_accepted
    }

    /// Changes the user. Processes with invalidated caches hear of the end of a token one after the
    /// other. Returns the time when they have heard of all ends, before which there is no response.
    fn change(&mut self, action: Action) -> u64 {
        let before = self.user.live;
        self.user.apply(action);
        let ended = before.filter(|_| self.user.live != before);
        if let (Service::InvalidatedCaches, Some(token)) = (self.service, ended) {
            for process in 0..PROCESSES {
                let heard = self.now + self.rng.random_range(1..=MAX_NOTIFICATION_TIME);
                let until = self.remembered.entry((process, token));
                until.and_modify(|until| *until = heard.min(*until));
            }
        }
        let heard = self.remembered.values().filter(|time| **time != u64::MAX);
        let is_heard = self.service == Service::InvalidatedCaches;
        heard.copied().filter(|_| is_heard).max().unwrap_or(0)
    }
}

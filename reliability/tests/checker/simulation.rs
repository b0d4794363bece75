//! Histories of simulated services: correct ones, which have to pass, and broken ones, which must not.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
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

const PROCESSES: u32 = 3;

/// A simulated service.
#[derive(Clone, Copy, PartialEq)]
enum Service {
    /// Each operation takes effect at one moment, and a sign-out at two.
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
            let history = Simulation::new(service, seed, 6).run(1_500).operations;
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
    let mut history = Simulation::new(Service::Atomic, 1, 16).run(10_000);
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
    let history = Simulation::new(Service::Atomic, 1, 6).run(1_500);
    let verdict = check(&history, Guarantee::Linearizable, Duration::ZERO);
    assert!(matches!(verdict, Verdict::Undecided(users) if users == [0]));
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Call(u32),
    /// The moment of an operation, or the first of the two of a sign-out.
    TakeEffect(usize),
    /// The second moment of a sign-out.
    End(usize),
    Return(usize),
}

#[derive(Clone, Copy)]
struct Request {
    operation: Operation,
    process: u32,
    /// The client does not receive the response.
    is_lost: bool,
}

/// One user, clients and processes with a clock of their own: every event follows after a random time.
struct Simulation {
    rng: StdRng,
    service: Service,
    now: u64,
    events: BinaryHeap<Reverse<(u64, Event)>>,
    requests: Vec<Request>,
    user: User,
    /// The time until which a process accepts a token from memory.
    remembered: BTreeMap<(u32, Token), u64>,
    /// The tokens that clients know, the latest last.
    known: Vec<Token>,
    tokens: Token,
    history: History,
}

impl Simulation {
    fn new(service: Service, seed: u64, clients: u32) -> Self {
        let mut simulation = Self {
            rng: StdRng::seed_from_u64(seed),
            service,
            now: 0,
            events: BinaryHeap::new(),
            requests: Vec::new(),
            user: User::default(),
            remembered: BTreeMap::new(),
            known: Vec::new(),
            tokens: 0,
            history: History::default(),
        };
        for client in 0..clients {
            let delay = simulation.delay();
            simulation.schedule(delay, Event::Call(client));
        }
        simulation
    }

    fn run(mut self, operations: usize) -> History {
        while self.history.operations.len() < operations {
            self.step();
        }
        // The clients give up what is in progress.
        for Reverse((_, event)) in std::mem::take(&mut self.events) {
            if let Event::TakeEffect(number) | Event::End(number) | Event::Return(number) = event {
                self.requests[number].is_lost = true;
                self.respond(number);
            }
        }
        self.history
    }

    fn step(&mut self) {
        let Some(Reverse((time, event))) = self.events.pop() else {
            return;
        };
        self.now = time;
        match event {
            Event::Call(client) => self.call(client),
            Event::TakeEffect(number) => self.take_effect(number),
            Event::End(number) => {
                self.change(self.requests[number].operation.action);
                self.respond_later(number);
            }
            Event::Return(number) => self.respond(number),
        }
    }

    fn schedule(&mut self, delay: u64, event: Event) {
        self.events.push(Reverse((self.now + delay, event)));
    }

    /// Mostly short, now and then long.
    fn delay(&mut self) -> u64 {
        let max = if self.rng.random_ratio(1, 50) { 200 } else { 6 };
        self.rng.random_range(1..=max)
    }

    fn call(&mut self, client: u32) {
        let action = self.choose_action();
        let process = self.rng.random_range(0..PROCESSES);
        let mut operation = operation(self.now..0, action, Outcome::Unknown);
        (operation.client, operation.process) = (client, Some(process));
        self.requests.push(Request {
            operation,
            process,
            is_lost: self.rng.random_ratio(1, 100),
        });
        let delay = self.delay();
        self.schedule(delay, Event::TakeEffect(self.requests.len() - 1));
    }

    fn choose_action(&mut self) -> Action {
        // One of the last few tokens.
        let is_last: bool = self.rng.random();
        let back = if is_last {
            1
        } else {
            self.rng.random_range(2..=3)
        };
        let token = self.known.get(self.known.len().saturating_sub(back));
        match (self.rng.random_range(0..100), token.copied()) {
            (0..90, Some(token)) => Action::Use(token),
            (90..92, Some(token)) => Action::Logout(token),
            (92, _) => Action::Revoke,
            (93, _) => Action::Disable,
            (94..96, _) => Action::Enable,
            _ => Action::Login(None),
        }
    }

    fn take_effect(&mut self, number: usize) {
        let request = self.requests[number];
        let mut operation = request.operation;
        operation.outcome = Outcome::Ok;
        let mut ends_later = false;
        match operation.action {
            Action::Login(_) if self.user.is_disabled => operation.outcome = Outcome::Refused,
            Action::Login(_) => {
                operation.action = Action::Login(Some(self.tokens));
                self.tokens += 1;
                self.change(operation.action);
            }
            Action::Use(token) | Action::Logout(token) if !self.accepts(request.process, token) => {
                operation.outcome = Outcome::Refused;
            }
            Action::Logout(_) => ends_later = true,
            action => self.change(action),
        }
        self.requests[number].operation = operation;
        if ends_later {
            let delay = self.delay();
            self.schedule(delay, Event::End(number));
        } else {
            self.respond_later(number);
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
    /// other.
    fn change(&mut self, action: Action) {
        let before = self.user.live;
        self.user.apply(action);
        let ended = before.filter(|_| self.user.live != before);
        if let (Service::InvalidatedCaches, Some(token)) = (self.service, ended) {
            for process in 0..PROCESSES {
                let heard = self.now + self.rng.random_range(1..=MAX_NOTIFICATION_TIME);
                self.remembered
                    .entry((process, token))
                    .and_modify(|until| *until = heard.min(*until));
            }
        }
    }

    /// A change is acknowledged when every process has heard of it.
    fn respond_later(&mut self, number: usize) {
        let mut delay = self.delay();
        let is_use = matches!(self.requests[number].operation.action, Action::Use(_));
        if self.service == Service::InvalidatedCaches && !is_use {
            let heard = self.remembered.values().filter(|until| **until != u64::MAX);
            let all_heard = heard.max().copied().unwrap_or(0);
            delay += all_heard.saturating_sub(self.now);
        }
        self.schedule(delay, Event::Return(number));
    }

    fn respond(&mut self, number: usize) {
        let request = self.requests[number];
        let mut operation = request.operation;
        operation.returned = self.now;
        match operation.action {
            Action::Login(_) if request.is_lost => operation.action = Action::Login(None),
            Action::Login(Some(token)) => self.known.push(token),
            _ => {}
        }
        if request.is_lost {
            operation.outcome = Outcome::Unknown;
        }
        self.history.operations.push(operation);
        let delay = self.delay();
        self.schedule(delay, Event::Call(operation.client));
    }
}

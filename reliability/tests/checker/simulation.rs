//! Services that are simulated, clock and all: clients ask, things happen, answers arrive, each
//! after a random while.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reliability::history::{Action, History, Operation, Outcome, Token};

/// What is simulated.
#[derive(Clone, Copy, PartialEq)]
pub enum Service {
    /// Each operation happens at one moment, and a logout at two.
    Atomic,
    /// Processes remember for a while what they accepted, and nobody tells them of changes.
    StaleCache,
    /// Processes remember what they accepted, but each forgets a token between the end of it and
    /// the acknowledgement of that.
    EmptiesCaches,
}

/// How long a stale cache remembers.
const STALE_FOR: u64 = 60;

/// How long it takes at most until a process has heard of an end.
const FORGETS_WITHIN: u64 = 80;

const PROCESSES: u32 = 3;

/// A run to be simulated, with one user.
pub struct Simulation {
    pub service: Service,
    pub clients: u32,
    pub operations: usize,
    pub seed: u64,
}

impl Simulation {
    pub fn of(service: Service, seed: u64) -> Self {
        Self {
            service,
            clients: 6,
            operations: 1_500,
            seed,
        }
    }

    /// Simulates it.
    pub fn run(&self) -> History {
        let mut world = World {
            rng: StdRng::seed_from_u64(self.seed),
            service: self.service,
            now: 0,
            agenda: BinaryHeap::new(),
            requests: Vec::new(),
            live: None,
            disabled: false,
            remembered: BTreeMap::new(),
            known: Vec::new(),
            tokens: 0,
            history: History::default(),
        };
        for client in 0..self.clients {
            let delay = world.delay();
            world.plan(delay, Event::Ask(client));
        }
        while world.history.operations.len() < self.operations {
            world.step();
        }
        world.give_up();
        world.history
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Ask(u32),
    /// The moment of an operation, or the first of a logout's two.
    Happen(usize),
    /// The second one.
    End(usize),
    Answer(usize),
}

#[derive(Clone, Copy)]
struct Request {
    operation: Operation,
    process: u32,
    /// The client will not learn what comes of it.
    is_lost: bool,
}

struct World {
    rng: StdRng,
    service: Service,
    now: u64,
    agenda: BinaryHeap<Reverse<(u64, Event)>>,
    requests: Vec<Request>,
    live: Option<Token>,
    disabled: bool,
    /// Until when a process accepts a token without asking.
    remembered: BTreeMap<(u32, Token), u64>,
    /// The tokens that clients know, the latest last.
    known: Vec<Token>,
    tokens: Token,
    history: History,
}

impl World {
    fn step(&mut self) {
        let Some(Reverse((time, event))) = self.agenda.pop() else {
            return;
        };
        self.now = time;
        match event {
            Event::Ask(client) => self.ask(client),
            Event::Happen(request) => self.happen(request),
            Event::End(request) => {
                if let Action::Logout(token) = self.requests[request].operation.action
                    && self.live == Some(token)
                {
                    self.end();
                }
                self.answer_later(request);
            }
            Event::Answer(request) => self.answer(request),
        }
    }

    /// Nobody waits any longer for what is under way.
    fn give_up(&mut self) {
        for Reverse((_, event)) in std::mem::take(&mut self.agenda) {
            if let Event::Happen(request) | Event::End(request) | Event::Answer(request) = event {
                self.requests[request].is_lost = true;
                self.answer(request);
            }
        }
    }

    fn plan(&mut self, delay: u64, event: Event) {
        self.agenda.push(Reverse((self.now + delay, event)));
    }

    /// Mostly short, now and then long.
    fn delay(&mut self) -> u64 {
        let longest = if self.rng.random_ratio(1, 50) { 200 } else { 6 };
        self.rng.random_range(1..=longest)
    }

    fn ask(&mut self, client: u32) {
        let action = self.choose_action();
        let process = self.rng.random_range(0..PROCESSES);
        self.requests.push(Request {
            operation: Operation {
                user: 0,
                client,
                process: Some(process),
                action,
                outcome: Outcome::Unknown,
                invoked: self.now,
                returned: 0,
            },
            process,
            is_lost: self.rng.random_ratio(1, 100),
        });
        let delay = self.delay();
        self.plan(delay, Event::Happen(self.requests.len() - 1));
    }

    fn choose_action(&mut self) -> Action {
        // One of the last few tokens.
        let back = if self.rng.random() {
            1
        } else {
            self.rng.random_range(2..=3)
        };
        let token = self
            .known
            .get(self.known.len().saturating_sub(back))
            .copied();
        match (self.rng.random_range(0..100), token) {
            (0..90, Some(token)) => Action::Use(token),
            (90..92, Some(token)) => Action::Logout(token),
            (92, _) => Action::Revoke,
            (93, _) => Action::Disable,
            (94..96, _) => Action::Enable,
            _ => Action::Login(None),
        }
    }

    fn happen(&mut self, number: usize) {
        let Request {
            mut operation,
            process,
            ..
        } = self.requests[number];
        operation.outcome = Outcome::Ok;
        let mut ends_later = false;
        match operation.action {
            Action::Login(_) if self.disabled => operation.outcome = Outcome::Refused,
            Action::Login(_) => {
                self.end();
                self.live = Some(self.tokens);
                operation.action = Action::Login(self.live);
                self.tokens += 1;
            }
            Action::Use(token) | Action::Logout(token) if !self.accepts(process, token) => {
                operation.outcome = Outcome::Refused;
            }
            Action::Use(_) => {}
            Action::Logout(_) => ends_later = true,
            Action::Revoke => self.end(),
            Action::Disable => {
                self.end();
                self.disabled = true;
            }
            Action::Enable => self.disabled = false,
        }
        self.requests[number].operation = operation;
        if ends_later {
            let delay = self.delay();
            self.plan(delay, Event::End(number));
        } else {
            self.answer_later(number);
        }
    }

    fn accepts(&mut self, process: u32, token: Token) -> bool {
        let remembered = self.remembered.get(&(process, token));
        if remembered.is_some_and(|until| self.now < *until) {
            return true;
        }
        let accepts = self.live == Some(token) && !self.disabled;
        if accepts {
            match self.service {
                Service::Atomic => {}
                Service::StaleCache => {
                    let until = self.now + STALE_FOR;
                    self.remembered.insert((process, token), until);
                }
                Service::EmptiesCaches => {
                    self.remembered.insert((process, token), u64::MAX);
                }
            }
        }
        accepts
    }

    fn end(&mut self) {
        self.forget_live();
        self.live = None;
    }

    /// Tells the processes, which hear of it one after the other.
    fn forget_live(&mut self) {
        if let (Service::EmptiesCaches, Some(token)) = (self.service, self.live) {
            for process in 0..PROCESSES {
                let heard = self.now + self.rng.random_range(1..=FORGETS_WITHIN);
                self.remembered
                    .entry((process, token))
                    .and_modify(|until| *until = heard.min(*until));
            }
        }
    }

    /// Whoever has ended a token is answered when every process has heard of it.
    fn answer_later(&mut self, number: usize) {
        let mut delay = self.delay();
        let is_use = matches!(self.requests[number].operation.action, Action::Use(_));
        if self.service == Service::EmptiesCaches && !is_use {
            let heard = self.remembered.values().filter(|until| **until != u64::MAX);
            let all_heard = heard.max().copied().unwrap_or(0);
            delay += all_heard.saturating_sub(self.now);
        }
        self.plan(delay, Event::Answer(number));
    }

    fn answer(&mut self, number: usize) {
        let Request {
            mut operation,
            is_lost,
            ..
        } = self.requests[number];
        operation.returned = self.now;
        match operation.action {
            Action::Login(_) if is_lost => operation.action = Action::Login(None),
            Action::Login(Some(token)) => self.known.push(token),
            _ => {}
        }
        if is_lost {
            operation.outcome = Outcome::Unknown;
        }
        self.history.operations.push(operation);
        let delay = self.delay();
        self.plan(delay, Event::Ask(operation.client));
    }
}

//! A client with a session: refreshes it honestly, or is robbed of a refresh token.

use std::fmt;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use test_support::{Request, Response, TestUser};

use super::{Counts, Run};
use crate::fixture::PooledConnection;

/// The time limit of a client for a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(4);

/// How long a client tries to get an answer: longer than any process is down.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// The grace, and the time in which a use is written.
const RECORD_TIME: Duration = Duration::from_millis(4_000);

/// A session of a thief is looked at once in so many turns.
const THEFTS: u32 = 40;

/// The two tokens of an answer.
#[derive(Clone, PartialEq, Eq)]
struct Tokens {
    access: String,
    refresh: String,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(..)")
    }
}

/// A client.
pub(super) struct Worker<'a> {
    run: &'a Run<'a>,
    user: &'a TestUser,
    rng: StdRng,
    /// One to each process.
    connections: Vec<PooledConnection>,
    counts: Counts,
}

impl<'a> Worker<'a> {
    pub(super) fn new(run: &'a Run<'a>, user: &'a TestUser, seed: u64) -> Self {
        Self {
            run,
            user,
            rng: StdRng::seed_from_u64(seed),
            connections: (0..run.options.processes)
                .map(|_| PooledConnection::new(RESPONSE_TIMEOUT))
                .collect(),
            counts: Counts::default(),
        }
    }

    pub(super) fn work(mut self) -> Counts {
        let mut current: Option<Tokens> = None;
        while !self.run.is_stopped.load(Ordering::Relaxed) {
            let Some(tokens) = current.take().or_else(|| self.sign_in()) else {
                continue;
            };
            let is_theft = !self.run.options.is_counted() && self.rng.random_ratio(1, THEFTS);
            current = if is_theft {
                if self.rng.random() {
                    self.steal(tokens);
                } else {
                    self.steal_previous(&tokens);
                }
                None
            } else {
                self.refresh_honestly(&tokens)
            };
        }
        self.counts
    }

    fn any_process(&mut self) -> usize {
        self.rng.random_range(0..self.run.options.processes)
    }

    /// Sends a request to a process; `None` without an answer, and for 503.
    fn send(&mut self, process: usize, request: &Request) -> Option<Response> {
        let address = self.run.address(process)?;
        let response = self.connections[process].send(address, request).ok()?;
        (response.status != 503).then_some(response)
    }

    /// Asks until there is an answer other than 503.
    fn ask(&mut self, request: &Request) -> Option<Response> {
        let until = Instant::now() + RETRY_TIMEOUT;
        while Instant::now() < until {
            let process = self.any_process();
            match self.send(process, request) {
                Some(response) => return Some(response),
                None => self.counts.unanswered += 1,
            }
            thread::sleep(RETRY_INTERVAL);
        }
        self.run
            .add_wrong("a client got no answer for a minute".to_owned());
        None
    }

    fn sign_in(&mut self) -> Option<Tokens> {
        let response = self.ask(&self.user.sign_in_request_for("offline_access"))?;
        let tokens = Tokens::read(&response);
        if tokens.is_none() {
            self.run.add_wrong(format!("a sign-in: {response:?}"));
        }
        tokens
    }

    /// Refreshes as a client does that loses answers and has several tabs. Returns the new tokens; `None`
    /// if the client was signed out.
    fn refresh_honestly(&mut self, tokens: &Tokens) -> Option<Tokens> {
        let request = Request::refresh(&tokens.refresh);
        let mut answers: Vec<Tokens> = Vec::new();
        // The answers that are lost, and those of other tabs.
        let tries = 1 + usize::from(self.rng.random_ratio(self.run.options.lost, 100));
        for _ in 0..tries {
            let response = self.ask(&request)?;
            let Some(answer) = Tokens::read(&response) else {
                self.counts.sign_outs += 1;
                self.run
                    .add_wrong(format!("an honest client: {response:?}"));
                return None;
            };
            if !self.run.options.is_counted() && self.rng.random_ratio(1, 50) {
                // Past the grace. Nothing of the answer was used.
                thread::sleep(Duration::from_millis(1_100));
            }
            answers.push(answer);
        }
        self.run
            .answered
            .fetch_add(answers.len(), Ordering::Relaxed);
        self.counts.refreshes += answers.len();
        self.counts.lost += answers.len() - 1;
        for answer in &answers[1..] {
            if *answer == answers[0] {
                self.counts.replays += 1;
            } else {
                self.run
                    .add_wrong("two answers to a refresh differ".to_owned());
            }
        }
        let next = answers.pop()?;
        let turns_per_use = if self.run.options.is_counted() {
            100
        } else {
            4
        };
        if self.rng.random_ratio(1, turns_per_use) {
            for access in [&next.access, &tokens.access] {
                let used = self.ask(&Request::get("/users/me").bearer(access))?;
                if used.status != 200 {
                    self.counts.sign_outs += 1;
                    let which = if *access == next.access {
                        "new"
                    } else {
                        "earlier"
                    };
                    self.run
                        .add_wrong(format!("the {which} token is refused: {}", used.status));
                }
            }
        }
        Some(next)
    }

    /// A thief has copied a refresh token, and uses it after two more refreshes. From the answer on no
    /// process accepts any token of the session.
    fn steal(&mut self, first: Tokens) -> Option<()> {
        let mut tokens = vec![first];
        for _ in 0..2 {
            let last = tokens.last()?.clone();
            tokens.push(self.refresh_honestly(&last)?);
        }
        for process in 0..self.run.options.processes {
            // So that each process has it in memory.
            let access = &tokens[2].access;
            self.send(process, &Request::get("/users/me").bearer(access));
        }
        let stolen = self.ask(&Request::refresh(&tokens[0].refresh))?;
        if stolen.status != 400 {
            self.run
                .add_wrong(format!("a copied token is accepted: {}", stolen.status));
            return None;
        }
        self.counts.thefts += 1;
        for process in 0..self.run.options.processes {
            for token in &tokens {
                let request = Request::get("/users/me").bearer(&token.access);
                let used = self.send(process, &request);
                if used.is_some_and(|response| response.status != 401) {
                    self.run
                        .add_resurrected("a token of an ended session is accepted".to_owned());
                }
            }
        }
        let again = self.ask(&Request::refresh(&tokens[2].refresh))?;
        if again.status != 400 {
            self.run
                .add_resurrected("an ended session is refreshed".to_owned());
        }
        Some(())
    }
}

impl Worker<'_> {
    /// A thief has copied the refresh token before the current one, and uses it after the grace, when
    /// the database knows that the client has the current one.
    fn steal_previous(&mut self, tokens: &Tokens) -> Option<()> {
        let next = self.refresh_honestly(tokens)?;
        let request = Request::get("/users/me").bearer(&next.access);
        let processes = 0..self.run.options.processes;
        // Several, because one may be killed before it writes that.
        let uses = processes.filter_map(|process| self.send(process, &request));
        if uses.count() < 2 {
            return None;
        }
        thread::sleep(RECORD_TIME);
        let stolen = self.ask(&Request::refresh(&tokens.refresh))?;
        if stolen.status != 400 {
            self.run
                .add_wrong(format!("a used token is accepted: {}", stolen.status));
        }
        self.counts.thefts += 1;
        Some(())
    }
}

impl Tokens {
    fn read(response: &Response) -> Option<Self> {
        let text = |name: &str| Some(response.member(name)?.as_str()?.to_owned());
        (response.status == 200).then_some(())?;
        Some(Self {
            access: text("access_token")?,
            refresh: text("refresh_token")?,
        })
    }
}

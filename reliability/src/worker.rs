//! A client: does one operation after the other, and writes down what it saw.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};

use crate::board::KnownToken;
use crate::client::Request;
use crate::driver::{Field, Run};
use crate::history::{Action, History, Operation, Outcome};
use crate::links::{Links, Sent};
use crate::operator::Command;

/// How long an operator waits for a command.
const OPERATOR_PATIENCE: Duration = Duration::from_secs(10);

/// How soon a command is killed, when it is: mostly in the middle of its work. Microseconds.
const KILLED_AFTER: std::ops::Range<u64> = 0..30_000;

/// Microseconds between two things that a client does.
const THINKS: std::ops::Range<u64> = 0..3_000;

/// How many clients wait for a paused process without a reason.
const WAIT_AT_RANDOM: usize = 1;

/// How many strange answers a client reports.
const REPORTED: usize = 5;

const PASSWORD: &str = "mulberry-Tram-71";

/// See the module.
pub(crate) struct Worker<'a> {
    run: &'a Run,
    field: &'a Field,
    client: u32,
    rng: StdRng,
    links: Links<'a>,
    seen: History,
}

/// One thing that a client does for a user.
type Turn<'a> = fn(&mut Worker<'a>, u32);

impl<'a> Worker<'a> {
    pub(crate) fn new(run: &'a Run, field: &'a Field, client: u32, rng: StdRng) -> Self {
        Self {
            run,
            field,
            client,
            rng,
            links: Links::new(&field.cluster, field.stopwatch),
            seen: History::default(),
        }
    }

    /// Registers a user.
    pub(crate) fn register(&mut self, user: u32) -> Result<(), String> {
        let email = self.email(user);
        let body = serde_json::json!({
            "name": "Ada Lovelace",
            "surname": "Lovelace",
            "email": email,
            "website": "https://example.com/ada",
            "password": PASSWORD,
        });
        let request = Request::with_body("/register", "application/json", &body.to_string());
        match self.send(0, &request) {
            Sent::Yes(Some(answer), ..) if answer.status == 201 => Ok(()),
            Sent::Yes(Some(answer), ..) => {
                let body = String::from_utf8_lossy(&answer.body).into_owned();
                Err(format!("{email} cannot register: {} {body}", answer.status))
            }
            _ => Err(format!("{email} cannot register: no answer")),
        }
    }

    /// Works until the run is over.
    pub(crate) fn work(mut self) -> History {
        while !self.field.stop.is_set() {
            self.take_turn();
            thread::sleep(Duration::from_micros(self.rng.random_range(THINKS)));
        }
        self.seen
    }

    fn take_turn(&mut self) {
        let users: Vec<u32> = (0..).take(self.run.users).collect();
        let Some(user) = users.choose(&mut self.rng).copied() else {
            return;
        };
        // Every other client does nothing but use tokens, however long the others wait for the
        // end of a change.
        let times = if self.client.is_multiple_of(2) { 2 } else { 0 };
        let mix = self.run.mix;
        let turns: [(u32, Turn<'a>); 6] = [
            (mix.uses, Self::use_some_token),
            (mix.logins * times, Self::log_in),
            (mix.logouts * times, Self::log_out),
            (mix.revokes * times, Self::revoke),
            (mix.disables * times, Self::disable),
            (mix.enables * times, Self::enable),
        ];
        let chosen = turns.choose_weighted(&mut self.rng, |(weight, _)| *weight);
        if let Ok((_, turn)) = chosen {
            turn(self, user);
        }
    }

    /// Uses the current token, or about as often one that has ended.
    fn use_some_token(&mut self, user: u32) {
        let ended = self.field.board.ended(user);
        let current = self.field.board.current(user);
        let token = match ended.choose(&mut self.rng) {
            Some(ended) if current.is_none() || self.rng.random() => Some(ended.clone()),
            _ => current,
        };
        if let Some(token) = token {
            let process = self.some_process();
            self.use_token(user, &token, process);
        }
    }

    fn use_token(&mut self, user: u32, token: &KnownToken, process: usize) {
        let request = Request::get("/users/me", &token.secret);
        let sent = self.send(process, &request);
        self.note(user, process, Action::Use(token.name), sent);
    }

    fn log_in(&mut self, user: u32) {
        let name = self.email(user).replace('@', "%40");
        let form = format!("username={name}&password={PASSWORD}");
        let media_type = "application/x-www-form-urlencoded";
        let request = Request::with_body("/token", media_type, &form);
        let process = self.some_process();
        let sent = self.send(process, &request);
        let token = match &sent {
            Sent::Yes(Some(answer), ..) if answer.status == 200 => access_token(&answer.body),
            _ => None,
        };
        let token = token.map(|secret| self.field.board.name(&secret));
        let action = Action::Login(token.as_ref().map(|token| token.name));
        if self.note(user, process, action, sent) == Some(Outcome::Ok)
            && let Some(token) = token
        {
            let replaced = self.field.board.replace(user, &token);
            self.watch(user, replaced.iter().chain([&token]));
        }
    }

    fn log_out(&mut self, user: u32) {
        let Some(token) = self.field.board.current(user) else {
            return;
        };
        let process = self.some_process();
        let sent = self.send(process, &Request::post("/logout", &token.secret));
        if self.note(user, process, Action::Logout(token.name), sent) == Some(Outcome::Ok) {
            self.field.board.end(user, &token);
            self.watch(user, [&token]);
        }
    }

    fn revoke(&mut self, user: u32) {
        self.end_token(user, Command::Revoke);
    }

    /// Runs a command that ends the token, if there is one.
    fn end_token(&mut self, user: u32, command: Command) {
        let token = self.field.board.current(user);
        if self.command(user, command) == Outcome::Ok
            && let Some(token) = token
        {
            self.field.board.end(user, &token);
            self.watch(user, [&token]);
        }
    }

    /// Disables, and mostly enables again: the token stays ended.
    fn disable(&mut self, user: u32) {
        self.end_token(user, Command::Disable);
        if self.rng.random_ratio(4, 5) {
            self.enable(user);
        }
    }

    fn enable(&mut self, user: u32) {
        if self.command(user, Command::Enable) == Outcome::Ok {
            self.watch_current(user);
        }
    }

    fn watch_current(&mut self, user: u32) {
        let current = self.field.board.current(user);
        self.watch(user, &current);
    }

    /// Uses tokens on every process, at once: what was acknowledged by one has to hold on all.
    /// Those that are paused come last, but they come: what they answer first when they go on was
    /// asked after the acknowledgement.
    fn watch<'t>(&mut self, user: u32, tokens: impl IntoIterator<Item = &'t KnownToken>) {
        let tokens: Vec<&KnownToken> = tokens.into_iter().collect();
        let slots = &self.field.cluster.slots;
        let mut processes: Vec<usize> = (0..slots.len()).collect();
        processes.shuffle(&mut self.rng);
        processes.sort_by_key(|process| slots[*process].is_paused());
        let most = self.run.clients.div_ceil(2);
        for process in processes {
            for token in &tokens {
                if slots[process].welcomes(most) {
                    self.use_token(user, token, process);
                }
            }
        }
    }

    /// Runs a command and writes it down.
    fn command(&mut self, user: u32, command: Command) -> Outcome {
        let email = self.email(user);
        let is_killed = self.run.kills && self.rng.random_ratio(1, 10);
        let patience = if is_killed {
            Duration::from_micros(self.rng.random_range(KILLED_AFTER))
        } else {
            OPERATOR_PATIENCE
        };
        let program = &self.field.cluster.program;
        let invoked = self.field.stopwatch.now();
        let outcome = match command.run(program, &email, patience) {
            Ok(true) => Outcome::Ok,
            Ok(false) => Outcome::Unknown,
            Err(error) => {
                self.report(format!("{command:?}: {error}"));
                Outcome::Unknown
            }
        };
        let returned = self.field.stopwatch.now();
        let action = match command {
            Command::Disable => Action::Disable,
            Command::Enable => Action::Enable,
            Command::Revoke => Action::Revoke,
        };
        self.write_down(user, None, action, outcome, invoked, returned);
        outcome
    }

    /// Writes down what came of a request; `None` when there was none.
    fn note(&mut self, user: u32, process: usize, action: Action, sent: Sent) -> Option<Outcome> {
        let Sent::Yes(answer, invoked, returned) = sent else {
            return None;
        };
        let outcome = match (action, answer.map(|answer| answer.status)) {
            (Action::Login(Some(_)) | Action::Use(_), Some(200)) => Outcome::Ok,
            (Action::Logout(_), Some(200 | 204)) => Outcome::Ok,
            (_, Some(401)) => Outcome::Refused,
            // 408: the process was paused in the middle of the request.
            (_, None | Some(408 | 503)) => Outcome::Unknown,
            (_, Some(status)) => {
                self.report(format!("{action:?}: status {status}"));
                Outcome::Unknown
            }
        };
        self.write_down(user, Some(process), action, outcome, invoked, returned);
        Some(outcome)
    }

    fn write_down(
        &mut self,
        user: u32,
        process: Option<usize>,
        action: Action,
        outcome: Outcome,
        invoked: u64,
        returned: u64,
    ) {
        self.field.done.fetch_add(1, Ordering::Relaxed);
        self.seen.operations.push(Operation {
            user,
            client: self.client,
            process: process.and_then(|process| u32::try_from(process).ok()),
            action,
            outcome,
            invoked,
            returned,
        });
    }

    fn report(&mut self, what: String) {
        if self.seen.unexpected.len() < REPORTED {
            self.seen.unexpected.push(what);
        }
    }

    fn send(&mut self, process: usize, request: &Request) -> Sent {
        let sent = self.links.send(process, request);
        sent.unwrap_or_else(|problem| {
            self.report(problem);
            Sent::Not
        })
    }

    fn some_process(&mut self) -> usize {
        let slots = &self.field.cluster.slots;
        let welcoming: Vec<usize> = (0..slots.len())
            .filter(|process| slots[*process].welcomes(WAIT_AT_RANDOM))
            .collect();
        welcoming.choose(&mut self.rng).copied().unwrap_or(0)
    }

    fn email(&self, user: u32) -> String {
        format!(
            "user-{}-{}-{user}@example.com",
            std::process::id(),
            self.run.seed
        )
    }
}

fn access_token(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(body.get("access_token")?.as_str()?.to_owned())
}

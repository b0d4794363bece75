//! A client of a run: does one operation after the other, and records what it sees.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use test_support::{Program, Request, TestUser};

use super::context::{ProcessConnections, RunContext, Sent};
use super::run::Run;
use super::tokens::KnownToken;
use super::{Action, History, Operation, Outcome};
use crate::fixture::{COMMAND_TIMEOUT, run_command};

/// Microseconds after which a command is killed, if it is: mostly in the middle of its work.
const KILL_COMMAND_AFTER: Range<u64> = 0..30_000;

/// Microseconds between two operations of a client.
const THINK_TIME: Range<u64> = 0..3_000;

/// The number of clients that may wait for a paused process by chance.
const MAX_WAITING_BY_CHANCE: usize = 1;

/// The number of unexpected responses that a client reports.
const MAX_REPORTED: usize = 5;

/// One client.
pub(super) struct Worker<'a> {
    run: &'a Run,
    pub(super) context: &'a RunContext,
    client: u32,
    pub(super) rng: StdRng,
    connections: ProcessConnections<'a>,
    report: History,
}

/// What a client does for a user in one turn.
type Turn<'a> = fn(&mut Worker<'a>, u32);

impl<'a> Worker<'a> {
    pub(super) fn new(run: &'a Run, context: &'a RunContext, client: u32, rng: StdRng) -> Self {
        Self {
            run,
            context,
            client,
            rng,
            connections: ProcessConnections::new(context),
            report: History::default(),
        }
    }

    /// Registers a user.
    pub(super) fn register(&mut self, user: u32) -> Result<(), String> {
        match self.send(0, &test_user(user).register_request()) {
            Some((Some(response), _)) if response.status == 201 => Ok(()),
            sent => Err(format!("user {user} cannot register: {sent:?}")),
        }
    }

    /// Works until the end of the run.
    pub(super) fn work(mut self) -> History {
        while !self.context.is_stopped() {
            self.take_turn();
            thread::sleep(Duration::from_micros(self.rng.random_range(THINK_TIME)));
        }
        self.report
    }

    fn take_turn(&mut self) {
        let users = u32::try_from(self.run.users).unwrap_or(u32::MAX);
        let user = self.rng.random_range(0..users);
        // Every other client only uses tokens, however long the others wait for the end of a change.
        let changes = if self.client.is_multiple_of(2) { 2 } else { 0 };
        let commands = if self.run.without_cli { 0 } else { changes };
        let turns: [(u32, Turn<'a>); 9] = [
            (860, Self::use_any_token),
            (60 * changes, Self::sign_in),
            (60 * changes, Self::refresh),
            (15 * changes, Self::sign_out),
            (15 * changes, Self::end_session),
            (8 * changes, Self::end_others),
            (8 * commands, Self::revoke),
            (8 * commands, Self::disable),
            (10 * commands, Self::enable),
        ];
        let chosen = turns.choose_weighted(&mut self.rng, |(weight, _)| *weight);
        if let Ok((_, turn)) = chosen {
            turn(self, user);
        }
    }

    /// Uses tokens on every process right away: what one has acknowledged has to hold on all. Paused
    /// processes come last, but they come: their first responses after the pause are to requests made
    /// after the acknowledgement.
    pub(super) fn use_everywhere<'t>(
        &mut self,
        user: u32,
        tokens: impl IntoIterator<Item = &'t KnownToken>,
    ) {
        let tokens: Vec<&KnownToken> = tokens.into_iter().collect();
        let slots = &self.context.cluster.slots;
        let mut processes: Vec<usize> = (0..slots.len()).collect();
        processes.shuffle(&mut self.rng);
        processes.sort_by_key(|process| slots[*process].is_paused());
        let limit = self.run.clients.div_ceil(2);
        for process in processes {
            for token in &tokens {
                if slots[process].has_room(limit) {
                    self.use_token(user, token, process);
                }
            }
        }
    }

    /// Runs a command and records it.
    pub(super) fn command(&mut self, user: u32, action: Action) -> Outcome {
        let is_killed = self.run.kills && self.rng.random_ratio(1, 10);
        let timeout = if is_killed {
            Duration::from_micros(self.rng.random_range(KILL_COMMAND_AFTER))
        } else {
            COMMAND_TIMEOUT
        };
        let [noun, verb] = command_words(action);
        let words = [noun, verb, &test_user(user).email];
        let invoked = self.context.now();
        let outcome = match run_command(&self.context.cluster.program, &words, timeout) {
            Ok(true) => Outcome::Ok,
            Ok(false) => Outcome::Unknown,
            Err(error) => {
                self.report_unexpected(error);
                Outcome::Unknown
            }
        };
        self.record(user, None, action, outcome, invoked..self.context.now());
        outcome
    }

    /// Records the outcome of a request; `None` when nothing was sent.
    pub(super) fn record_request(
        &mut self,
        user: u32,
        process: usize,
        action: Action,
        sent: Option<Sent>,
    ) -> Option<Outcome> {
        let (response, time) = sent?;
        let outcome = match (action, response.map(|response| response.status)) {
            (Action::Login(Some(_)) | Action::Refresh(_, Some(_)) | Action::Use(_), Some(200)) => {
                Outcome::Ok
            }
            (Action::Logout(_) | Action::End(..) | Action::EndOthers(_), Some(204)) => Outcome::Ok,
            (Action::Refresh(..), Some(400)) | (Action::End(..), Some(404)) => Outcome::Refused,
            (_, Some(401)) => Outcome::Refused,
            // 408: the process was paused in the middle of the request.
            (_, None | Some(408 | 503)) => Outcome::Unknown,
            (_, Some(status)) => {
                self.report_unexpected(format!("{action:?}: status {status}"));
                Outcome::Unknown
            }
        };
        self.record(user, Some(process), action, outcome, time);
        Some(outcome)
    }

    fn record(
        &mut self,
        user: u32,
        process: Option<usize>,
        action: Action,
        outcome: Outcome,
        time: Range<u64>,
    ) {
        self.context.operations.fetch_add(1, Ordering::Relaxed);
        self.report.operations.push(Operation {
            user,
            client: self.client,
            process: process.and_then(|process| u32::try_from(process).ok()),
            action,
            outcome,
            invoked: time.start,
            returned: time.end,
        });
    }

    fn report_unexpected(&mut self, problem: String) {
        if self.report.unexpected.len() < MAX_REPORTED {
            self.report.unexpected.push(problem);
        }
    }

    pub(super) fn send(&mut self, process: usize, request: &Request) -> Option<Sent> {
        let sent = self.connections.send(process, request);
        sent.unwrap_or_else(|problem| {
            self.report_unexpected(problem);
            None
        })
    }

    pub(super) fn any_process(&mut self) -> usize {
        let slots = &self.context.cluster.slots;
        let free: Vec<usize> = (0..slots.len())
            .filter(|process| slots[*process].has_room(MAX_WAITING_BY_CHANCE))
            .collect();
        free.choose(&mut self.rng).copied().unwrap_or(0)
    }
}

pub(super) fn test_user(user: u32) -> TestUser {
    TestUser::new(&format!("user-{user}"))
}

fn command_words(action: Action) -> [&'static str; 2] {
    match action {
        Action::Disable => ["user", "disable"],
        Action::Enable => ["user", "enable"],
        _ => ["token", "revoke"],
    }
}

/// Whether the program has the commands that clients run.
pub(super) fn has_commands(program: &Program) -> bool {
    let commands = [Action::Disable, Action::Enable, Action::Revoke];
    commands.into_iter().map(command_words).all(|[noun, verb]| {
        let help = program.command(&[noun, verb, "--help"]).status();
        help.is_ok_and(|status| status.success())
    })
}

//! Compatibility with clients of the tutorial's system.
//!
//! `cases.json` holds requests with the responses recorded from that system, rebuilt and run. The
//! service responds the same, except for what [`contract`] changes in every response of a kind, and
//! for the single responses in `deviations.json`.

mod case;
mod contract;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde::Deserialize;

use crate::harness::{Backend, Client, Response, TestApp, TestAppBuilder, on_both_databases};
use case::{
    Case, Deviations, Exchange, Expected, Profile, RequestTemplate, Statuses, Step, Variables,
};
use contract::{differences, header_problems};

on_both_databases!(responses_match_the_recording_or_the_deviations,);

const CASES: &str = include_str!("../../data/conformance/cases.json");
const DEVIATIONS: &str = include_str!("../../data/conformance/deviations.json");

/// The token lifetime in seconds in cases that wait for expiry.
const SHORT_LIFETIME: u64 = 2;

fn responses_match_the_recording_or_the_deviations(backend: Backend) {
    let plain = like_the_recording(TestApp::builder(backend)).start();
    let short_lived = like_the_recording(plain.sibling())
        .setting("TOKENHOUSE_TOKEN_LIFETIME", &SHORT_LIFETIME.to_string())
        .start();
    let costly = like_the_recording(plain.sibling())
        .setting("TOKENHOUSE_BCRYPT_COST", "12")
        .start();
    let servers = Servers {
        plain: *plain,
        short_lived: *short_lived,
        costly: *costly,
    };

    let cases = cases();
    let outcome = play_all(&cases, &deviations(), &servers);
    let lines = &outcome.mismatches;
    assert!(
        lines.is_empty(),
        "{} mismatches:\n{}",
        lines.len(),
        lines.join("\n")
    );
    assert_eq!((cases.len(), outcome.exchanges), (454, 563));
}

/// The recorded system has a guessable key, accepts any password, and limits no client.
fn like_the_recording(app: TestAppBuilder) -> TestAppBuilder {
    app.setting("API_KEY_TOKEN", case::API_KEY)
        .setting("TOKENHOUSE_PASSWORD_MIN_LENGTH", "0")
        .setting("TOKENHOUSE_PASSWORD_REFUSE_COMMON", "false")
        .setting("TOKENHOUSE_LIMITS", "off")
}

#[test]
fn deviations_refer_to_distinct_recorded_exchanges() {
    let cases = cases();
    let cases: BTreeMap<&str, &Case> = cases.iter().map(|case| (case.id.as_str(), case)).collect();
    let mut seen = BTreeSet::new();
    for (id, responses) in deviations()
        .deviations
        .iter()
        .flat_map(|entry| &entry.cases)
    {
        let case = cases
            .get(id.as_str())
            .unwrap_or_else(|| panic!("no case is named {id}"));
        for number in responses.keys() {
            let step = number
                .checked_sub(1)
                .and_then(|index| case.steps.get(index));
            assert!(
                matches!(step, Some(Step::Exchange(_))),
                "{id} has no exchange {number}"
            );
            assert!(
                seen.insert((id.clone(), *number)),
                "{id} step {number} is listed twice"
            );
        }
    }
}

fn cases() -> Vec<Case> {
    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
    }
    serde_json::from_str::<File>(CASES)
        .expect("the cases parse")
        .cases
}

fn deviations() -> Deviations {
    serde_json::from_str(DEVIATIONS).expect("the deviations parse")
}

/// Number of cases played concurrently; most of the time is spent waiting.
const PLAYERS: usize = 8;

/// The servers that the cases run on, on one database.
pub struct Servers {
    pub plain: Client,
    /// Tokens expire soon.
    pub short_lived: Client,
    /// Hashes passwords at the cost of the recording, for requests that must overlap.
    pub costly: Client,
}

/// The result of all cases.
#[derive(Default)]
pub struct Outcome {
    pub exchanges: usize,
    /// One line per mismatch.
    pub mismatches: Vec<String>,
}

/// Plays all cases, several concurrently; each uses its own names.
pub fn play_all(cases: &[Case], deviations: &Deviations, servers: &Servers) -> Outcome {
    let next = AtomicUsize::new(0);
    let play_some = || {
        let mut outcome = Outcome::default();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let server = servers.for_case(case);
            let variables = Variables::new(server);
            Player {
                case,
                deviations,
                server,
                variables,
            }
            .play(&mut outcome);
        }
        outcome
    };
    thread::scope(|scope| {
        let players: Vec<_> = (0..PLAYERS).map(|_| scope.spawn(play_some)).collect();
        let mut total = Outcome::default();
        for player in players {
            let part = player.join().expect("a player does not panic");
            total.exchanges += part.exchanges;
            total.mismatches.extend(part.mismatches);
        }
        total
    })
}

impl Servers {
    fn for_case(&self, case: &Case) -> Client {
        if case.profile == Profile::ShortTtl {
            self.short_lived
        } else if case
            .steps
            .iter()
            .any(|step| matches!(step, Step::Parallel { .. }))
        {
            self.costly
        } else {
            self.plain
        }
    }
}

struct Player<'a> {
    case: &'a Case,
    deviations: &'a Deviations,
    server: Client,
    variables: Variables,
}

impl Player<'_> {
    fn play(mut self, outcome: &mut Outcome) {
        for (number, step) in (1..).zip(&self.case.steps) {
            let problems = match step {
                Step::Sleep { sleep } => {
                    thread::sleep(Duration::from_secs_f64(*sleep));
                    continue;
                }
                Step::Parallel { parallel, expect } => {
                    outcome.exchanges += parallel.len();
                    self.play_in_parallel(parallel, expect)
                }
                Step::Exchange(exchange) => {
                    outcome.exchanges += 1;
                    self.play_one(number, exchange)
                }
            };
            let line = |problem: &String| {
                format!("{} step {number}: {}", self.case.id, shortened(problem))
            };
            outcome.mismatches.extend(problems.iter().map(line));
        }
    }

    fn play_in_parallel(&self, requests: &[RequestTemplate], expected: &Statuses) -> Vec<String> {
        let mut statuses = BTreeMap::new();
        thread::scope(|scope| {
            let send = |request: &RequestTemplate| {
                let request = request.build(self.server, &self.variables);
                scope.spawn(|| {
                    request
                        .try_send()
                        .map(|response| response.status.to_string())
                })
            };
            let senders: Vec<_> = requests.iter().map(send).collect();
            for sender in senders {
                let status = sender.join().expect("sending does not panic");
                *statuses
                    .entry(status.unwrap_or_else(|error| error.to_string()))
                    .or_default() += 1;
            }
        });
        let problem = format!("expected {:?}, got {statuses:?}", expected.statuses);
        (statuses != expected.statuses)
            .then_some(problem)
            .into_iter()
            .collect()
    }

    fn play_one(&mut self, number: usize, exchange: &Exchange) -> Vec<String> {
        match exchange
            .request
            .build(self.server, &self.variables)
            .try_send()
        {
            Ok(response) => {
                self.capture(exchange, &response);
                self.check(number, exchange, &response)
            }
            Err(error) => vec![format!("no response: {error}")],
        }
    }

    /// The problems of a response.
    fn check(&self, number: usize, exchange: &Exchange, response: &Response) -> Vec<String> {
        let recorded = self
            .variables
            .expand_response(&exchange.expect)
            .apply_contract(self.case, &exchange.request.path)
            .accept_wording(self.case, response);
        let recording_differences = differences(&recorded, response, &exchange.compare_body);
        let mut problems = match self.deviation(number) {
            None => recording_differences,
            Some(_) if recording_differences.is_empty() => {
                vec!["listed as a deviation, but matches the recording".to_owned()]
            }
            Some(deviation) => differences(
                &self.variables.expand_response(deviation),
                response,
                &exchange.compare_body,
            ),
        };
        problems.extend(header_problems(&exchange.request.path, response));
        problems.extend(self.echoed_secrets(exchange, response));
        problems
    }

    fn deviation(&self, number: usize) -> Option<&Expected> {
        let mut entries = self.deviations.deviations.iter();
        entries.find_map(|entry| entry.cases.get(&self.case.id)?.get(&number))
    }

    fn echoed_secrets(&self, exchange: &Exchange, response: &Response) -> Vec<String> {
        let received = format!(
            "{:?}\n{}",
            response.headers,
            String::from_utf8_lossy(&response.body)
        );
        let mut problems = Vec::new();
        for secret in &exchange.secrets {
            if received.contains(&self.variables.expand(secret)) {
                problems.push("sends a secret back".to_owned());
            }
        }
        problems
    }

    fn capture(&mut self, exchange: &Exchange, response: &Response) {
        for (name, path) in &exchange.capture {
            let member = path
                .strip_prefix("$.")
                .expect("members of the response are captured");
            if let Some(value) = response.json()[member].as_str() {
                self.variables.set(name, value);
            }
        }
    }
}

fn shortened(text: &str) -> String {
    const LIMIT: usize = 300;
    match text.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

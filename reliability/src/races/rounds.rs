//! The two kinds of rounds.

use std::ops::Range;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;
use serde_json::Value;
use test_support::{Connection, Request};

use super::fixture::{EndResponse, PROCESSES, RaceFixture, RaceUser};
use super::{Kind, RaceTarget, Round};
use crate::fixture::{ApiClient, expect_status, member};

/// Connections to each process: one for each of its workers, which take them in turns.
const CONNECTIONS: usize = 4;

/// Uses of a client that have to be accepted before the credential ends: after the first one it is in
/// memory.
const ACCEPTED_FIRST: usize = 2;

/// Uses of a client that are begun after the acknowledgement.
const USES_AFTER: usize = 3;

/// The interval between two uses of a client before the acknowledgement.
const USE_INTERVAL: Duration = Duration::from_micros(500);

/// The time limit for a credential to be accepted everywhere.
const HOT_TIMEOUT: Duration = Duration::from_secs(20);

/// What the clients of a round share.
#[derive(Default)]
struct Progress {
    /// The number of clients that have seen the credential accepted.
    hot: AtomicUsize,
    is_acknowledged: AtomicBool,
    is_given_up: AtomicBool,
}

/// Ends a credential while all workers use it. `None` when the end was not acknowledged.
pub(super) fn run_hot(
    fixture: &mut RaceFixture,
    user: &mut RaceUser,
    kind: Kind,
    number: usize,
) -> Result<Option<Round>, String> {
    let credentials = user.credentials(kind).into_iter();
    let uses: Vec<Request> = credentials
        .map(|credential| RaceUser::use_request(kind, &credential))
        .collect();
    let mut connections = fixture.take_connections(PROCESSES * CONNECTIONS)?;
    let count = connections.len();
    let end = user.end(fixture, kind, number);
    let mut api = fixture.new_api();
    let progress = Progress::default();
    let (end, round) = thread::scope(|scope| {
        let clients: Vec<_> = connections
            .iter_mut()
            .zip(uses.iter().cycle())
            .map(|(connection, request)| {
                scope.spawn(|| progress.use_until_over(connection, request))
            })
            .collect();
        let end = progress
            .wait_until_hot(count)
            .and_then(|()| end.send(&fixture.program, &mut api, number % PROCESSES));
        let flag = match end {
            Ok(EndResponse::Acknowledged) => &progress.is_acknowledged,
            _ => &progress.is_given_up,
        };
        flag.store(true, Ordering::SeqCst);
        let mut sum: Result<Round, String> = Ok(Round::default());
        for client in clients {
            let round = client.join().unwrap_or_else(|_| Err("a panic".to_owned()));
            sum = sum.and_then(|sum| Ok(sum.plus(round?)));
        }
        (end, sum)
    });
    fixture.connections = connections;
    let (end, round) = (end?, round?);
    if end == EndResponse::Refused {
        return Err("the caller is not signed in".to_owned());
    }
    user.renew(fixture, kind)?;
    Ok((end == EndResponse::Acknowledged).then_some(round))
}

impl Progress {
    /// Uses the credential until the round is over for this client.
    fn use_until_over(
        &self,
        connection: &mut Connection,
        request: &Request,
    ) -> Result<Round, String> {
        let mut round = Round::default();
        let mut accepted = 0;
        while round.after < USES_AFTER && !self.is_given_up.load(Ordering::SeqCst) {
            // Read before the first byte is sent: this use begins after the acknowledgement.
            let is_after = self.is_acknowledged.load(Ordering::SeqCst);
            let response = connection.send(request);
            let status = response.map_err(|error| format!("a use: {error}"))?.status;
            match status {
                503 => continue,
                200 | 401 | 403 => {}
                other => return Err(format!("a use: status {other}")),
            }
            let is_accepted = status == 200;
            if is_after {
                round.after += 1;
                round.stale += usize::from(is_accepted);
            } else {
                round.before += 1;
                accepted += usize::from(is_accepted);
                if is_accepted && accepted == ACCEPTED_FIRST {
                    self.hot.fetch_add(1, Ordering::SeqCst);
                }
                // Without a pause a machine with few cores would do nothing else.
                thread::sleep(USE_INTERVAL);
            }
        }
        Ok(round)
    }

    fn wait_until_hot(&self, clients: usize) -> Result<(), String> {
        let begun = Instant::now();
        while self.hot.load(Ordering::SeqCst) < clients {
            if begun.elapsed() > HOT_TIMEOUT {
                return Err("the credential is not accepted everywhere".to_owned());
            }
            thread::sleep(Duration::from_micros(100));
        }
        Ok(())
    }
}

/// Microseconds that either side waits, so that each comes first now and then.
const DELAY: Range<u64> = 0..2_500;

/// The same for the sign-in or key during a password change, which checks the old password and hashes
/// the new one first.
const DELAY_FOR_PASSWORDS: Range<u64> = 0..15_000;

/// The response to the request for a credential.
enum Issue {
    Issued(String),
    Refused,
    Unknown,
}

/// Issues a credential while the access of its user ends. `None` when one of the two requests has no
/// response.
pub(super) fn run_barrier(
    fixture: &mut RaceFixture,
    user: &mut RaceUser,
    kind: Kind,
    target: RaceTarget,
    number: usize,
) -> Result<Option<Round>, String> {
    let (issue_at, end_at) = (number % PROCESSES, number / PROCESSES % PROCESSES);
    let request = match target {
        RaceTarget::Login => user.details().sign_in_request(),
        RaceTarget::Key => user.key_request(),
    };
    let end = user.end(fixture, kind.end(), number);
    let (mut issuer, mut ender) = (fixture.new_api(), fixture.new_api());
    issuer.connect(issue_at)?;
    ender.connect(end_at)?;
    let delay = match kind.end() {
        Kind::PasswordChange => DELAY_FOR_PASSWORDS,
        _ => DELAY,
    };
    let barrier = Barrier::new(2);
    let (issue, end) = thread::scope(|scope| {
        let issue = scope.spawn(|| {
            start(&barrier, delay);
            send(&mut issuer, issue_at, &request, target)
        });
        start(&barrier, DELAY);
        let end = end.send(&fixture.program, &mut ender, end_at);
        let issue = issue.join().unwrap_or_else(|_| Err("a panic".to_owned()));
        (issue, end)
    });
    let (issue, end) = (issue?, end?);
    let round = match (end, &issue) {
        (EndResponse::Unknown, _) | (_, Issue::Unknown) => None,
        (EndResponse::Acknowledged, _) => Some(judge(fixture, user, kind, &issue)?),
        // The sign-in came first and ended the token of the other request.
        (EndResponse::Refused, Issue::Issued(token)) if target == RaceTarget::Login => {
            Some(Round {
                issued: 1,
                stale: PROCESSES - fixture.api.count_accepting(token)?,
                ..Round::default()
            })
        }
        (EndResponse::Refused, _) => return Err("the caller is not signed in".to_owned()),
    };
    if kind.end() == Kind::Disable {
        // Whatever happened, the next round begins with one token and one key.
        user.enable(fixture)?;
        user.sign_in(fixture)?;
        user.make_key(fixture)?;
        revoke_other_keys(fixture, user)?;
    } else {
        *user = RaceUser::new(fixture)?;
    }
    Ok(round)
}

fn start(barrier: &Barrier, delay: Range<u64>) {
    let delay = rand::rng().random_range(delay);
    barrier.wait();
    thread::sleep(Duration::from_micros(delay));
}

fn send(
    api: &mut ApiClient,
    process: usize,
    request: &Request,
    target: RaceTarget,
) -> Result<Issue, String> {
    let response = api.send(process, request)?;
    let name = match target {
        RaceTarget::Login => "access_token",
        RaceTarget::Key => "key",
    };
    match response.status {
        401 => Ok(Issue::Refused),
        503 => Ok(Issue::Unknown),
        _ => {
            let response = expect_status(response, &[200, 201])?;
            let secret = member(&response, name)?;
            let secret = secret.as_str().ok_or("the credential is no text")?;
            Ok(Issue::Issued(secret.to_owned()))
        }
    }
}

/// Counts what works now and must not.
fn judge(
    fixture: &mut RaceFixture,
    user: &mut RaceUser,
    kind: Kind,
    issue: &Issue,
) -> Result<Round, String> {
    let mut round = Round::default();
    let mut ended = user.credentials(kind.end());
    if let Issue::Issued(secret) = issue {
        round.issued = 1;
        if is_end_last(fixture, user, kind)? {
            ended.push(secret.clone());
        } else if kind != Kind::KeyAgainstPasswordChange {
            round.stale += 1;
        }
        // The session that changes the password stays, and may make a key afterwards.
    }
    round.use_ended(fixture, &ended)?;
    if kind.end() == Kind::Disable {
        user.enable(fixture)?;
        round.use_ended(fixture, &ended)?;
        // A refused key must not have left anything that now becomes valid.
        user.sign_in(fixture)?;
        round.after += 1;
        round.stale += user.keys(fixture)?.len();
    }
    Ok(round)
}

impl Round {
    /// Uses credentials that have ended.
    fn use_ended(&mut self, fixture: &mut RaceFixture, ended: &[String]) -> Result<(), String> {
        for credential in ended {
            self.after += PROCESSES;
            self.stale += fixture.api.count_accepting(credential)?;
        }
        Ok(())
    }
}

/// Whether the end comes last in the audit trail, which has one order for all processes.
fn is_end_last(fixture: &mut RaceFixture, user: &RaceUser, kind: Kind) -> Result<bool, String> {
    let end = match kind.end() {
        Kind::PasswordChange => "password.change",
        Kind::Delete => "user.delete",
        _ => "user.disable",
    };
    let user = format!("user:{}", user.id);
    let page = fixture.administer("GET", "/admin/events?limit=20", None)?;
    let events = page["events"].as_array().ok_or("no list of events")?;
    let mut last = events.iter().filter(|event: &&Value| {
        let is_by_or_on = event["actor"] == *user || event["target"] == *user;
        let action = &event["action"];
        is_by_or_on && (action == end || action == "login" || action == "key.create")
    });
    Ok(last.next().is_some_and(|event| event["action"] == end))
}

fn revoke_other_keys(fixture: &mut RaceFixture, user: &RaceUser) -> Result<(), String> {
    for id in user.keys(fixture)? {
        if id != user.key_id {
            let path = format!("/users/me/keys/{id}");
            let request = Request::new("DELETE", path).bearer(&user.token);
            fixture.api.send_with_retry(&request, &[204])?;
        }
    }
    Ok(())
}

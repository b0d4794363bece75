//! The two kinds of rounds.

use std::ops::Range;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;
use test_support::{Connection, Request};

use super::fixture::{PROCESSES, RaceFixture, Reply, SCOPE, ended_by};
use super::{Kind, Round};
use crate::user::{Change, Made, User};

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
    kind: Kind,
    number: usize,
) -> Result<Option<Round>, String> {
    let user = fixture.new_user()?;
    let path = match kind {
        Kind::ScopeTaken => format!("/verify?scope={SCOPE}"),
        _ => "/users/me".to_owned(),
    };
    let uses = ended_by(kind, &user).into_iter();
    let uses: Vec<Request> = uses
        .map(|credential| Request::get(&path).bearer(&credential))
        .collect();
    let mut connections = fixture.take_connections(PROCESSES * CONNECTIONS)?;
    let count = connections.len();
    let end = fixture.end(&user, kind, number);
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
            Ok(Reply::Acknowledged(_)) => &progress.is_acknowledged,
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
    fixture.keep_connections(connections);
    let mut round = round?;
    match end? {
        Reply::Acknowledged(_) => {
            explain(fixture, &user, &mut round, number)?;
            Ok(Some(round))
        }
        Reply::Refused => Err("the caller is not signed in".to_owned()),
        Reply::Unknown => Ok(None),
    }
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
                round.add_stale(usize::from(is_accepted), "a use after the end is accepted");
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

/// Issues a credential while the access of its user ends. `None` when one of the two requests has no
/// response.
pub(super) fn run_barrier(
    fixture: &mut RaceFixture,
    change: &Change,
    kind: Kind,
    number: usize,
) -> Result<Option<Round>, String> {
    let mut user = fixture.new_user()?;
    let (issue_at, end_at) = (number % PROCESSES, number / PROCESSES % PROCESSES);
    let request = user.request(change, &fixture.admin);
    let end = fixture.end(&user, kind, number);
    let (mut issuer, mut ender) = (fixture.new_api(), fixture.new_api());
    issuer.connect(issue_at)?;
    ender.connect(end_at)?;
    let delay = match kind {
        Kind::PasswordChange => DELAY_FOR_PASSWORDS,
        _ => DELAY,
    };
    let barrier = Barrier::new(2);
    let (issue, end) = thread::scope(|scope| {
        let issue = scope.spawn(|| {
            start(&barrier, delay);
            Reply::read(issuer.send(issue_at, &request)?)
        });
        start(&barrier, DELAY);
        let end = end.send(&fixture.program, &mut ender, end_at);
        let issue = issue.join().unwrap_or_else(|_| Err("a panic".to_owned()));
        (issue, end)
    });
    let issued = match issue? {
        Reply::Acknowledged(made) => Some(made.secret.ok_or("no credential in the response")?),
        Reply::Refused => None,
        Reply::Unknown => return Ok(None),
    };
    match (end?, issued) {
        (Reply::Unknown, _) => Ok(None),
        (Reply::Acknowledged(_), issued) => {
            let mut round = judge(fixture, &mut user, change, kind, issued)?;
            explain(fixture, &user, &mut round, number)?;
            Ok(Some(round))
        }
        // The sign-in came first and ended the token of the other request.
        (Reply::Refused, Some(token)) if *change == Change::Login => {
            let refusing = PROCESSES - fixture.api.count_accepting(&token)?;
            let mut round = Round {
                issued: 1,
                ..Round::default()
            };
            round.add_stale(
                refusing,
                "the token of the sign-in that came first is refused",
            );
            Ok(Some(round))
        }
        (Reply::Refused, _) => Err("the caller is not signed in".to_owned()),
    }
}

fn start(barrier: &Barrier, delay: Range<u64>) {
    let delay = rand::rng().random_range(delay);
    barrier.wait();
    thread::sleep(Duration::from_micros(delay));
}

/// Counts what works now and must not.
fn judge(
    fixture: &mut RaceFixture,
    user: &mut User,
    change: &Change,
    kind: Kind,
    issued: Option<String>,
) -> Result<Round, String> {
    let mut round = Round::default();
    let mut ended = ended_by(kind, user);
    if let Some(secret) = issued {
        round.issued = 1;
        // The session that changes the password stays, and may make a key afterwards.
        let may_come_last = kind == Kind::PasswordChange && matches!(change, Change::CreateKey(_));
        if is_end_last(fixture, user, kind)? {
            ended.push(secret);
        } else if !may_come_last {
            round.add_stale(1, "the trail has the new credential after the end");
        }
    }
    round.use_ended(fixture, &ended, "after the end")?;
    if kind == Kind::Disable {
        user.apply(&Change::Disable, &Made::default());
        fixture.make(user, &Change::Enable)?;
        round.use_ended(fixture, &ended, "after the user was enabled again")?;
        // A refused key must not have left anything that now becomes valid.
        fixture.make(user, &Change::Login)?;
        round.after += 1;
        let keys = fixture.count_keys(user)?;
        round.add_stale(keys, "keys are left after the user was enabled again");
    }
    Ok(round)
}

/// Adds what the trail has on the user to a round that found something.
fn explain(
    fixture: &mut RaceFixture,
    user: &User,
    round: &mut Round,
    number: usize,
) -> Result<(), String> {
    if round.stale > 0 {
        let events = fixture.last_events(user)?;
        round.explain(number, &events);
    }
    Ok(())
}

impl Round {
    /// Uses credentials that have ended: the login token and the key that the user had, and the new one.
    fn use_ended(
        &mut self,
        fixture: &mut RaceFixture,
        ended: &[String],
        when: &str,
    ) -> Result<(), String> {
        for (number, credential) in ended.iter().enumerate() {
            self.after += PROCESSES;
            let accepting = fixture.api.count_accepting(credential)?;
            self.add_stale(
                accepting,
                &format!("credential {number} is accepted {when}"),
            );
        }
        Ok(())
    }
}

/// Whether the end comes last in the audit trail, which has one order for all processes.
fn is_end_last(fixture: &mut RaceFixture, user: &User, kind: Kind) -> Result<bool, String> {
    let end = match kind {
        Kind::PasswordChange => "password.change",
        Kind::Delete => "user.delete",
        _ => "user.disable",
    };
    let events = fixture.last_events(user)?;
    let last = events.iter().find(|event| {
        let action = &event["action"];
        action == end || action == "login" || action == "key.create"
    });
    Ok(last.is_some_and(|event| event["action"] == end))
}

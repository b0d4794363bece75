//! Database transactions: concurrent writers all succeed, and rejected transactions leave no trace.
//! Also short runs of the checks in `reliability/`: races, histories, kills, power cuts and faults.
//!
//! `TOKENHOUSE_TEST_CONTENTION_SECONDS` is how long the readers run; the default is 5.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use reliability::checker::{Guarantee, Verdict, check};
use reliability::durability::{Audit, Control, IoErrors, Kills, PowerCut};
use reliability::faults::Faults;
use reliability::history::{Action, Outcome, Run};
use reliability::races::{Kind, Races};
use reliability::refresh::Refreshes;
use reliability::{Report, parse_options};
use serde_json::json;
use tokenhouse::store::{Credential, Ends, Revoking, Store, StoreError};
use tokenhouse::{Auth, Error};

use crate::harness::{
    Backend, Client, StopOnDrop, TestApp, concurrently, on_both_databases, runtime, size,
};

on_both_databases!(
    rejection_rolls_back_earlier_writes,
    change_of_an_undeclared_user_is_refused,
    rejected_change_does_not_count_as_wrong_password,
    every_concurrent_write_succeeds,
    revoked_credentials_fail_once_acknowledged,
    responses_of_several_processes_are_linearizable,
    repeated_refreshes_are_answered_alike_by_all_processes,
    state_and_trail_agree_after_every_kill,
);

/// Why a transaction of a test is rejected.
#[derive(Debug)]
enum Refusal {
    OnPurpose,
    Store(#[expect(dead_code, reason = "shown when a test fails")] StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn rejection_rolls_back_earlier_writes(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let config = app.config();
    let store = Store::open(&config.database).unwrap();
    let auth = Auth::open(&config).unwrap();
    let runtime = runtime();
    runtime.block_on(async {
        let principal = auth.check_token(token.as_bytes()).await.unwrap();
        let Credential::LoginToken(stored) = &principal.credential else {
            panic!("not a login token");
        };
        let refused = stored.clone();
        let ends = Ends::Users(vec![stored.user_id]);
        let refused = store.revoking(ends.clone(), move |tx: &mut Revoking<'_>| {
            assert!(refused.revoke(tx).unwrap());
            Err::<(), _>(Refusal::OnPurpose)
        });
        assert!(matches!(refused.await, Err(Refusal::OnPurpose)));
        assert!(auth.check_token(token.as_bytes()).await.is_ok());
        assert_eq!(app.status("/users/me", &token), 200);
        let revoked = stored.clone();
        let revoked = store.revoking(ends, move |tx| {
            Ok::<_, Refusal>(revoked.revoke(tx).unwrap())
        });
        assert!(revoked.await.unwrap());
        let outcome = auth.check_token(token.as_bytes()).await;
        assert!(matches!(outcome, Err(Error::InvalidToken)), "{outcome:?}");
        assert_eq!(app.status("/users/me", &token), 401);
    });
}

/// No process was asked to suspend that user, so the change would take effect late.
fn change_of_an_undeclared_user_is_refused(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let config = app.config();
    let store = Store::open(&config.database).unwrap();
    let auth = Auth::open(&config).unwrap();
    runtime().block_on(async {
        let principal = auth.check_token(token.as_bytes()).await.unwrap();
        let Credential::LoginToken(stored) = &principal.credential else {
            panic!("not a login token");
        };
        for others in [vec![], vec![stored.user_id + 1]] {
            let token = stored.clone();
            let revoke = move |tx: &mut Revoking<'_>| Ok::<_, StoreError>(token.revoke(tx)?);
            let refused = store.revoking(Ends::Users(others), revoke).await;
            assert!(
                matches!(refused, Err(StoreError::Unavailable(_))),
                "{refused:?}"
            );
        }
    });
    assert_eq!(app.database().count("access_tokens"), 1);
    assert_eq!(app.status("/users/me", &token), 200);
}

fn rejected_change_does_not_count_as_wrong_password(backend: Backend) {
    let app = TestApp::start(backend);
    let admin = app.register_with("admin", "users:write");
    let token = admin.sign_in();
    // The last administrator cannot be removed: rejected after the password was verified.
    for _ in 0..3 {
        let deletion = serde_json::json!({ "current_password": admin.password });
        let request = app.request("DELETE", "/users/me");
        let response = request.bearer(&token).json(&deletion).send();
        assert_eq!(response.status, 409);
    }
    let held = "login_failures WHERE failures > 0 OR under_way > 0";
    assert_eq!(app.database().count(held), 0);
    assert_eq!(
        app.database()
            .count("audit_events WHERE action = 'user.delete'"),
        0
    );
}

/// Clients that write concurrently.
const CLIENTS: usize = 64;

/// Maximum wait for the database, plus slack for a busy machine.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(4);

/// Maximum size of the write-ahead log. Without checkpoints, [`MIN_CHANGES`] would exceed it by
/// half.
const MAX_WAL_BYTES: u64 = 64 << 20;

/// Minimum number of changes made during the reads, however fast the machine is.
const MIN_CHANGES: usize = 3_000;

/// Updates the profile; returns the status and the duration.
fn change(client: &Client, token: &str, page: &str) -> (u16, Duration) {
    let started = Instant::now();
    let response = client
        .request("PATCH", "/users/me")
        .bearer(token)
        .json(&json!({ "website": format!("https://example.com/{page}") }))
        .send();
    (response.status, started.elapsed())
}

/// Makes this many changes per client concurrently; returns their outcomes.
fn change_concurrently(app: &TestApp, token: &str, each: usize) -> Vec<(u16, Duration)> {
    concurrently(CLIENTS, CLIENTS * each, |number| {
        change(app, token, &number.to_string())
    })
}

fn every_concurrent_write_succeeds(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let outcomes = change_concurrently(&app, &token, 10);
    let longest = outcomes.iter().map(|(_, took)| *took).max();
    println!("{} changes, the longest {longest:?}", outcomes.len());
    assert!(outcomes.iter().all(|(status, _)| *status == 200));
}

#[test]
fn writers_wait_for_the_sqlite_lock_until_a_timeout() {
    let app = TestApp::start(Backend::Sqlite);
    let token = app.register("alice").sign_in();
    let reads = || app.get("/users/me").bearer(&token).send().status;

    let outcomes = thread::scope(|scope| {
        let changes = app.database().hold("", || {
            let changes = scope.spawn(|| change_concurrently(&app, &token, 1));
            thread::sleep(Duration::from_secs(1));
            changes
        });
        changes.join().unwrap()
    });
    assert!(
        outcomes.iter().all(|(status, _)| *status == 200),
        "{outcomes:?}"
    );

    let outcomes = app.database().hold("", || {
        thread::scope(|scope| {
            let changes = scope.spawn(|| change_concurrently(&app, &token, 1));
            while !changes.is_finished() {
                assert_eq!(reads(), 200);
            }
            changes.join().unwrap()
        })
    });
    for (status, took) in outcomes {
        assert_eq!(status, 503);
        assert!(took < RESPONSE_TIMEOUT, "{took:?}");
    }
    assert_eq!(change(&app, &token, "").0, 200);
}

/// Keeps overlapping read transactions open, `every` long each, as a backup or a report does.
fn read_until_stopped(url: &str, every: Duration, stop: &AtomicBool) {
    let connect = || SqliteConnection::establish(url).unwrap();
    let (mut one, mut other) = (connect(), connect());
    let begin = "BEGIN; SELECT COUNT(*) FROM users";
    one.batch_execute(begin).unwrap();
    while !stop.load(Ordering::Relaxed) {
        other.batch_execute(begin).unwrap();
        thread::sleep(every);
        one.batch_execute("COMMIT").unwrap();
        std::mem::swap(&mut one, &mut other);
    }
}

#[test]
fn wal_stays_small_under_permanent_readers() {
    let app = TestApp::start(Backend::Sqlite);
    let token = app.register("alice").sign_in();
    let url = app.database().url();
    let wal = format!("{}-wal", url.trim_start_matches("sqlite://"));
    let time = size("TOKENHOUSE_TEST_CONTENTION_SECONDS", 5);
    let end = Instant::now() + Duration::from_secs(time as u64);
    let stop = AtomicBool::new(false);
    let (mut largest, mut statuses) = (0, Vec::new());
    thread::scope(|scope| {
        let _stop = StopOnDrop(&stop);
        scope.spawn(|| read_until_stopped(&url, Duration::from_millis(50), &stop));
        while Instant::now() < end || statuses.len() < MIN_CHANGES {
            let outcomes = change_concurrently(&app, &token, 4);
            largest = largest.max(fs::metadata(&wal).unwrap().len());
            statuses.extend(outcomes.iter().map(|(status, _)| *status));
        }
    });
    assert!(statuses.iter().all(|status| *status == 200));
    println!(
        "{} changes, the log had {largest} bytes at most",
        statuses.len()
    );
    assert!(largest < MAX_WAL_BYTES, "{largest} bytes");
}

const ROUNDS: usize = 20;

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_tokenhouse"))
}

/// A credential is dead as soon as its revocation is acknowledged, for requests in progress and for
/// those about to obtain it. `reliability races` runs this at length.
fn revoked_credentials_fail_once_acknowledged(backend: Backend) {
    let options = format!("--database {} --rounds {ROUNDS}", backend.name());
    let races: Races = parse_options(&options).unwrap();
    let mut tallies = Vec::new();
    races
        .execute(binary(), |tally| tallies.push(tally.clone()))
        .unwrap();
    assert_eq!(tallies.len(), Kind::all().len());
    for tally in tallies {
        assert_eq!((tally.rounds, tally.sum.stale), (ROUNDS, 0), "{tally}");
        // Whether a client obtains a credential in time is chance.
        assert!(tally.sum.after > 0, "no credential was used: {tally}");
    }
}

/// `reliability` also proves that the checker detects violations.
fn responses_of_several_processes_are_linearizable(backend: Backend) {
    let database = backend.name();
    let options =
        format!("--database {database} --users 4 --clients 8 --seconds 8 --kills --pauses");
    let run: Run = parse_options(&options).unwrap();
    let history = run.execute(binary()).unwrap();
    assert!(history.unexpected.is_empty(), "{:?}", history.unexpected);
    assert!(history.operations.len() > 100, "too few operations");
    let refreshes = history.count(Action::Refresh(0, None), Outcome::Ok);
    assert!(refreshes > 0, "no refresh: {history}");
    let limit = Duration::from_secs(60);
    match check(&history, Guarantee::Linearizable, limit) {
        Verdict::Linearizable => {}
        Verdict::Violation(violation) => panic!("{violation}"),
        Verdict::Undecided(users) => panic!("search not finished: {users:?}"),
    }
}

/// `reliability refresh` runs this at length, with kills.
fn repeated_refreshes_are_answered_alike_by_all_processes(backend: Backend) {
    let database = backend.name();
    let options = format!(
        "--database {database} --clients 8 --processes 2 --refreshes 150 --lost 20 --kill-interval 0"
    );
    let refreshes: Refreshes = parse_options(&options).unwrap();
    let report = refreshes.execute(binary()).unwrap();
    assert!(report.is_good, "{report}");
    assert!(report.acknowledged >= 150, "{report}");
}

/// After any kill there is no change without its event and no event without its change.
/// `reliability audit` runs this at length.
fn state_and_trail_agree_after_every_kill(backend: Backend) {
    let kills = match backend {
        Backend::Sqlite => 50,
        // The first change after each waits a second for the lease of the killed process.
        Backend::Postgres => 15,
    };
    let options = format!("--database {} --kills {kills}", backend.name());
    let audit: Audit = parse_options(&options).unwrap();
    let report = audit.execute(binary()).unwrap();
    assert!(report.is_good, "{report}");
    assert!(report.acknowledged > kills, "too few changes: {report}");
    assert!(report.unacknowledged > 0, "no kill interrupted a change");
}

fn assert_good(report: Result<Report, String>) {
    let report = report.unwrap();
    assert!(report.is_good, "{report}");
}

fn kill(options: &str) {
    let kills: Kills = parse_options(options).unwrap();
    assert_good(kills.execute(binary()));
}

#[test]
fn server_kills_lose_nothing() {
    kill("--database sqlite --rounds 5 --clients 4");
}

#[test]
fn postgres_restarts_lose_nothing() {
    kill("--database postgres --rounds 3 --clients 4");
}

fn power_cut() -> PowerCut {
    let options = "--changes 60 --cut-points 25 --subsets 1 --clients 4";
    parse_options(options).unwrap()
}

#[test]
fn power_cuts_lose_nothing() {
    assert_good(power_cut().execute(binary()));
}

#[test]
fn power_cut_without_syncs_is_detected() {
    let control = PowerCut {
        control: Some(Control::Normal),
        ..power_cut()
    };
    assert!(control.execute(binary()).unwrap().findings.lost > 0);
}

#[test]
fn disk_errors_lose_nothing() {
    let errors: IoErrors = parse_options("--calls 2 --checkpoint-calls 0").unwrap();
    assert_good(errors.execute(binary()));
}

#[test]
fn postgres_faults_never_count_as_answers() {
    let faults: Faults = parse_options("--rounds 1 --without-cuts --clients 2").unwrap();
    assert_good(faults.execute(binary()));
}

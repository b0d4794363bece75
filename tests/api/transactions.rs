//! Database transactions: concurrent writers all succeed, and rejected transactions leave no trace.
//!
//! `TOKENHOUSE_TEST_CONTENTION_SECONDS` is how long the readers run; the default is 5.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use serde_json::json;
use tokenhouse::store::{Credential, Revoking, Store, StoreError};
use tokenhouse::{Auth, Error};

use crate::harness::{Backend, Client, TestApp, concurrently, on_both_databases, runtime, size};

on_both_databases!(
    rejection_rolls_back_earlier_writes,
    rejected_change_does_not_count_as_wrong_password,
    every_concurrent_write_succeeds,
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
        let refused = store.revoking(move |tx: &mut Revoking<'_>| {
            assert!(refused.revoke(tx).unwrap());
            Err::<(), _>(Refusal::OnPurpose)
        });
        assert!(matches!(refused.await, Err(Refusal::OnPurpose)));
        assert!(auth.check_token(token.as_bytes()).await.is_ok());
        assert_eq!(app.status("/users/me", &token), 200);
        let revoked = stored.clone();
        let revoked = store.revoking(move |tx| Ok::<_, Refusal>(revoked.revoke(tx).unwrap()));
        assert!(revoked.await.unwrap());
        let outcome = auth.check_token(token.as_bytes()).await;
        assert!(matches!(outcome, Err(Error::InvalidToken)), "{outcome:?}");
        assert_eq!(app.status("/users/me", &token), 401);
    });
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
        scope.spawn(|| read_until_stopped(&url, Duration::from_millis(50), &stop));
        while Instant::now() < end || statuses.len() < MIN_CHANGES {
            let outcomes = change_concurrently(&app, &token, 4);
            largest = largest.max(fs::metadata(&wal).unwrap().len());
            statuses.extend(outcomes.iter().map(|(status, _)| *status));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(statuses.iter().all(|status| *status == 200));
    println!(
        "{} changes, the log had {largest} bytes at most",
        statuses.len()
    );
    assert!(largest < MAX_WAL_BYTES, "{largest} bytes");
}

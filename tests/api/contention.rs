//! Many who write at once, somebody else who has SQLite's lock, and readers who never stop.
//!
//! `TOKENHOUSE_TEST_CONTENTION_SECONDS` says for how long the last are at it, 5 unless it is set.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use serde_json::json;

use crate::harness::{Backend, Client, TestApp, concurrently, on_both_databases, size};

on_both_databases!(everybody_who_writes_gets_through);

/// Clients who write at once.
const CLIENTS: usize = 64;

/// Nobody waits longer for the database, but for what a busy machine adds.
const ANSWERED_WITHIN: Duration = Duration::from_secs(4);

/// What the log has at most. It would have half as much again after [`CHANGES_LEAST`].
const LOG_MOST: u64 = 64 << 20;

/// How many changes are made beside the readers, however fast that goes.
const CHANGES_LEAST: usize = 3_000;

/// The status of a change of the own profile, and how long it took.
fn change(client: &Client, token: &str, page: &str) -> (u16, Duration) {
    let begun = Instant::now();
    let answer = client
        .request("PATCH", "/users/me")
        .bearer(token)
        .json(&json!({ "website": format!("https://example.com/{page}") }))
        .send();
    (answer.status, begun.elapsed())
}

/// What becomes of so many changes by each client, all at once.
fn change_at_once(app: &TestApp, token: &str, each: usize) -> Vec<(u16, Duration)> {
    concurrently(CLIENTS, CLIENTS * each, |number| {
        change(app, token, &number.to_string())
    })
}

fn everybody_who_writes_gets_through(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let outcomes = change_at_once(&app, &token, 10);
    let longest = outcomes.iter().map(|(_, took)| *took).max();
    println!("{} changes, the longest {longest:?}", outcomes.len());
    assert!(outcomes.iter().all(|(status, _)| *status == 200));
}

#[test]
fn who_has_the_lock_is_waited_for_and_not_for_ever() {
    let app = TestApp::start(Backend::Sqlite);
    let token = app.register("alice").sign_in();
    let reads = || app.get("/users/me").bearer(&token).send().status;

    let during = thread::scope(|scope| {
        let changes = app.database().hold("", || {
            let changes = scope.spawn(|| change_at_once(&app, &token, 1));
            thread::sleep(Duration::from_secs(1));
            changes
        });
        changes.join().unwrap()
    });
    assert!(
        during.iter().all(|(status, _)| *status == 200),
        "{during:?}"
    );

    let during = app.database().hold("", || {
        thread::scope(|scope| {
            let changes = scope.spawn(|| change_at_once(&app, &token, 1));
            while !changes.is_finished() {
                assert_eq!(reads(), 200);
            }
            changes.join().unwrap()
        })
    });
    for (status, took) in during {
        assert_eq!(status, 503);
        assert!(took < ANSWERED_WITHIN, "{took:?}");
    }
    assert_eq!(change(&app, &token, "").0, 200);
}

/// Reads for `every` at a time without an end between, as a copy or a report does.
fn read_on(url: &str, every: Duration, stop: &AtomicBool) {
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
fn the_log_stays_small_beside_readers_who_never_stop() {
    let app = TestApp::start(Backend::Sqlite);
    let token = app.register("alice").sign_in();
    let url = app.database().url();
    let log = format!("{}-wal", url.trim_start_matches("sqlite://"));
    let time = size("TOKENHOUSE_TEST_CONTENTION_SECONDS", 5);
    let end = Instant::now() + Duration::from_secs(time as u64);
    let stop = AtomicBool::new(false);
    let (mut largest, mut statuses) = (0, Vec::new());
    thread::scope(|scope| {
        scope.spawn(|| read_on(&url, Duration::from_millis(50), &stop));
        while Instant::now() < end || statuses.len() < CHANGES_LEAST {
            let outcomes = change_at_once(&app, &token, 4);
            largest = largest.max(fs::metadata(&log).unwrap().len());
            statuses.extend(outcomes.iter().map(|(status, _)| *status));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(statuses.iter().all(|status| *status == 200));
    println!(
        "{} changes, the log had {largest} bytes at most",
        statuses.len()
    );
    assert!(largest < LOG_MOST, "{largest} bytes");
}

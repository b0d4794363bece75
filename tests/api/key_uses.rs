//! Personal API keys in use: looked up, and noted now and then.

use std::thread::sleep;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};
use tokenhouse::Clock;

use crate::harness::{Backend, Client, TestApp, on_both_databases};

on_both_databases!(
    a_mistyped_key_is_refused_without_the_database,
    a_use_is_noted_once_a_minute,
    a_use_does_not_wait_to_be_noted,
);

/// The clock of a test begins here.
const START: &str = "2026-05-06T07:08:09.123456Z";

fn clock() -> Clock {
    Clock::manual(DateTime::parse_from_rfc3339(START).unwrap().to_utc())
}

fn list(app: &Client, token: &str) -> Vec<Value> {
    let answer = app.get("/users/me/keys").bearer(token).send();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["keys"].as_array().unwrap().clone()
}

fn a_mistyped_key_is_refused_without_the_database(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let key = app.create_key(&token, "").secret;
    app.database().make_unavailable();
    if backend == Backend::Sqlite {
        app.database()
            .execute("ALTER TABLE api_keys RENAME TO keys_taken_away");
    }
    // What is in memory is good for at most a second after the last word from Postgres.
    let taken_away = Instant::now();
    while app.status("/users/me", &key) == 200 {
        assert!(taken_away.elapsed() < Duration::from_secs(2));
    }
    for place in 4..key.len() {
        let mut mistyped = key.clone().into_bytes();
        mistyped[place] = if mistyped[place] == b'x' { b'y' } else { b'x' };
        let mistyped = String::from_utf8(mistyped).unwrap();
        assert_eq!(app.status("/users/me", &mistyped), 401, "{place}");
    }
    for cut in ["tkh_", &key[..10], &key[..52], &format!("{key}0")] {
        assert_eq!(app.status("/users/me", cut), 401, "{cut}");
        let by_scheme = app
            .get("/users/me")
            .header("Authorization", format!("Token {cut}"));
        let answer = by_scheme.send();
        assert_eq!(
            answer.json()["detail"],
            json!("Could not validate credentials")
        );
    }
    // One that could be right has to be looked for.
    assert_eq!(app.status("/users/me", &key), 503);
    let unknown = tokenhouse::credential::api_key::generate_api_key().unwrap();
    assert_eq!(app.status("/users/me", unknown.expose()), 503);
}

/// Waits until the list says that the last use was then.
fn wait_for_last_use(app: &Client, token: &str, at: &str) {
    let begun = Instant::now();
    while list(app, token)[0]["last_used_at"] != json!(at) {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{:?}",
            list(app, token)
        );
        sleep(Duration::from_millis(50));
    }
}

fn a_use_is_noted_once_a_minute(backend: Backend) {
    let clock = clock();
    let app = TestApp::builder(backend).clock(clock.clone()).start();
    let token = app.register("alice").sign_in();
    let key = app.create_key(&token, "").secret;
    let other = app.create_key(&token, "").secret;
    let use_it = |key: &str| assert_eq!(app.status("/users/me", key), 200);
    clock.advance(TimeDelta::seconds(1));
    use_it(&key);
    wait_for_last_use(&app, &token, "2026-05-06T07:08:10.123456Z");
    assert_eq!(list(&app, &token)[1]["last_used_at"], Value::Null);
    // Within the minute, until one that is noted passes: whatever was noted before it is written.
    clock.advance(TimeDelta::seconds(60) - TimeDelta::microseconds(1));
    for _ in 0..100 {
        use_it(&key);
    }
    use_it(&other);
    let begun = Instant::now();
    while list(&app, &token)[1]["last_used_at"] == Value::Null {
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
    let last = &list(&app, &token)[0]["last_used_at"];
    assert_eq!(*last, json!("2026-05-06T07:08:10.123456Z"));
    clock.advance(TimeDelta::microseconds(1));
    use_it(&key);
    wait_for_last_use(&app, &token, "2026-05-06T07:09:10.123456Z");
    let first_uses = "audit_events WHERE action = 'key.first-use' AND target = 'key:1'";
    assert_eq!(app.database().count(first_uses), 1);
}

fn a_use_does_not_wait_to_be_noted(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let key = app.create_key(&token, "").secret;
    let slowest = app
        .database()
        .hold("UPDATE api_keys SET last_used_at = NULL", || {
            let ask = || {
                let asked = Instant::now();
                assert_eq!(app.status("/users/me", &key), 200);
                asked.elapsed()
            };
            (0..10).map(|_| ask()).max().unwrap()
        });
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    let begun = Instant::now();
    while list(&app, &token)[0]["last_used_at"] == Value::Null {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "it is noted afterwards"
        );
    }
}

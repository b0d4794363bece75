//! Uses of API keys: lookup, and recording of the last use.

use std::thread::sleep;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};
use tokenhouse::Clock;

use crate::harness::{Backend, Client, TestApp, on_both_databases, wait_for_cache_expiry};

on_both_databases!(
    mistyped_key_is_rejected_without_the_database,
    key_use_is_recorded_once_per_minute,
    request_does_not_wait_for_use_recording,
);

/// Start time of the manual clock.
const START: &str = "2026-05-06T07:08:09.123456Z";

fn clock() -> Clock {
    Clock::manual(DateTime::parse_from_rfc3339(START).unwrap().to_utc())
}

fn list(app: &Client, token: &str) -> Vec<Value> {
    let response = app.get("/users/me/keys").bearer(token).send();
    assert_eq!(response.status, 200, "{response:?}");
    response.json()["keys"].as_array().unwrap().clone()
}

fn mistyped_key_is_rejected_without_the_database(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let key = app.create_key(&token, "").secret;
    app.database().make_unavailable();
    if backend == Backend::Sqlite {
        app.database()
            .execute("ALTER TABLE api_keys RENAME TO keys_taken_away");
    }
    wait_for_cache_expiry(|| app.status("/users/me", &key));
    for position in 4..key.len() {
        let mut mistyped = key.clone().into_bytes();
        mistyped[position] = if mistyped[position] == b'x' {
            b'y'
        } else {
            b'x'
        };
        let mistyped = String::from_utf8(mistyped).unwrap();
        assert_eq!(app.status("/users/me", &mistyped), 401, "{position}");
    }
    for cut in ["tkh_", &key[..10], &key[..52], &format!("{key}0")] {
        assert_eq!(app.status("/users/me", cut), 401, "{cut}");
        let by_scheme = app
            .get("/users/me")
            .header("Authorization", format!("Token {cut}"));
        let response = by_scheme.send();
        assert_eq!(
            response.json()["detail"],
            json!("Could not validate credentials")
        );
    }
    // A well-formed key must be looked up.
    assert_eq!(app.status("/users/me", &key), 503);
    let unknown = tokenhouse::credential::api_key::generate_api_key().unwrap();
    assert_eq!(app.status("/users/me", unknown.expose()), 503);
}

/// Waits until the key list shows this last use.
fn wait_for_last_use(app: &Client, token: &str, at: &str) {
    let started = Instant::now();
    while list(app, token)[0]["last_used_at"] != json!(at) {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{:?}",
            list(app, token)
        );
        sleep(Duration::from_millis(50));
    }
}

fn key_use_is_recorded_once_per_minute(backend: Backend) {
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
    // Within the minute nothing is recorded. The use of another key is: once it is visible, earlier
    // ones would be too.
    clock.advance(TimeDelta::seconds(60) - TimeDelta::microseconds(1));
    for _ in 0..100 {
        use_it(&key);
    }
    use_it(&other);
    let started = Instant::now();
    while list(&app, &token)[1]["last_used_at"] == Value::Null {
        assert!(started.elapsed() < Duration::from_secs(10));
    }
    let last = &list(&app, &token)[0]["last_used_at"];
    assert_eq!(*last, json!("2026-05-06T07:08:10.123456Z"));
    clock.advance(TimeDelta::microseconds(1));
    use_it(&key);
    wait_for_last_use(&app, &token, "2026-05-06T07:09:10.123456Z");
    let first_uses = "audit_events WHERE action = 'key.first-use' AND target = 'key:1'";
    assert_eq!(app.database().count(first_uses), 1);
}

fn request_does_not_wait_for_use_recording(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let key = app.create_key(&token, "").secret;
    let slowest = app
        .database()
        .hold("UPDATE api_keys SET last_used_at = NULL", || {
            let request = || {
                let started = Instant::now();
                assert_eq!(app.status("/users/me", &key), 200);
                started.elapsed()
            };
            (0..10).map(|_| request()).max().unwrap()
        });
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    let started = Instant::now();
    while list(&app, &token)[0]["last_used_at"] == Value::Null {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "the use is recorded later"
        );
    }
}

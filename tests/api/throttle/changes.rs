//! Write limits of authenticated users: changes per minute, keys per day, and how long revoked keys
//! are kept.

use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};
use tokenhouse::store::Store;
use tokenhouse::{Auth, Clock};

use crate::harness::{
    Backend, Client, Response, TestApp, TestAppBuilder, on_both_databases, runtime,
};

on_both_databases!(
    changes_per_minute_are_limited,
    every_kind_of_change_counts_against_the_limit,
    stolen_token_does_not_exhaust_the_owners_limit,
    administrators_have_ten_times_the_limit,
    keys_per_day_are_limited,
    revoked_keys_are_deleted_after_retention,
);

/// Changes in a burst: half of the limit per minute.
const BURST: usize = 30;

/// Extra changes that each credential has.
const RESERVE: usize = 5;

fn fixed_clock() -> Clock {
    Clock::manual(DateTime::UNIX_EPOCH + TimeDelta::days(20_000))
}

fn limited(backend: Backend, clock: &Clock) -> TestAppBuilder {
    TestApp::builder(backend)
        .clock(clock.clone())
        .setting("TOKENHOUSE_LIMITS", "on")
}

fn rename(client: &Client, token: &str) -> Response {
    let request = client.request("PATCH", "/users/me").bearer(token);
    request.json(&json!({ "surname": "X" })).send()
}

/// Sends changes until the limit is reached, and returns their number.
fn exhaust(client: &Client, token: &str) -> usize {
    let changed = (0..1_000).take_while(|_| rename(client, token).status == 200);
    changed.count()
}

fn retry_after(response: &Response) -> i64 {
    assert_eq!(response.status, 429, "{response:?}");
    assert_eq!(response.json(), json!({ "detail": "Too many attempts" }));
    response.header("retry-after").unwrap().parse().unwrap()
}

fn changes_per_minute_are_limited(backend: Backend) {
    let clock = fixed_clock();
    let app = limited(backend, &clock).start();
    let (token, other) = (
        app.register("alice").sign_in(),
        app.register("bobby").sign_in(),
    );
    let mut changed = 0;
    for number in 0..1_000 {
        let response = rename(&app, &token);
        match response.status {
            200 => changed += 1,
            _ => assert_eq!(retry_after(&response), 1),
        }
        clock.advance(TimeDelta::milliseconds(60));
        if number % 100 == 0 {
            assert_eq!(rename(&app, &other).status, 200);
        }
    }
    assert!((60..=60 + BURST + RESERVE).contains(&changed), "{changed}");
    let rows = "audit_events WHERE action = 'user.update' AND target = 'user:1'";
    assert_eq!(app.database().count(rows), changed as i64);
    // Reads are not limited.
    for _ in 0..100 {
        assert_eq!(app.status("/users/me", &token), 200);
    }
}

fn every_kind_of_change_counts_against_the_limit(backend: Backend) {
    let app = limited(backend, &fixed_clock()).start();
    let alice = app.register("alice");
    let token = alice.sign_in();
    let key = app.create_key(&token, "").secret;
    assert_eq!(exhaust(&app, &token), BURST + RESERVE - 1);
    let change = json!({ "current_password": alice.password, "new_password": "a passable phrase" });
    let deletion = json!({ "current_password": alice.password });
    for (method, path, body) in [
        ("PATCH", "/users/me", json!({})),
        ("POST", "/users/me/password", change),
        ("POST", "/users/me/keys", json!({ "name": "another" })),
        ("DELETE", "/users/me/keys/1", Value::Null),
        ("DELETE", "/users/me", deletion),
        ("POST", "/logout", Value::Null),
    ] {
        let request = app.request(method, path).bearer(&token);
        assert_eq!(
            retry_after(&request.json(&body).send()),
            1,
            "{method} {path}"
        );
    }
    let revoke = app.post("/revoke").bearer(&token).form(&[("token", &key)]);
    assert_eq!(retry_after(&revoke.send()), 1);
    assert_eq!(app.status("/users/me", &token), 200);
    assert_eq!(app.status("/users/me", &key), 200);
}

fn stolen_token_does_not_exhaust_the_owners_limit(backend: Backend) {
    let clock = fixed_clock();
    let app = limited(backend, &clock).start();
    let alice = app.register("alice");
    exhaust(&app, &alice.sign_in());
    clock.advance(TimeDelta::milliseconds(1));
    // The owner signs in again, which ends the stolen token.
    let token = alice.sign_in();
    let change = json!({ "current_password": alice.password, "new_password": "a passable phrase" });
    let request = app.post("/users/me/password").bearer(&token);
    assert_eq!(request.json(&change).send().status, 204);
}

fn administrators_have_ten_times_the_limit(backend: Backend) {
    let app = limited(backend, &fixed_clock()).start();
    let scopes = "users:read users:write events:read";
    let admin = app.register_with("admin", scopes).sign_in();
    app.register("alice");
    let send = |method: &str, path: &str| app.request(method, path).bearer(&admin).send();
    let unlocked = (0..1_000).take_while(|_| send("POST", "/admin/users/2/unlock").status == 204);
    assert_eq!(unlocked.count(), 10 * BURST + RESERVE);
    // Reads that write an audit event count too.
    for (method, path) in [
        ("DELETE", "/admin/users/2"),
        ("DELETE", "/admin/users/2/tokens"),
        ("GET", "/admin/users"),
        ("GET", "/admin/users/2"),
        ("GET", "/admin/events"),
    ] {
        assert_eq!(retry_after(&send(method, path)), 1, "{method} {path}");
    }
    assert_eq!(rename(&app, &admin).status, 200);
}

fn create_key(client: &Client, token: &str) -> Response {
    let request = client.post("/users/me/keys").bearer(token);
    request.json(&json!({ "name": "a key" })).send()
}

fn keys_per_day_are_limited(backend: Backend) {
    let clock = fixed_clock();
    let app = limited(backend, &clock)
        .setting("TOKENHOUSE_TOKEN_LIFETIME", "864000")
        .setting("TOKENHOUSE_LIMIT_CHANGES", "1000")
        .start();
    let alice = app.register("alice");
    let (token, other) = (alice.sign_in(), app.register("bobby").sign_in());
    for id in 1..=20 {
        assert_eq!(create_key(&app, &token).status, 201);
        // Revoked keys count too.
        let revoke = app.request("DELETE", format!("/users/me/keys/{id}"));
        assert_eq!(revoke.bearer(&token).send().status, 204);
        clock.advance(TimeDelta::seconds(30));
    }
    let wait = 24 * 3_600 - 20 * 30;
    assert_eq!(retry_after(&create_key(&app, &token)), wait);
    assert_eq!(create_key(&app, &other).status, 201);
    clock.advance(TimeDelta::seconds(wait));
    // Key creation requires a recent sign-in.
    let token = alice.sign_in();
    let keys = [(); 2].map(|()| create_key(&app, &token).status);
    assert_eq!(keys, [201, 429]);
}

fn revoked_keys_are_deleted_after_retention(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let keys = [(); 2].map(|()| app.create_key(&token, ""));
    let revoke = app.request("DELETE", format!("/users/me/keys/{}", keys[0].id));
    assert_eq!(revoke.bearer(&token).send().status, 204);

    let config = app.config();
    let runtime = runtime();
    let prune_after = |days: i64| {
        let clock = Clock::manual(chrono::Utc::now() + TimeDelta::days(days));
        let store = Store::open(&config.database).unwrap();
        let auth = Auth::new(store, config.auth.clone(), clock).unwrap();
        runtime.block_on(auth.confirm_clock()).unwrap();
        runtime.block_on(auth.prune_keys()).unwrap()
    };
    let rows = || app.database().count("api_keys");
    assert_eq!((prune_after(89), rows()), (0, 2));
    assert_eq!((prune_after(91), rows()), (1, 1));
    assert_eq!((prune_after(9_000), rows()), (0, 1));
    assert_eq!(app.status("/users/me", &keys[1].secret), 200);
}

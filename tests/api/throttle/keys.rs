//! Limits other than those on passwords. Guesses at the static key are limited and recorded;
//! authenticated users have limits on changes per minute, keys per day, and how long revoked keys are
//! kept.

use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};
use tokenhouse::store::Store;
use tokenhouse::{Auth, Clock};

use crate::harness::{
    Backend, Client, Request, Response, STATIC_KEY, TestApp, TestAppBuilder, concurrently,
    on_both_databases, runtime,
};

on_both_databases!(
    wrong_keys_are_limited_counted_and_audited,
    every_route_with_a_static_key_is_limited,
    concurrent_guesses_are_counted_before_comparison,
    right_key_is_rejected_only_at_the_guessing_address,
    processes_share_the_limit,
    revoked_api_keys_do_not_count_as_guesses,
    first_use_from_an_address_is_audited,
    right_key_needs_no_database,
    changes_per_minute_are_limited,
    every_kind_of_change_counts_against_the_limit,
    stolen_token_does_not_exhaust_the_owners_limit,
    administrators_have_ten_times_the_limit,
    keys_per_day_are_limited,
    revoked_keys_are_deleted_after_retention,
);

/// Wrong passwords and keys per minute, by default.
const LIMIT: usize = 30;

const GUESSER: [u8; 4] = [127, 6, 6, 6];

fn limited(backend: Backend) -> (TestApp, Clock) {
    let clock = Clock::manual(DateTime::UNIX_EPOCH + TimeDelta::days(20_000));
    let app = TestApp::builder(backend)
        .clock(clock.clone())
        .setting("TOKENHOUSE_LIMITS", "on")
        .start();
    (app, clock)
}

fn by_token(client: &Client, key: &str) -> Response {
    client.get("/protected").header("Token", key).send()
}

fn wrong_keys_are_limited_counted_and_audited(backend: Backend) {
    let (app, clock) = limited(backend);
    let guesser = app.from(GUESSER);
    let mut statuses = Vec::new();
    for number in 0..400 {
        let response = by_token(&guesser, &format!("a wrong key {number}"));
        if response.status == 429 {
            assert_eq!(response.header("retry-after").as_deref(), Some("2"));
        } else {
            assert_eq!(response.json()["detail"], "Forbidden");
        }
        statuses.push(response.status);
    }
    assert_eq!(statuses, [[403; LIMIT].as_slice(), &[429; 370]].concat());
    // The limit is shared with password guesses from the address.
    let form = [("username", "nobody@example.com"), ("password", "x")];
    assert_eq!(guesser.post("/token").form(&form).send().status, 429);
    let rows = "audit_events WHERE action = 'static-key.refused' AND result = 'refused' \
                AND actor = 'anonymous' AND ip = '127.6.6.6'";
    assert!(app.database().count(rows) > 0);
    let metrics = app.get("/metrics").header("Token", STATIC_KEY).send();
    let refused = format!("tokenhouse_static_key_checks_total{{result=\"refused\"}} {LIMIT}\n");
    assert!(metrics.text().contains(&refused), "{}", metrics.text());
    clock.advance(TimeDelta::seconds(2));
    assert_eq!(by_token(&guesser, "another").status, 403);
    assert_eq!(by_token(&guesser, "another").status, 429);
}

/// Presents a static key in one of the supported ways.
type Presentation = fn(&Client, &str) -> Request;

const PRESENTATIONS: [Presentation; 5] = [
    |client, key| client.get("/protected").header("Token", key),
    |client, key| client.get("/page").header("Token", key),
    |client, key| client.get("/metrics").header("Token", key),
    |client, key| {
        client
            .post("/introspect")
            .form(&[("token", "x")])
            .bearer(key)
    },
    |client, key| {
        let basic = STANDARD.encode(format!("anyone:{key}"));
        let request = client.post("/introspect").form(&[("token", "x")]);
        request.header("Authorization", format!("Basic {basic}"))
    },
];

fn every_route_with_a_static_key_is_limited(backend: Backend) {
    for present in PRESENTATIONS {
        let (app, _) = limited(backend);
        let guesser = app.from(GUESSER);
        for number in 0..LIMIT {
            let status = present(&guesser, &format!("wrong-{number}")).send().status;
            assert!([401, 403].contains(&status), "{status}");
        }
        assert_eq!(present(&guesser, "wrong").send().status, 429);
        // The right key gets the same response.
        assert_eq!(present(&guesser, STATIC_KEY).send().status, 429);
        assert_eq!(present(&app, STATIC_KEY).send().status, 200);
        let rows = "audit_events WHERE action = 'static-key.refused'";
        assert!(app.database().count(rows) > 0);
    }
}

/// Half of the guesses are right: only those within the limit are compared.
fn concurrent_guesses_are_counted_before_comparison(backend: Backend) {
    const GUESSES: usize = 400;
    let (app, _) = limited(backend);
    let guesser = app.from(GUESSER);
    let statuses = concurrently(16, GUESSES, |number| {
        let is_late = number >= GUESSES / 2;
        let key = if is_late { STATIC_KEY } else { "a wrong key" };
        by_token(&guesser, key).status
    });
    let count = |expected: u16| {
        statuses
            .iter()
            .filter(|status| **status == expected)
            .count()
    };
    let (refused, accepted) = (count(403), count(200));
    // A busy machine answers some with 503.
    assert!((1..=LIMIT).contains(&refused), "{statuses:?}");
    assert!(accepted <= LIMIT, "{accepted} right keys were accepted");
    assert!(count(429) > GUESSES / 2, "{statuses:?}");
}

fn right_key_is_rejected_only_at_the_guessing_address(backend: Backend) {
    let (app, clock) = limited(backend);
    let guesser = app.from(GUESSER);
    assert_eq!(by_token(&guesser, STATIC_KEY).status, 200);
    for _ in 0..LIMIT {
        assert_eq!(by_token(&guesser, "wrong").status, 403);
    }
    for _ in 0..3 {
        assert_eq!(by_token(&guesser, STATIC_KEY).status, 429);
        assert_eq!(by_token(&app, STATIC_KEY).status, 200);
    }
    // A right key does not use up the limit.
    clock.advance(TimeDelta::seconds(2));
    for _ in 0..100 {
        assert_eq!(by_token(&guesser, STATIC_KEY).status, 200);
    }
    assert_eq!(by_token(&guesser, "wrong").status, 403);
    assert_eq!(by_token(&guesser, "wrong").status, 429);
}

fn processes_share_the_limit(backend: Backend) {
    let (app, clock) = limited(backend);
    let second = app
        .sibling()
        .clock(clock)
        .setting("TOKENHOUSE_LIMITS", "on");
    let second = second.start();
    for _ in 0..LIMIT {
        assert_eq!(by_token(&app.from(GUESSER), "wrong").status, 403);
    }
    assert_eq!(by_token(&second.from(GUESSER), "wrong").status, 429);
    assert_eq!(by_token(&second.from(GUESSER), STATIC_KEY).status, 429);
}

/// An app that keeps using a revoked key does not block others at its address.
fn revoked_api_keys_do_not_count_as_guesses(backend: Backend) {
    let (app, _) = limited(backend);
    let token = app.register_with("alice", "introspect").sign_in();
    let key = app.create_key(&token, "introspect");
    let introspect = |client: &Client| {
        let request = client.post("/introspect").form(&[("token", "x")]);
        request.bearer(&key.secret).send().status
    };
    assert_eq!(introspect(&app), 200);
    let revoke = app.request("DELETE", format!("/users/me/keys/{}", key.id));
    assert_eq!(revoke.bearer(&token).send().status, 204);
    for _ in 0..2 * LIMIT {
        assert_eq!(introspect(&app), 401);
    }
    let rows = "audit_events WHERE action = 'static-key.refused'";
    assert_eq!(app.database().count(rows), 0);
}

fn first_use_from_an_address_is_audited(backend: Backend) {
    let app = TestApp::start(backend);
    for _ in 0..50 {
        for address in [[127, 1, 1, 1], [127, 1, 1, 2]] {
            assert_eq!(by_token(&app.from(address), STATIC_KEY).status, 200);
        }
    }
    let rows = |address: &str| {
        app.database().count(&format!(
            "audit_events WHERE action = 'static-key.first-use' AND actor = 'static-key' \
             AND ip = '{address}'"
        ))
    };
    let started = Instant::now();
    while rows("127.1.1.2") == 0 && started.elapsed() < Duration::from_secs(10) {
        sleep(Duration::from_millis(50));
    }
    sleep(Duration::from_secs(2));
    assert_eq!([rows("127.1.1.1"), rows("127.1.1.2")], [1, 1]);
}

fn right_key_needs_no_database(backend: Backend) {
    let (app, _) = limited(backend);
    app.database().make_unavailable();
    for _ in 0..20 {
        assert_eq!(by_token(&app, STATIC_KEY).status, 200);
    }
}

/// Changes in a burst: half of the limit per minute.
const BURST: usize = 30;

/// Extra changes that each credential has.
const RESERVE: usize = 5;

fn fixed_clock() -> Clock {
    Clock::manual(DateTime::UNIX_EPOCH + TimeDelta::days(20_000))
}

fn limited_app(backend: Backend, clock: &Clock) -> TestAppBuilder {
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
    let app = limited_app(backend, &clock).start();
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
    let app = limited_app(backend, &fixed_clock()).start();
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
    let app = limited_app(backend, &clock).start();
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
    let app = limited_app(backend, &fixed_clock()).start();
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
    let app = limited_app(backend, &clock)
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

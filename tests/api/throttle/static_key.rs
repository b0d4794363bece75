//! Guesses at the static key are limited like passwords, and are recorded.

use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta};
use tokenhouse::Clock;

use crate::harness::{
    Backend, Client, Request, Response, STATIC_KEY, TestApp, concurrently, on_both_databases,
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

//! Limits per account.

use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::TimeDelta;
use rand::seq::IndexedRandom;
use serde_json::json;

use super::{LIMIT, accounts, accounts_with, fixed_clock, guess, sign_in, source, throttled};
use crate::harness::{Backend, Client, Person, TestApp, concurrently, on_both_databases, size};

on_both_databases!(
    number_of_compared_guesses_is_limited,
    concurrent_guesses_are_counted_before_comparison,
    all_spellings_and_routes_share_one_limit,
    account_opens_after_the_wait,
    success_resets_the_failures,
    right_password_never_counts_as_a_failure,
);

/// The number of failures that locks accounts in other systems (NIST SP 800-63B section 3.2.2).
const MANY: usize = 110;

fn number_of_compared_guesses_is_limited(backend: Backend) {
    let clock = fixed_clock();
    let app = throttled(backend).clock(clock.clone()).start();
    let alice = app.register("alice");
    let wrong = |number: usize| {
        let client = app.from(source(number));
        assert_eq!(guess(&client, &alice.email, "wrong password"), 401);
    };
    concurrently(64, size("TOKENHOUSE_TEST_GUESSES", 320), wrong);
    assert_eq!(accounts_with(&app, LIMIT), 1);
    for failures in LIMIT + 1..=MANY {
        let client = app.from(source(failures));
        assert_eq!(guess(&client, &alice.email, &alice.password), 401);
        clock.advance(TimeDelta::hours(1));
        concurrently(3, 3, wrong);
        assert_eq!(accounts_with(&app, failures), 1, "{failures}");
    }
    // An hour later it is open to all addresses again.
    clock.advance(TimeDelta::hours(1));
    assert_eq!(guess(&app, &alice.email, &alice.password), 200);
}

/// One guess in 200 is right, and ten are compared: the right one is among them with probability 1/20.
fn concurrent_guesses_are_counted_before_comparison(backend: Backend) {
    const GUESSES: usize = 200;
    let app = throttled(backend).clock(fixed_clock()).start();
    let alice = app.register("alice");
    let rounds = size("TOKENHOUSE_TEST_ROUNDS", 5);
    let hits = AtomicUsize::new(0);
    for round in 0..rounds {
        app.database().execute("DELETE FROM login_failures");
        let right = rand::random_range(0..GUESSES);
        let statuses = concurrently(GUESSES, GUESSES, |number| {
            let password = if number == right {
                alice.password.as_str()
            } else {
                "wrong password"
            };
            guess(&app.from(source(round)), &alice.email, password)
        });
        match statuses.iter().filter(|status| **status == 200).count() {
            0 => assert_eq!(accounts_with(&app, LIMIT), 1),
            _ => _ = hits.fetch_add(1, Ordering::Relaxed),
        }
        assert!(statuses.iter().all(|status| [200, 401].contains(status)));
    }
    let hits = hits.into_inner();
    println!("{hits} of {rounds} rounds found the password");
    assert!(hits <= rounds / 5 + 3, "{hits} of {rounds} rounds");
}

/// The address in another spelling.
fn respell(email: &str) -> String {
    let mut spelling: String = email
        .chars()
        .map(|c| match (c, rand::random_range(0..3)) {
            ('a'..='z', 0) => c.to_ascii_uppercase(),
            // The same letters in full width: NFKC maps them to ASCII.
            ('a'..='z', 1) => char::from_u32(u32::from(c) + 0xfee0).unwrap(),
            _ => c,
        })
        .collect();
    for around in [" ", "\t"] {
        if rand::random_bool(0.2) {
            spelling = format!("{around}{spelling}{around}");
        }
    }
    if rand::random_bool(0.2) {
        spelling = format!("Some User <{}>", spelling.trim());
    }
    spelling
}

/// Tries a password for an address or with a token, and returns the status.
type Attempt = fn(&Client, &str, &str, &str) -> u16;

/// The three routes that take a password.
const ATTEMPTS: [Attempt; 3] = [
    |client, email, _token, password| guess(client, &respell(email), password),
    |client, _email, token, password| {
        let change = json!({ "current_password": password, "new_password": "a passable phrase" });
        let request = client.post("/users/me/password").bearer(token);
        request.json(&change).send().status
    },
    |client, _email, token, password| {
        let deletion = json!({ "current_password": password });
        let request = client.request("DELETE", "/users/me").bearer(token);
        request.json(&deletion).send().status
    },
];

fn all_spellings_and_routes_share_one_limit(backend: Backend) {
    let app = throttled(backend).clock(fixed_clock()).start();
    let alice = app.register("alice");
    let token = alice.sign_in();
    app.database().execute("DELETE FROM login_failures");
    let statuses = concurrently(8, size("TOKENHOUSE_TEST_SPELLINGS", 150), |number| {
        let attempt = ATTEMPTS.choose(&mut rand::rng()).unwrap();
        attempt(
            &app.from(source(number)),
            &alice.email,
            &token,
            "wrong password",
        )
    });
    assert!(statuses.iter().all(|status| [401, 403].contains(status)));
    assert_eq!((accounts(&app), accounts_with(&app, LIMIT)), (1, 1));
    let right = ATTEMPTS.map(|attempt| attempt(&app, &alice.email, &token, &alice.password));
    assert_eq!(right, [401, 403, 403]);
}

fn fail(app: &Client, alice: &Person, times: usize) {
    for _ in 0..times {
        assert_eq!(guess(app, &alice.email, "wrong password"), 401);
    }
}

fn account_opens_after_the_wait(backend: Backend) {
    let clock = fixed_clock();
    let app = throttled(backend).clock(clock.clone()).start();
    let alice = app.register("alice");
    fail(&app, &alice, LIMIT);
    for seconds in [30, 60] {
        clock.advance(TimeDelta::seconds(seconds) - TimeDelta::microseconds(1));
        assert_eq!(guess(&app, &alice.email, &alice.password), 401);
        clock.advance(TimeDelta::microseconds(1));
        fail(&app, &alice, 1);
    }
    clock.advance(TimeDelta::seconds(120));
    assert_eq!(guess(&app, &alice.email, &alice.password), 200);
}

fn success_resets_the_failures(backend: Backend) {
    let app = throttled(backend).clock(fixed_clock()).start();
    let alice = app.register("alice");
    for number in 0..3 {
        // All of these addresses are unknown.
        fail(&app.from(source(2 * number)), &alice, LIMIT - 1);
        let owner = app.from(source(2 * number + 1));
        assert_eq!(guess(&owner, &alice.email, &alice.password), 200);
        assert_eq!(accounts_with(&app, 0), 1);
    }
}

/// The request is refused for another reason than the password.
fn right_password_never_counts_as_a_failure(backend: Backend) {
    let app = throttled(backend).clock(fixed_clock()).start();
    let (alice, bob) = (app.register("alice"), app.register("bobby"));
    let request_missing_scope = |client: &Client, person: &Person| {
        let fields = [
            ("username", person.email.as_str()),
            ("password", &person.password),
            ("scope", "users:write"),
        ];
        client.post("/token").form(&fields).send().status
    };
    for number in 0..=LIMIT {
        assert_eq!(
            request_missing_scope(&app.from(source(number)), &alice),
            400
        );
    }
    assert_eq!(guess(&app, &alice.email, &alice.password), 200);

    let token = bob.sign_in();
    let change = |app: &TestApp, new: &str| {
        let change = json!({ "current_password": bob.password, "new_password": new });
        let request = app.from(source(99)).post("/users/me/password");
        request.bearer(&token).json(&change).send().status
    };
    for _ in 0..=LIMIT {
        assert_eq!(change(&app, "password123"), 422);
    }
    assert_eq!(change(&app, "a passable phrase"), 204);
    assert_eq!(sign_in(&app, &bob.email, "a passable phrase").status, 200);
}

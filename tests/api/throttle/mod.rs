//! Throttling: limits on password guesses, and who stays able to sign in. Responses reveal nothing
//! about accounts, and name the time to retry.
//!
//! The environment variables read by [`size`] make the runs longer.

mod keys;
mod owners;
mod passwords;
mod processes;

use std::thread;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use serde_json::json;
use tokenhouse::Clock;

use crate::harness::{Backend, Client, Response, TestApp, TestAppBuilder, on_both_databases};

on_both_databases!(
    all_refusals_are_byte_identical,
    throttled_account_cannot_change_its_password,
    limited_address_gets_retry_after,
    registrations_are_limited_by_address,
    strict_status_does_not_change_429,
    limits_off_disables_all_limits,
);

/// Consecutive wrong passwords before an account must wait.
const LIMIT: usize = 10;

/// A server that limits by account, and practically not by address.
fn throttled(backend: Backend) -> TestAppBuilder {
    TestApp::builder(backend)
        .setting("TOKENHOUSE_LIMITS", "on")
        .setting("TOKENHOUSE_LIMIT_ACCOUNT", &LIMIT.to_string())
        .setting("TOKENHOUSE_LIMIT_ADDRESS", "1000000")
}

/// A clock that stands still, so that waits do not pass during the test.
fn fixed_clock() -> Clock {
    Clock::manual(DateTime::UNIX_EPOCH + TimeDelta::days(20_000))
}

/// A distinct client address for each number.
fn source(number: usize) -> [u8; 4] {
    let [.., high, middle, low] = number.to_be_bytes();
    [127, 100 + high, middle, low]
}

fn sign_in(client: &Client, name: &str, password: &str) -> Response {
    client
        .post("/token")
        .form(&[("username", name), ("password", password)])
        .send()
}

/// The status of a sign-in. Retries when the database is busy.
fn guess(client: &Client, name: &str, password: &str) -> u16 {
    for _ in 0..100 {
        let status = sign_in(client, name, password).status;
        if status != 503 {
            return status;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("the server stays busy");
}

/// How many accounts have this many failures, not counting those at known addresses.
fn accounts_with(app: &TestApp, failures: usize) -> i64 {
    app.database().count(&format!(
        "login_failures WHERE account = subject AND failures = {failures}"
    ))
}

/// How many accounts have counters.
fn accounts(app: &TestApp) -> i64 {
    app.database()
        .count("login_failures WHERE account = subject")
}

/// The response without what varies: date, request id, and header order.
fn comparable(response: Response) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let mut headers = response.headers;
    headers.retain(|(name, _)| !["date", "x-request-id"].contains(&name.to_lowercase().as_str()));
    headers.sort();
    (response.status, headers, response.body)
}

fn all_refusals_are_byte_identical(backend: Backend) {
    let app = throttled(backend)
        .clock(fixed_clock())
        .setting("TOKENHOUSE_BCRYPT_COST", "5")
        .start();
    let [
        wrong,
        disabled,
        throttled_user,
        unusable,
        over_long,
        imported,
    ] = ["alice", "bobby", "carol", "david", "fiona", "gregory"].map(|name| app.register(name));
    let cheaper = app.sibling().start().register("emily");
    app.database().execute(
        "UPDATE users SET disabled_at = created_at WHERE email = 'bobby@example.com'; \
         UPDATE users SET hashed_password = '!' WHERE email = 'david@example.com'; \
         UPDATE users SET hashed_password = '$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$aGFzaA' \
             WHERE email = 'gregory@example.com'",
    );
    for _ in 0..LIMIT {
        assert_eq!(guess(&app, &throttled_user.email, "wrong password"), 401);
    }
    let long = "x".repeat(5_000);
    let classes = [
        ("unknown", "nobody@example.com", "wrong password"),
        ("wrong", &wrong.email, "wrong password"),
        ("disabled", &disabled.email, &disabled.password),
        ("throttled", &throttled_user.email, &throttled_user.password),
        ("no usable hash", &unusable.email, &unusable.password),
        ("cheaper hash", &cheaper.email, "wrong password"),
        ("over-long password", &over_long.email, &long),
        ("import-only hash", &imported.email, &imported.password),
    ];
    let expected = comparable(sign_in(&app, "nobody at all", "wrong password"));
    assert_eq!(expected.0, 401);
    // Past the limit too.
    for attempt in 0..=LIMIT + 1 {
        for (class, name, password) in classes {
            let response = comparable(sign_in(&app, name, password));
            assert_eq!(response, expected, "{class}, attempt {attempt}");
        }
    }
}

fn throttled_account_cannot_change_its_password(backend: Backend) {
    let app = throttled(backend).clock(fixed_clock()).start();
    let alice = app.register("alice");
    let token = alice.sign_in();
    let change = |password: &str| {
        let change = json!({ "current_password": password, "new_password": "a passable phrase" });
        let request = app.from(source(1)).post("/users/me/password");
        comparable(request.bearer(&token).json(&change).send())
    };
    let wrong = change("wrong password");
    assert_eq!(wrong.0, 403);
    for _ in 0..LIMIT {
        assert_eq!(change("wrong password"), wrong);
    }
    assert_eq!(change(&alice.password), wrong);
}

/// The seconds until a retry, as sent with a 429.
fn retry_after(response: &Response) -> i64 {
    assert_eq!(response.status, 429, "{response:?}");
    assert_eq!(response.json(), json!({ "detail": "Too many attempts" }));
    let seconds = response.header("retry-after").unwrap();
    seconds.parse().unwrap()
}

fn limited_address_gets_retry_after(backend: Backend) {
    let clock = fixed_clock();
    let app = throttled(backend)
        .clock(clock.clone())
        .setting("TOKENHOUSE_LIMIT_ADDRESS", "8")
        .start();
    let alice = app.register("alice");
    // Successful sign-ins do not count.
    for _ in 0..10 {
        alice.sign_in();
    }
    for number in 0..8 {
        assert_eq!(guess(&app, &format!("n{number}@example.com"), "wrong"), 401);
    }
    // 8 per 60 s is one per 7.5 s. A retry after 7 s would be refused again.
    assert_eq!(retry_after(&sign_in(&app, "n8@example.com", "wrong")), 8);
    assert_eq!(
        retry_after(&sign_in(&app, &alice.email, &alice.password)),
        8
    );
    let elsewhere = app.from(source(1));
    assert_eq!(guess(&elsewhere, &alice.email, &alice.password), 200);
    // The block is kept in memory: by the database's counters, the request would pass.
    app.database().execute("DELETE FROM login_failures");
    assert_eq!(
        retry_after(&sign_in(&app, &alice.email, &alice.password)),
        8
    );
    assert_eq!(app.database().count("login_failures"), 0);
    clock.advance(TimeDelta::seconds(8));
    assert_eq!(guess(&app, &alice.email, &alice.password), 200);
}

fn registrations_are_limited_by_address(backend: Backend) {
    let clock = fixed_clock();
    let app = throttled(backend)
        .clock(clock.clone())
        .setting("TOKENHOUSE_LIMIT_REGISTRATIONS", "2")
        .start();
    let register = |client: &Client, name: &str| {
        let form = json!({
            "name": format!("{name} Example"), "surname": "", "website": "",
            "email": format!("{name}@example.com"), "password": "a passable phrase",
        });
        client.post("/register").json(&form).send()
    };
    assert_eq!(register(&app, "alice").status, 201);
    // A taken address counts too: the response reveals that it is registered.
    assert_eq!(register(&app, "alice").status, 409);
    assert_eq!(retry_after(&register(&app, "bobby")), 1_800);
    assert_eq!(register(&app.from(source(1)), "bobby").status, 201);
    assert_eq!(guess(&app, "alice@example.com", "a passable phrase"), 200);
    clock.advance(TimeDelta::minutes(30));
    assert_eq!(register(&app, "carol").status, 201);
    assert_eq!(register(&app, "david").status, 429);
}

fn strict_status_does_not_change_429(backend: Backend) {
    let app = throttled(backend)
        .clock(fixed_clock())
        .setting("TOKENHOUSE_OAUTH_STRICT_STATUS", "true")
        .setting("TOKENHOUSE_LIMIT_ADDRESS", "1")
        .start();
    assert_eq!(guess(&app, "nobody@example.com", "wrong"), 400);
    assert_eq!(
        retry_after(&sign_in(&app, "nobody@example.com", "wrong")),
        60
    );
}

fn limits_off_disables_all_limits(backend: Backend) {
    let app = throttled(backend)
        .setting("TOKENHOUSE_LIMITS", "off")
        .setting("TOKENHOUSE_LIMIT_ACCOUNT", "1")
        .setting("TOKENHOUSE_LIMIT_ADDRESS", "1")
        .setting("TOKENHOUSE_LIMIT_REGISTRATIONS", "1")
        .start();
    let (alice, _bob) = (app.register("alice"), app.register("bobby"));
    for _ in 0..5 {
        assert_eq!(guess(&app, &alice.email, "wrong password"), 401);
    }
    assert_eq!(guess(&app, &alice.email, &alice.password), 200);
    assert_eq!(app.database().count("login_failures"), 0);
}

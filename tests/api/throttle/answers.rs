//! What the answers tell: nothing about accounts, and to whom it may concern, when to come back.

use chrono::TimeDelta;
use serde_json::json;

use super::{LIMIT, ask, guess, source, standing_clock, throttled};
use crate::harness::{Backend, Client, Response, on_both_databases};

on_both_databases!(
    all_refusals_are_equal_to_the_byte,
    whoever_has_to_wait_cannot_change_a_password,
    an_address_that_asks_too_often_is_told_when_to_come_back,
    registrations_are_limited_by_address,
    strict_status_leaves_too_many_attempts_as_they_are,
    off_switches_all_of_it_off,
);

/// All of an answer but for what differs between any two, the order of the headers among it.
fn comparable(answer: Response) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let mut headers = answer.headers;
    headers.retain(|(name, _)| !["date", "x-request-id"].contains(&name.to_lowercase().as_str()));
    headers.sort();
    (answer.status, headers, answer.body)
}

fn all_refusals_are_equal_to_the_byte(backend: Backend) {
    let app = throttled(backend)
        .clock(standing_clock())
        .setting("TOKENHOUSE_BCRYPT_COST", "5")
        .start();
    let [wrong, disabled, waits, unusable, over_long, imported] =
        ["alice", "bobby", "carol", "david", "fiona", "gregory"].map(|name| app.register(name));
    let cheaper = app.sibling().start().register("emily");
    app.database().execute(
        "UPDATE users SET disabled_at = created_at WHERE email = 'bobby@example.com'; \
         UPDATE users SET hashed_password = '!' WHERE email = 'david@example.com'; \
         UPDATE users SET hashed_password = '$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$aGFzaA' \
             WHERE email = 'gregory@example.com'",
    );
    for _ in 0..LIMIT {
        assert_eq!(guess(&app, &waits.email, "wrong password"), 401);
    }
    let long = "x".repeat(5_000);
    let classes = [
        ("unknown", "nobody@example.com", "wrong password"),
        ("wrong", &wrong.email, "wrong password"),
        ("disabled", &disabled.email, &disabled.password),
        ("throttled", &waits.email, &waits.password),
        ("no usable hash", &unusable.email, &unusable.password),
        ("cheaper hash", &cheaper.email, "wrong password"),
        ("over-long password", &over_long.email, &long),
        ("import-only hash", &imported.email, &imported.password),
    ];
    let expected = comparable(ask(&app, "nobody at all", "wrong password"));
    assert_eq!(expected.0, 401);
    // Past the limit too.
    for attempt in 0..=LIMIT + 1 {
        for (class, name, password) in classes {
            let answer = comparable(ask(&app, name, password));
            assert_eq!(answer, expected, "{class}, attempt {attempt}");
        }
    }
}

fn whoever_has_to_wait_cannot_change_a_password(backend: Backend) {
    let app = throttled(backend).clock(standing_clock()).start();
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

/// The refusal of an address, and the seconds it is told to wait.
fn told_to_wait(answer: &Response) -> i64 {
    assert_eq!(answer.status, 429, "{answer:?}");
    assert_eq!(answer.json(), json!({ "detail": "Too many attempts" }));
    let seconds = answer.header("retry-after").unwrap();
    seconds.parse().unwrap()
}

fn an_address_that_asks_too_often_is_told_when_to_come_back(backend: Backend) {
    let clock = standing_clock();
    let app = throttled(backend)
        .clock(clock.clone())
        .setting("TOKENHOUSE_LIMIT_ADDRESS", "8")
        .start();
    let alice = app.register("alice");
    // What succeeds does not count.
    for _ in 0..10 {
        alice.sign_in();
    }
    for number in 0..8 {
        assert_eq!(guess(&app, &format!("n{number}@example.com"), "wrong"), 401);
    }
    // Eight in 60 s are one in 7.5 s. Who came back after 7 would be refused again.
    assert_eq!(told_to_wait(&ask(&app, "n8@example.com", "wrong")), 8);
    assert_eq!(told_to_wait(&ask(&app, &alice.email, &alice.password)), 8);
    let elsewhere = app.from(source(1));
    assert_eq!(guess(&elsewhere, &alice.email, &alice.password), 200);
    // It is refused from memory: the database, asked now, would let it in.
    app.database().execute("DELETE FROM login_failures");
    assert_eq!(told_to_wait(&ask(&app, &alice.email, &alice.password)), 8);
    assert_eq!(app.database().count("login_failures"), 0);
    clock.advance(TimeDelta::seconds(8));
    assert_eq!(guess(&app, &alice.email, &alice.password), 200);
}

fn registrations_are_limited_by_address(backend: Backend) {
    let clock = standing_clock();
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
    // A taken address counts: it tells who is registered.
    assert_eq!(register(&app, "alice").status, 409);
    assert_eq!(told_to_wait(&register(&app, "bobby")), 1_800);
    assert_eq!(register(&app.from(source(1)), "bobby").status, 201);
    assert_eq!(guess(&app, "alice@example.com", "a passable phrase"), 200);
    clock.advance(TimeDelta::minutes(30));
    assert_eq!(register(&app, "carol").status, 201);
    assert_eq!(register(&app, "david").status, 429);
}

fn strict_status_leaves_too_many_attempts_as_they_are(backend: Backend) {
    let app = throttled(backend)
        .clock(standing_clock())
        .setting("TOKENHOUSE_OAUTH_STRICT_STATUS", "true")
        .setting("TOKENHOUSE_LIMIT_ADDRESS", "1")
        .start();
    assert_eq!(guess(&app, "nobody@example.com", "wrong"), 400);
    assert_eq!(told_to_wait(&ask(&app, "nobody@example.com", "wrong")), 60);
}

fn off_switches_all_of_it_off(backend: Backend) {
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

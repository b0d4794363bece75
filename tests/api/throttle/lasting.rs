//! Strangers shut no account for long, and the owner has ways to open it.

use chrono::TimeDelta;
use serde_json::{Value, json};
use tokenhouse::Clock;

use super::{LIMIT, ask, guess, source, standing_clock, throttled};
use crate::harness::{Backend, Client, Person, STATIC_KEY, TestApp, on_both_databases};

on_both_databases!(
    strangers_shut_an_account_for_an_hour_at_most,
    a_new_password_from_the_operator_opens_the_account,
    a_change_of_the_password_opens_the_account_everywhere,
    an_administrator_unlocks_an_account_over_http,
    the_owner_is_let_in_from_nearby,
    an_attacker_nearby_does_not_keep_the_owner_out,
    the_wait_of_an_account_is_told_to_the_trail_and_the_metrics,
);

const HOME: [u8; 4] = [127, 1, 1, 1];
const NEAR_HOME: [u8; 4] = [127, 1, 1, 200];
const ATTACKER: [u8; 4] = [127, 6, 6, 6];
const NEW_PASSWORD: &str = "a passable phrase";

/// Fails until the account waits for as long as it can.
fn attack(app: &TestApp, clock: &Clock, alice: &Person, from: [u8; 4]) {
    for failure in 0..100 {
        if failure >= LIMIT {
            clock.advance(TimeDelta::hours(1));
        }
        let status = guess(&app.from(from), &alice.email, "wrong password");
        assert_eq!(status, 401);
    }
}

fn attacked(backend: Backend) -> (TestApp, Clock, Person) {
    let clock = standing_clock();
    let app = throttled(backend)
        .clock(clock.clone())
        .setting("TOKENHOUSE_TOKEN_LIFETIME", "31622400")
        .start();
    let alice = app.register("alice");
    (app, clock, alice)
}

fn is_shut(client: &Client, alice: &Person) -> bool {
    guess(client, &alice.email, &alice.password) == 401
}

fn strangers_shut_an_account_for_an_hour_at_most(backend: Backend) {
    let (app, clock, alice) = attacked(backend);
    attack(&app, &clock, &alice, ATTACKER);
    let owner = app.from(source(1));
    assert!(is_shut(&owner, &alice));
    clock.advance(TimeDelta::minutes(59));
    assert!(is_shut(&owner, &alice));
    clock.advance(TimeDelta::minutes(1));
    assert!(!is_shut(&owner, &alice));

    // What is left alone for a day is forgotten.
    attack(&app, &clock, &alice, ATTACKER);
    clock.advance(TimeDelta::days(1));
    for _ in 0..LIMIT {
        assert_eq!(guess(&owner, &alice.email, "wrong password"), 401);
    }
    clock.advance(TimeDelta::seconds(30));
    assert!(!is_shut(&app.from(source(500)), &alice));
}

fn a_new_password_from_the_operator_opens_the_account(backend: Backend) {
    let (app, clock, alice) = attacked(backend);
    attack(&app, &clock, &alice, ATTACKER);
    let owner = app.from(source(1));
    assert!(is_shut(&owner, &alice));
    let mut passwd = app.program(&["user", "passwd", &alice.email]);
    let output = with_input(&mut passwd, NEW_PASSWORD);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(guess(&owner, &alice.email, NEW_PASSWORD), 200);
}

fn with_input(command: &mut std::process::Command, line: &str) -> std::process::Output {
    use std::io::Write;
    use std::process::Stdio;

    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{line}").unwrap();
    drop(input);
    child.wait_with_output().unwrap()
}

fn change_password(client: &Client, token: &str, alice: &Person) -> u16 {
    let change = json!({ "current_password": alice.password, "new_password": NEW_PASSWORD });
    let request = client.post("/users/me/password").bearer(token);
    request.json(&change).send().status
}

fn a_change_of_the_password_opens_the_account_everywhere(backend: Backend) {
    let (app, clock, alice) = attacked(backend);
    let home = app.from(HOME);
    let answer = ask(&home, &alice.email, &alice.password);
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    attack(&app, &clock, &alice, ATTACKER);
    let elsewhere = app.from(source(1));
    assert!(is_shut(&elsewhere, &alice));
    // From a new address it is not possible, and from the own one it is while the attack goes on.
    assert_eq!(change_password(&elsewhere, &token, &alice), 403);
    assert_eq!(change_password(&home, &token, &alice), 204);
    assert_eq!(guess(&elsewhere, &alice.email, NEW_PASSWORD), 200);
}

fn an_administrator_unlocks_an_account_over_http(backend: Backend) {
    let (app, clock, alice) = attacked(backend);
    let admin = app.register_with("admin", "users:write").sign_in();
    let unlock = |id: i64| {
        let request = app.post(&format!("/admin/users/{id}/unlock"));
        request.bearer(&admin).send().status
    };
    attack(&app, &clock, &alice, ATTACKER);
    let elsewhere = app.from(source(1));
    assert!(is_shut(&elsewhere, &alice));
    assert_eq!(unlock(1), 204);
    assert!(!is_shut(&elsewhere, &alice));
    // Also where there is nothing to forget.
    assert_eq!(unlock(1), 204);
    assert_eq!(unlock(99), 404);
    let rows = "audit_events WHERE action = 'user.unlock' AND target = 'user:1' AND result = 'ok'";
    assert_eq!(app.database().count(rows), 2);
}

fn the_owner_is_let_in_from_nearby(backend: Backend) {
    let (app, clock, alice) = attacked(backend);
    assert!(!is_shut(&app.from(HOME), &alice));
    attack(&app, &clock, &alice, ATTACKER);
    assert!(is_shut(&app.from(source(1)), &alice));
    assert!(!is_shut(&app.from(NEAR_HOME), &alice));
    assert!(!is_shut(&app.from(HOME), &alice));
}

fn an_attacker_nearby_does_not_keep_the_owner_out(backend: Backend) {
    let (app, clock, alice) = attacked(backend);
    assert!(!is_shut(&app.from(HOME), &alice));
    attack(&app, &clock, &alice, NEAR_HOME);
    assert!(is_shut(&app.from(NEAR_HOME), &alice));
    let also_near = app.from([127, 1, 1, 7]);
    assert!(is_shut(&also_near, &alice));
    assert!(!is_shut(&app.from(HOME), &alice));
    // A success at home gives nobody nearby more guesses.
    assert!(is_shut(&also_near, &alice));
    assert!(!is_shut(&app.from(source(1)), &alice));
}

fn the_wait_of_an_account_is_told_to_the_trail_and_the_metrics(backend: Backend) {
    let (app, clock, alice) = attacked(backend);
    attack(&app, &clock, &alice, ATTACKER);
    for _ in 0..5 {
        assert!(is_shut(&app.from(source(1)), &alice));
    }
    let told = || -> Vec<Value> {
        let details = app.database().texts(
            "SELECT detail AS text FROM audit_events \
             WHERE action = 'account.throttled' AND target = 'user:1' ORDER BY id",
        );
        let details = details.iter();
        details
            .map(|detail| serde_json::from_str(detail).unwrap())
            .collect()
    };
    assert_eq!(told(), [json!({ "known": false, "longest": true })]);
    // A name that is no user's is told of too, so that the time does not tell them apart.
    for _ in 0..=LIMIT {
        assert_eq!(guess(&app, "nobody@example.com", "wrong password"), 401);
    }
    let of_nobody = "audit_events WHERE action = 'account.throttled' AND target = ''";
    assert_eq!(app.database().count(of_nobody), 1);
    let metrics = app.get("/metrics").header("Token", STATIC_KEY).send();
    for line in [
        r#"tokenhouse_account_waits_total{stage="first"} 1"#,
        r#"tokenhouse_account_waits_total{stage="longest"} 1"#,
    ] {
        assert!(metrics.text().contains(line), "{}", metrics.text());
    }
}

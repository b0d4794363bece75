//! Attacks on an account do not lock out its owner for long, and the owner has ways to unlock it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use chrono::TimeDelta;
use serde_json::{Value, json};
use tokenhouse::Clock;

use super::{LIMIT, accounts_with, fixed_clock, guess, sign_in, source, throttled};
use crate::harness::{
    Backend, Client, Person, STATIC_KEY, StopOnDrop, TestApp, on_both_databases, run_with_input,
};

on_both_databases!(
    owner_signs_in_from_a_known_address_during_an_attack,
    known_address_has_its_own_limit,
    unlock_keeps_known_addresses,
    attackers_lock_an_account_for_at_most_an_hour,
    passwd_by_the_operator_unlocks_the_account,
    password_change_unlocks_the_account_everywhere,
    administrator_unlocks_an_account_over_http,
    owner_can_sign_in_from_a_nearby_address,
    attacker_at_a_nearby_address_does_not_lock_out_the_owner,
    account_waits_are_audited_and_counted,
);

const HOME: [u8; 4] = [127, 1, 1, 1];
const ATTACKER: [u8; 4] = [127, 6, 6, 6];

fn owner_signs_in_from_a_known_address_during_an_attack(backend: Backend) {
    let clock = fixed_clock();
    let app = throttled(backend).clock(clock.clone()).start();
    let alice = app.register("alice");
    assert_eq!(guess(&app.from(HOME), &alice.email, &alice.password), 200);
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let stop = StopOnDrop(&is_done);
        let attack = || {
            while !is_done.load(Ordering::Relaxed) {
                let status = guess(&app.from(ATTACKER), &alice.email, "wrong password");
                assert_eq!(status, 401);
            }
        };
        let attackers = [scope.spawn(attack), scope.spawn(attack)];
        let statuses: Vec<u16> = (0..30)
            .map(|_| {
                clock.advance(TimeDelta::minutes(31));
                guess(&app.from(HOME), &alice.email, &alice.password)
            })
            .collect();
        drop(stop);
        for attacker in attackers {
            attacker.join().unwrap();
        }
        assert_eq!(statuses, [200; 30]);
    });
    let throttled_accounts =
        "login_failures WHERE account = subject AND failures BETWEEN 10 AND 100";
    assert_eq!(app.database().count(throttled_accounts), 1);
}

fn known_address_has_its_own_limit(backend: Backend) {
    let app = throttled(backend).clock(fixed_clock()).start();
    let alice = app.register("alice");
    let home = app.from(HOME);
    assert_eq!(guess(&home, &alice.email, &alice.password), 200);
    for _ in 0..LIMIT {
        assert_eq!(guess(&home, &alice.email, "wrong password"), 401);
    }
    assert_eq!(guess(&home, &alice.email, &alice.password), 401);
    // The account's own limit is untouched, and so are other accounts at this address.
    assert_eq!(accounts_with(&app, 0), 1);
    let elsewhere = app.from(source(1));
    assert_eq!(guess(&elsewhere, &alice.email, &alice.password), 200);
    let bob = app.register("bobby");
    assert_eq!(guess(&home, &bob.email, &bob.password), 200);
}

fn unlock_keeps_known_addresses(backend: Backend) {
    let app = throttled(backend).clock(fixed_clock()).start();
    let alice = app.register("alice");
    let unlock = |app: &TestApp| {
        let unlock = ["user", "unlock", "Alice@EXAMPLE.com"];
        let output = app.program(&unlock).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let was_unlocked = format!("unlocked {}\n", alice.email);
    let (home, attacker) = (app.from(HOME), app.from(ATTACKER));
    let attack = || {
        for _ in 0..=LIMIT {
            assert_eq!(guess(&attacker, &alice.email, "wrong password"), 401);
        }
    };
    assert_eq!(guess(&home, &alice.email, &alice.password), 200);
    assert_eq!(unlock(&app), format!("{} was not locked\n", alice.email));
    attack();
    let elsewhere = app.from(source(1));
    assert_eq!(guess(&elsewhere, &alice.email, &alice.password), 401);
    assert_eq!(unlock(&app), was_unlocked);
    attack();
    assert_eq!(guess(&elsewhere, &alice.email, &alice.password), 401);
    assert_eq!(guess(&home, &alice.email, &alice.password), 200);
    assert_eq!(unlock(&app), was_unlocked);
    assert_eq!(guess(&elsewhere, &alice.email, &alice.password), 200);
}

const NEAR_HOME: [u8; 4] = [127, 1, 1, 200];
const NEW_PASSWORD: &str = "a passable phrase";

/// Fails sign-ins until the account's wait has reached its maximum.
fn attack(app: &TestApp, clock: &Clock, alice: &Person, from: [u8; 4]) {
    for failure in 0..100 {
        if failure >= LIMIT {
            clock.advance(TimeDelta::hours(1));
        }
        let status = guess(&app.from(from), &alice.email, "wrong password");
        assert_eq!(status, 401);
    }
}

fn fixture(backend: Backend) -> (TestApp, Clock, Person) {
    let clock = fixed_clock();
    let app = throttled(backend)
        .clock(clock.clone())
        .setting("TOKENHOUSE_TOKEN_LIFETIME", "31622400")
        .start();
    let alice = app.register("alice");
    (app, clock, alice)
}

fn is_locked(client: &Client, alice: &Person) -> bool {
    guess(client, &alice.email, &alice.password) == 401
}

fn attackers_lock_an_account_for_at_most_an_hour(backend: Backend) {
    let (app, clock, alice) = fixture(backend);
    attack(&app, &clock, &alice, ATTACKER);
    let owner = app.from(source(1));
    assert!(is_locked(&owner, &alice));
    clock.advance(TimeDelta::minutes(59));
    assert!(is_locked(&owner, &alice));
    clock.advance(TimeDelta::minutes(1));
    assert!(!is_locked(&owner, &alice));

    // Failures are forgotten after a day without any.
    attack(&app, &clock, &alice, ATTACKER);
    clock.advance(TimeDelta::days(1));
    for _ in 0..LIMIT {
        assert_eq!(guess(&owner, &alice.email, "wrong password"), 401);
    }
    clock.advance(TimeDelta::seconds(30));
    assert!(!is_locked(&app.from(source(500)), &alice));
}

fn passwd_by_the_operator_unlocks_the_account(backend: Backend) {
    let (app, clock, alice) = fixture(backend);
    attack(&app, &clock, &alice, ATTACKER);
    let owner = app.from(source(1));
    assert!(is_locked(&owner, &alice));
    let mut passwd = app.program(&["user", "passwd", &alice.email]);
    let output = run_with_input(&mut passwd, format!("{NEW_PASSWORD}\n"));
    assert!(output.status.success(), "{output:?}");
    assert_eq!(guess(&owner, &alice.email, NEW_PASSWORD), 200);
}

fn change_password(client: &Client, token: &str, alice: &Person) -> u16 {
    let change = json!({ "current_password": alice.password, "new_password": NEW_PASSWORD });
    let request = client.post("/users/me/password").bearer(token);
    request.json(&change).send().status
}

fn password_change_unlocks_the_account_everywhere(backend: Backend) {
    let (app, clock, alice) = fixture(backend);
    let home = app.from(HOME);
    let response = sign_in(&home, &alice.email, &alice.password);
    let token = response.json()["access_token"].as_str().unwrap().to_owned();
    attack(&app, &clock, &alice, ATTACKER);
    let elsewhere = app.from(source(1));
    assert!(is_locked(&elsewhere, &alice));
    // A new address cannot change the password, and the known one can while the attack goes on.
    assert_eq!(change_password(&elsewhere, &token, &alice), 403);
    assert_eq!(change_password(&home, &token, &alice), 204);
    assert_eq!(guess(&elsewhere, &alice.email, NEW_PASSWORD), 200);
}

fn administrator_unlocks_an_account_over_http(backend: Backend) {
    let (app, clock, alice) = fixture(backend);
    let admin = app.register_with("admin", "users:write").sign_in();
    let unlock = |id: i64| {
        let request = app.post(&format!("/admin/users/{id}/unlock"));
        request.bearer(&admin).send().status
    };
    attack(&app, &clock, &alice, ATTACKER);
    let elsewhere = app.from(source(1));
    assert!(is_locked(&elsewhere, &alice));
    assert_eq!(unlock(1), 204);
    assert!(!is_locked(&elsewhere, &alice));
    // Also when there is nothing to unlock.
    assert_eq!(unlock(1), 204);
    assert_eq!(unlock(99), 404);
    let rows = "audit_events WHERE action = 'user.unlock' AND target = 'user:1' AND result = 'ok'";
    assert_eq!(app.database().count(rows), 2);
}

fn owner_can_sign_in_from_a_nearby_address(backend: Backend) {
    let (app, clock, alice) = fixture(backend);
    assert!(!is_locked(&app.from(HOME), &alice));
    attack(&app, &clock, &alice, ATTACKER);
    assert!(is_locked(&app.from(source(1)), &alice));
    assert!(!is_locked(&app.from(NEAR_HOME), &alice));
    assert!(!is_locked(&app.from(HOME), &alice));
}

fn attacker_at_a_nearby_address_does_not_lock_out_the_owner(backend: Backend) {
    let (app, clock, alice) = fixture(backend);
    assert!(!is_locked(&app.from(HOME), &alice));
    attack(&app, &clock, &alice, NEAR_HOME);
    assert!(is_locked(&app.from(NEAR_HOME), &alice));
    let also_near = app.from([127, 1, 1, 7]);
    assert!(is_locked(&also_near, &alice));
    assert!(!is_locked(&app.from(HOME), &alice));
    // A success at home gives nearby addresses no more guesses.
    assert!(is_locked(&also_near, &alice));
    assert!(!is_locked(&app.from(source(1)), &alice));
}

fn account_waits_are_audited_and_counted(backend: Backend) {
    let (app, clock, alice) = fixture(backend);
    attack(&app, &clock, &alice, ATTACKER);
    for _ in 0..5 {
        assert!(is_locked(&app.from(source(1)), &alice));
    }
    let events = || -> Vec<Value> {
        let details = app.database().texts(
            "SELECT detail AS text FROM audit_events \
             WHERE action = 'account.throttled' AND target = 'user:1' ORDER BY id",
        );
        let details = details.iter();
        details
            .map(|detail| serde_json::from_str(detail).unwrap())
            .collect()
    };
    assert_eq!(events(), [json!({ "known": false, "longest": true })]);
    // An unknown name is recorded too, so that timing does not distinguish it.
    for _ in 0..=LIMIT {
        assert_eq!(guess(&app, "nobody@example.com", "wrong password"), 401);
    }
    let unknown_user_events = "audit_events WHERE action = 'account.throttled' AND target = ''";
    assert_eq!(app.database().count(unknown_user_events), 1);
    let metrics = app.get("/metrics").header("Token", STATIC_KEY).send();
    for line in [
        r#"tokenhouse_account_waits_total{stage="first"} 1"#,
        r#"tokenhouse_account_waits_total{stage="longest"} 1"#,
    ] {
        assert!(metrics.text().contains(line), "{}", metrics.text());
    }
}

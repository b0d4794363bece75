//! What an attacker does to an account does not keep its owner out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use chrono::TimeDelta;

use super::{LIMIT, accounts_with, guess, source, standing_clock, throttled};
use crate::harness::{Backend, TestApp, on_both_databases};

on_both_databases!(
    the_owner_gets_in_from_a_known_address_whatever_an_attacker_does,
    a_known_address_has_a_budget_of_its_own_and_no_more,
    the_operator_unlocks_an_account_and_known_addresses_stay_known,
);

const HOME: [u8; 4] = [127, 1, 1, 1];
const ATTACKER: [u8; 4] = [127, 6, 6, 6];

fn the_owner_gets_in_from_a_known_address_whatever_an_attacker_does(backend: Backend) {
    let clock = standing_clock();
    let app = throttled(backend).clock(clock.clone()).start();
    let alice = app.register("alice");
    assert_eq!(guess(&app.from(HOME), &alice.email, &alice.password), 200);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let attack = || {
            while !is_over.load(Ordering::Relaxed) {
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
        is_over.store(true, Ordering::Relaxed);
        for attacker in attackers {
            attacker.join().unwrap();
        }
        assert_eq!(statuses, [200; 30]);
    });
    let held = "login_failures WHERE account = subject AND failures BETWEEN 10 AND 100";
    assert_eq!(app.database().count(held), 1);
}

fn a_known_address_has_a_budget_of_its_own_and_no_more(backend: Backend) {
    let app = throttled(backend).clock(standing_clock()).start();
    let alice = app.register("alice");
    let home = app.from(HOME);
    assert_eq!(guess(&home, &alice.email, &alice.password), 200);
    for _ in 0..LIMIT {
        assert_eq!(guess(&home, &alice.email, "wrong password"), 401);
    }
    assert_eq!(guess(&home, &alice.email, &alice.password), 401);
    // The account's own budget was not touched, and neither is that of others from there.
    assert_eq!(accounts_with(&app, 0), 1);
    let elsewhere = app.from(source(1));
    assert_eq!(guess(&elsewhere, &alice.email, &alice.password), 200);
    let bob = app.register("bobby");
    assert_eq!(guess(&home, &bob.email, &bob.password), 200);
}

fn the_operator_unlocks_an_account_and_known_addresses_stay_known(backend: Backend) {
    let app = throttled(backend).clock(standing_clock()).start();
    let alice = app.register("alice");
    let unlock = |app: &TestApp| {
        let unlock = ["user", "unlock", "Alice@EXAMPLE.com"];
        let output = app.program(&unlock).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let (home, attacker) = (app.from(HOME), app.from(ATTACKER));
    let attack = || {
        for _ in 0..=LIMIT {
            assert_eq!(guess(&attacker, &alice.email, "wrong password"), 401);
        }
    };
    assert_eq!(guess(&home, &alice.email, &alice.password), 200);
    assert_eq!(unlock(&app), "was not locked\n");
    attack();
    let elsewhere = app.from(source(1));
    assert_eq!(guess(&elsewhere, &alice.email, &alice.password), 401);
    assert_eq!(unlock(&app), "unlocked\n");
    attack();
    assert_eq!(guess(&elsewhere, &alice.email, &alice.password), 401);
    assert_eq!(guess(&home, &alice.email, &alice.password), 200);
    assert_eq!(unlock(&app), "unlocked\n");
    assert_eq!(guess(&elsewhere, &alice.email, &alice.password), 200);
}

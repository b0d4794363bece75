//! Attempts that come at the same time: a right password is not wrong because others came with it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use chrono::TimeDelta;

use super::{LIMIT, accounts_with, ask, source, standing_clock, throttled};
use crate::harness::{
    Backend, Client, TestApp, TestAppBuilder, concurrently, on_both_databases, size,
};

on_both_databases!(
    right_passwords_at_once_are_never_told_wrong,
    right_ones_among_wrong_ones_are_told_right,
    what_was_not_compared_does_not_count,
    an_account_has_a_rate_of_sign_ins,
    an_attacker_who_knows_one_password_keeps_others_in,
);

/// Statuses of sign-ins that come together; those that are told to come back are not in it.
fn sign_in_at_once(clients: &[Client], times: usize, email: &str, password: &str) -> Vec<u16> {
    let answers = concurrently(times, times, |number| {
        let answer = ask(&clients[number % clients.len()], email, password);
        if [429, 503].contains(&answer.status) {
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
        }
        answer.status
    });
    let told_to_come_back = |status: &u16| [429, 503].contains(status);
    answers
        .into_iter()
        .filter(|status| !told_to_come_back(status))
        .collect()
}

fn right_passwords_at_once_are_never_told_wrong(backend: Backend) {
    let clock = standing_clock();
    let start = |builder: TestAppBuilder| {
        builder
            .clock(clock.clone())
            .setting("TOKENHOUSE_BCRYPT_COST", "7")
            .setting("TOKENHOUSE_LIMIT_SIGN_INS", "1000")
    };
    let app = start(throttled(backend)).start();
    let beside = start(throttled(backend)).on_database_of(&app).start();
    let alice = app.register("alice");
    for round in 0..3 {
        // From an address that is not known, from there again, and at two servers.
        let from = source(round / 2);
        let servers = [app.from(from), beside.from(from)];
        let servers = &servers[..=round / 2];
        let statuses = sign_in_at_once(servers, 32, &alice.email, &alice.password);
        assert!(!statuses.is_empty());
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
        let under_way = app.database().count("login_failures WHERE under_way > 0");
        assert_eq!((accounts_with(&app, 0), under_way), (1, 0), "{round}");
    }
}

fn right_ones_among_wrong_ones_are_told_right(backend: Backend) {
    let app = throttled(backend).clock(standing_clock()).start();
    let alice = app.register("alice");
    for round in 0..size("TOKENHOUSE_TEST_ROUNDS", 5) {
        let wrong = AtomicUsize::new(0);
        let statuses = concurrently(32, 32, |number| {
            let client = app.from(source(round));
            // One less than it takes to be made to wait.
            let is_wrong = number % 3 == 0 && wrong.fetch_add(1, Ordering::SeqCst) + 1 < LIMIT;
            let password = if is_wrong {
                "wrong password"
            } else {
                &alice.password
            };
            (is_wrong, ask(&client, &alice.email, password).status)
        });
        for (is_wrong, status) in statuses {
            let expected = if is_wrong { 401 } else { 200 };
            assert!(
                [expected, 429, 503].contains(&status),
                "{is_wrong} {status}"
            );
        }
        app.database().execute("DELETE FROM login_failures");
    }
}

fn what_was_not_compared_does_not_count(backend: Backend) {
    let unhurried = TestApp::start(backend);
    let alice = unhurried.register("alice");
    let app = throttled(backend)
        .on_database_of(&unhurried)
        .clock(standing_clock())
        .setting("TOKENHOUSE_BCRYPT_COST", "10")
        .setting("TOKENHOUSE_HASH_QUEUE_MS", "1")
        .start();
    for round in 0..3 {
        let client = [app.from(source(round))];
        let statuses = sign_in_at_once(&client, 24, &alice.email, &alice.password);
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    }
    let counted = app.database().count("login_failures WHERE failures > 0");
    assert_eq!(counted, 0);
}

fn an_account_has_a_rate_of_sign_ins(backend: Backend) {
    let clock = standing_clock();
    let app = throttled(backend)
        .clock(clock.clone())
        .setting("TOKENHOUSE_LIMIT_SIGN_INS", "3")
        .start();
    let (alice, bob) = (app.register("alice"), app.register("bobby"));
    let [here, elsewhere] = [1, 2].map(|number| app.from(source(number)));
    // A third more at once.
    for _ in 0..4 {
        assert_eq!(ask(&here, &alice.email, &alice.password).status, 200);
    }
    let told = ask(&elsewhere, &alice.email, &alice.password);
    assert_eq!(told.status, 429, "{told:?}");
    assert_eq!(told.header("retry-after").as_deref(), Some("20"));
    // Whoever has not shown the password learns nothing of it.
    let stranger = app.from(source(3));
    assert_eq!(ask(&stranger, &alice.email, "wrong password").status, 401);
    assert_eq!(ask(&stranger, &bob.email, &bob.password).status, 200);
    clock.advance(TimeDelta::seconds(20));
    assert_eq!(ask(&elsewhere, &alice.email, &alice.password).status, 200);
    assert_eq!(ask(&here, &alice.email, &alice.password).status, 429);
    let refused = app
        .database()
        .count("audit_events WHERE action = 'login' AND detail LIKE '%throttled%'");
    assert_eq!(refused, 2);
}

fn an_attacker_who_knows_one_password_keeps_others_in(backend: Backend) {
    let connections = size("TOKENHOUSE_TEST_CONNECTIONS", 120);
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_LIMITS", "on")
        .setting("TOKENHOUSE_BCRYPT_COST", "9")
        .setting("TOKENHOUSE_HASH_QUEUE_MS", "5000")
        .start();
    let (mallory, victim) = (app.register("mallory"), app.register("alice"));
    let (is_over, let_in) = (AtomicBool::new(false), AtomicUsize::new(0));
    let attack = || {
        let client = app.from([127, 6, 6, 6]);
        let fields = [
            ("username", mallory.email.as_str()),
            ("password", &mallory.password),
        ];
        while !is_over.load(Ordering::Relaxed) {
            // An attacker waits for its turn, perhaps for longer than the client of the tests does.
            let Ok(answer) = client.post("/token").form(&fields).try_send() else {
                continue;
            };
            assert!([200, 429, 503].contains(&answer.status), "{answer:?}");
            let_in.fetch_add(usize::from(answer.status == 200), Ordering::Relaxed);
        }
    };
    let statuses = thread::scope(|scope| {
        let attackers: Vec<_> = (0..connections).map(|_| scope.spawn(attack)).collect();
        while let_in.load(Ordering::Relaxed) == 0 && !attackers[0].is_finished() {
            thread::yield_now();
        }
        let client = app.from(source(1));
        let statuses = [(); 5].map(|()| ask(&client, &victim.email, &victim.password).status);
        is_over.store(true, Ordering::Relaxed);
        statuses
    });
    assert_eq!(statuses, [200; 5]);
}

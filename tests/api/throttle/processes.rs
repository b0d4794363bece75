//! Concurrent attempts and restarts: processes share the counters, the counters survive them, and a
//! right password is not refused because of other attempts.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use chrono::TimeDelta;
use tokenhouse::store::Store;
use tokenhouse::{Auth, Clock};

use super::{LIMIT, accounts_with, fixed_clock, guess, sign_in, source, throttled};
use crate::harness::{
    Backend, Client, StopOnDrop, TestApp, TestAppBuilder, concurrently, on_both_databases, runtime,
    size,
};

on_both_databases!(
    concurrent_right_passwords_are_never_refused,
    right_passwords_among_wrong_ones_are_accepted,
    attempts_not_compared_do_not_count,
    sign_ins_per_account_are_limited,
    attacker_with_one_password_does_not_lock_out_others,
    killed_process_forgets_no_failures,
    guesses_in_progress_count_when_the_process_is_killed,
    processes_share_the_limits,
    expired_counters_are_pruned,
);

/// Statuses of concurrent sign-ins, without those that must retry later.
fn sign_in_concurrently(clients: &[Client], times: usize, email: &str, password: &str) -> Vec<u16> {
    let responses = concurrently(times, times, |number| {
        let response = sign_in(&clients[number % clients.len()], email, password);
        if [429, 503].contains(&response.status) {
            assert!(response.header("retry-after").is_some(), "{response:?}");
        }
        response.status
    });
    let is_deferred = |status: &u16| [429, 503].contains(status);
    responses
        .into_iter()
        .filter(|status| !is_deferred(status))
        .collect()
}

fn concurrent_right_passwords_are_never_refused(backend: Backend) {
    let clock = fixed_clock();
    let start = |builder: TestAppBuilder| {
        builder
            .clock(clock.clone())
            .setting("TOKENHOUSE_BCRYPT_COST", "7")
            .setting("TOKENHOUSE_LIMIT_SIGN_INS", "1000")
    };
    let app = start(throttled(backend)).start();
    let second = start(throttled(backend)).on_database_of(&app).start();
    let alice = app.register("alice");
    for round in 0..3 {
        // From an unknown address, from the same address again, and at two servers.
        let from = source(round / 2);
        let servers = [app.from(from), second.from(from)];
        let servers = &servers[..=round / 2];
        let statuses = sign_in_concurrently(servers, 32, &alice.email, &alice.password);
        assert!(!statuses.is_empty());
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
        let in_progress = app.database().count("login_failures WHERE under_way > 0");
        assert_eq!((accounts_with(&app, 0), in_progress), (1, 0), "{round}");
    }
}

fn right_passwords_among_wrong_ones_are_accepted(backend: Backend) {
    let app = throttled(backend).clock(fixed_clock()).start();
    let alice = app.register("alice");
    for round in 0..size("TOKENHOUSE_TEST_ROUNDS", 5) {
        let wrong = AtomicUsize::new(0);
        let statuses = concurrently(32, 32, |number| {
            let client = app.from(source(round));
            // One less than it takes to throttle the account.
            let is_wrong = number % 3 == 0 && wrong.fetch_add(1, Ordering::SeqCst) + 1 < LIMIT;
            let password = if is_wrong {
                "wrong password"
            } else {
                &alice.password
            };
            (is_wrong, sign_in(&client, &alice.email, password).status)
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

fn attempts_not_compared_do_not_count(backend: Backend) {
    let patient = TestApp::start(backend);
    let alice = patient.register("alice");
    let app = throttled(backend)
        .on_database_of(&patient)
        .clock(fixed_clock())
        .setting("TOKENHOUSE_BCRYPT_COST", "10")
        .setting("TOKENHOUSE_HASH_QUEUE_MS", "1")
        .start();
    for round in 0..3 {
        let client = [app.from(source(round))];
        let statuses = sign_in_concurrently(&client, 24, &alice.email, &alice.password);
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    }
    let counted = app.database().count("login_failures WHERE failures > 0");
    assert_eq!(counted, 0);
}

fn sign_ins_per_account_are_limited(backend: Backend) {
    let clock = fixed_clock();
    let app = throttled(backend)
        .clock(clock.clone())
        .setting("TOKENHOUSE_LIMIT_SIGN_INS", "3")
        .start();
    let (alice, bob) = (app.register("alice"), app.register("bobby"));
    let [here, elsewhere] = [1, 2].map(|number| app.from(source(number)));
    // The burst is a third larger.
    for _ in 0..4 {
        assert_eq!(sign_in(&here, &alice.email, &alice.password).status, 200);
    }
    let limited = sign_in(&elsewhere, &alice.email, &alice.password);
    assert_eq!(limited.status, 429, "{limited:?}");
    assert_eq!(limited.header("retry-after").as_deref(), Some("20"));
    // A client with a wrong password does not learn about the limit.
    let stranger = app.from(source(3));
    assert_eq!(
        sign_in(&stranger, &alice.email, "wrong password").status,
        401
    );
    assert_eq!(sign_in(&stranger, &bob.email, &bob.password).status, 200);
    clock.advance(TimeDelta::seconds(20));
    assert_eq!(
        sign_in(&elsewhere, &alice.email, &alice.password).status,
        200
    );
    assert_eq!(sign_in(&here, &alice.email, &alice.password).status, 429);
    let refused = app
        .database()
        .count("audit_events WHERE action = 'login' AND detail LIKE '%throttled%'");
    assert_eq!(refused, 2);
}

fn attacker_with_one_password_does_not_lock_out_others(backend: Backend) {
    let connections = size("TOKENHOUSE_TEST_CONNECTIONS", 120);
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_LIMITS", "on")
        .setting("TOKENHOUSE_BCRYPT_COST", "9")
        .setting("TOKENHOUSE_HASH_QUEUE_MS", "5000")
        .start();
    let (mallory, victim) = (app.register("mallory"), app.register("alice"));
    let (is_done, accepted) = (AtomicBool::new(false), AtomicUsize::new(0));
    let attack = || {
        let client = app.from([127, 6, 6, 6]);
        let fields = [
            ("username", mallory.email.as_str()),
            ("password", &mallory.password),
        ];
        while !is_done.load(Ordering::Relaxed) {
            // An attacker may wait in the queue longer than the timeout of the test client.
            let Ok(response) = client.post("/token").form(&fields).try_send() else {
                continue;
            };
            assert!([200, 429, 503].contains(&response.status), "{response:?}");
            accepted.fetch_add(usize::from(response.status == 200), Ordering::Relaxed);
        }
    };
    let statuses = thread::scope(|scope| {
        let _stop = StopOnDrop(&is_done);
        let attackers: Vec<_> = (0..connections).map(|_| scope.spawn(attack)).collect();
        while accepted.load(Ordering::Relaxed) == 0 && !attackers[0].is_finished() {
            thread::yield_now();
        }
        let client = app.from(source(1));
        [(); 5].map(|()| sign_in(&client, &victim.email, &victim.password).status)
    });
    assert_eq!(statuses, [200; 5]);
}

/// A short hash queue, so that attempts in progress at a killed process soon count as failed.
const LIMITS_ON: [(&str, &str); 2] = [
    ("TOKENHOUSE_LIMITS", "on"),
    ("TOKENHOUSE_HASH_QUEUE_MS", "1000"),
];

fn killed_process_forgets_no_failures(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    for _ in 0..size("TOKENHOUSE_TEST_CRASHES", 2) {
        app.database().execute("DELETE FROM login_failures");
        let (process, server) = app.spawn_server_with(&LIMITS_ON);
        for _ in 0..LIMIT - 1 {
            assert_eq!(guess(&server, &alice.email, "wrong password"), 401);
        }
        process.signal("KILL");
        drop(process);
        let (_process, server) = app.spawn_server_with(&LIMITS_ON);
        assert_eq!(guess(&server, &alice.email, "wrong password"), 401);
        for _ in 0..4 {
            assert_eq!(guess(&server, &alice.email, &alice.password), 401);
        }
        assert_eq!(accounts_with(&app, LIMIT), 1);
    }
}

fn guesses_in_progress_count_when_the_process_is_killed(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    for _ in 0..size("TOKENHOUSE_TEST_CRASHES", 2) {
        app.database().execute("DELETE FROM login_failures");
        let (process, server) = app.spawn_server_with(&LIMITS_ON);
        let answered = thread::scope(|scope| {
            let guesses = scope.spawn(|| {
                concurrently(6, 6, |_| {
                    let form = [("username", alice.email.as_str()), ("password", "wrong")];
                    server.post("/token").form(&form).try_send().is_ok()
                })
            });
            thread::sleep(Duration::from_millis(rand::random_range(0..30)));
            process.signal("KILL");
            guesses.join().unwrap()
        });
        let answered = answered.into_iter().filter(|is| *is).count();
        let smaller_counts = (0..answered).map(|failures| accounts_with(&app, failures));
        assert_eq!(
            smaller_counts.sum::<i64>(),
            0,
            "{answered} guesses were answered"
        );
        drop(process);
        let (_process, server) = app.spawn_server_with(&LIMITS_ON);
        for _ in 0..LIMIT {
            assert_eq!(guess(&server, &alice.email, "wrong password"), 401);
        }
        assert_eq!(guess(&server, &alice.email, &alice.password), 401);
        assert_eq!(accounts_with(&app, LIMIT), 1);
    }
}

fn processes_share_the_limits(backend: Backend) {
    let clock = fixed_clock();
    let [app, second] = {
        let builder = |clock| {
            let builder = throttled(backend).clock(clock);
            builder.setting("TOKENHOUSE_LIMIT_ADDRESS", "30")
        };
        let app = builder(clock.clone()).start();
        let second = builder(clock).on_database_of(&app).start();
        [app, second]
    };
    let alice = app.register("alice");
    let servers = [*app, *second];
    concurrently(16, 40, |number| {
        let client = servers[number % 2].from(source(number));
        assert_eq!(guess(&client, &alice.email, "wrong password"), 401);
    });
    assert_eq!(accounts_with(&app, LIMIT), 1);
    for server in servers {
        assert_eq!(guess(&server, &alice.email, &alice.password), 401);
    }
    // Attempts counted by one process use up the limit at the other.
    for number in 0..30 {
        let client = app.from([127, 2, 2, 2]);
        assert_eq!(guess(&client, &format!("n{number}@example.com"), "x"), 401);
    }
    let client = second.from([127, 2, 2, 2]);
    assert_eq!(sign_in(&client, "n31@example.com", "x").status, 429);
}

fn prune(app: &TestApp, clock: &Clock) -> usize {
    let config = app.config();
    let store = Store::open(&config.database).unwrap();
    let auth = Auth::new(store, config.auth, clock.clone()).unwrap();
    let runtime = runtime();
    runtime.block_on(auth.confirm_clock()).unwrap();
    runtime.block_on(auth.throttle().prune()).unwrap()
}

fn expired_counters_are_pruned(backend: Backend) {
    let clock = fixed_clock();
    let app = throttled(backend).clock(clock.clone()).start();
    let (alice, bob) = (app.register("alice"), app.register("bobby"));
    assert_eq!(guess(&app, "nobody@example.com", "wrong password"), 401);
    assert_eq!(guess(&app, &bob.email, &bob.password), 200);
    for _ in 0..LIMIT {
        assert_eq!(guess(&app, &alice.email, "wrong password"), 401);
    }
    // The unknown user; alice; bob, bob at this address and bob nearby; registrations and attempts
    // at this address.
    let rows = || app.database().count("login_failures");
    assert_eq!((prune(&app, &clock), rows()), (0, 7));
    assert_eq!(accounts_with(&app, LIMIT), 1);
    clock.advance(TimeDelta::days(1));
    assert_eq!((prune(&app, &clock), rows()), (5, 2));
    clock.advance(TimeDelta::days(89));
    assert_eq!((prune(&app, &clock), rows()), (2, 0));
}

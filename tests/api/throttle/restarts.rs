//! The count belongs to the database: processes share it, and it outlives them.

use std::thread;
use std::time::Duration;

use chrono::TimeDelta;
use tokenhouse::store::Store;
use tokenhouse::{Auth, Clock, Config};

use super::{LIMIT, accounts_with, ask, guess, source, standing_clock, throttled};
use crate::harness::{Backend, TestApp, concurrently, on_both_databases, size};

on_both_databases!(
    a_killed_process_forgets_nothing,
    guesses_under_way_are_counted_when_the_process_is_killed,
    processes_share_the_budgets,
    what_counts_no_more_is_pruned,
);

/// Passwords wait for a moment only, so that what a killed process had under way soon counts as failed.
const ON: [(&str, &str); 2] = [
    ("TOKENHOUSE_LIMITS", "on"),
    ("TOKENHOUSE_HASH_QUEUE_MS", "1000"),
];

fn a_killed_process_forgets_nothing(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    for _ in 0..size("TOKENHOUSE_TEST_CRASHES", 2) {
        app.database().execute("DELETE FROM login_failures");
        let (process, server) = app.spawn_server_with(&ON);
        for _ in 0..LIMIT - 1 {
            assert_eq!(guess(&server, &alice.email, "wrong password"), 401);
        }
        process.signal("KILL");
        drop(process);
        let (_process, server) = app.spawn_server_with(&ON);
        assert_eq!(guess(&server, &alice.email, "wrong password"), 401);
        for _ in 0..4 {
            assert_eq!(guess(&server, &alice.email, &alice.password), 401);
        }
        assert_eq!(accounts_with(&app, LIMIT), 1);
    }
}

fn guesses_under_way_are_counted_when_the_process_is_killed(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    for _ in 0..size("TOKENHOUSE_TEST_CRASHES", 2) {
        app.database().execute("DELETE FROM login_failures");
        let (process, server) = app.spawn_server_with(&ON);
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
        let few = (0..answered).map(|failures| accounts_with(&app, failures));
        assert_eq!(few.sum::<i64>(), 0, "{answered} guesses were answered");
        drop(process);
        let (_process, server) = app.spawn_server_with(&ON);
        for _ in 0..LIMIT {
            assert_eq!(guess(&server, &alice.email, "wrong password"), 401);
        }
        assert_eq!(guess(&server, &alice.email, &alice.password), 401);
        assert_eq!(accounts_with(&app, LIMIT), 1);
    }
}

fn processes_share_the_budgets(backend: Backend) {
    let clock = standing_clock();
    let [app, beside] = {
        let builder = |clock| {
            let builder = throttled(backend).clock(clock);
            builder.setting("TOKENHOUSE_LIMIT_ADDRESS", "30")
        };
        let app = builder(clock.clone()).start();
        let beside = builder(clock).on_database_of(&app).start();
        [app, beside]
    };
    let alice = app.register("alice");
    let servers = [*app, *beside];
    concurrently(16, 40, |number| {
        let client = servers[number % 2].from(source(number));
        assert_eq!(guess(&client, &alice.email, "wrong password"), 401);
    });
    assert_eq!(accounts_with(&app, LIMIT), 1);
    for server in servers {
        assert_eq!(guess(&server, &alice.email, &alice.password), 401);
    }
    // What the one lets through from an address is missing at the other.
    for number in 0..30 {
        let client = app.from([127, 2, 2, 2]);
        assert_eq!(guess(&client, &format!("n{number}@example.com"), "x"), 401);
    }
    let client = beside.from([127, 2, 2, 2]);
    assert_eq!(ask(&client, "n31@example.com", "x").status, 429);
}

fn prune(app: &TestApp, clock: &Clock) -> usize {
    let settings = [("DATABASE_URL".to_owned(), app.database().url())];
    let config = Config::from_vars(settings).unwrap();
    let store = Store::open(&config.database).unwrap();
    let auth = Auth::new(store, config.auth, clock.clone()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(auth.confirm_clock()).unwrap();
    runtime.block_on(auth.prune_failures()).unwrap()
}

fn what_counts_no_more_is_pruned(backend: Backend) {
    let clock = standing_clock();
    let app = throttled(backend).clock(clock.clone()).start();
    let (alice, bob) = (app.register("alice"), app.register("bobby"));
    assert_eq!(guess(&app, "nobody@example.com", "wrong password"), 401);
    assert_eq!(guess(&app, &bob.email, &bob.password), 200);
    for _ in 0..LIMIT {
        assert_eq!(guess(&app, &alice.email, "wrong password"), 401);
    }
    // Nobody; alice; bob, bob from here, and bob from near here; registrations, and attempts, from
    // here.
    let rows = || app.database().count("login_failures");
    assert_eq!((prune(&app, &clock), rows()), (0, 7));
    assert_eq!(accounts_with(&app, LIMIT), 1);
    clock.advance(TimeDelta::days(1));
    assert_eq!((prune(&app, &clock), rows()), (5, 2));
    clock.advance(TimeDelta::days(89));
    assert_eq!((prune(&app, &clock), rows()), (2, 0));
}

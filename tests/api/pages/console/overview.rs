//! The overview: what is plotted is what has happened.

use std::thread;
use std::time::{Duration, Instant};

use tokenhouse::auth::SignIn;
use tokenhouse::{AuditContext, Auth};

use super::administrator;
use crate::harness::{Backend, TestApp, on_both_databases, runtime};

on_both_databases!(
    events_are_counted_once_by_several_processes,
    hour_keeps_a_hundred_addresses_and_the_largest_are_shown,
    refusals_by_limits_are_shown,
    waits_in_the_hash_queue_are_stored_and_shown,
    values_are_kept_for_90_days,
);

fn events_are_counted_once_by_several_processes(backend: Backend) {
    let app = TestApp::start(backend);
    let ada = app.register("ada");
    for _ in 0..5 {
        ada.sign_in();
    }
    for _ in 0..3 {
        assert_eq!(ada.try_sign_in("wrong", "").status, 401);
    }
    let (_, mut browser) = administrator(&app);
    let page = browser.page("/console");
    assert!(page.contains("No data in this period"), "{page}");
    // Each counts as soon as it has started.
    let _processes = [app.spawn_server(), app.spawn_server()];
    let database = app.database();
    let sum = |name: &str, label: &str| {
        let rows = database.texts(&format!(
            "SELECT CAST(COALESCE(SUM(value), 0) AS TEXT) AS text FROM hourly_stats
             WHERE name = '{name}' AND label = '{label}'"
        ));
        rows[0].parse::<i64>().unwrap()
    };
    let is_counted = || sum("sign-in", "refused") > 0 && sum("users", "") > 0;
    let start = Instant::now();
    while !is_counted() {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "nothing is counted"
        );
        thread::sleep(Duration::from_millis(100));
    }
    // The other one, too.
    thread::sleep(Duration::from_secs(2));
    assert_eq!([sum("sign-in", "ok"), sum("sign-in", "refused")], [6, 3]);
    assert_eq!(sum("refusal", "wrong-password"), 3);
    assert_eq!(sum("address", "127.0.0.1"), 3);
    assert_eq!(sum("users", ""), 2);
    let page = browser.page("/console");
    assert!(
        page.contains(r#"<td class="number">6</td><td class="number">3</td>"#),
        "{page}"
    );
    assert!(page.contains("Wrong password") && page.contains("127.0.0.1"));
    assert!(
        page.contains(r#"<path class="one" d="M"#) && page.contains(r#"<path class="two" d="M"#)
    );
}

fn hour_keeps_a_hundred_addresses_and_the_largest_are_shown(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_TRUSTED_PROXIES", "127.0.0.1")
        .start();
    let refused = |address: &str| {
        let form = [("username", "nobody@example.com"), ("password", "wrong")];
        let request = app.post("/token").header("X-Forwarded-For", address);
        assert_eq!(request.form(&form).send().status, 401);
    };
    // The largest, so it has a row of its own, also if all are counted at once.
    (0..3).for_each(|_| refused("198.51.100.7"));
    (1..=110).for_each(|number| refused(&format!("192.0.2.{number}")));
    let auth = Auth::open(&app.config()).unwrap();
    while !runtime().block_on(auth.store_statistics()).unwrap() {}
    let addresses = "hourly_stats WHERE name = 'address'";
    let hours = app
        .database()
        .count("(SELECT DISTINCT hour FROM hourly_stats WHERE name = 'address') AS hours");
    let rows = app.database().count(addresses);
    // If the hour has just changed, there are two.
    assert!(
        rows <= 101 * hours && rows >= 100,
        "{rows} rows in {hours} hours"
    );
    let sum = app.database().texts(&format!(
        "SELECT CAST(SUM(value) AS TEXT) AS text FROM {addresses}"
    ));
    assert_eq!(sum, ["113"]);
    let (_, mut browser) = administrator(&app);
    let page = browser.page("/console");
    assert!(page.contains("198.51.100.7"), "{page}");
    if hours == 1 {
        assert!(page.contains("Other addresses"), "{page}");
    }
    // The largest only: each of the others has one refusal.
    assert!(page.matches("192.0.2.").count() <= 8, "{page}");
}

fn refusals_by_limits_are_shown(backend: Backend) {
    let app = TestApp::start(backend);
    let ada = app.register("ada");
    let auth = Auth::open(&app.config_with(&[("TOKENHOUSE_LIMITS", "on")])).unwrap();
    let runtime = runtime();
    let context = AuditContext::operator();
    for _ in 0..12 {
        let request = SignIn::new(&ada.email, "wrong".to_owned().into());
        assert!(runtime.block_on(auth.sign_in(&context, request)).is_err());
    }
    let (_, mut browser) = administrator(&app);
    let of_account = "Failed attempts at an account";
    assert!(!browser.page("/console").contains(of_account));
    for _ in 0..2 {
        runtime.block_on(auth.store_statistics()).unwrap();
    }
    let stored = app.database().texts(
        "SELECT CAST(value AS TEXT) AS text FROM hourly_stats
         WHERE name = 'limit' AND label = 'account'",
    );
    let count: i64 = stored.iter().map(|text| text.parse::<i64>().unwrap()).sum();
    assert!((1..=12).contains(&count), "{stored:?}");
    let hour = chrono::Utc::now().format("%Y-%m-%d %H:00:00");
    app.database().execute(&format!(
        "INSERT INTO hourly_stats (name, hour, label, value) VALUES ('limit', '{hour}', 'mails', 1)"
    ));
    let page = browser.page("/console");
    assert!(page.contains(of_account), "{page}");
    assert!(page.contains("Requests refused by a limit"), "{page}");
    assert!(page.contains("Mails that were asked for"), "{page}");
}

fn waits_in_the_hash_queue_are_stored_and_shown(backend: Backend) {
    let app = TestApp::start(backend);
    let ada = app.register("ada");
    let auth = Auth::open(&app.config()).unwrap();
    let runtime = runtime();
    for _ in 0..3 {
        let request = SignIn::new(&ada.email, ada.password.clone().into());
        let signed_in = runtime.block_on(auth.sign_in(&AuditContext::operator(), request));
        assert!(signed_in.is_ok(), "{signed_in:?}");
    }
    for _ in 0..2 {
        runtime.block_on(auth.store_statistics()).unwrap();
    }
    let stored = app
        .database()
        .texts("SELECT CAST(value AS TEXT) AS text FROM hourly_stats WHERE name = 'hash-wait'");
    let count: i64 = stored.iter().map(|text| text.parse::<i64>().unwrap()).sum();
    // Not twice; with what the test server has stored meanwhile, as the registration.
    assert!((3..6).contains(&count), "{stored:?}");
    // Of an hour in which a server stores nothing more: 60 of a hundred at most 1 ms, one of them over 50 ms.
    let hour = chrono::Utc::now() - chrono::TimeDelta::hours(2);
    let hour = hour.format("%Y-%m-%d %H:00:00");
    for (bound, value) in [("1000", 60), ("50000", 39), ("250000", 1)] {
        app.database().execute(&format!(
            "INSERT INTO hourly_stats (name, hour, label, value)
             VALUES ('hash-wait', '{hour}', '{bound}', {value})"
        ));
    }
    let (_, mut browser) = administrator(&app);
    let page = browser.page("/console");
    assert!(page.contains("Wait in the hash queue"), "{page}");
    assert!(
        page.contains(r#"<td class="number">1</td><td class="number">50</td>"#),
        "{page}"
    );
    assert!(page.contains(r#"<path class="three" d="M"#), "{page}");
}

fn values_are_kept_for_90_days(backend: Backend) {
    let app = TestApp::start(backend);
    app.register("ada").sign_in();
    let auth = Auth::open(&app.config()).unwrap();
    runtime().block_on(auth.store_statistics()).unwrap();
    let now = chrono::Utc::now();
    for (label, days) in [("old", 91), ("young", 89)] {
        for name in [
            "sign-in",
            "refusal",
            "limit",
            "address",
            "sessions",
            "users",
            "hash-wait",
            "hash",
        ] {
            let hour = (now - chrono::TimeDelta::days(days)).format("%Y-%m-%d %H:00:00");
            app.database().execute(&format!(
                "INSERT INTO hourly_stats (name, hour, label, value) VALUES ('{name}', '{hour}', '{label}', 1)"
            ));
        }
    }
    runtime().block_on(auth.prune_statistics()).unwrap();
    assert_eq!(app.database().count("hourly_stats WHERE label = 'old'"), 0);
    assert_eq!(
        app.database().count("hourly_stats WHERE label = 'young'"),
        8
    );
    // What is counted stays so, or everything would be counted once more.
    assert_eq!(
        app.database().count("hourly_stats WHERE name = 'cursor'"),
        1
    );
}

//! The overview: what is plotted is what has happened.

use std::thread;
use std::time::{Duration, Instant};

use super::administrator;
use crate::harness::{Backend, TestApp, on_both_databases};

on_both_databases!(events_are_counted_once_by_several_processes);

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

//! A flood of refusals fills neither the disk nor the trail, none of them is lost from the count, and
//! it hides no other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde_json::Value;

use crate::harness::{Backend, Log, Running, TestApp, on_both_databases};

use super::Auditor;

on_both_databases!(
    a_flood_of_refusals_is_counted,
    cheap_refusals_hide_none_that_name_a_user,
);

const CLIENTS: usize = 4;
const EACH: usize = 2_000;

/// Rows that one process writes of this in a minute at most: one by one, and the sum.
const ROWS_IN_A_MINUTE: i64 = 20 + 1;

fn a_flood_of_refusals_is_counted(backend: Backend) {
    let app = TestApp::start(backend);
    app.register("alice");
    let (process, served) = app.spawn_server();
    let begun = std::time::Instant::now();
    // Of those that were not refused nobody knows whether they were counted.
    let (answered, unknown) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut connection = served.connect().unwrap();
                let fields = [("username", "alice@example.com"), ("password", "wrong")];
                let request = served.post("/token").form(&fields);
                for _ in 0..EACH {
                    match connection.send(&request) {
                        Ok(answer) if answer.status == 401 => {
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                        // A machine that is busy: the database took too long, or the service took
                        // the client for idle.
                        Ok(answer) => {
                            assert_eq!(answer.status, 503);
                            unknown.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(_cut) => {
                            unknown.fetch_add(1, Ordering::Relaxed);
                            connection = served.connect().unwrap();
                        }
                    }
                }
            });
        }
    });
    let minutes = 1 + i64::try_from(begun.elapsed().as_secs() / 60).unwrap();
    // At its end it writes what it has counted.
    process.signal("TERM");
    process.wait();
    let refused =
        "SELECT detail AS text FROM audit_events WHERE action = 'login' AND result = 'refused'";
    let rows = app.database().texts(refused);
    let counted: u64 = rows
        .iter()
        .map(|detail| {
            let detail: Value = serde_json::from_str(detail).unwrap();
            detail["count"].as_u64().unwrap_or(1)
        })
        .sum();
    let (answered, unknown) = (answered.into_inner(), unknown.into_inner());
    assert!(unknown < 100, "{unknown} requests were not refused");
    assert!(
        (answered..=answered + unknown).contains(&counted),
        "{counted} of {answered} and {unknown}"
    );
    let written = i64::try_from(rows.len()).unwrap();
    assert!(
        written <= (minutes + 1) * ROWS_IN_A_MINUTE,
        "{written} rows in {minutes} minutes"
    );
    assert_eq!(Auditor::new(&app, None).problems(), [""; 0]);
    println!(
        "{backend:?}: {counted} refusals in {written} rows, {:?}",
        begun.elapsed()
    );
}

fn cheap_refusals_hide_none_that_name_a_user(backend: Backend) {
    let app = TestApp::start(backend);
    let (alice, mallory) = (app.register("alice"), app.register("mallory"));
    let token = mallory.sign_in();
    let mut log = Log::new();
    let mut command = app.program(&["serve"]);
    let (process, served) = Running::serve(command.stderr(log.writer()));
    let guess = |from: [u8; 4], name: &str| {
        let form = [("username", name), ("password", "a wrong password")];
        let answer = served.from(from).post("/token").form(&form).send();
        assert_eq!(answer.status, 401);
    };
    for number in 0..1_000 {
        guess([127, 0, 0, 9], &format!("nobody{number}@example.com"));
    }
    let other = [127, 0, 0, 66];
    for _ in 0..5 {
        guess(other, &alice.email);
        let denied = served.from(other).get("/admin/users").bearer(&token);
        assert_eq!(denied.send().status, 403);
    }
    let of_other = |condition: &str| {
        let rows = format!("audit_events WHERE ip = '127.0.0.66' AND {condition}");
        app.database().count(&rows)
    };
    assert_eq!(of_other("action = 'login' AND target = 'user:1'"), 5);
    assert_eq!(of_other("action = 'scope.refused' AND actor = 'user:2'"), 5);
    let log_line = format!("refused sign-in from {}", "127.0.0.66");
    let written = String::from_utf8(log.bytes()).unwrap();
    assert_eq!(written.matches(&log_line).count(), 5);

    // More of the same than is written one by one: summed up by who did it, on whom.
    for _ in 0..60 {
        guess(other, &alice.email);
        let denied = served.from(other).get("/admin/users").bearer(&token);
        assert_eq!(denied.send().status, 403);
    }
    process.signal("TERM");
    process.wait();
    let counted = |condition: &str| -> u64 {
        let query = format!(
            "SELECT detail AS text FROM audit_events WHERE ip = '127.0.0.66' AND {condition}"
        );
        let details = app.database().texts(&query);
        let counts = details.iter().map(|detail| {
            let detail: Value = serde_json::from_str(detail).unwrap_or_default();
            detail["count"].as_u64().unwrap_or(1)
        });
        counts.sum()
    };
    assert_eq!(counted("action = 'login' AND target = 'user:1'"), 65);
    assert_eq!(counted("action = 'scope.refused' AND actor = 'user:2'"), 65);
    let (events, _) = super::page(&app, &alice.sign_in(), "/users/me/events");
    assert!(events.iter().any(|event| event["detail"]["count"].is_u64()));
    // That the trail does not have everything, it says itself.
    let suppressed = "audit_events WHERE action = 'audit.suppressed' AND actor = 'service'";
    assert!(app.database().count(suppressed) >= 1);
    assert_eq!(Auditor::new(&app, None).problems(), [""; 0]);
}

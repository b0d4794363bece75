//! A flood of refusals fills neither the disk nor the trail, and none of them is lost from the count.

use std::thread;

use serde_json::Value;

use crate::harness::{Backend, TestApp, on_both_databases};

use super::Auditor;

on_both_databases!(a_flood_of_refusals_is_counted);

const CLIENTS: usize = 4;
const EACH: usize = 5_000;

/// Rows that one process writes in a minute at most: one by one, and sums.
const ROWS_IN_A_MINUTE: i64 = 100 + 500;

fn a_flood_of_refusals_is_counted(backend: Backend) {
    let app = TestApp::start(backend);
    app.register("alice");
    let (process, served) = app.process_beside();
    let begun = std::time::Instant::now();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut connection = served.connect().unwrap();
                let fields = [("username", "alice@example.com"), ("password", "wrong")];
                let request = served.post("/token").form(&fields);
                for _ in 0..EACH {
                    assert_eq!(connection.send(&request).unwrap().status, 401);
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
    assert_eq!(counted, (CLIENTS * EACH) as u64);
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

//! A flood of refusals fills neither the disk nor the trail, and none of them is lost from the count.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde_json::Value;

use crate::harness::{Backend, TestApp, on_both_databases};

use super::Auditor;

on_both_databases!(a_flood_of_refusals_is_counted);

const CLIENTS: usize = 4;
const EACH: usize = 2_000;

/// Rows that one process writes in a minute at most: one by one, and sums.
const ROWS_IN_A_MINUTE: i64 = 100 + 500;

fn a_flood_of_refusals_is_counted(backend: Backend) {
    let app = TestApp::start(backend);
    app.register("alice");
    let (process, served) = app.process_beside();
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

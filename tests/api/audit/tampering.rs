//! Changes made directly in the tables are detected and attributed to a row.

use std::thread;

use super::{Auditor, create_history, drop_triggers, program};
use crate::harness::{Backend, TestApp, on_both_databases};

on_both_databases!(
    tables_reject_manual_changes,
    every_row_edit_is_detected,
    every_missing_row_is_detected,
    every_swap_of_adjacent_rows_is_detected,
    rows_not_written_by_the_service_are_detected,
    every_head_edit_is_detected,
    altered_head_stays_detected_after_new_events,
    restored_trail_is_detected_by_a_mark,
    trail_verifies_while_it_is_written,
);

const COLUMNS: [&str; 13] = [
    "actor",
    "credential",
    "level",
    "action",
    "target",
    "result",
    "ip",
    "user_agent",
    "request_id",
    "client_request_id",
    "detail",
    "previous_digest",
    "digest",
];

/// A trail with history, without its protecting triggers, and a copy to restore it from.
struct Target {
    app: TestApp,
    auditor: Auditor,
    rows: i64,
    backend: Backend,
}

impl Target {
    fn new(backend: Backend) -> Self {
        let app = TestApp::start(backend);
        create_history(&app);
        drop_triggers(&app);
        app.database().execute(
            "CREATE TABLE saved AS SELECT * FROM audit_events;
             CREATE TABLE saved_head AS SELECT * FROM audit_head",
        );
        let target = Self {
            auditor: Auditor::new(&app, None),
            rows: app.database().count("audit_events"),
            app,
            backend,
        };
        assert_eq!(target.auditor.problems(), [""; 0]);
        assert!(target.rows >= 20);
        target
    }

    /// The problems found after these statements. Restores the trail afterwards.
    fn found_after(&self, statements: &str) -> Vec<String> {
        self.app.database().execute(statements);
        let found = self.auditor.problems();
        self.app.database().execute(
            "DELETE FROM audit_events; INSERT INTO audit_events SELECT * FROM saved;
             DELETE FROM audit_head; INSERT INTO audit_head SELECT * FROM saved_head",
        );
        found
    }

    /// Asserts that the first problem found starts with this text.
    fn assert_finds(&self, statements: &str, first: &str) {
        let found = self.found_after(statements);
        let is_first = found
            .first()
            .is_some_and(|problem| problem.starts_with(first));
        assert!(is_first, "{statements}: {found:?}");
    }
}

fn missing(first: i64, last: i64) -> String {
    match first == last {
        true => format!("event {first} is missing"),
        false => format!("events {first} to {last} are missing"),
    }
}

fn tables_reject_manual_changes(backend: Backend) {
    let app = TestApp::start(backend);
    create_history(&app);
    let rows = app.database().count("audit_events");
    for id in 1..=rows {
        for column in COLUMNS {
            let update = format!("UPDATE audit_events SET {column} = 'x' WHERE id = {id}");
            assert!(!app.database().accepts(&update), "{update}");
        }
        let delete = format!("DELETE FROM audit_events WHERE id = {id}");
        assert!(!app.database().accepts(&delete), "{delete}");
    }
    assert!(!app.database().accepts("DELETE FROM audit_events"));
    if backend == Backend::Postgres {
        assert!(!app.database().accepts("TRUNCATE audit_events"));
    }
    assert_eq!(app.database().count("audit_events"), rows);
    assert_eq!(Auditor::new(&app, None).problems(), [""; 0]);
}

fn every_row_edit_is_detected(backend: Backend) {
    let target = Target::new(backend);
    let mut edits = 0;
    let mut assert_finds = |id: i64, change: &str, first: &str| {
        edits += 1;
        target.assert_finds(
            &format!("UPDATE audit_events SET {change} WHERE id = {id}"),
            first,
        );
    };
    let (later, unreadable) = match backend {
        Backend::Postgres => ("at + interval '1 microsecond'", None),
        Backend::Sqlite => (
            "strftime('%Y-%m-%d %H:%M:%f', at, '+1 second')",
            Some("at = 'then'"),
        ),
    };
    for id in 1..=target.rows {
        let altered = format!("event {id} was altered");
        for column in COLUMNS {
            assert_finds(id, &format!("{column} = {column} || ' '"), &altered);
            assert_finds(id, &format!("{column} = '-'"), &altered);
        }
        assert_finds(id, &format!("at = {later}"), &altered);
        if let Some(unreadable) = unreadable {
            assert_finds(id, unreadable, &altered);
        }
        assert_finds(id, "id = -id", &format!("event {} is before", -id));
        assert_finds(id, "id = id + 1000", &missing(id, id));
        // Moves a value to the next column: the concatenation stays the same.
        let moved = "actor = actor || credential || '-', credential = ''";
        assert_finds(id, moved, &altered);
    }
    println!(
        "{backend:?}: {edits} edits of {} rows, all found",
        target.rows
    );
}

fn every_missing_row_is_detected(backend: Backend) {
    let target = Target::new(backend);
    let last = target.rows;
    for id in 1..=last {
        let delete = |which: &str| format!("DELETE FROM audit_events WHERE id {which} {id}");
        target.assert_finds(&delete("="), &missing(id, id));
        target.assert_finds(&delete(">="), &missing(id, last));
        target.assert_finds(&delete("<="), &missing(1, id));
        // With the head updated as far as possible without the key.
        let cut = format!(
            "{}; UPDATE audit_head SET last_id = {id} - 1, last_digest =
             COALESCE((SELECT digest FROM audit_events WHERE id = {id} - 1), '')",
            delete(">=")
        );
        target.assert_finds(&cut, "the head of the trail was altered");
        let pruned = format!(
            "UPDATE audit_head SET pruned_id = {id}, pruned_digest =
             (SELECT digest FROM audit_events WHERE id = {id}); {}",
            delete("<=")
        );
        target.assert_finds(&pruned, "the head of the trail was altered");
    }
    target.assert_finds(
        "DELETE FROM audit_events; DELETE FROM audit_head",
        "the head of the trail is missing",
    );
    target.assert_finds(
        "DELETE FROM audit_events; UPDATE audit_head SET last_id = 0, last_digest = '', digest = ''",
        "the head of the trail was altered",
    );
}

fn every_swap_of_adjacent_rows_is_detected(backend: Backend) {
    let target = Target::new(backend);
    for id in 1..target.rows {
        let next = id + 1;
        let swap = format!(
            "UPDATE audit_events SET id = -1 WHERE id = {id};
             UPDATE audit_events SET id = {id} WHERE id = {next};
             UPDATE audit_events SET id = {next} WHERE id = -1"
        );
        target.assert_finds(&swap, &format!("event {id} was altered"));
    }
}

fn rows_not_written_by_the_service_are_detected(backend: Backend) {
    let target = Target::new(backend);
    let last = target.rows;
    let copy = |id: i64, to: i64| {
        format!(
            "INSERT INTO audit_events SELECT {to}, at, {} FROM saved WHERE id = {id}",
            COLUMNS.join(", ")
        )
    };
    for id in 1..=last {
        let surplus = format!("event {} is after the end", last + 1);
        target.assert_finds(&copy(id, last + 1), &surplus);
        let with_head = format!(
            "{}; UPDATE audit_head SET last_id = {last} + 1,
             last_digest = (SELECT digest FROM audit_events WHERE id = {last} + 1)",
            copy(id, last + 1)
        );
        target.assert_finds(&with_head, &format!("event {} was altered", last + 1));
        target.assert_finds(&copy(id, 0), "event 0 is before the beginning");
    }
}

fn every_head_edit_is_detected(backend: Backend) {
    let target = Target::new(backend);
    for change in [
        "last_id = last_id + 1",
        "last_id = last_id - 1",
        "last_digest = 'x'",
        "pruned_id = 1",
        "pruned_digest = 'x'",
        "digest = 'x'",
        "digest = ''",
    ] {
        let found = target.found_after(&format!("UPDATE audit_head SET {change}"));
        let altered = "the head of the trail was altered, or was signed with another key";
        assert_eq!(
            found.last().map(String::as_str),
            Some(altered),
            "{change}: {found:?}"
        );
    }
}

fn altered_head_stays_detected_after_new_events(backend: Backend) {
    let target = Target::new(backend);
    let last = target.rows;
    target.app.database().execute(&format!(
        "DELETE FROM audit_events WHERE id > {last} - 5;
         UPDATE audit_head SET last_id = {last} - 5, last_digest =
         (SELECT digest FROM audit_events WHERE id = {last} - 5)"
    ));
    target.app.register("mallory");
    let found = target.auditor.problems();
    let first = last - 4;
    let expected = format!(
        "before event {first} the head of the trail was altered, or signed with another key"
    );
    assert_eq!(found, [expected.as_str()]);
    let output = program(&target.app, &["audit", "verify"], "");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("{expected}\n")
    );
    target.app.register("oscar");
    assert_eq!(target.auditor.problems(), [expected]);
    assert_eq!(target.backend, backend);
}

fn restored_trail_is_detected_by_a_mark(backend: Backend) {
    let target = Target::new(backend);
    target.app.register("carol");
    let verify = |arguments: &[&str]| {
        let output = program(&target.app, &[&["audit", "verify"], arguments].concat(), "");
        let printed = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), printed)
    };
    let (code, printed) = verify(&[]);
    assert_eq!(code, Some(0), "{printed}");
    let mark = printed.trim_end().rsplit_once(' ').unwrap().1;
    let id = target.rows + 1;
    assert!(mark.starts_with(&format!("{id}:")), "{printed}");
    assert_eq!(verify(&["--contains", mark]).0, Some(0));
    // Restores a state that the service itself has signed.
    target.found_after("SELECT 1");
    assert_eq!(verify(&[]).0, Some(0));
    let (code, printed) = verify(&["--contains", mark]);
    assert_eq!(code, Some(1));
    assert_eq!(printed, format!("event {id} does not match the head\n"));
    target.app.register("dave");
    assert_eq!(verify(&[]).0, Some(0));
    assert_eq!(verify(&["--contains", mark]).0, Some(1));
}

fn trail_verifies_while_it_is_written(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = create_history(&app);
    let auditor = Auditor::new(&app, None);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| (0..40).for_each(|_| drop(alice.sign_in()))))
            .collect();
        while !writers.iter().all(|writer| writer.is_finished()) {
            assert_eq!(auditor.problems(), [""; 0]);
        }
    });
    let rows = app.database().count("audit_events");
    let verification = auditor.verify();
    assert_eq!(
        (verification.events, verification.last.0),
        (rows as u64, rows)
    );
    assert_eq!(verification.problems, []);
}

//! Whoever may write into the tables cannot change the trail unnoticed, and is told which row.

use std::thread;

use super::{Auditor, drop_triggers, program, some_life};
use crate::harness::{Backend, TestApp, on_both_databases};

on_both_databases!(
    the_tables_refuse_changes_by_hand,
    every_edit_of_a_row_is_found,
    every_row_that_is_missing_is_found,
    every_swap_of_neighbours_is_found,
    rows_that_were_not_written_by_the_service_are_found,
    every_edit_of_the_head_is_found,
    a_head_that_was_altered_stays_found_when_the_trail_goes_on,
    a_trail_that_was_put_back_is_found_by_a_mark,
    a_good_trail_is_good_while_it_is_written,
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

/// A trail with some life in it, that an attacker can get at; and how to put it back.
struct Prey {
    app: TestApp,
    auditor: Auditor,
    rows: i64,
    backend: Backend,
}

impl Prey {
    fn new(backend: Backend) -> Self {
        let app = TestApp::start(backend);
        some_life(&app);
        drop_triggers(&app);
        app.database().execute(
            "CREATE TABLE saved AS SELECT * FROM audit_events;
             CREATE TABLE saved_head AS SELECT * FROM audit_head",
        );
        let prey = Self {
            auditor: Auditor::new(&app, None),
            rows: app.database().count("audit_events"),
            app,
            backend,
        };
        assert_eq!(prey.auditor.problems(), [""; 0]);
        assert!(prey.rows >= 20);
        prey
    }

    /// What is found after these statements; then all is as it was before.
    fn found_after(&self, statements: &str) -> Vec<String> {
        self.app.database().execute(statements);
        let found = self.auditor.problems();
        self.app.database().execute(
            "DELETE FROM audit_events; INSERT INTO audit_events SELECT * FROM saved;
             DELETE FROM audit_head; INSERT INTO audit_head SELECT * FROM saved_head",
        );
        found
    }

    /// Whether the first thing that is found is this.
    fn finds(&self, statements: &str, first: &str) {
        let found = self.found_after(statements);
        let is_it = found
            .first()
            .is_some_and(|problem| problem.starts_with(first));
        assert!(is_it, "{statements}: {found:?}");
    }
}

fn missing(first: i64, last: i64) -> String {
    match first == last {
        true => format!("event {first} is missing"),
        false => format!("events {first} to {last} are missing"),
    }
}

fn the_tables_refuse_changes_by_hand(backend: Backend) {
    let app = TestApp::start(backend);
    some_life(&app);
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

fn every_edit_of_a_row_is_found(backend: Backend) {
    let prey = Prey::new(backend);
    let mut edits = 0;
    let mut finds = |id: i64, change: &str, first: &str| {
        edits += 1;
        prey.finds(
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
    for id in 1..=prey.rows {
        let altered = format!("event {id} was altered");
        for column in COLUMNS {
            finds(id, &format!("{column} = {column} || ' '"), &altered);
            finds(id, &format!("{column} = '-'"), &altered);
        }
        finds(id, &format!("at = {later}"), &altered);
        if let Some(unreadable) = unreadable {
            finds(id, unreadable, &altered);
        }
        finds(id, "id = -id", &format!("event {} is before", -id));
        finds(id, "id = id + 1000", &missing(id, id));
        // From one column to the next, so that all of them together stay the same.
        let moved = "actor = actor || credential || '-', credential = ''";
        finds(id, moved, &altered);
    }
    println!(
        "{backend:?}: {edits} edits of {} rows, all found",
        prey.rows
    );
}

fn every_row_that_is_missing_is_found(backend: Backend) {
    let prey = Prey::new(backend);
    let last = prey.rows;
    for id in 1..=last {
        let delete = |which: &str| format!("DELETE FROM audit_events WHERE id {which} {id}");
        prey.finds(&delete("="), &missing(id, id));
        prey.finds(&delete(">="), &missing(id, last));
        prey.finds(&delete("<="), &missing(1, id));
        // With the head moved along, as far as that goes without the key.
        let cut = format!(
            "{}; UPDATE audit_head SET last_id = {id} - 1, last_digest =
             COALESCE((SELECT digest FROM audit_events WHERE id = {id} - 1), '')",
            delete(">=")
        );
        prey.finds(&cut, "the head of the trail was altered");
        let pruned = format!(
            "UPDATE audit_head SET pruned_id = {id}, pruned_digest =
             (SELECT digest FROM audit_events WHERE id = {id}); {}",
            delete("<=")
        );
        prey.finds(&pruned, "the head of the trail was altered");
    }
    prey.finds(
        "DELETE FROM audit_events; DELETE FROM audit_head",
        "the head of the trail is missing",
    );
    prey.finds(
        "DELETE FROM audit_events; UPDATE audit_head SET last_id = 0, last_digest = '', digest = ''",
        "the head of the trail was altered",
    );
}

fn every_swap_of_neighbours_is_found(backend: Backend) {
    let prey = Prey::new(backend);
    for id in 1..prey.rows {
        let next = id + 1;
        let swap = format!(
            "UPDATE audit_events SET id = -1 WHERE id = {id};
             UPDATE audit_events SET id = {id} WHERE id = {next};
             UPDATE audit_events SET id = {next} WHERE id = -1"
        );
        prey.finds(&swap, &format!("event {id} was altered"));
    }
}

fn rows_that_were_not_written_by_the_service_are_found(backend: Backend) {
    let prey = Prey::new(backend);
    let last = prey.rows;
    let copy = |id: i64, to: i64| {
        format!(
            "INSERT INTO audit_events SELECT {to}, at, {} FROM saved WHERE id = {id}",
            COLUMNS.join(", ")
        )
    };
    for id in 1..=last {
        let surplus = format!("event {} is behind the end", last + 1);
        prey.finds(&copy(id, last + 1), &surplus);
        let with_head = format!(
            "{}; UPDATE audit_head SET last_id = {last} + 1,
             last_digest = (SELECT digest FROM audit_events WHERE id = {last} + 1)",
            copy(id, last + 1)
        );
        prey.finds(&with_head, &format!("event {} was altered", last + 1));
        prey.finds(&copy(id, 0), "event 0 is before the beginning");
    }
}

fn every_edit_of_the_head_is_found(backend: Backend) {
    let prey = Prey::new(backend);
    for change in [
        "last_id = last_id + 1",
        "last_id = last_id - 1",
        "last_digest = 'x'",
        "pruned_id = 1",
        "pruned_digest = 'x'",
        "digest = 'x'",
        "digest = ''",
    ] {
        let found = prey.found_after(&format!("UPDATE audit_head SET {change}"));
        let altered = "the head of the trail was altered, or was made with another key";
        assert_eq!(
            found.last().map(String::as_str),
            Some(altered),
            "{change}: {found:?}"
        );
    }
}

fn a_head_that_was_altered_stays_found_when_the_trail_goes_on(backend: Backend) {
    let prey = Prey::new(backend);
    let last = prey.rows;
    prey.app.database().execute(&format!(
        "DELETE FROM audit_events WHERE id > {last} - 5;
         UPDATE audit_head SET last_id = {last} - 5, last_digest =
         (SELECT digest FROM audit_events WHERE id = {last} - 5)"
    ));
    prey.app.register("mallory");
    let found = prey.auditor.problems();
    let first = last - 4;
    let expected =
        format!("before event {first} the head of the trail was altered, or made with another key");
    assert_eq!(found, [expected.as_str()]);
    let output = program(&prey.app, &["audit", "verify"], "");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("{expected}\n")
    );
    prey.app.register("nobody");
    assert_eq!(prey.auditor.problems(), [expected]);
    assert_eq!(prey.backend, backend);
}

fn a_trail_that_was_put_back_is_found_by_a_mark(backend: Backend) {
    let prey = Prey::new(backend);
    prey.app.register("carol");
    let verify = |arguments: &[&str]| {
        let output = program(&prey.app, &[&["audit", "verify"], arguments].concat(), "");
        let printed = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), printed)
    };
    let (code, printed) = verify(&[]);
    assert_eq!(code, Some(0), "{printed}");
    let mark = printed.trim_end().rsplit_once(' ').unwrap().1;
    let id = prey.rows + 1;
    assert!(mark.starts_with(&format!("{id}:")), "{printed}");
    assert_eq!(verify(&["--contains", mark]).0, Some(0));
    // Back to a state that the service has signed itself.
    prey.found_after("SELECT 1");
    assert_eq!(verify(&[]).0, Some(0));
    let (code, printed) = verify(&["--contains", mark]);
    assert_eq!(code, Some(1));
    assert_eq!(
        printed,
        format!("event {id} is not the one that the head knows\n")
    );
    prey.app.register("dave");
    assert_eq!(verify(&[]).0, Some(0));
    assert_eq!(verify(&["--contains", mark]).0, Some(1));
}

fn a_good_trail_is_good_while_it_is_written(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = some_life(&app);
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

//! Keys of the audit chain: stored in the database or set by the operator, and how they are rotated.

use std::fs;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Auditor, create_history, drop_triggers, run};
use crate::harness::{Backend, ScratchDir, TestApp, on_both_databases};

on_both_databases!(
    new_key_is_used_only_after_adoption,
    edits_before_adoption_are_detected,
    keys_can_be_rotated_repeatedly,
    altered_trail_is_not_adopted,
    wrong_key_is_detected,
    forged_tail_stays_detected,
    trail_recreated_with_a_key_in_the_database_is_detected,
    key_used_without_adoption_can_be_adopted,
);

const KEY: &str = "an audit key of more than 32 characters";

const OTHER_KEY: &str = "another key of more than 32 characters!";

fn keyed(app: &TestApp, key: &str) -> TestApp {
    app.sibling().setting("TOKENHOUSE_AUDIT_KEY", key).start()
}

fn register_status(app: &TestApp, name: &str) -> u16 {
    let body = serde_json::json!({
        "name": format!("{name} Example"), "surname": "", "website": "",
        "email": format!("{name}@example.com"), "password": "a long passphrase of mine",
    });
    app.post("/register").json(&body).send().status
}

fn new_key_is_used_only_after_adoption(backend: Backend) {
    let app = TestApp::start(backend);
    create_history(&app);
    let before = app.database().count("audit_events");
    let keyed = keyed(&app, KEY);
    for arguments in [&["serve"][..], &["user", "list"]] {
        let (code, printed) = run(&keyed, arguments);
        assert_eq!(code, Some(1), "{printed}");
        assert!(printed.contains("tokenhouse audit adopt-key"), "{printed}");
    }
    assert_eq!(register_status(&keyed, "carol"), 503);
    let (code, printed) = run(&keyed, &["audit", "verify"]);
    assert_eq!(code, Some(1), "{printed}");
    let range = format!("events 1 to {before} are signed with the key in the database");
    assert!(printed.starts_with(&range), "{printed}");
    assert_eq!(app.database().count("audit_events"), before);

    let (code, printed) = run(&keyed, &["audit", "adopt-key"]);
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!(register_status(&keyed, "carol"), 201);
    let verification = Auditor::new(&app, Some(KEY)).verify();
    assert_eq!(verification.problems, []);
    assert_eq!(verification.key_changes, [before + 1]);
    assert_eq!(verification.events, before as u64 + 2);
    let adoptions = "audit_events WHERE action = 'audit.adopt-key' AND actor LIKE 'operator:%'";
    assert_eq!(app.database().count(adoptions), 1);
    // Adopting the same key again does nothing.
    let rows = app.database().count("audit_events");
    assert_eq!(run(&keyed, &["audit", "adopt-key"]).0, Some(0));
    assert_eq!(app.database().count("audit_events"), rows);
    // Without the key, its events cannot be verified.
    assert!(!Auditor::new(&app, None).problems().is_empty());
}

/// Even without the key that signed them.
fn edits_before_adoption_are_detected(backend: Backend) {
    let app = TestApp::start(backend);
    create_history(&app);
    let before = app.database().count("audit_events");
    let keyed = keyed(&app, KEY);
    assert_eq!(run(&keyed, &["audit", "adopt-key"]).0, Some(0));
    drop_triggers(&app);
    app.database().execute(
        "UPDATE instance_secrets SET secret = 'another one' WHERE name = 'audit';
         CREATE TABLE saved AS SELECT * FROM audit_events",
    );
    let auditor = Auditor::new(&app, Some(KEY));
    assert_eq!(auditor.problems(), [""; 0]);
    for id in 1..=before {
        for change in [
            format!("UPDATE audit_events SET ip = '-' WHERE id = {id}"),
            format!("UPDATE audit_events SET digest = 'x' WHERE id = {id}"),
            format!("DELETE FROM audit_events WHERE id = {id}"),
        ] {
            app.database().execute(&change);
            let expected = format!("events 1 to {before} are not as they were when the operator");
            let found = auditor.problems();
            let is_detected = found.iter().any(|problem| problem.starts_with(&expected));
            assert!(is_detected, "{change}: {found:?}");
            app.database()
                .execute("DELETE FROM audit_events; INSERT INTO audit_events SELECT * FROM saved");
        }
    }
    for column in [
        "adopted_start = 'x'",
        "adopted_digest = 'x'",
        "adopted_id = 0",
    ] {
        let update = |change: &str| format!("UPDATE audit_head SET {change}");
        app.database().execute(&format!(
            "CREATE TABLE saved_head AS SELECT * FROM audit_head; {}",
            update(column)
        ));
        assert!(!auditor.problems().is_empty(), "{column}");
        app.database().execute(
            "DELETE FROM audit_head; INSERT INTO audit_head SELECT * FROM saved_head;
             DROP TABLE saved_head",
        );
    }
    assert_eq!(auditor.problems(), [""; 0]);
}

fn keys_can_be_rotated_repeatedly(backend: Backend) {
    let app = TestApp::start(backend);
    create_history(&app);
    let folder = ScratchDir::new("audit-keys");
    let old = folder.join("old");
    let file = old.to_str().unwrap();
    let mut changes = 0;
    for (present, before) in [(KEY, None), (OTHER_KEY, Some(KEY)), (KEY, Some(OTHER_KEY))] {
        let keyed = keyed(&app, present);
        if let Some(before) = before {
            fs::write(&old, "not the key at all, but of 32 characters").unwrap();
            let wrong = run(&keyed, &["audit", "adopt-key", "--old-key-file", file]);
            assert_eq!(wrong.0, Some(1), "{}", wrong.1);
            assert_eq!(run(&keyed, &["audit", "adopt-key"]).0, Some(1));
            fs::write(&old, format!("{before}\n")).unwrap();
        }
        let (code, printed) = run(&keyed, &["audit", "adopt-key", "--old-key-file", file]);
        let is_first = before.is_none();
        assert_eq!(code, Some(if is_first { 1 } else { 0 }), "{printed}");
        if is_first {
            assert_eq!(run(&keyed, &["audit", "adopt-key"]).0, Some(0));
        }
        changes += 1;
        assert_eq!(register_status(&keyed, &format!("user{changes}")), 201);
        let verification = Auditor::new(&app, Some(present)).verify();
        assert_eq!(verification.problems, []);
        assert_eq!(verification.key_changes.len(), changes);
    }
    // And back to the key in the database.
    fs::write(&old, KEY).unwrap();
    let (code, printed) = run(&app, &["audit", "adopt-key", "--old-key-file", file]);
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!(Auditor::new(&app, None).problems(), [""; 0]);
}

fn altered_trail_is_not_adopted(backend: Backend) {
    let app = TestApp::start(backend);
    create_history(&app);
    drop_triggers(&app);
    app.database()
        .execute("UPDATE audit_events SET actor = 'user:1' WHERE id = 3");
    let keyed = keyed(&app, KEY);
    let (code, printed) = run(&keyed, &["audit", "adopt-key"]);
    assert_eq!(code, Some(1));
    assert!(printed.starts_with("event 3 was altered"), "{printed}");
    assert_eq!(register_status(&keyed, "carol"), 503);
    // The operator can force it; the alteration then stays detectable.
    let despite = ["audit", "adopt-key", "--despite-problems"];
    assert_eq!(run(&keyed, &despite).0, Some(0));
    assert_eq!(register_status(&keyed, "carol"), 201);
    let found = Auditor::new(&app, Some(KEY)).problems();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("the head of the trail was altered"));
    assert_eq!(run(&keyed, &["audit", "adopt-key"]).0, Some(1));
}

fn wrong_key_is_detected(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_AUDIT_KEY", KEY)
        .start();
    create_history(&app);
    assert_eq!(Auditor::new(&app, Some(KEY)).problems(), [""; 0]);
    assert_eq!(app.database().count("instance_secrets"), 0);
    for key in [Some(OTHER_KEY), None] {
        let found = Auditor::new(&app, key).problems();
        let rows = usize::try_from(app.database().count("audit_events")).unwrap();
        assert_eq!(found.len(), rows + 1, "{found:?}");
        assert!(found[0].starts_with("event 1 was altered"), "{found:?}");
    }
    // A process with another key cannot write events.
    assert_eq!(register_status(&keyed(&app, OTHER_KEY), "carol"), 503);
    assert_eq!(register_status(&app.sibling().start(), "carol"), 503);
    assert_eq!(Auditor::new(&app, Some(KEY)).problems(), [""; 0]);
}

/// The digest that the service computes for these fields with this key.
fn digest(key: &str, fields: &[&str]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    for field in fields {
        mac.update(&(field.len() as u64).to_be_bytes());
        mac.update(field.as_bytes());
    }
    let bytes = mac.finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Statements that append an event of 2026-11-01 and update the head, both signed with this key.
fn forged_event(app: &TestApp, key: &str, id: i64, actor: &str, action: &str) -> String {
    let at = "1793491200000000";
    let query = format!("SELECT digest AS text FROM audit_events WHERE id = {id} - 1");
    let before = &app.database().texts(&query)[0];
    let number = id.to_string();
    let row = [
        "event", before, &number, at, actor, "", "", action, "", "ok", "", "", "", "",
    ];
    let row = digest(key, &row);
    let head = digest(key, &["head", &number, &row, "0", ""]);
    format!(
        "INSERT INTO audit_events (id, at, actor, credential, level, action,
         target, result, ip, user_agent, request_id, detail, previous_digest, digest)
         VALUES ({id}, '2026-11-01 00:00:00', '{actor}', '', '',
         '{action}', '', 'ok', '', '', '', '', '{before}', '{row}');
         UPDATE audit_head SET last_id = {id}, last_digest = '{row}', digest = '{head}'"
    )
}

fn forged_tail_stays_detected(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_AUDIT_KEY", KEY)
        .start();
    create_history(&app);
    let last = app.database().count("audit_events");
    // Signed with a key that the attacker has stored in the database.
    let forged_key = "a key that was put into the database";
    drop_triggers(&app);
    app.database().execute(&format!(
        "DELETE FROM audit_events WHERE id = {last};
         INSERT INTO instance_secrets (name, secret) VALUES ('audit', '{forged_key}')"
    ));
    app.database()
        .execute(&forged_event(&app, forged_key, last, "user:1", "login"));
    let is_detected = || {
        let (code, printed) = run(&app, &["audit", "verify"]);
        let expected = format!("event {last} is signed with the key in the database");
        code == Some(1) && printed.contains(&expected)
    };
    assert!(is_detected());
    let (code, printed) = run(&app, &["serve"]);
    assert_eq!(code, Some(1), "{printed}");
    // A running process continues and marks where the alteration is.
    app.register("carol");
    assert!(is_detected());
    let found = format!(
        "before event {} the head of the trail was altered",
        last + 1
    );
    let problems = Auditor::new(&app, Some(KEY)).problems();
    assert!(problems.iter().any(|problem| problem.starts_with(&found)));
    let (_process, server) = app.spawn_server();
    assert_eq!(server.get("/readyz").send().status, 200);
    app.register("david");
    assert!(is_detected());
    // Adoption is refused too.
    assert_eq!(run(&app, &["audit", "adopt-key"]).0, Some(1));
    assert!(is_detected());
    let (code, doctor) = run(&app, &["doctor"]);
    assert_eq!(code, Some(1), "{doctor}");
}

/// An attacker with write access to the tables can store a key there, and knows it.
fn trail_recreated_with_a_key_in_the_database_is_detected(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_AUDIT_KEY", KEY)
        .start();
    create_history(&app);
    // Valid rows and a valid head, signed with the key in the database.
    drop_triggers(&app);
    app.database().execute(
        "DELETE FROM audit_events;
         UPDATE audit_head SET last_id = 0, last_digest = '', digest = ''",
    );
    let forger = app.sibling().start();
    forger.register("mallory");
    assert_eq!(
        Auditor::new(&app, None).problems(),
        [""; 0],
        "valid signatures"
    );
    assert_eq!(run(&app, &["audit", "verify"]).0, Some(1));
    // When the service continues, the forgery stays detected.
    app.register("carol");
    let found = Auditor::new(&app, Some(KEY)).problems();
    assert!(found[0].starts_with("event 1 is signed with the key in the database"));
    assert!(found[1].starts_with("before event 2 the head of the trail was altered"));
    assert_eq!(run(&app, &["audit", "verify"]).0, Some(1));
    // An empty trail does not restart from zero while users exist.
    app.database().execute(
        "DELETE FROM audit_events;
         UPDATE audit_head SET last_id = 0, last_digest = '', digest = ''",
    );
    app.register("david");
    assert_eq!(run(&app, &["audit", "verify"]).0, Some(1));
}

/// Versions before 0.2 switched keys as soon as one was set.
fn key_used_without_adoption_can_be_adopted(backend: Backend) {
    let app = TestApp::start(backend);
    create_history(&app);
    let last = app.database().count("audit_events");
    app.database()
        .execute(&forged_event(&app, KEY, last + 1, "service", "audit.key"));
    let keyed = keyed(&app, KEY);
    assert_eq!(register_status(&keyed, "carol"), 201);
    let found = Auditor::new(&app, Some(KEY)).problems();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with(&format!("events 1 to {last} are signed with the key")));
    assert!(found[1].starts_with(&format!("at event {} another key took over", last + 1)));
    assert_eq!(run(&keyed, &["audit", "adopt-key"]).0, Some(0));
    assert_eq!(Auditor::new(&app, Some(KEY)).problems(), [""; 0]);
    assert_eq!(register_status(&keyed, "david"), 201);
    assert_eq!(Auditor::new(&app, Some(KEY)).problems(), [""; 0]);
}

//! `tokenhouse doctor`: what it finds, and that its advice leads to a report without problems.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::harness::{Backend, OWN_SCOPES, ScratchDir, TestApp, on_both_databases};

on_both_databases!(
    report_names_the_database_the_service_and_keys_that_end,
    audit_key_that_is_set_as_advised_is_no_problem,
);

/// The exit code and the report of doctor with these settings.
fn doctor(app: &TestApp, settings: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = app.program(&["doctor"]);
    let output = command.envs(settings.iter().copied()).output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

fn run(app: &TestApp, arguments: &[&str], settings: &[(&str, &str)]) {
    let mut command = app.program(arguments);
    let output = command.envs(settings.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

/// Whether the report has a line with this level and subject that contains the text.
#[track_caller]
fn assert_line(report: &str, level: &str, subject: &str, text: &str) {
    let has_words = |line: &str| {
        let line: Vec<&str> = line.split('\t').collect();
        line[0] == level && line[1] == subject && line[2].contains(text)
    };
    assert!(
        report.lines().any(has_words),
        "{level} {subject} {text}\n{report}"
    );
}

fn report_names_the_database_the_service_and_keys_that_end(backend: Backend) {
    let app = TestApp::start(backend);
    let bind = app.address().to_string();
    let settings = [("TOKENHOUSE_BIND", bind.as_str())];
    let (code, report) = doctor(&app, &settings);
    assert_eq!(code, Some(0), "{report}");
    let database = match backend {
        Backend::Sqlite => app.database().url(),
        Backend::Postgres => "postgres://".to_owned(),
    };
    assert_line(&report, "ok", "database", &database);
    assert_line(&report, "ok", "database", "(DATABASE_URL: environment)");
    assert_line(&report, "ok", "service", &format!("ready at {bind}"));
    assert_line(&report, "ok", "keys", "none ends within 14 days");
    assert_line(
        &report,
        "warning",
        "administrators",
        "tokenhouse user grant",
    );
    let elsewhere = [("TOKENHOUSE_BIND", "127.0.0.1:9")];
    assert_line(
        &doctor(&app, &elsewhere).1,
        "ok",
        "service",
        "none runs at 127.0.0.1:9",
    );

    let admin = app.register("admin");
    run(&app, &["user", "grant", &admin.email, "users:write"], &[]);
    run(
        &app,
        &["key", "create", &admin.email, "--name", "k", "--days", "3"],
        &[],
    );
    run(
        &app,
        &["app", "create", "tasks", "--scope", "a", "--expires", "10d"],
        &[],
    );
    run(
        &app,
        &["app", "create", "later", "--scope", "a", "--expires", "15d"],
        &[],
    );
    run(&app, &["app", "create", "never", "--scope", "a"], &[]);
    let (code, report) = doctor(&app, &settings);
    assert_eq!(code, Some(0), "{report}");
    assert_line(&report, "ok", "administrators", "");
    assert_line(
        &report,
        "warning",
        "keys",
        "key 1 of admin@example.com ends in 2 days",
    );
    assert_line(
        &report,
        "warning",
        "keys",
        "key 2 of tasks ends in 9 days: tokenhouse app add-key",
    );
    assert_eq!(report.matches("\tkeys\t").count(), 2, "{report}");
    // An app does not administer.
    run(
        &app,
        &["user", "grant", &admin.email, "users:write", "--revoke"],
        &[],
    );
    app.create_app("helper", OWN_SCOPES);
    assert_line(
        &doctor(&app, &settings).1,
        "warning",
        "administrators",
        "no user",
    );
}

fn audit_key_that_is_set_as_advised_is_no_problem(backend: Backend) {
    let app = TestApp::start(backend);
    app.register("alice");
    let key = [(
        "TOKENHOUSE_AUDIT_KEY",
        "an audit key of more than 32 characters",
    )];
    let (_, report) = doctor(&app, &[]);
    assert_line(&report, "warning", "settings", "tokenhouse audit adopt-key");
    assert_line(&report, "ok", "audit trail", "none altered");
    let (code, report) = doctor(&app, &key);
    assert_eq!(code, Some(0), "{report}");
    assert_line(
        &report,
        "warning",
        "audit trail",
        "tokenhouse audit adopt-key",
    );

    // The key in the database does not excuse an altered trail.
    let change = "UPDATE audit_head SET pruned_digest = 'x'";
    app.database().execute(&format!(
        "CREATE TABLE saved AS SELECT * FROM audit_head; {change}"
    ));
    let (code, report) = doctor(&app, &key);
    assert_eq!(code, Some(1), "{report}");
    app.database().execute(
        "DELETE FROM audit_head; INSERT INTO audit_head SELECT * FROM saved;
         DROP TABLE saved",
    );

    run(&app, &["audit", "adopt-key"], &key);
    let (code, report) = doctor(&app, &key);
    assert_eq!(code, Some(0), "{report}");
    assert_line(&report, "ok", "audit trail", "none altered");
    app.database().execute(change);
    let (code, report) = doctor(&app, &key);
    assert_eq!(code, Some(1), "{report}");
    assert_line(&report, "problem", "audit trail", "tokenhouse audit verify");
}

/// Wherever 6,000 bytes are overwritten.
#[test]
fn damaged_file_is_a_problem() {
    let app = TestApp::start(Backend::Sqlite);
    for number in 0..40 {
        app.register(&format!("user{number}"));
    }
    let folder = ScratchDir::new("damaged");
    let copy = folder.join("copy.db");
    let copy_text = copy.to_str().unwrap();
    run(&app, &["backup", copy_text], &[]);
    let url = format!("sqlite://{copy_text}");
    let settings = [("DATABASE_URL", url.as_str())];
    let intact = fs::read(&copy).unwrap();
    let (code, report) = doctor(&app, &settings);
    assert_eq!(code, Some(0), "{report}");
    assert_line(&report, "ok", "database file", "not damaged");
    for start in (0..intact.len() - 6_000).step_by(8 * 4_096) {
        let mut damaged = intact.clone();
        // After the header of the file, without which it is none.
        damaged[start + 100..start + 6_000].fill(0xa5);
        write_database(&copy, &damaged);
        let (code, report) = doctor(&app, &settings);
        assert_eq!(code, Some(1), "{start}: {report}");
        let file = report
            .lines()
            .find(|line| line.starts_with("problem\tdatabase"));
        assert!(
            file.is_some_and(|line| line.contains(copy_text)),
            "{start}: {report}"
        );
    }
    write_database(
        &copy,
        b"a text, and no database: longer than the header of a file, 100 bytes\n",
    );
    let (code, report) = doctor(&app, &settings);
    assert_eq!(code, Some(1), "{report}");
}

fn write_database(file: &Path, bytes: &[u8]) {
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{end}", file.display()));
    }
    fs::write(file, bytes).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

/// From an empty folder: each step is what the report says.
#[test]
fn advice_leads_to_a_report_without_problems() {
    let app = TestApp::start(Backend::Sqlite);
    let folder = ScratchDir::new("advised");
    let file = folder.join("new.db");
    let url = format!("sqlite://{}", file.display());
    let settings = [
        ("DATABASE_URL", url.as_str()),
        (
            "TOKENHOUSE_AUDIT_KEY",
            "an audit key of more than 32 characters",
        ),
    ];
    let (code, report) = doctor(&app, &settings);
    assert_eq!(code, Some(1), "{report}");
    assert_line(&report, "problem", "database", "tokenhouse migrate");
    run(&app, &["migrate"], &settings);
    let (code, report) = doctor(&app, &settings);
    assert_eq!(code, Some(0), "{report}");

    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, report) = doctor(&app, &settings);
    assert_eq!(code, Some(1), "{report}");
    assert_line(&report, "problem", "database file", "chmod 600");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(doctor(&app, &settings).0, Some(0));
}

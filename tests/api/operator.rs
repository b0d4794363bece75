//! What an operator does on the command line beside a running server.

use chrono::{DateTime, TimeDelta};
use tokenhouse::Clock;

use crate::harness::{Backend, TestApp, on_both_databases};

on_both_databases!(
    what_the_command_line_ends_has_ended_everywhere,
    users_are_listed_in_pages,
    expired_tokens_are_pruned_and_others_kept,
);

/// Runs a command that is to succeed, and returns what it prints.
fn tokenhouse(app: &TestApp, arguments: &[&str]) -> String {
    let output = app.program(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn what_the_command_line_ends_has_ended_everywhere(backend: Backend) {
    let app = TestApp::start(backend);
    let (_process, beside) = app.process_beside();
    let alice = app.register("alice");
    let servers = [*app, beside];
    let statuses =
        |token: &str| servers.map(|server| server.get("/users/me").bearer(token).send().status);

    let token = alice.sign_in();
    for _ in 0..3 {
        assert_eq!(statuses(&token), [200, 200]);
        tokenhouse(&app, &["user", "disable", "Alice@EXAMPLE.com"]);
        assert_eq!(statuses(&token), [401, 401]);
        tokenhouse(&app, &["user", "enable", &alice.email]);
        assert_eq!(statuses(&token), [200, 200]);
    }
    let revoke = ["token", "revoke", alice.email.as_str()];
    assert_eq!(tokenhouse(&app, &revoke), "revoked\n");
    assert_eq!(statuses(&token), [401, 401]);
    assert_eq!(tokenhouse(&app, &revoke), "there was none\n");

    let nobody = app
        .program(&["user", "disable", "nobody@example.com"])
        .output()
        .unwrap();
    assert_eq!(nobody.status.code(), Some(1));
    let problem = String::from_utf8(nobody.stderr).unwrap();
    assert_eq!(problem, "tokenhouse: no user has this address\n");
}

fn users_are_listed_in_pages(backend: Backend) {
    let app = TestApp::start(backend);
    for name in ["alice", "bobby", "carol"] {
        app.register(name);
    }
    app.database().execute(
        "UPDATE users SET disabled_at = '2026-01-02 03:04:05', name = 'a\tb' WHERE id = 2",
    );
    let first = tokenhouse(&app, &["user", "list", "--limit", "2"]);
    assert_eq!(
        first,
        "1\talice@example.com\talice Example\tenabled\t\n\
         2\tbobby@example.com\ta b\tdisabled 2026-01-02T03:04:05Z\t\n"
    );
    let second = tokenhouse(&app, &["user", "list", "--limit", "2", "--after", "2"]);
    assert_eq!(second, "3\tcarol@example.com\tcarol Example\tenabled\t\n");
    assert_eq!(tokenhouse(&app, &["user", "list", "--after", "3"]), "");
}

fn expired_tokens_are_pruned_and_others_kept(backend: Backend) {
    let long_ago = Clock::manual(DateTime::UNIX_EPOCH + TimeDelta::days(10_000));
    let app = TestApp::builder(backend).clock(long_ago).start();
    let beside = app.beside().start();
    app.register("alice").sign_in();
    let token = beside.register("bob").sign_in();
    // More than go into one transaction.
    app.database().execute(
        "INSERT INTO users (name, surname, email, email_key, website, hashed_password, created_at)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
         SELECT 'expired', '', 'e' || i, 'e' || i, '', '!', '2020-01-01' FROM n;
         INSERT INTO access_tokens (user_id, access_token, expiration_date, created_at)
         SELECT id, 'of ' || id, '2020-01-02', '2020-01-01' FROM users WHERE name = 'expired'",
    );
    assert_eq!(tokenhouse(&app, &["token", "prune"]), "pruned 1501\n");
    assert_eq!(app.database().count("access_tokens"), 1);
    assert_eq!(beside.get("/users/me").bearer(&token).send().status, 200);
}

//! Operator commands next to a running server.

use std::collections::BTreeSet;
use std::fs;
use std::process::Output;

use chrono::{DateTime, TimeDelta};
use clap::CommandFactory;
use serde_json::Value;
use tokenhouse::Clock;
use tokenhouse::cli::Cli;

use crate::harness::{Backend, ScratchDir, TestApp, on_both_databases, run_with_input};
use crate::mail::FAILED_MAILS;

on_both_databases!(
    operator_creates_users_and_grants_scopes,
    revocations_by_the_operator_take_effect_everywhere,
    invalid_commands_fail_with_one_line,
    disable_and_token_revoke_take_effect_everywhere,
    passwd_revokes_credentials_unless_keys_are_kept,
    user_list_is_paginated,
    token_prune_deletes_only_expired_tokens,
    keys_of_all_users_are_listed_and_several_are_revoked_at_once,
    tail_finds_events_by_user_action_time_and_request,
);

/// Runs a command that must succeed, and returns its output.
fn tokenhouse(app: &TestApp, arguments: &[&str]) -> String {
    let output = app.program(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn disable_and_token_revoke_take_effect_everywhere(backend: Backend) {
    let app = TestApp::start(backend);
    let (_process, second) = app.spawn_server();
    let alice = app.register("alice");
    let servers = [*app, second];
    let statuses =
        |token: &str| servers.map(|server| server.get("/users/me").bearer(token).send().status);

    for _ in 0..3 {
        let token = alice.sign_in();
        let key = app.create_key(&token, "").secret;
        assert_eq!([statuses(&token), statuses(&key)], [[200, 200]; 2]);
        tokenhouse(&app, &["user", "disable", "Alice@EXAMPLE.com"]);
        assert_eq!([statuses(&token), statuses(&key)], [[401, 401]; 2]);
        tokenhouse(&app, &["user", "enable", &alice.email]);
        assert_eq!([statuses(&token), statuses(&key)], [[401, 401]; 2]);
    }
    let token = alice.sign_in();
    assert_eq!(statuses(&token), [200, 200]);
    let revoke = ["token", "revoke", alice.email.as_str()];
    assert_eq!(
        tokenhouse(&app, &revoke),
        "revoked the login token of alice@example.com\n"
    );
    assert_eq!(statuses(&token), [401, 401]);
    assert_eq!(
        tokenhouse(&app, &revoke),
        "alice@example.com had no login token\n"
    );

    let unknown = app
        .program(&["user", "disable", "nobody@example.com"])
        .output()
        .unwrap();
    assert_eq!(unknown.status.code(), Some(1));
    let problem = String::from_utf8(unknown.stderr).unwrap();
    assert_eq!(problem, "tokenhouse: no such user\n");
}

/// Runs a command that reads a password.
fn with_password(app: &TestApp, arguments: &[&str], password: &str) -> Output {
    run_with_input(&mut app.program(arguments), password)
}

fn operator_creates_users_and_grants_scopes(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_REGISTRATION", "closed")
        .start();
    let create = [
        "user",
        "create",
        "Root@EXAMPLE.com",
        "--name",
        "The Root",
        "--scope",
        "users:read",
        "--scope",
        "users:write",
        "--scope",
        "users:read",
    ];
    let output = with_password(&app, &create, "mulberry-Tram-71\n");
    assert!(output.status.success(), "{output:?}");
    let line = "1\tRoot@example.com\tThe Root\tenabled\tusers:read users:write\n";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), line);
    let form = [
        ("username", "root@example.com"),
        ("password", "mulberry-Tram-71"),
    ];
    let response = app.post("/token").form(&form).send().json();
    assert_eq!(response["scope"], "users:read users:write");
    let root = response["access_token"].as_str().unwrap();
    assert_eq!(app.status("/admin/users", root), 200);

    let granted = tokenhouse(
        &app,
        &["user", "grant", "ROOT@example.com", "a:b", "users:read"],
    );
    let line = "1\tRoot@example.com\tThe Root\tenabled\tusers:read users:write a:b\n";
    assert_eq!(granted, line);
    let found = tokenhouse(&app, &["user", "list", "--search", "ROO"]);
    assert_eq!(found, line);
    let by_operator = "audit_events WHERE actor LIKE 'operator:%' AND credential = 'shell' \
                       AND level = 'operator' AND target = 'user:1' \
                       AND action IN ('user.create', 'user.scopes')";
    assert_eq!(app.database().count(by_operator), 2);
}

fn revocations_by_the_operator_take_effect_everywhere(backend: Backend) {
    let app = TestApp::start(backend);
    let (_process, second) = app.spawn_server();
    let alice = app.register_with("alice", "a b");
    let token = alice.sign_in();
    let key = app.create_key(&token, "a b").secret;
    let statuses = |path: &str| {
        [&token, &key].map(|credential| [*app, second].map(|s| s.status(path, credential)))
    };
    for _ in 0..3 {
        assert_eq!(statuses("/verify?scope=a"), [[200, 200]; 2]);
        let taken = tokenhouse(&app, &["user", "grant", "--revoke", &alice.email, "a", "c"]);
        assert_eq!(taken, "1\talice@example.com\talice Example\tenabled\tb\n");
        assert_eq!(statuses("/verify?scope=a"), [[403, 403]; 2]);
        assert_eq!(statuses("/verify?scope=b"), [[200, 200]; 2]);
        tokenhouse(&app, &["user", "grant", &alice.email, "a"]);
    }
    assert_eq!(
        tokenhouse(&app, &["user", "sign-out", &alice.email]),
        "signed alice@example.com out; 1 login token and 1 API key ended\n"
    );
    assert_eq!(statuses("/users/me"), [[401, 401]; 2]);
    assert_eq!(
        tokenhouse(&app, &["user", "sign-out", &alice.email]),
        "alice@example.com had no login token and no API keys\n"
    );

    let token = alice.sign_in();
    assert_eq!(app.status("/users/me", &token), 200);
    assert_eq!(
        tokenhouse(&app, &["user", "delete", "ALICE@example.com"]),
        "deleted alice@example.com, user 1; 1 login token ended\n"
    );
    assert_eq!(
        [*app, second].map(|s| s.status("/users/me", &token)),
        [401, 401]
    );
    assert_eq!(app.database().count("users"), 0);
    assert!(app.database().count("audit_events WHERE target = 'user:1'") > 5);
}

/// The previous owner of the address keeps no access, unless the operator keeps the keys.
fn passwd_revokes_credentials_unless_keys_are_kept(backend: Backend) {
    let app = TestApp::start(backend);
    let (_process, second) = app.spawn_server();
    let alice = app.register("alice");
    let statuses = |credential: &str| [*app, second].map(|s| s.status("/users/me", credential));
    let mut password = alice.password.clone();
    for (new, keep, revoked_keys) in [
        ("mulberry-Tram-71", false, 1),
        ("mulberry-Tram-72", true, 0),
        // Including the key that was kept.
        ("mulberry-Tram-73", false, 2),
    ] {
        let token = alice.try_sign_in(&password, "").json()["access_token"].clone();
        let token = token.as_str().unwrap();
        let key = app.create_key(token, "").secret;
        assert_eq!([statuses(token), statuses(&key)], [[200, 200]; 2]);
        let mut passwd = vec!["user", "passwd", alice.email.as_str()];
        passwd.extend(keep.then_some("--keep-keys"));
        let output = with_password(&app, &passwd, new);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(statuses(token), [401, 401]);
        let expected = if keep { [200, 200] } else { [401, 401] };
        assert_eq!(statuses(&key), expected);
        assert_eq!(alice.try_sign_in(&password, "").status, 401);
        new.clone_into(&mut password);
        let recorded = format!(
            "audit_events WHERE action = 'password.change' AND target = 'user:1'
             AND detail = '{{\"keys\":{revoked_keys},\"token\":true}}'"
        );
        assert_eq!(app.database().count(&recorded), 1, "{recorded}");
    }
}

fn invalid_commands_fail_with_one_line(backend: Backend) {
    let app = TestApp::start(backend);
    app.register("alice");
    let create = ["user", "create", "alice@example.com", "--name", "Alice"];
    let bad_scope = [
        "user",
        "create",
        "b@example.com",
        "--name",
        "Bobby",
        "--scope",
        "a\tb",
    ];
    let short = ["user", "create", "b@example.com", "--name", "Bob"];
    let passwd = ["user", "passwd", "alice@example.com"];
    for (arguments, password, code, problem) in [
        (
            &create[..],
            "mulberry-Tram-71",
            1,
            "the e-mail address is taken",
        ),
        (
            &bad_scope,
            "mulberry-Tram-71",
            2,
            "scopes: must be names of printable ASCII",
        ),
        (
            &short,
            "short",
            2,
            "name: must have at least 5 characters; password: must have at least 8",
        ),
        (&passwd, "short", 2, "password: must have at least 8"),
        (&passwd, "password", 2, "password: is too easy to guess"),
        (
            &passwd,
            "mulberry-Tram-71\nmulberry-Tram-72\n",
            2,
            "the password on standard input must be a single line",
        ),
        (
            &["user", "grant", "nobody@example.com", "a"],
            "",
            1,
            "no such user",
        ),
        (
            &["user", "grant", "alice@example.com", "a\"b"],
            "",
            2,
            "scopes: must be names of printable ASCII",
        ),
        (
            &["user", "delete", "nobody@example.com"],
            "",
            1,
            "no such user",
        ),
        (&["user", "sign-out", "no address"], "", 1, "no such user"),
        (
            &["user", "list", "--search", &"x".repeat(501)],
            "",
            2,
            "search: must have at most 500 bytes",
        ),
        (
            &["key", "revoke", "alice@example.com", "999"],
            "",
            1,
            "no such API key",
        ),
        (
            &["key", "create", "alice@example.com", "--name", ""],
            "",
            2,
            "name: must have at least 1 character",
        ),
        (
            &[
                "key",
                "create",
                "alice@example.com",
                "--name",
                "k",
                "--scope",
                "a",
            ],
            "",
            1,
            "the owner does not hold the scope a",
        ),
        (
            &["token", "issue", "alice@example.com", "--scope", "a"],
            "",
            1,
            "the user does not hold all requested scopes",
        ),
        (
            &["token", "issue", "alice@example.com", "--scope", "a\"b"],
            "",
            2,
            "scopes: must be names of printable ASCII",
        ),
        (
            &["audit", "tail", "--user", "nobody@example.com"],
            "",
            1,
            "no such user",
        ),
    ] {
        let output = with_password(&app, arguments, password);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {stderr}");
        assert!(
            stderr.starts_with(&format!("tokenhouse: {problem}")),
            "{arguments:?} {stderr}"
        );
        assert_eq!(
            (stderr.lines().count(), output.stdout.len()),
            (1, 0),
            "{stderr}"
        );
    }
    assert_eq!(app.database().count("users WHERE scopes = ''"), 1);
    assert_eq!(app.database().count("users"), 1);
}

fn user_list_is_paginated(backend: Backend) {
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

fn token_prune_deletes_only_expired_tokens(backend: Backend) {
    let long_ago = Clock::manual(DateTime::UNIX_EPOCH + TimeDelta::days(10_000));
    let app = TestApp::builder(backend).clock(long_ago).start();
    app.register("alice").sign_in();
    // Once this server has started, the clock of the first is no longer behind it.
    let second = app.sibling().start();
    let token = second.register("bob").sign_in();
    // More than one transaction deletes.
    app.database().execute(
        "INSERT INTO users (name, surname, email, email_key, website, hashed_password, created_at)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
         SELECT 'expired', '', 'e' || i, 'e' || i, '', '!', '2020-01-01' FROM n;
         INSERT INTO sessions (user_id, slot, kind, name, user_agent, first_ip, last_ip,
             created_at, last_used_at, expires_at, amr, scopes)
         SELECT id, 0, 'api', '', '', '', '', created_at, created_at, '2020-01-02', '', ''
         FROM users WHERE name = 'expired';
         INSERT INTO access_tokens (user_id, access_token, expiration_date, created_at, session_id)
         SELECT user_id, 'of ' || id, expires_at, created_at, id FROM sessions
         WHERE expires_at = '2020-01-02'",
    );
    // The command uses the current time, years after the first sign-in.
    let prune = ["token", "prune", "--confirm"];
    assert_eq!(
        tokenhouse(&app, &prune),
        "deleted 1,501 expired login tokens\n"
    );
    assert_eq!(app.database().count("access_tokens"), 1);
    assert_eq!(app.database().count("sessions"), 1);
    assert_eq!(second.get("/users/me").bearer(&token).send().status, 200);
}

/// Commands that print no result, or one that is not JSON by nature, with the reason.
const WITHOUT_JSON: [(&str, &str); 4] = [
    ("completions", "prints a shell script"),
    (
        "dev",
        "prints a line of JSON in any case, and runs until it is stopped",
    ),
    ("healthcheck", "prints nothing: the exit code is the result"),
    ("serve", "prints its address and runs until it is stopped"),
];

fn leaf_commands(command: &clap::Command, name: &str, found: &mut BTreeSet<String>) {
    let subcommands: Vec<_> = command.get_subcommands().collect();
    if subcommands.is_empty() {
        found.insert(name.trim_start().to_owned());
    }
    for command in subcommands {
        leaf_commands(command, &format!("{name} {}", command.get_name()), found);
    }
}

#[test]
fn every_command_honours_the_json_option() {
    let app = TestApp::builder(Backend::Sqlite)
        // For the links.
        .setting("TOKENHOUSE_PUBLIC_URL", "https://auth.example.com")
        .start();
    app.database().execute(FAILED_MAILS);
    let folder = ScratchDir::new("json-option");
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (source, copy, pages) = (file("users.jsonl"), file("copy.db"), file("pages"));
    let settings = file("settings");
    fs::write(&source, r#"{"email": "d@example.com"}"#).unwrap();
    let restored = format!("sqlite://{}", file("restored.db"));
    let hash = "$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG";
    let carol = "carol@example.com";

    let mut tested: BTreeSet<String> = WITHOUT_JSON.map(|(name, _)| name.to_owned()).into();
    for (name, arguments) in [
        ("config check", &[][..]),
        ("config show", &[]),
        ("config list", &[]),
        ("config init", &["--output", &settings]),
        ("migrate", &[]),
        ("openapi", &[]),
        ("hash", &["--cost", "4"]),
        ("verify", &[hash]),
        ("user create", &[carol, "--name", "Carol"]),
        ("user list", &[]),
        ("user show", &[carol]),
        ("user passwd", &[carol]),
        ("user export", &[carol]),
        ("user update", &[carol, "--surname", "X"]),
        ("user grant", &[carol, "a:b"]),
        ("user unlock", &[carol]),
        ("user reset-link", &[carol]),
        ("user verify", &[carol]),
        ("user reset-factors", &[carol]),
        ("user invite", &["erin@example.com"]),
        ("token issue", &[carol]),
        ("token list", &[]),
        ("session list", &[carol]),
        ("session end", &[carol, "--all"]),
        ("device list", &[carol]),
        ("device end", &[carol, "--all"]),
        ("token revoke", &[carol]),
        ("token prune", &[]),
        ("key create", &[carol, "--name", "k"]),
        ("key list", &[]),
        ("key revoke", &[carol, "1"]),
        ("app create", &["tasks", "--scope", "a:b"]),
        ("app add-key", &["tasks"]),
        ("app list", &[]),
        ("app revoke", &["tasks"]),
        ("keys rotate", &[]),
        ("mail queue", &[]),
        ("mail retry", &["1"]),
        ("mail drop", &["2"]),
        ("user sign-out", &[carol]),
        ("user disable", &[carol]),
        ("user enable", &[carol]),
        ("audit verify", &[]),
        ("audit tail", &[]),
        ("audit export", &[]),
        ("audit prune", &[]),
        ("audit adopt-key", &[]),
        ("import", &[source.as_str()]),
        ("backup", &[copy.as_str()]),
        ("user delete", &[carol]),
        ("doctor", &[]),
        ("mail test", &[carol]),
        ("man", &[pages.as_str()]),
        ("restore", &[copy.as_str()]),
        ("after-restore", &[]),
    ] {
        let mut all: Vec<&str> = name.split(' ').chain(arguments.iter().copied()).collect();
        all.push("--json");
        let mut command = app.program(&all);
        if name.ends_with("restore") {
            command.env("DATABASE_URL", &restored);
        }
        if name == "device list" {
            // Only sign-ins have devices trusted.
            app.database().execute(
                "INSERT INTO trusted_devices (user_id, digest, name, created_at, expires_at)
                 SELECT id, 'digest', 'Tablet', created_at, '2099-01-01 00:00:00' FROM users
                 WHERE email = 'carol@example.com'",
            );
        }
        if name == "mail test" {
            command.env("TOKENHOUSE_MAIL", "log");
            command.env("TOKENHOUSE_PUBLIC_URL", "https://auth.example");
        }
        let output = run_with_input(&mut command, "mulberry-Tram-71");
        // The wrong password of `verify` and a finding of `doctor` are results as well.
        let may_fail = ["verify", "doctor"].contains(&name);
        assert!(output.status.success() || may_fail, "{name}: {output:?}");
        let stdout = String::from_utf8(output.stdout).unwrap();
        let documents = serde_json::Deserializer::from_str(&stdout).into_iter::<Value>();
        let documents: Result<Vec<Value>, _> = documents.collect();
        let documents = documents.unwrap_or_else(|error| panic!("{name}: {error}: {stdout}"));
        assert!(
            !documents.is_empty() && documents.iter().all(Value::is_object),
            "{name}: {stdout}"
        );
        assert!(tested.insert(name.to_owned()), "{name} is listed twice");
    }
    let mut commands = BTreeSet::new();
    leaf_commands(&Cli::command(), "", &mut commands);
    assert_eq!(commands, tested);
}

#[test]
fn commands_without_rows_confirm_in_a_sentence() {
    let app = TestApp::start(Backend::Sqlite);
    let alice = app.register("alice");
    app.create_key(&alice.sign_in(), "");
    for (arguments, confirmation) in [
        (
            &["key", "revoke", &alice.email, "1"][..],
            "revoked key 1 of alice@example.com\n",
        ),
        (
            &["user", "disable", &alice.email],
            "disabled alice@example.com; 1 login token ended\n",
        ),
        (
            &["user", "disable", &alice.email],
            "disabled alice@example.com\n",
        ),
        (
            &["user", "enable", &alice.email],
            "enabled alice@example.com\n",
        ),
        (
            &["user", "unlock", &alice.email],
            "alice@example.com was not locked\n",
        ),
        (&["token", "prune"], "deleted 0 expired login tokens\n"),
        (&["audit", "prune"], "deleted 0 events\n"),
        (
            &["user", "delete", &alice.email],
            "deleted alice@example.com, user 1\n",
        ),
    ] {
        assert_eq!(tokenhouse(&app, arguments), confirmation);
    }
}

/// The message of the only line on standard error, which is JSON.
fn json_error(output: &Output) -> String {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.is_ascii(), "{stderr}");
    let error: Value = serde_json::from_str(&stderr).unwrap();
    error["error"].as_str().unwrap().to_owned()
}

#[test]
fn errors_of_every_command_are_json_with_the_json_option() {
    let app = TestApp::start(Backend::Sqlite);
    let mut commands = BTreeSet::new();
    leaf_commands(&Cli::command(), "", &mut commands);
    for name in &commands {
        let mut words: Vec<&str> = name.split(' ').collect();
        // A hash may begin with a hyphen.
        words.extend((name == "verify").then_some("hash"));
        let unknown = [&words[..], &["--no-such-option", "--json"]].concat();
        let output = app.program(&unknown).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}: {output:?}");
        let error = json_error(&output);
        assert!(
            error.starts_with("unexpected argument '--no-such-option' found"),
            "{name}: {error}"
        );
        assert!(
            !error.contains("Usage") && !error.contains("--help"),
            "{name}: {error}"
        );
        // The option counts before the command as well, but not behind `--`.
        let first = [&["--json"], &words[..], &["--no-such-option"]].concat();
        json_error(&app.program(&first).output().unwrap());
        let behind = [&words[..], &["--no-such-option", "--", "--json"]].concat();
        let output = app.program(&behind).output().unwrap();
        assert!(
            output.stderr.starts_with(b"error: unexpected"),
            "{output:?}"
        );
    }
    for (arguments, code, expected) in [
        (
            &["user", "show", "nobody@example.com"][..],
            1,
            "no such user",
        ),
        (
            &["user", "create", "x", "--name", "Bob"],
            2,
            "name: must have",
        ),
        (
            &["user", "show"],
            2,
            "the following required arguments were not provided: <EMAIL>",
        ),
        (
            &["backup", "/no/such/copy.db"],
            1,
            "/no/such/copy.db: no such file or folder",
        ),
        (
            &["restore", "/no/such/file", "--replace"],
            1,
            "/no/such/file: no such file or folder",
        ),
        (
            &["audit", "tail", "--since", "soon"],
            2,
            "invalid value 'soon' for '--since",
        ),
        (&["healthcheck"], 1, "127.0.0.1"),
    ] {
        let arguments = [arguments, &["--json"]].concat();
        let output = app.program(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {output:?}");
        let error = json_error(&output);
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
    // A note of a command that succeeds, and an error of the settings.
    app.register("alice");
    app.register("bobby");
    let list = app
        .program(&["user", "list", "--limit", "1", "--json"])
        .output();
    let note: Value = serde_json::from_slice(&list.unwrap().stderr).unwrap();
    assert_eq!(
        note["note"],
        "1 of 2 users \u{2014} continue with --after 1"
    );
    let mut command = app.program(&["user", "list", "--json"]);
    let output = command.env("TOKENHOUSE_WORKERS", "no").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(json_error(&output).contains("TOKENHOUSE_WORKERS"));
}

#[test]
fn arguments_that_cannot_be_used_exit_with_2() {
    let app = TestApp::start(Backend::Sqlite);
    let key = [
        "key",
        "create",
        "alice@example.com",
        "--name",
        "k",
        "--days",
    ];
    for arguments in [
        &[&key[..], &["400"]].concat()[..],
        &[&key[..], &["0"]].concat(),
        &[&key[..], &["30", "--expires", "30d"]].concat(),
        &[&key[..5], &["--expires", "400d"]].concat(),
        &[&key[..5], &["--expires", "36h"]].concat(),
        &[&key[..5], &["--expires", "+1d"]].concat(),
        &["user", "list", "--limit", "0"],
        &["user", "list", "--limit", "10001"],
        &["key", "revoke", "alice@example.com"],
        &["key", "revoke", "alice@example.com", "one"],
        &["key", "revoke", "alice@example.com", "1", "--all"],
        &["key", "list", "alice@example.com", "--after", "1"],
        &["token", "list", "--after", "x"],
        &["audit", "tail", "-n", "501"],
        &["audit", "tail", "--since", "2026-11-29"],
        &["audit", "tail", "--until", "-1h"],
        &["audit", "verify", "--contains", "17"],
        &["hash", "--cost", "99"],
        &["import", "x.csv", "--timezone", "Mars"],
        &["user", "list", "--color", "sometimes"],
        &["user", "list", "--env-file", "/no/such/file"],
        &["completions", "cmd.exe"],
        &["no-such-command"],
    ] {
        let output = app.program(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {output:?}");
        assert!(output.stdout.is_empty(), "{arguments:?} {output:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
    let passwords: [&[u8]; 2] = [b"p\xe4ssword-Tram-71\n", b"mulberry-Tram-71\n\n"];
    for password in passwords {
        let mut command = app.program(&["user", "create", "x@example.com", "--name", "Xaver"]);
        let output = run_with_input(&mut command, password);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            stderr.contains("the password on standard input"),
            "{stderr}"
        );
    }
    assert_eq!(app.database().count("users"), 0);
}

fn keys_of_all_users_are_listed_and_several_are_revoked_at_once(backend: Backend) {
    let app = TestApp::start(backend);
    for name in ["alice", "bobby"] {
        let token = app.register_with(name, "a:b").sign_in();
        app.create_key(&token, "a:b");
        app.create_key(&token, "");
    }
    let all = tokenhouse(&app, &["key", "list"]);
    let owners = |text: &str| -> Vec<String> {
        let owner = |line: &str| {
            let fields: Vec<&str> = line.split('\t').collect();
            assert_eq!(fields.len(), 7, "{line}");
            format!("{} {} {}", fields[0], fields[5], fields[6])
        };
        text.lines().map(owner).collect()
    };
    assert_eq!(
        owners(&all),
        [
            "1 a:b alice@example.com",
            "2  alice@example.com",
            "3 a:b bobby@example.com",
            "4  bobby@example.com",
        ]
    );
    let page = tokenhouse(&app, &["key", "list", "--after", "1", "--limit", "2"]);
    assert_eq!(owners(&page), owners(&all)[1..3]);
    let own = tokenhouse(&app, &["key", "list", "BOBBY@example.com"]);
    let six = |line: &str| line.rsplit_once('\t').unwrap().0.to_owned();
    let expected: Vec<String> = all.lines().skip(2).map(six).collect();
    assert_eq!(own.lines().collect::<Vec<_>>(), expected);

    // One that the user does not have prevents all.
    let revoke = ["key", "revoke", "alice@example.com"];
    let mixed = [&revoke[..], &["1", "3"]].concat();
    let output = app.program(&mixed).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let problem = "tokenhouse: no such API key: alice@example.com has no key 3\n";
    assert_eq!(String::from_utf8(output.stderr).unwrap(), problem);
    assert_eq!(app.database().count("api_keys WHERE revoked_at IS NULL"), 4);
    assert_eq!(
        tokenhouse(&app, &[&revoke[..], &["2", "1"]].concat()),
        "revoked key 2 of alice@example.com\nrevoked key 1 of alice@example.com\n"
    );
    for (span, days) in [("30d", 30), ("2w", 14), ("48h", 2), ("7", 7)] {
        let create = ["key", "create", "alice@example.com", "--name", span];
        let created = tokenhouse(
            &app,
            &[&create[..], &["--expires", span, "--json"]].concat(),
        );
        let created: Value = serde_json::from_str(&created).unwrap();
        let time = |name: &str| DateTime::parse_from_rfc3339(created[name].as_str().unwrap());
        let lifetime = time("expires_at").unwrap() - time("created_at").unwrap();
        assert_eq!(lifetime, TimeDelta::days(days));
        let id = created["id"].to_string();
        tokenhouse(&app, &[&revoke[..], &[id.as_str()]].concat());
    }
    let all_of_bobby = ["key", "revoke", "bobby@example.com", "--all", "--json"];
    let revoked = tokenhouse(&app, &all_of_bobby);
    let expected = "{\"id\":3,\"revoked\":true}\n{\"id\":4,\"revoked\":true}\n";
    assert_eq!(revoked, expected);
    assert_eq!(app.database().count("api_keys WHERE revoked_at IS NULL"), 0);
}

fn tail_finds_events_by_user_action_time_and_request(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    let token = alice.sign_in();
    app.create_key(&token, "");
    app.register("bobby").sign_in();
    let request = app.get("/verify?scope=x").bearer(&token);
    assert_eq!(request.header("X-Request-Id", "mine-1").send().status, 403);
    tokenhouse(&app, &["key", "revoke", &alice.email, "1"]);
    let tail = |filter: &[&str]| -> Vec<String> {
        let all = [&["audit", "tail", "-n", "100"], filter].concat();
        let fields = |line: &str| -> Vec<String> { line.split('\t').map(str::to_owned).collect() };
        let lines: Vec<Vec<String>> = tokenhouse(&app, &all).lines().map(fields).collect();
        assert!(lines.iter().all(|fields| fields.len() == 14), "{lines:?}");
        let shown = lines.iter().map(|fields| {
            let target = Some(&fields[13]).filter(|email| !email.is_empty());
            format!("{} {}", fields[3], target.unwrap_or(&fields[12]))
        });
        shown.collect()
    };
    let of_alice = [
        "register alice@example.com",
        "login alice@example.com",
        "key.create alice@example.com",
        "scope.refused alice@example.com",
        "key.revoke alice@example.com",
    ];
    assert_eq!(tail(&["--user", "ALICE@example.com"]), of_alice);
    assert_eq!(tail(&["--user", "1"]), of_alice);
    assert_eq!(
        tail(&["--action", "login"]),
        ["login alice@example.com", "login bobby@example.com"]
    );
    assert_eq!(
        tail(&["--user", "2", "--action", "login"]),
        ["login bobby@example.com"]
    );
    assert_eq!(
        tail(&["--request-id", "mine-1"]),
        ["scope.refused alice@example.com"]
    );
    let ids = app
        .database()
        .texts("SELECT request_id AS text FROM audit_events WHERE action = 'register' ORDER BY id");
    assert_eq!(
        tail(&["--request-id", &ids[1]]),
        ["register bobby@example.com"]
    );
    assert_eq!(
        tail(&["--user", "1", "--since", "1h", "--until", "0s"]),
        of_alice
    );
    let none: [&str; 0] = [];
    assert_eq!(tail(&["--user", "1", "--until", "1h"]), none);
    assert_eq!(tail(&["--since", "2100-01-01T00:00:00+01:00"]), none);
    assert_eq!(tail(&["--user", "99"]), none);
    assert!(tail(&["--until", "2100-01-01T00:00:00Z"]).len() > 10);
    // The trail keeps no address, so that of a deleted user is gone.
    tokenhouse(&app, &["user", "delete", &alice.email]);
    let after = tail(&["--user", "1"]);
    assert_eq!(
        after.len(),
        5,
        "the keys of the user are gone as well: {after:?}"
    );
    assert!(after.iter().all(|shown| !shown.contains('@')), "{after:?}");
    let json = tokenhouse(&app, &["audit", "tail", "--user", "2", "-n", "1", "--json"]);
    let event: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(event["actor_email"], "bobby@example.com");
}

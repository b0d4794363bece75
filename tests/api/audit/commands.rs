//! Operator commands and the service itself leave audit events, command by command.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use clap::CommandFactory;
use serde_json::{Value, json};
use tokenhouse::cli::Cli;
use tokenhouse::{Auth, Worker};

use super::{administrator, page, sign_in};
use crate::harness::{
    Backend, Running, STATIC_KEY, ScratchDir, TestApp, on_both_databases, runtime, wait_until,
};
use crate::mail::FAILED_MAILS;

on_both_databases!(
    every_command_is_audited,
    service_start_and_stop_are_audited,
    operators_are_distinguished_by_uid,
    introspection_clients_are_audited_once,
);

/// Commands that leave no event, with the reason.
const WITHOUT_EVENT: [(&str, &str); 14] = [
    (
        "audit verify",
        "must not change what it verifies, and prints ids and digests only",
    ),
    ("completions", "opens no database"),
    ("config check", "opens no database"),
    ("config init", "opens no database"),
    ("config list", "opens no database"),
    ("config show", "opens no database"),
    ("dev", "its database is thrown away"),
    (
        "doctor",
        "changes nothing, prints no user data, and must work on a broken database",
    ),
    ("hash", "opens no database"),
    (
        "healthcheck",
        "queries a public endpoint of a running service",
    ),
    ("mail test", "opens no database"),
    ("man", "opens no database"),
    ("openapi", "opens no database"),
    ("verify", "opens no database"),
];

/// Commands whose events are checked in another file.
const TESTED_ELSEWHERE: [(&str, &str); 3] = [
    ("audit adopt-key", "tests/api/audit/key.rs"),
    ("after-restore", "tests/api/restore.rs"),
    ("restore", "tests/api/restore.rs"),
];

const ADDRESS: &str = "carol@example.com";
const PASSWORD: &str = "mulberry-Tram-71";

/// Commands with arguments and the action that they record, ordered so that each one has an effect.
const WITH_EVENT: [(&str, &[&str], &str); 39] = [
    ("user create", &[ADDRESS, "--name", "Carol"], "user.create"),
    ("user list", &[], "user.read"),
    ("user show", &[ADDRESS], "user.read"),
    ("user passwd", &[ADDRESS], "password.change"),
    ("user export", &[ADDRESS], "user.read"),
    ("user update", &[ADDRESS, "--surname", "X"], "user.update"),
    ("user grant", &[ADDRESS, "a:b"], "user.scopes"),
    ("user unlock", &[ADDRESS], "user.unlock"),
    ("user verify", &[ADDRESS], "email.verify"),
    ("user reset-link", &[ADDRESS], "password.reset-link"),
    ("user reset-factors", &[ADDRESS], "factor.reset"),
    ("user invite", &["dora@example.com"], "invitation.create"),
    ("token issue", &[ADDRESS], "token.issue"),
    ("token list", &[], "user.read"),
    ("token revoke", &[ADDRESS], "token.revoke"),
    ("token prune", &[], "token.prune"),
    ("session list", &[ADDRESS], "session.read"),
    ("session end", &[ADDRESS, "--all"], "session.end"),
    ("device list", &[ADDRESS], "device.read"),
    ("device end", &[ADDRESS, "--all"], "device.end"),
    ("key create", &[ADDRESS, "--name", "k"], "key.create"),
    ("key list", &[ADDRESS], "key.read"),
    ("key revoke", &[ADDRESS, "1"], "key.revoke"),
    ("app create", &["tasks", "--scope", "a:b"], "app.create"),
    ("app add-key", &["tasks"], "key.create"),
    ("app list", &[], "key.read"),
    ("app revoke", &["tasks"], "app.revoke"),
    ("keys rotate", &[], "keys.rotate"),
    ("mail queue", &[], "mail.read"),
    ("mail retry", &["1"], "mail.retry"),
    ("mail drop", &["2"], "mail.drop"),
    ("user sign-out", &[ADDRESS], "user.sign-out"),
    ("user disable", &[ADDRESS], "user.disable"),
    ("user enable", &[ADDRESS], "user.enable"),
    ("audit tail", &[], "event.read"),
    ("audit export", &[], "audit.export"),
    ("audit prune", &[], "audit.prune"),
    ("user delete", &[ADDRESS], "user.delete"),
    ("migrate", &[], "migrate"),
];

/// Commands that need a file or run until they are stopped; tested separately below.
const SPECIAL: [&str; 3] = ["backup", "import", "serve"];

/// Collects the commands that have no subcommands.
fn leaf_commands(command: &clap::Command, command_name: &str, found: &mut BTreeSet<String>) {
    let subcommands: Vec<_> = command.get_subcommands().collect();
    if subcommands.is_empty() {
        found.insert(command_name.trim_start().to_owned());
    }
    for command in subcommands {
        leaf_commands(
            command,
            &format!("{command_name} {}", command.get_name()),
            found,
        );
    }
}

#[test]
fn every_command_has_an_event_or_an_exemption() {
    let mut commands = BTreeSet::new();
    leaf_commands(&Cli::command(), "", &mut commands);
    assert!(commands.len() > 30, "{commands:?}");
    let listed = WITH_EVENT.iter().map(|(command_name, _, _)| *command_name);
    let listed = listed
        .chain(SPECIAL)
        .chain(TESTED_ELSEWHERE.map(|(command_name, _)| command_name));
    let listed = listed.chain(WITHOUT_EVENT.map(|(command_name, _)| command_name));
    let all: Vec<String> = listed.map(str::to_owned).collect();
    let listed: BTreeSet<String> = all.iter().cloned().collect();
    assert_eq!(all.len(), listed.len(), "a command is listed twice");
    assert_eq!(commands, listed);
}

/// The actions and actors recorded after this event.
fn events_after(app: &TestApp, id: i64) -> Vec<(String, String)> {
    let rows = app.database().texts(&format!(
        "SELECT action || '|' || actor AS text FROM audit_events WHERE id > {id} ORDER BY id"
    ));
    let split = |row: &String| {
        let (action, actor) = row.split_once('|').unwrap();
        (action.to_owned(), actor.to_owned())
    };
    rows.iter().map(split).collect()
}

#[track_caller]
fn assert_audited(app: &TestApp, command_name: &str, arguments: &[&str], action: &str) {
    let before = app.database().count("audit_events");
    let all: Vec<&str> = command_name
        .split(' ')
        .chain(arguments.iter().copied())
        .collect();
    let output = super::program(app, &all, PASSWORD);
    assert!(output.status.success(), "{command_name}: {output:?}");
    let recorded = events_after(app, before);
    assert!(
        recorded.iter().any(|(recorded, _)| recorded == action),
        "{command_name}: {recorded:?}"
    );
    for (_, actor) in &recorded {
        assert!(
            actor.starts_with("operator:"),
            "{command_name}: {recorded:?}"
        );
    }
}

fn every_command_is_audited(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_PUBLIC_URL", "https://auth.example")
        .start();
    app.register("alice");
    app.database().execute(FAILED_MAILS);
    for (command_name, arguments, action) in WITH_EVENT {
        if command_name == "migrate" {
            assert_eq!(events_after(&app, 0)[0].0, "register");
            app.database().execute(
                "DELETE FROM __diesel_schema_migrations WHERE version = '20261129000000';
                 DROP TABLE clock_mark;
                 ALTER TABLE audit_events DROP COLUMN client_request_id;
                 ALTER TABLE audit_head DROP COLUMN adopted_id;
                 ALTER TABLE audit_head DROP COLUMN adopted_start;
                 ALTER TABLE audit_head DROP COLUMN adopted_digest",
            );
        }
        assert_audited(&app, command_name, arguments, action);
    }
    let folder = ScratchDir::new("commands");
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let source = file("users.jsonl");
    std::fs::write(&source, json!({"email": "d@example.com"}).to_string()).unwrap();
    assert_audited(&app, "import", &[&source], "import");
    if backend == Backend::Sqlite {
        let copy = file("copy.db");
        assert_audited(&app, "backup", &[&copy], "backup");
        // A failed backup is recorded as refused.
        let before = app.database().count("audit_events");
        let output = super::program(&app, &["backup", &copy], "");
        assert_eq!(output.status.code(), Some(1));
        let refused = format!("audit_events WHERE id > {before} AND result = 'refused'");
        assert_eq!(app.database().count(&refused), 1);
    }
    let verified = super::program(&app, &["audit", "verify"], "");
    assert!(verified.status.success(), "{verified:?}");
}

fn service_start_and_stop_are_audited(backend: Backend) {
    let app = TestApp::start(backend);
    app.register("alice");
    let run = |settings: &[(&str, &str)]| -> Value {
        let before = app.database().count("audit_events");
        let mut command = app.program(&["serve"]);
        let (process, client) = Running::serve(command.envs(settings.iter().copied()));
        assert_eq!(client.get("/readyz").send().status, 200);
        process.signal("TERM");
        process.wait();
        let recorded = events_after(&app, before);
        let actions: Vec<_> = recorded.iter().map(|(action, _)| action.as_str()).collect();
        assert_eq!(actions, ["service.start", "service.stop"]);
        assert!(recorded.iter().all(|(_, actor)| actor == "service"));
        let detail = app.database().texts(&format!(
            "SELECT detail AS text FROM audit_events WHERE id = {}",
            before + 1
        ));
        serde_json::from_str(&detail[0]).unwrap()
    };
    let first = run(&[]);
    assert_eq!(first["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(first["settings"].as_str().unwrap().len(), 64);
    assert_eq!(run(&[]), first);
    // For secrets, the digest covers only whether they are set.
    assert_eq!(run(&[("API_KEY_TOKEN", "another static key")]), first);
    assert_ne!(
        run(&[("API_KEY_TOKEN_PREVIOUS", "another static key")]),
        first
    );
    assert_ne!(run(&[("TOKENHOUSE_LIMITS", "on")]), first);
}

/// A start during a database outage is recorded once the database is available again.
#[test]
fn start_event_is_written_after_a_database_outage() {
    let app = TestApp::start(Backend::Postgres);
    app.register("alice");
    let auth = Auth::open(&app.config()).unwrap();
    let runtime = runtime();
    app.database().make_unavailable();
    assert!(
        runtime
            .block_on(auth.audit().record_start("1.2.3", "digest"))
            .is_err()
    );
    app.database().make_available();
    let _worker = Worker::start(&auth).unwrap();
    // On a busy machine a commit may be acknowledged too late, and the event is then written again.
    wait_until("the start is recorded", || {
        app.database()
            .count("audit_events WHERE action = 'service.start'")
            > 0
    });
}

fn operators_are_distinguished_by_uid(backend: Backend) {
    let app = TestApp::start(backend);
    let admin = administrator(&app);
    app.register("alice");
    let id = Command::new("id").arg("-u").output().unwrap();
    let uid = String::from_utf8(id.stdout).unwrap().trim().to_owned();
    let sudo_actor = if uid == "0" {
        "operator:0/4242".to_owned()
    } else {
        format!("operator:{uid}")
    };
    for (sudo_uid, expected) in [
        (None, format!("operator:{uid}")),
        (Some("4242"), sudo_actor),
        (Some("4242 user:1"), format!("operator:{uid}")),
        (Some("-4242"), format!("operator:{uid}")),
    ] {
        let before = app.database().count("audit_events");
        let mut command = app.program(&["user", "unlock", "alice@example.com"]);
        command.envs(sudo_uid.map(|uid| ("SUDO_UID", uid)));
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let recorded = events_after(&app, before);
        assert_eq!(recorded, [("user.unlock".to_owned(), expected.clone())]);
        let (events, _) = page(&app, &admin, &format!("/admin/events?actor={expected}"));
        assert!(!events.is_empty(), "{expected}");
    }
    // All of them, including the command that created the administrator.
    let (events, _) = page(&app, &admin, "/admin/events?actor=operator");
    assert_eq!(events.len(), 5);
    // Users do not see which operator it was.
    let token = sign_in(&app, "alice@example.com", "the password of alice");
    let (events, _) = page(&app, &token, "/users/me/events");
    let unlocked: Vec<_> = events
        .iter()
        .filter(|event| event["action"] == "user.unlock")
        .collect();
    assert_eq!(unlocked.len(), 4);
    assert!(
        unlocked.iter().all(|event| event["actor"] == "operator"),
        "{unlocked:?}"
    );
}

fn introspection_clients_are_audited_once(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register_with("alice", "introspect");
    let token = alice.sign_in();
    let key = app.create_key(&token, "introspect").secret;
    let introspect = |address: [u8; 4], credential: &str| {
        let form = [("token", "never-issued")];
        let request = app
            .from(address)
            .post("/introspect")
            .bearer(credential)
            .form(&form);
        assert_eq!(request.send().status, 200);
    };
    let before = app.database().count("audit_events");
    for _ in 0..5 {
        for credential in [&*token, &key, STATIC_KEY] {
            introspect([127, 0, 0, 1], credential);
            introspect([127, 0, 0, 9], credential);
        }
    }
    let rows = app.database().texts(&format!(
        "SELECT actor || ' ' || credential || ' ' || level || ' ' || ip AS text FROM audit_events \
         WHERE action = 'introspect' AND id > {before} ORDER BY id"
    ));
    let expected = [
        "user:1 login introspect",
        "user:1 key:1 introspect",
        "static-key static-key static-key",
    ];
    let expected: Vec<String> = expected
        .iter()
        .flat_map(|who| ["127.0.0.1", "127.0.0.9"].map(|ip| format!("{who} {ip}")))
        .collect();
    assert_eq!(rows, expected);
}

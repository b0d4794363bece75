//! What operators and the service do is on record, command by command.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use clap::CommandFactory;
use serde_json::{Value, json};
use tokenhouse::cli::Cli;
use tokenhouse::{Auth, Config};

use super::{administrator, make_key, page, sign_in};
use crate::harness::{Backend, Running, STATIC_KEY, ScratchDir, TestApp, on_both_databases};

on_both_databases!(
    every_command_is_on_record,
    the_service_is_on_record_from_its_start_to_its_stop,
    an_operator_is_told_apart_from_others,
    clients_that_introspect_are_on_record_once,
);

/// Commands that leave no event, each with the reason.
const WITHOUT_EVENT: [(&str, &str); 10] = [
    (
        "audit verify",
        "must not touch what it examines, and prints ids and digests only",
    ),
    ("completions", "opens no database"),
    ("config check", "opens no database"),
    ("config list", "opens no database"),
    (
        "doctor",
        "changes nothing, prints nothing of users, and has to work on what is broken",
    ),
    ("hash", "opens no database"),
    (
        "healthcheck",
        "asks a running service what everybody may ask",
    ),
    ("man", "opens no database"),
    ("openapi", "opens no database"),
    ("verify", "opens no database"),
];

/// Commands whose events other tests look for.
const ELSEWHERE: [(&str, &str); 3] = [
    ("audit adopt-key", "tests/api/audit/key.rs"),
    ("after-restore", "tests/api/restore.rs"),
    ("restore", "tests/api/restore.rs"),
];

const ADDRESS: &str = "carol@example.com";
const PASSWORD: &str = "mulberry-Tram-71";

/// Commands with the actions that they leave, in an order in which all of them do something.
const WITH_EVENT: [(&str, &[&str], &str); 22] = [
    ("user create", &[ADDRESS, "--name", "Carol"], "user.create"),
    ("user list", &[], "user.read"),
    ("user show", &[ADDRESS], "user.read"),
    ("user passwd", &[ADDRESS], "password.change"),
    ("user export", &[ADDRESS], "user.read"),
    ("user grant", &[ADDRESS, "a:b"], "user.scopes"),
    ("user unlock", &[ADDRESS], "user.unlock"),
    ("token issue", &[ADDRESS], "token.issue"),
    ("token list", &[], "user.read"),
    ("token revoke", &[ADDRESS], "token.revoke"),
    ("token prune", &[], "token.prune"),
    ("key create", &[ADDRESS, "--name", "k"], "key.create"),
    ("key list", &[ADDRESS], "key.read"),
    ("key revoke", &[ADDRESS, "1"], "key.revoke"),
    ("user sign-out", &[ADDRESS], "user.sign-out"),
    ("user disable", &[ADDRESS], "user.disable"),
    ("user enable", &[ADDRESS], "user.enable"),
    ("audit tail", &[], "event.read"),
    ("audit export", &[], "audit.export"),
    ("audit prune", &[], "audit.prune"),
    ("user delete", &[ADDRESS], "user.delete"),
    ("migrate", &[], "migrate"),
];

/// Those that want a file, or do not end by themselves: below.
const WITH_MORE: [&str; 3] = ["backup", "import", "serve"];

/// The commands that have none below them.
fn leaves(command: &clap::Command, words: &str, found: &mut BTreeSet<String>) {
    let below: Vec<_> = command.get_subcommands().collect();
    if below.is_empty() {
        found.insert(words.trim_start().to_owned());
    }
    for command in below {
        leaves(command, &format!("{words} {}", command.get_name()), found);
    }
}

#[test]
fn every_command_has_an_event_or_a_reason() {
    let mut commands = BTreeSet::new();
    leaves(&Cli::command(), "", &mut commands);
    assert!(commands.len() > 30, "{commands:?}");
    let listed = WITH_EVENT.iter().map(|(words, _, _)| *words);
    let listed = listed
        .chain(WITH_MORE)
        .chain(ELSEWHERE.map(|(words, _)| words));
    let listed = listed.chain(WITHOUT_EVENT.map(|(words, _)| words));
    let all: Vec<String> = listed.map(str::to_owned).collect();
    let listed: BTreeSet<String> = all.iter().cloned().collect();
    assert_eq!(all.len(), listed.len(), "a command is listed twice");
    assert_eq!(commands, listed);
}

/// The actions and actors that were written after this row.
fn written_after(app: &TestApp, id: i64) -> Vec<(String, String)> {
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
fn assert_on_record(app: &TestApp, words: &str, arguments: &[&str], action: &str) {
    let before = app.database().count("audit_events");
    let all: Vec<&str> = words.split(' ').chain(arguments.iter().copied()).collect();
    let output = super::program(app, &all, PASSWORD);
    assert!(output.status.success(), "{words}: {output:?}");
    let written = written_after(app, before);
    assert!(
        written.iter().any(|(written, _)| written == action),
        "{words}: {written:?}"
    );
    for (_, actor) in &written {
        assert!(actor.starts_with("operator:"), "{words}: {written:?}");
    }
}

fn every_command_is_on_record(backend: Backend) {
    let app = TestApp::start(backend);
    app.register("alice");
    for (words, arguments, action) in WITH_EVENT {
        if words == "migrate" {
            assert_eq!(written_after(&app, 0)[0].0, "register");
            app.database().execute(
                "DELETE FROM __diesel_schema_migrations WHERE version = '20261129000080';
                 ALTER TABLE audit_events DROP COLUMN client_request_id",
            );
        }
        assert_on_record(&app, words, arguments, action);
    }
    let folder = ScratchDir::new("commands");
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let source = file("users.jsonl");
    std::fs::write(&source, json!({"email": "d@example.com"}).to_string()).unwrap();
    assert_on_record(&app, "import", &[&source], "import");
    if backend == Backend::Sqlite {
        let copy = file("copy.db");
        assert_on_record(&app, "backup", &[&copy], "backup");
        // One that cannot be made says so.
        let before = app.database().count("audit_events");
        let output = super::program(&app, &["backup", &copy], "");
        assert_eq!(output.status.code(), Some(1));
        let refused = format!("audit_events WHERE id > {before} AND result = 'refused'");
        assert_eq!(app.database().count(&refused), 1);
    }
    let verified = super::program(&app, &["audit", "verify"], "");
    assert!(verified.status.success(), "{verified:?}");
}

fn the_service_is_on_record_from_its_start_to_its_stop(backend: Backend) {
    let app = TestApp::start(backend);
    app.register("alice");
    let run = |settings: &[(&str, &str)]| -> Value {
        let before = app.database().count("audit_events");
        let mut command = app.program(&["serve"]);
        let (process, client) = Running::serve(command.envs(settings.iter().copied()));
        assert_eq!(client.get("/readyz").send().status, 200);
        process.signal("TERM");
        process.wait();
        let written = written_after(&app, before);
        let actions: Vec<_> = written.iter().map(|(action, _)| action.as_str()).collect();
        assert_eq!(actions, ["service.start", "service.stop"]);
        assert!(written.iter().all(|(_, actor)| actor == "service"));
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
    // Of secrets only whether they are set.
    assert_eq!(run(&[("API_KEY_TOKEN", "another static key")]), first);
    assert_ne!(
        run(&[("API_KEY_TOKEN_PREVIOUS", "another static key")]),
        first
    );
    assert_ne!(run(&[("TOKENHOUSE_LIMITS", "on")]), first);
}

/// Also a start while the database is away, as soon as it is back.
#[test]
fn a_start_that_cannot_be_written_is_written_later() {
    let app = TestApp::start(Backend::Postgres);
    app.register("alice");
    let settings = [("DATABASE_URL".to_owned(), app.database().url())];
    let auth = Auth::open(&Config::from_vars(settings).unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    app.database().make_unavailable();
    assert!(
        runtime
            .block_on(auth.note_start("1.2.3", "digest"))
            .is_err()
    );
    app.database().make_available();
    let starts = || {
        app.database()
            .count("audit_events WHERE action = 'service.start'")
    };
    for _ in 0..100 {
        if starts() == 1 {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("the start was lost");
}

fn an_operator_is_told_apart_from_others(backend: Backend) {
    let app = TestApp::start(backend);
    let admin = administrator(&app);
    app.register("alice");
    let id = Command::new("id").arg("-u").output().unwrap();
    let uid = String::from_utf8(id.stdout).unwrap().trim().to_owned();
    let by_sudo = if uid == "0" {
        "operator:0/4242".to_owned()
    } else {
        format!("operator:{uid}")
    };
    for (sudo_uid, expected) in [
        (None, format!("operator:{uid}")),
        (Some("4242"), by_sudo),
        (Some("4242 user:1"), format!("operator:{uid}")),
        (Some("-4242"), format!("operator:{uid}")),
    ] {
        let before = app.database().count("audit_events");
        let mut command = app.program(&["user", "unlock", "alice@example.com"]);
        command.envs(sudo_uid.map(|uid| ("SUDO_UID", uid)));
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let written = written_after(&app, before);
        assert_eq!(written, [("user.unlock".to_owned(), expected.clone())]);
        let (events, _) = page(&app, &admin, &format!("/admin/events?actor={expected}"));
        assert!(!events.is_empty(), "{expected}");
    }
    // All of them, and who made the administrator.
    let (events, _) = page(&app, &admin, "/admin/events?actor=operator");
    assert_eq!(events.len(), 5);
    // The user is not told which one it was.
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

fn clients_that_introspect_are_on_record_once(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register_with("alice", "introspect");
    let token = alice.sign_in();
    let (_, key) = make_key(&app, &token, "introspect");
    let ask = |address: [u8; 4], credential: &str| {
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
            ask([127, 0, 0, 1], credential);
            ask([127, 0, 0, 9], credential);
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

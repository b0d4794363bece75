//! A database that is put back from a copy: no id is given out twice, nothing that was ended is
//! good again, and the trail tells of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::thread;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use serde_json::Value;

use crate::harness::{
    Backend, Client, Person, Running, ScratchDir, TestApp, TestDatabase, on_both_databases,
};

on_both_databases!(
    what_is_put_back_revives_nothing_and_gives_no_id_twice,
    keys_are_kept_when_told_so,
    an_id_of_a_deleted_row_is_never_given_again,
    what_is_restored_twice_goes_further_each_time,
    what_after_restore_ends_has_ended_on_services_that_run,
);

/// A service on a database of its own, in a process of its own, and a place for copies.
struct Scene {
    backend: Backend,
    database: TestDatabase,
    /// Lends its settings.
    app: TestApp,
    folder: ScratchDir,
    copy: PathBuf,
}

impl Scene {
    fn new(backend: Backend) -> Self {
        let folder = ScratchDir::new("restore");
        Self {
            backend,
            database: TestDatabase::create(backend),
            app: TestApp::start(backend),
            copy: folder.join("copy"),
            folder,
        }
    }

    fn serve(&self) -> (Running, Client) {
        let url = self.database.url();
        self.app.spawn_server_with(&[("DATABASE_URL", &url)])
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.app.program(arguments);
        command.env("DATABASE_URL", self.database.url());
        command.output().unwrap()
    }

    /// Puts the copy back as an operator does, and returns the report.
    fn restore(&self, arguments: &[&str]) -> Value {
        let copy = self.copy.to_str().unwrap();
        let mut all = match self.backend {
            Backend::Sqlite => vec!["--json", "restore", "--replace", copy],
            Backend::Postgres => {
                self.database.restore(&self.copy);
                vec!["--json", "after-restore"]
            }
        };
        all.extend(arguments);
        let output = self.run(&all);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn event(&self) -> Value {
        let query = "SELECT detail AS text FROM audit_events WHERE action = 'restore' \
                     AND actor LIKE 'operator:%' ORDER BY id DESC LIMIT 1";
        serde_json::from_str(&self.database.texts(query)[0]).unwrap()
    }
}

fn stop(mut service: Running) {
    service.signal("TERM");
    while service.ended().is_none() {
        thread::sleep(Duration::from_millis(10));
    }
}

fn id_of(person: &Person) -> i64 {
    person.client.id_of(&person.sign_in())
}

fn what_is_put_back_revives_nothing_and_gives_no_id_twice(backend: Backend) {
    let scene = Scene::new(backend);
    let (service, client) = scene.serve();
    let [alice, bob] = ["alice", "bob"].map(|name| client.register(name));
    let tokens = [&alice, &bob].map(Person::sign_in);
    let keys = [(); 2].map(|()| client.create_key(&tokens[1], ""));
    scene.database.copy(&scene.copy);
    // That it was made is the last event of the copy, if our own program has made it.
    let mark = scene
        .database
        .texts("SELECT last_digest AS text FROM audit_head");

    let newcomer = client.register("newcomer");
    let lost_id = id_of(&newcomer);
    let out = client.post("/logout").bearer(&tokens[0]).send();
    assert!((200..300).contains(&out.status), "{out:?}");
    let path = format!("/users/me/keys/{}", keys[0].id);
    let revoked = client.request("DELETE", &path).bearer(&tokens[1]).send();
    assert_eq!(revoked.status, 204, "{revoked:?}");
    let lost_key = client.create_key(&tokens[1], "").id;
    stop(service);
    // Its last event is that the service stopped.
    let replaced = scene
        .database
        .texts("SELECT last_digest AS text FROM audit_head");

    let report = scene.restore(&[]);
    assert_eq!(report["ended_tokens"], 2);
    assert_eq!(report["ended_keys"], 2);
    let next = |table: &str| report["next_ids"][table].as_i64().unwrap();
    assert!(next("users") > lost_id + 999_999, "{report}");
    assert!(next("api_keys") > lost_key + 999_999, "{report}");
    let event = scene.event();
    let ends_with = |mark_of: &Value, digest: &str| mark_of.as_str().unwrap().ends_with(digest);
    assert!(ends_with(&event["copy"], &mark[0]), "{event}");
    assert_eq!(event["tokens"], 2);
    assert_eq!(event["keys"], 2);
    if backend == Backend::Sqlite {
        assert!(ends_with(&event["replaced"], &replaced[0]), "{event}");
        assert_eq!(report["lost_events"]["register"], 1);
        assert_eq!(report["lost_events"]["key.revoke"], 1);
    }
    let copied = event["copy"].as_str().unwrap();
    let verified = scene.run(&["audit", "verify", "--contains", copied]);
    assert!(verified.status.success(), "{verified:?}");

    let (service, client) = scene.serve();
    for credential in [&tokens[0], &tokens[1], &keys[0].secret, &keys[1].secret] {
        assert_eq!(client.status("/users/me", credential), 401);
    }
    let somebody = client.register("somebody");
    assert_eq!(id_of(&somebody), next("users"));
    let alice = Person { client, ..alice };
    let token = alice.sign_in();
    assert_eq!(client.create_key(&token, "").id, next("api_keys"));
    stop(service);
}

fn what_after_restore_ends_has_ended_on_services_that_run(backend: Backend) {
    let app = TestApp::start(backend);
    let (_process, beside) = app.spawn_server();
    let alice = app.register("alice");
    let token = alice.sign_in();
    let key = app.create_key(&token, "").secret;
    let statuses = || {
        [&token, &key].map(|credential| [*app, beside].map(|s| s.status("/users/me", credential)))
    };
    assert_eq!(statuses(), [[200, 200]; 2]);
    let output = app.program(&["after-restore"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(statuses(), [[401, 401]; 2]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("ended 1 login token(s) and 1 API key(s)"),
        "{said}"
    );
}

fn keys_are_kept_when_told_so(backend: Backend) {
    let scene = Scene::new(backend);
    let (service, client) = scene.serve();
    let alice = client.register("alice");
    let token = alice.sign_in();
    let key = client.create_key(&token, "").secret;
    scene.database.copy(&scene.copy);
    stop(service);
    let report = scene.restore(&["--keep-keys"]);
    assert_eq!(report["ended_keys"], 0);
    assert_eq!(report["kept_keys"], true);
    assert_eq!(scene.event()["keep_keys"], true);
    let (service, client) = scene.serve();
    assert_eq!(client.status("/users/me", &key), 200);
    assert_eq!(client.status("/users/me", &token), 401);
    stop(service);
}

fn what_is_restored_twice_goes_further_each_time(backend: Backend) {
    let scene = Scene::new(backend);
    scene.database.copy(&scene.copy);
    let first = scene.restore(&[]);
    let (service, client) = scene.serve();
    assert_eq!(id_of(&client.register("alice")), first["next_ids"]["users"]);
    stop(service);
    if backend == Backend::Postgres {
        // Nothing is known there of what was replaced: the copy has to be newer.
        scene.database.copy(&scene.copy);
    }
    let second = scene.restore(&[]);
    let next = |report: &Value| report["next_ids"]["users"].as_i64().unwrap();
    assert!(next(&second) > next(&first) + 999_999, "{first} {second}");
}

fn an_id_of_a_deleted_row_is_never_given_again(backend: Backend) {
    let app = TestApp::start(backend);
    let mut ids = Vec::new();
    for _ in 0..3 {
        let alice = app.register("alice");
        let token = alice.sign_in();
        ids.push((app.id_of(&token), app.create_key(&token, "").id));
        app.database().execute("DELETE FROM users");
    }
    assert!(ids.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1), "{ids:?}");
}

/// Changes a copy with the means of SQLite.
fn alter(copy: &Path, statements: &str) {
    let mut conn = SqliteConnection::establish(copy.to_str().unwrap()).unwrap();
    conn.batch_execute(statements).unwrap();
}

/// A scene on SQLite with a copy in which something has happened.
fn copied() -> Scene {
    let scene = Scene::new(Backend::Sqlite);
    let (service, client) = scene.serve();
    client.register("alice").sign_in();
    stop(service);
    scene.database.copy(&scene.copy);
    scene
}

fn is_refused(scene: &Scene, arguments: &[&str], says: &str) {
    let file = scene.database.url().replace("sqlite://", "");
    let before = fs::read(&file).unwrap();
    let copy = scene.copy.to_str().unwrap();
    let mut all = vec!["restore", "--replace", copy];
    all.extend(arguments);
    let output = scene.run(&all);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(says), "{said}");
    // But for the mode of its journal.
    assert_eq!(fs::read(&file).unwrap()[100..], before[100..]);
    assert!(!Path::new(&format!("{file}.restoring")).exists());
}

#[test]
fn a_copy_with_an_altered_trail_is_taken_only_by_order() {
    let scene = copied();
    alter(
        &scene.copy,
        "DROP TRIGGER audit_events_are_not_changed; \
         UPDATE audit_events SET actor = 'user:9' WHERE id = 1; \
         CREATE TRIGGER audit_events_are_not_changed BEFORE UPDATE ON audit_events\n\
         BEGIN\n    SELECT RAISE(ABORT, 'the audit trail is only appended to');\nEND",
    );
    is_refused(&scene, &[], "event 1 was altered");
    let report = scene.restore(&["--accept-altered-trail"]);
    assert!(report["trail_problems"].as_i64().unwrap() > 0, "{report}");
    assert_eq!(scene.event()["accepted_problems"], report["trail_problems"]);
    assert!(!scene.run(&["audit", "verify"]).status.success());
}

#[test]
fn a_copy_with_what_tokenhouse_does_not_make_is_refused() {
    let gift = "CREATE TRIGGER gift AFTER INSERT ON users BEGIN \
                UPDATE users SET scopes = 'users:read users:write' WHERE id = NEW.id; END";
    for (statements, says) in [
        (gift, "trigger gift is not Tokenhouse's"),
        ("CREATE VIEW a AS SELECT 1", "view a is not Tokenhouse's"),
        ("CREATE TABLE b (c)", "table b is not Tokenhouse's"),
        (
            "CREATE INDEX d ON users (name)",
            "index d is not Tokenhouse's",
        ),
        (
            "DROP TRIGGER session_ends_with_its_token",
            "session_ends_with_its_token is missing",
        ),
        (
            "PRAGMA foreign_keys = OFF; INSERT INTO api_keys (user_id, name, hint, key_digest, \
             created_at, expires_at) VALUES (77, '', '', '', '2026-01-01', '2030-01-01')",
            "belong to no user",
        ),
        (
            "ALTER TABLE users ADD COLUMN e TEXT",
            "table users is not as it was made",
        ),
    ] {
        let scene = copied();
        alter(&scene.copy, statements);
        is_refused(&scene, &[], says);
        is_refused(&scene, &["--accept-altered-trail"], says);
    }
}

#[test]
fn a_part_of_a_database_is_no_copy() {
    let scene = copied();
    let file = scene.database.url().replace("sqlite://", "");
    let itself = scene.run(&["restore", "--replace", &file]);
    let said = String::from_utf8(itself.stderr).unwrap();
    assert!(said.contains("the copy is the database itself"), "{said}");
    fs::write(scene.folder.join("copy-wal"), "the rest").unwrap();
    is_refused(&scene, &[], "has a log beside it");
}

#[test]
fn a_copy_of_an_earlier_version_is_taken() {
    let scene = Scene::new(Backend::Sqlite);
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
    let first = "2026-11-24-000000_users_and_access_tokens";
    let up = fs::read_to_string(sources.join(first).join("up.sql")).unwrap();
    alter(
        &scene.copy,
        &format!(
            "CREATE TABLE __diesel_schema_migrations (\n       \
             version VARCHAR(50) PRIMARY KEY NOT NULL,\n       \
             run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP\n); \
             INSERT INTO __diesel_schema_migrations (version) VALUES ('20261124000000'); {up}"
        ),
    );
    scene.restore(&[]);
    let (service, client) = scene.serve();
    assert!(id_of(&client.register("alice")) > 1_000_000);
    stop(service);
}

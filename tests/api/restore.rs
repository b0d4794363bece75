//! A database restored from a backup: no id is reused, no revoked credential works again, and the
//! trail records the restore.

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
    restore_revives_no_credential_and_reuses_no_id,
    keep_keys_keeps_api_keys,
    ids_of_deleted_rows_are_never_reused,
    repeated_restores_advance_the_ids_each_time,
    after_restore_revokes_on_running_services,
);

/// A service process on its own database, and a path for backups.
struct Fixture {
    backend: Backend,
    database: TestDatabase,
    /// Provides its settings.
    app: TestApp,
    folder: ScratchDir,
    copy: PathBuf,
}

impl Fixture {
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

    /// Restores the backup as an operator does, and returns the report.
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

fn restore_revives_no_credential_and_reuses_no_id(backend: Backend) {
    let fixture = Fixture::new(backend);
    let (service, client) = fixture.serve();
    let [alice, bob] = ["alice", "bob"].map(|name| client.register(name));
    let tokens = [&alice, &bob].map(Person::sign_in);
    let keys = [(); 2].map(|()| client.create_key(&tokens[1], ""));
    fixture.database.copy(&fixture.copy);
    // If our own program makes the backup, its last event records that.
    let mark = fixture
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
    // The last event is the stop of the service.
    let replaced = fixture
        .database
        .texts("SELECT last_digest AS text FROM audit_head");

    let report = fixture.restore(&[]);
    assert_eq!(report["ended_tokens"], 2);
    assert_eq!(report["ended_keys"], 2);
    let next = |table: &str| report["next_ids"][table].as_i64().unwrap();
    assert!(next("users") > lost_id + 999_999, "{report}");
    assert!(next("api_keys") > lost_key + 999_999, "{report}");
    let event = fixture.event();
    let ends_with =
        |mark_value: &Value, digest: &str| mark_value.as_str().unwrap().ends_with(digest);
    assert!(ends_with(&event["copy"], &mark[0]), "{event}");
    assert_eq!(event["tokens"], 2);
    assert_eq!(event["keys"], 2);
    if backend == Backend::Sqlite {
        assert!(ends_with(&event["replaced"], &replaced[0]), "{event}");
        assert_eq!(report["lost_events"]["register"], 1);
        assert_eq!(report["lost_events"]["key.revoke"], 1);
    }
    let copied_mark = event["copy"].as_str().unwrap();
    let verified = fixture.run(&["audit", "verify", "--contains", copied_mark]);
    assert!(verified.status.success(), "{verified:?}");

    let (service, client) = fixture.serve();
    for credential in [&tokens[0], &tokens[1], &keys[0].secret, &keys[1].secret] {
        assert_eq!(client.status("/users/me", credential), 401);
    }
    let next_user = client.register("next_user");
    assert_eq!(id_of(&next_user), next("users"));
    let alice = Person { client, ..alice };
    let token = alice.sign_in();
    assert_eq!(client.create_key(&token, "").id, next("api_keys"));
    stop(service);
}

fn after_restore_revokes_on_running_services(backend: Backend) {
    let app = TestApp::start(backend);
    let (_process, second) = app.spawn_server();
    let alice = app.register("alice");
    let token = alice.sign_in();
    let key = app.create_key(&token, "").secret;
    let statuses = || {
        [&token, &key].map(|credential| [*app, second].map(|s| s.status("/users/me", credential)))
    };
    assert_eq!(statuses(), [[200, 200]; 2]);
    let output = app.program(&["after-restore"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(statuses(), [[401, 401]; 2]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(
        stdout.contains("ended 1 login token and 1 API key"),
        "{stdout}"
    );
}

fn keep_keys_keeps_api_keys(backend: Backend) {
    let fixture = Fixture::new(backend);
    let (service, client) = fixture.serve();
    let alice = client.register("alice");
    let token = alice.sign_in();
    let key = client.create_key(&token, "").secret;
    fixture.database.copy(&fixture.copy);
    stop(service);
    let report = fixture.restore(&["--keep-keys"]);
    assert_eq!(report["ended_keys"], 0);
    assert_eq!(report["kept_keys"], true);
    assert_eq!(fixture.event()["keep_keys"], true);
    let (service, client) = fixture.serve();
    assert_eq!(client.status("/users/me", &key), 200);
    assert_eq!(client.status("/users/me", &token), 401);
    stop(service);
}

fn repeated_restores_advance_the_ids_each_time(backend: Backend) {
    let fixture = Fixture::new(backend);
    fixture.database.copy(&fixture.copy);
    let first = fixture.restore(&[]);
    let (service, client) = fixture.serve();
    assert_eq!(id_of(&client.register("alice")), first["next_ids"]["users"]);
    stop(service);
    if backend == Backend::Postgres {
        // On Postgres the replaced database is unknown: the backup must be newer.
        fixture.database.copy(&fixture.copy);
    }
    let second = fixture.restore(&[]);
    let next = |report: &Value| report["next_ids"]["users"].as_i64().unwrap();
    assert!(next(&second) > next(&first) + 999_999, "{first} {second}");
}

fn ids_of_deleted_rows_are_never_reused(backend: Backend) {
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

/// Changes a backup with SQL.
fn alter(copy: &Path, statements: &str) {
    let mut conn = SqliteConnection::establish(copy.to_str().unwrap()).unwrap();
    conn.batch_execute(statements).unwrap();
}

/// A fixture on SQLite with a backup that has events.
fn fixture_with_backup() -> Fixture {
    let fixture = Fixture::new(Backend::Sqlite);
    let (service, client) = fixture.serve();
    client.register("alice").sign_in();
    stop(service);
    fixture.database.copy(&fixture.copy);
    fixture
}

fn assert_rejected(fixture: &Fixture, arguments: &[&str], message: &str) {
    let file = fixture.database.url().replace("sqlite://", "");
    let before = fs::read(&file).unwrap();
    let copy = fixture.copy.to_str().unwrap();
    let mut all = vec!["restore", "--replace", copy];
    all.extend(arguments);
    let output = fixture.run(&all);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(message), "{stderr}");
    // Except for the journal mode in the header.
    assert_eq!(fs::read(&file).unwrap()[100..], before[100..]);
    assert!(!Path::new(&format!("{file}.restoring")).exists());
}

#[test]
fn backup_with_an_altered_trail_requires_a_flag() {
    let fixture = fixture_with_backup();
    alter(
        &fixture.copy,
        "DROP TRIGGER audit_events_are_not_changed; \
         UPDATE audit_events SET actor = 'user:9' WHERE id = 1; \
         CREATE TRIGGER audit_events_are_not_changed BEFORE UPDATE ON audit_events\n\
         BEGIN\n    SELECT RAISE(ABORT, 'the audit trail is only appended to');\nEND",
    );
    assert_rejected(&fixture, &[], "event 1 was altered");
    let report = fixture.restore(&["--accept-altered-trail"]);
    assert!(report["trail_problems"].as_i64().unwrap() > 0, "{report}");
    assert_eq!(
        fixture.event()["accepted_problems"],
        report["trail_problems"]
    );
    assert!(!fixture.run(&["audit", "verify"]).status.success());
}

#[test]
fn backup_with_foreign_schema_objects_is_rejected() {
    let gift = "CREATE TRIGGER gift AFTER INSERT ON users BEGIN \
                UPDATE users SET scopes = 'users:read users:write' WHERE id = NEW.id; END";
    for (statements, message) in [
        (gift, "trigger gift does not belong to Tokenhouse"),
        (
            "CREATE VIEW a AS SELECT 1",
            "view a does not belong to Tokenhouse",
        ),
        (
            "CREATE TABLE b (c)",
            "table b does not belong to Tokenhouse",
        ),
        (
            "CREATE INDEX d ON users (name)",
            "index d does not belong to Tokenhouse",
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
            "table users was changed",
        ),
    ] {
        let fixture = fixture_with_backup();
        alter(&fixture.copy, statements);
        assert_rejected(&fixture, &[], message);
        assert_rejected(&fixture, &["--accept-altered-trail"], message);
    }
}

#[test]
fn incomplete_backup_is_rejected() {
    let fixture = fixture_with_backup();
    let file = fixture.database.url().replace("sqlite://", "");
    let output = fixture.run(&["restore", "--replace", &file]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("the copy is the database itself"),
        "{stderr}"
    );
    fs::write(fixture.folder.join("copy-wal"), "the rest").unwrap();
    assert_rejected(&fixture, &[], "exists next to the file (-wal)");
}

#[test]
fn backup_of_an_earlier_version_is_restored() {
    let fixture = Fixture::new(Backend::Sqlite);
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
    let first = "2026-11-24-000000_users_and_access_tokens";
    let up = fs::read_to_string(sources.join(first).join("up.sql")).unwrap();
    alter(
        &fixture.copy,
        &format!(
            "CREATE TABLE __diesel_schema_migrations (\n       \
             version VARCHAR(50) PRIMARY KEY NOT NULL,\n       \
             run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP\n); \
             INSERT INTO __diesel_schema_migrations (version) VALUES ('20261124000000'); {up}"
        ),
    );
    fixture.restore(&[]);
    let (service, client) = fixture.serve();
    assert!(id_of(&client.register("alice")) > 1_000_000);
    stop(service);
}

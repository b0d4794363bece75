//! The tables of other programs are found whatever their names are, and their files are read without a
//! trace.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use serde_json::{Value, json};

use super::{Scratch, import, token};
use crate::harness::{Backend, TestApp, TestDatabase, on_both_databases};

on_both_databases!(
    token_tables_are_found_beside_any_table_of_users,
    user_model_of_django_is_found,
    tables_are_chosen_by_the_operator,
    urls_of_sqlalchemy_are_read,
    sqlite_files_are_read_without_a_trace,
    locked_and_damaged_files_are_named,
    tokens_of_a_user_become_sessions,
    lines_of_a_user_become_sessions,
);

const USERS: &str = "id INTEGER PRIMARY KEY, email TEXT, hashed_password TEXT";

/// An open SQLite file with these tables.
fn sqlite(path: &Path, statements: &str) -> SqliteConnection {
    let mut conn = SqliteConnection::establish(&path.to_string_lossy()).unwrap();
    conn.batch_execute(statements).unwrap();
    conn
}

fn error(app: &TestApp, arguments: &[&str]) -> String {
    let output = app
        .program(&[&["import"], arguments].concat())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    stderr
}

/// Runs the same statements on SQLite and on Postgres, and imports from there.
fn import_from_both(
    backend: Backend,
    statements: &str,
    arguments: &[&str],
    check: impl Fn(&TestApp, &Value),
) {
    let scratch = Scratch::new();
    let path = scratch.0.join("source.db");
    drop(sqlite(&path, statements));
    let postgres = TestDatabase::empty(Backend::Postgres);
    postgres.execute(statements);
    for url in [format!("sqlite://{}", path.display()), postgres.url()] {
        let app = TestApp::start(backend);
        check(&app, &import(&app, &[&[url.as_str()], arguments].concat()));
    }
}

fn token_tables_are_found_beside_any_table_of_users(backend: Backend) {
    let value = token("fastapi");
    let statements = format!(
        "CREATE TABLE users (id char(36) PRIMARY KEY, email text, hashed_password text,
           is_active boolean, is_superuser boolean, is_verified boolean);
         INSERT INTO users VALUES
           ('3f2c1e9a-7b4d-4e1f-8a6b-0c9d8e7f6a5b', 'a@example.com', '!', true, false, false);
         CREATE TABLE accesstoken (token varchar(43), created_at timestamp, user_id char(36));
         INSERT INTO accesstoken VALUES
           ('{value}', '2026-11-01 00:00:00', '3f2c1e9a-7b4d-4e1f-8a6b-0c9d8e7f6a5b')"
    );
    for arguments in [&[][..], &["--from", "fastapi-users"]] {
        import_from_both(backend, &statements, arguments, |app, report| {
            assert_eq!(report["format"], "fastapi-users");
            assert_eq!(report["tokens"]["imported"], 1);
            let not_read = json!(["is_superuser", "is_verified"]);
            assert_eq!(report["columns_not_read"], not_read);
            assert_eq!(app.status("/users/me", &value), 200);
        });
    }
}

fn user_model_of_django_is_found(backend: Backend) {
    let value = "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b";
    let statements = format!(
        "CREATE TABLE accounts_user (id integer PRIMARY KEY, password varchar(128),
           last_login timestamp, username varchar(150), first_name varchar(30), email varchar(254),
           is_active boolean, date_joined timestamp);
         INSERT INTO accounts_user VALUES
           (7, '!', NULL, 'ada', 'Ada', 'a@example.com', true, '2026-01-02 03:04:05'),
           (8, '!', NULL, 'bob', 'Bob', 'b@example.com', false, '2026-01-02 03:04:05');
         CREATE TABLE wiki_page (id integer PRIMARY KEY, email varchar(9), title varchar(9));
         CREATE TABLE authtoken_token (\"key\" varchar(40) PRIMARY KEY, created timestamp,
           user_id integer REFERENCES accounts_user (id));
         INSERT INTO authtoken_token VALUES ('{value}', '2020-01-01 00:00:00', 7)"
    );
    let dumped = statements.replace(" REFERENCES accounts_user (id)", "");
    for (statements, arguments) in [
        (&statements, &[][..]),
        (&statements, &["--from", "django"]),
        // A dump without foreign keys.
        (&dumped, &[]),
        (&dumped, &["--users-table", "accounts_user"]),
    ] {
        import_from_both(backend, statements, arguments, |app, report| {
            assert_eq!(report["format"], "django");
            assert_eq!(report["users"]["imported"], 2);
            assert_eq!(app.status("/users/me", value), 200);
            assert_eq!(
                app.database().count("users WHERE disabled_at IS NOT NULL"),
                1
            );
        });
    }
}

fn tables_are_chosen_by_the_operator(backend: Backend) {
    let (scratch, app) = (Scratch::new(), TestApp::start(backend));
    let value = token("chosen");
    let statements = format!(
        "CREATE TABLE \"my \"\"users\" ({USERS}); INSERT INTO \"my \"\"users\" VALUES (1, 'a@example.com', '!');
         CREATE TABLE other_users ({USERS}); INSERT INTO other_users VALUES (1, 'b@example.com', '!');
         CREATE TABLE logins (user_id integer, token text, expires_at text);
         INSERT INTO logins VALUES (1, '{value}', '2999-01-01')"
    );
    let path = scratch.0.join("source.db");
    drop(sqlite(&path, &statements));
    let url = format!("sqlite://{}", path.display());
    let problem = error(&app, &[&url]);
    assert!(problem.contains("has several tables of users"), "{problem}");
    assert!(
        problem.contains("--users-table: my \"users, other_users"),
        "{problem}"
    );
    for (option, name, expected) in [
        ("--users-table", "nothing", "has no table nothing"),
        (
            "--users-table",
            "logins",
            "the table logins has no column id",
        ),
        (
            "--users-table",
            "users\"; DROP TABLE other_users; --",
            "has no table",
        ),
    ] {
        let problem = error(&app, &[&url, option, name]);
        assert!(problem.contains(expected), "{problem}");
    }
    let tokens = ["--tokens-table", "other_users"];
    let problem = error(
        &app,
        &[&url, "--users-table", "other_users", tokens[0], tokens[1]],
    );
    assert!(
        problem.contains("other_users: expected a table with the columns user_id"),
        "{problem}"
    );
    let report = import(
        &app,
        &[
            &url,
            "--users-table",
            "my \"users",
            "--tokens-table",
            "logins",
        ],
    );
    assert_eq!(report["users"]["imported"], 1);
    assert_eq!(app.status("/users/me", &value), 200);

    let postgres = TestDatabase::empty(Backend::Postgres);
    let value = token("schema");
    postgres.execute(&format!(
        "CREATE SCHEMA \"Auth\"; CREATE TABLE \"Auth\".users (id uuid, email text, hashed_password text);
         INSERT INTO \"Auth\".users VALUES
           ('3f2c1e9a-7b4d-4e1f-8a6b-0c9d8e7f6a5b', 'c@example.com', '!');
         CREATE TABLE \"Auth\".access_tokens (user_id varchar(36), access_token text, expires_at text);
         INSERT INTO \"Auth\".access_tokens VALUES
           ('3f2c1e9a-7b4d-4e1f-8a6b-0c9d8e7f6a5b', '{value}', '2999-01-01')"
    ));
    let problem = error(&app, &[&postgres.url()]);
    assert!(problem.contains("has no tables"), "{problem}");
    let report = import(&app, &[&postgres.url(), "--users-table", "Auth.users"]);
    assert_eq!(report["users"]["imported"], 1);
    assert_eq!(app.status("/users/me", &value), 200);
}

fn urls_of_sqlalchemy_are_read(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let statements =
        format!("CREATE TABLE users ({USERS}); INSERT INTO users VALUES (1, 'a@example.com', '!')");
    drop(sqlite(&scratch.0.join("shop-of-ada.db"), &statements));
    for url in [
        "sqlite:///shop-of-ada.db",
        "sqlite:///./shop-of-ada.db",
        "sqlite+aiosqlite:///shop-of-ada.db",
        "sqlite://shop-of-ada.db",
    ] {
        let mut command = app.program(&["import", "--json", url]);
        let output = command.current_dir(&*scratch.0).output().unwrap();
        assert!(output.status.success(), "{url}: {output:?}");
    }
    let problem = error(&app, &["sqlite:///not-there.db"]);
    assert!(problem.contains("/not-there.db: no such file"), "{problem}");
    let problem = error(&app, &["sqlite:///shop.db?check_same_thread=false"]);
    assert!(
        problem.contains("parameters of SQLite are not supported"),
        "{problem}"
    );
}

/// All files of a folder: content, mode and owner.
fn files(folder: &Path) -> BTreeMap<String, (Vec<u8>, u32)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let entries = entries.map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let mode = entry.metadata().unwrap().permissions().mode();
        (name, (fs::read(entry.path()).unwrap(), mode))
    });
    entries.collect()
}

/// The user `nobody` of Debian.
const NOBODY: u32 = 65_534;

fn sqlite_files_are_read_without_a_trace(backend: Backend) {
    let good =
        format!("CREATE TABLE users ({USERS}); INSERT INTO users VALUES (1, 'a@example.com', '!')");
    for (mode, is_open) in [
        ("DELETE", false),
        ("DELETE", true),
        ("WAL", false),
        ("WAL", true),
    ] {
        let scratch = Scratch::new();
        let app = TestApp::start(backend);
        let folder = scratch.0.join("theirs");
        fs::create_dir(&folder).unwrap();
        let path = folder.join("old.db");
        let other = sqlite(&path, &format!("PRAGMA journal_mode = {mode}; {good}"));
        // The last user is only in the log while the other program runs.
        let other = is_open.then_some(other);
        // Only root can: for others the files keep their owner.
        let _ = chown(&folder, Some(NOBODY), None);
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let _ = chown(&path, Some(NOBODY), None);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        }
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
        let before = files(&folder);
        let url = format!("sqlite://{}", path.display());
        // For private copies.
        let temporary = scratch.0.join("temporary");
        fs::create_dir(&temporary).unwrap();
        for arguments in [&["--dry-run"][..], &[]] {
            let mut command = app.program(&["import", "--json", &url]);
            let output = command
                .args(arguments)
                .env("TMPDIR", &temporary)
                .output()
                .unwrap();
            assert!(output.status.success(), "{mode} {is_open}: {output:?}");
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(report["users"]["imported"], 1, "{mode} {is_open}");
            assert_eq!(files(&folder), before, "{mode} {is_open}");
            assert_eq!(files(&temporary), BTreeMap::new(), "{mode} {is_open}");
        }
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        if let Some(mut other) = other {
            other
                .batch_execute("INSERT INTO users VALUES (2, 'b@example.com', '!')")
                .unwrap();
            let report = import(&app, &[&url]);
            assert_eq!(report["users"]["imported"], 1, "{mode}");
        }
    }
}

fn locked_and_damaged_files_are_named(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let path = scratch.0.join("old.db");
    let url = format!("sqlite://{}", path.display());
    let good =
        format!("CREATE TABLE users ({USERS}); INSERT INTO users VALUES (1, 'a@example.com', '!')");
    let mut other = sqlite(&path, &good);
    other.batch_execute("BEGIN EXCLUSIVE").unwrap();
    let problem = error(&app, &[&url]);
    assert!(
        problem.contains("is locked by another program"),
        "{problem}"
    );
    other.batch_execute("COMMIT").unwrap();

    // A program that was killed in the middle of a change leaves a journal, which has to be rolled back.
    let killed = scratch.0.join("killed.db");
    other
        .batch_execute(
            "PRAGMA cache_size = 1; BEGIN; \
             WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) \
             INSERT INTO users SELECT i, 'u' || i || '@example.com', '!' FROM n",
        )
        .unwrap();
    fs::copy(&path, &killed).unwrap();
    fs::copy(
        scratch.0.join("old.db-journal"),
        scratch.0.join("killed.db-journal"),
    )
    .unwrap();
    drop(other);
    let before = files(&scratch.0);
    let report = import(&app, &[&format!("sqlite://{}", killed.display())]);
    assert_eq!(report["users"]["imported"], 1);
    assert_eq!(files(&scratch.0), before);

    let damaged = scratch.0.join("damaged.db");
    let mut bytes = fs::read(&path).unwrap();
    bytes[100..].fill(7);
    fs::write(&damaged, bytes).unwrap();
    let problem = error(&app, &[&format!("sqlite://{}", damaged.display())]);
    assert!(
        problem.contains("database disk image is malformed"),
        "{problem}"
    );
    let problem = error(&app, &[&format!("sqlite://{}", scratch.0.display())]);
    assert!(problem.contains("not a regular file"), "{problem}");
}

/// As many as a user may have sessions, the ones that last longest.
fn tokens_of_a_user_become_sessions(backend: Backend) {
    let scratch = Scratch::new();
    let path = scratch.0.join("source.db");
    let names = ["a", "b", "c", "d", "other"];
    let [a, b, c, d, other] = names.map(token);
    drop(sqlite(
        &path,
        &format!(
            "CREATE TABLE users ({USERS});
             INSERT INTO users VALUES (1, 'a@example.com', '!'), (2, 'b@example.com', '!');
             CREATE TABLE access_tokens (user_id INTEGER, access_token TEXT, expiration_date TEXT);
             INSERT INTO access_tokens VALUES
               (1, '{a}', '2999-01-01'), (1, '{b}', '2020-01-01'), (1, '{c}', '2999-01-03'),
               (1, '{d}', '2999-01-02'), (2, '{other}', '2999-01-01')"
        ),
    ));
    let path = format!("sqlite://{}", path.display());
    for (per_user, expected, superseded) in [
        ("1", [401, 401, 200, 401, 200], 2),
        ("2", [401, 401, 200, 200, 200], 1),
        ("20", [200, 401, 200, 200, 200], 0),
    ] {
        let app = TestApp::builder(backend)
            .setting("TOKENHOUSE_SESSIONS_PER_USER", per_user)
            .start();
        let predicted = import(&app, &[&path, "--dry-run"]);
        let report = import(&app, &[&path]);
        assert_eq!(predicted["tokens"], report["tokens"]);
        assert_eq!(report["tokens"]["superseded"], superseded);
        assert_eq!(report["tokens"]["expired"], 1);
        let statuses = names.map(|name| app.status("/users/me", &token(name)));
        assert_eq!(statuses, expected, "{per_user}");
        // Again nothing is stored.
        let again = import(&app, &[&path]);
        assert_eq!(again["tokens"]["imported"], 0, "{again}");
    }
}

/// Also lines that are apart, and none twice for a token that occurs twice.
fn lines_of_a_user_become_sessions(backend: Backend) {
    let scratch = Scratch::new();
    let lines = [
        ("a", "phone", "2999-01-01"),
        ("b", "other", "2999-01-01"),
        ("a", "laptop", "2999-01-03"),
        ("a", "old", "2020-01-01"),
        ("a", "laptop", "2999-01-02"),
    ];
    let mut csv = "email,hashed_password,access_token,expiration_date\n".to_owned();
    let mut jsonl = String::new();
    for (name, of, end) in lines {
        let (email, token) = (format!("{name}@example.com"), token(of));
        csv.push_str(&format!("{email},!,{token},{end}\n"));
        let line = json!({ "email": email, "hashed_password": "!", "access_token": token,
                           "expiration_date": end });
        jsonl.push_str(&format!("{line}\n"));
    }
    for (file, content) in [("users.csv", csv), ("users.jsonl", jsonl)] {
        let file = scratch.file(file, &content);
        for (per_user, expected, superseded) in [("1", [401, 200], 2), ("20", [200, 200], 1)] {
            let app = TestApp::builder(backend)
                .setting("TOKENHOUSE_SESSIONS_PER_USER", per_user)
                .start();
            let predicted = import(&app, &[&file, "--dry-run"]);
            let report = import(&app, &[&file]);
            assert_eq!(predicted["tokens"], report["tokens"], "{file}");
            let tokens = &report["tokens"];
            assert_eq!(
                (&tokens["superseded"], &tokens["expired"]),
                (&json!(superseded), &json!(1)),
                "{file}"
            );
            let statuses = ["phone", "laptop"].map(|name| app.status("/users/me", &token(name)));
            assert_eq!(statuses, expected, "{file}, {per_user}");
            assert_eq!(app.status("/users/me", &token("other")), 200);
            let stored = i64::from(expected[0] == 200) + 2;
            assert_eq!(tokens["imported"], stored, "{file}");
            assert_eq!(app.database().count("sessions"), stored, "{file}");
        }
    }
}

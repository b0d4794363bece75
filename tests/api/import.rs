//! Import of databases created by other libraries (`scripts/import-sources.py`) and of files. Old
//! passwords and tokens keep working.

mod ids;
mod limits;
mod prediction;
mod reimport;
mod seeds;
mod sources;
mod usernames;
mod values;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::harness::{Backend, Running, ScratchDir, TestApp, TestDatabase, on_both_databases};

on_both_databases!(
    tutorial_users_are_imported,
    fastapi_users_are_imported,
    django_users_are_imported,
    knox_token_works_like_any_other,
    csv_and_json_lines_use_the_given_time_zone,
    conflicts_are_reported_and_overwrite_nothing,
    revoked_token_is_not_imported_again,
    interrupted_import_is_completed_by_the_next,
    import_of_ten_thousand_users_keeps_all_signed_in,
    import_errors_are_one_line,
);

/// A hundred years: the sources do not record token lifetimes.
const LIFETIME: &str = "3155760000";

#[derive(Deserialize)]
struct Person {
    email: String,
    password: Option<String>,
    token: String,
    live: bool,
}

/// A folder that is removed after the test.
struct Scratch(ScratchDir);

impl Scratch {
    fn new() -> Self {
        Self(ScratchDir::new("import"))
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    }
}

fn data(source: &str, name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/import");
    fs::read_to_string(folder.join(source).join(name)).unwrap()
}

fn people(source: &str) -> Vec<Person> {
    let all = include_str!("../data/import/people.json");
    let mut all: BTreeMap<String, Vec<Person>> = serde_json::from_str(all).unwrap();
    all.remove(source).unwrap()
}

/// The SQLite database of a source.
fn sqlite_source(scratch: &Scratch, source: &str) -> PathBuf {
    let path = scratch.0.join(format!("{source} #1 %41.db"));
    // SQLite opens such names as plain files unless they begin with `file:`.
    let mut conn = SqliteConnection::establish(&path.to_string_lossy()).unwrap();
    // The dump orders tables by name, not by dependency.
    conn.batch_execute("PRAGMA foreign_keys = OFF").unwrap();
    conn.batch_execute(&data(source, "sqlite.sql")).unwrap();
    path
}

/// A token with this prefix, as random as tokens of other programs look.
fn token(name: &str) -> String {
    format!("{name}-9944b09199c62bcf9418ad846dd0e4bb")
}

fn import(app: &TestApp, arguments: &[&str]) -> Value {
    let all = [
        &["import", "--json", "--token-lifetime", LIFETIME],
        arguments,
    ]
    .concat();
    let output = app.program(&all).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A report without fields that differ between a dry run and an import.
fn without_times(mut report: Value) -> Value {
    for name in ["seconds", "users_per_second", "dry_run"] {
        report.as_object_mut().unwrap().remove(name);
    }
    report
}

/// Imports after a dry run, and checks that the reports agree.
fn import_after_dry_run(app: &TestApp, arguments: &[&str]) -> Value {
    let dry = without_times(import(app, &[arguments, &["--dry-run"]].concat()));
    let report = without_times(import(app, arguments));
    assert_eq!(dry, report);
    report
}

/// Tries an import that is refused, after a dry run, and checks that both agree. Returns the report and
/// the error.
fn refused_after_dry_run(app: &TestApp, arguments: &[&str]) -> (Value, String) {
    let users = app.database().count("users");
    let options = ["import", "--json", "--token-lifetime", LIFETIME];
    let [dry, run] = [["--dry-run"].as_slice(), &[]].map(|dry| {
        let all = [options.as_slice(), arguments, dry].concat();
        let output = app.program(&all).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let report = serde_json::from_slice(&output.stdout).unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(error.lines().count(), 1, "{error}");
        (without_times(report), error)
    });
    assert_eq!(dry, run);
    assert_eq!(app.database().count("users"), users);
    run
}

/// Imports a database as a dry run and for real, and checks that the reports agree; then uses all
/// imported credentials and imports again. Returns the report.
fn import_and_verify(app: &TestApp, source: &str, url: &str) -> Value {
    let dry = without_times(import(app, &[url, "--dry-run", "--batch", "3"]));
    assert_eq!(app.database().count("users"), 0);
    assert_eq!(app.database().count("audit_events"), 0);
    let report = without_times(import(app, &[url, "--batch", "3"]));
    assert_eq!(dry, report);
    assert_eq!(report["format"], source);
    assert_eq!(app.database().count("users"), report["users"]["imported"]);
    assert_eq!(
        app.database().count("access_tokens"),
        report["tokens"]["imported"]
    );
    assert!(app.database().count("audit_events WHERE action = 'import'") > 0);

    for person in people(source) {
        let response = app.get("/users/me").bearer(&person.token).send();
        let expected = if person.live { 200 } else { 401 };
        assert_eq!(response.status, expected, "{}", person.email);
        // In the form that Django clients send.
        let django_header = format!("Token {}", person.token);
        let response = app
            .get("/users/me")
            .header("Authorization", django_header)
            .send();
        assert_eq!(response.status, expected, "{}", person.email);
        if person.live {
            let email = response.json()["email"].as_str().unwrap().to_lowercase();
            assert_eq!(email, person.email.to_lowercase());
        }
        let Some(password) = &person.password else {
            continue;
        };
        for (password, expected) in [("wrong", 401), (password, 200)] {
            assert_eq!(
                sign_in(app, &person.email, password),
                expected,
                "{}",
                person.email
            );
        }
    }
    let repeated = import(app, &[url]);
    assert_eq!(repeated["users"]["imported"], 0);
    assert_eq!(repeated["tokens"]["imported"], 0);
    assert_eq!(
        repeated["users"]["already_there"],
        report["users"]["imported"]
    );
    report
}

fn sign_in(app: &TestApp, email: &str, password: &str) -> u16 {
    let fields = [("username", email), ("password", password)];
    app.post("/token").form(&fields).send().status
}

/// Imports the SQLite form of a source, and the Postgres form if there is one.
fn import_from_both_databases(backend: Backend, source: &str, check: impl Fn(&TestApp, &Value)) {
    let scratch = Scratch::new();
    let path = sqlite_source(&scratch, source);
    let before = fs::read(&path).unwrap();
    let app = TestApp::start(backend);
    let url = format!("sqlite+aiosqlite://{}", path.display());
    let report = import_and_verify(&app, source, &url);
    check(&app, &report);
    assert_eq!(fs::read(&path).unwrap(), before, "the source is read only");

    if source == "django" {
        return;
    }
    let database = TestDatabase::create(Backend::Postgres);
    database.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    database.execute(&data(source, "postgres.sql"));
    let app = TestApp::start(backend);
    let url = database
        .url()
        .replace("postgres://", "postgresql+asyncpg://");
    check(&app, &import_and_verify(&app, source, &url));
}

/// The ids of the users with a problem, and the problems.
fn problem_names(report: &Value) -> Vec<String> {
    let problems = report["problems"].as_array().unwrap().iter();
    problems
        .map(|problem| {
            let [id, name] = ["id", "problem"].map(|member| problem[member].as_str().unwrap());
            format!("{id} {name}")
        })
        .collect()
}

fn tutorial_users_are_imported(backend: Backend) {
    import_from_both_databases(backend, "tutorial", |_app, report| {
        assert_eq!(
            (&report["users"], &report["tokens"]),
            (
                &json!({
                    "read": 22, "imported": 20, "disabled": 0, "already_there": 0,
                    "spelled_otherwise": 1, "address_taken": 0, "deleted_here": 0,
                    "invalid_address": 1, "too_long": 0, "unreadable": 0, "id_not_free": 0,
                    "not_accepted": 0,
                }),
                &json!({
                    "read": 20, "imported": 15, "cut": 0, "without_end": 0, "ended_here": 0,
                    "of_another_user": 0, "expired": 5, "superseded": 0,
                    "of_users_left_out": 0, "not_importable": {},
                    "ends": {"within_a_day": 0, "within_a_week": 0, "within_30_days": 0,
                             "within_a_year": 0, "later": 15},
                })
            )
        );
        assert_eq!(
            report["problems"],
            json!([
                {"id": "21", "email": "person0@example.com", "problem": "spelled-otherwise",
                 "held_by": "Person0@example.com"},
                {"id": "22", "email": "nobody@localhost", "problem": "invalid-address"},
            ])
        );
        assert_eq!(
            report["ids"],
            json!({"kept": 20, "renumbered": 0, "external": 0, "new": 0, "other_here": 0})
        );
    });
}

fn fastapi_users_are_imported(backend: Backend) {
    import_from_both_databases(backend, "fastapi-users", |app, report| {
        assert_eq!(report["users"]["imported"], 4);
        assert_eq!(report["hashes"], json!({}));
        assert_eq!(report["ids"]["external"], 4);
        let tokens = &report["tokens"];
        assert_eq!(
            (&tokens["read"], &tokens["imported"]),
            (&json!(8), &json!(4))
        );
        assert_eq!(tokens["superseded"], 4);
        assert_eq!(
            app.database().count("users WHERE disabled_at IS NOT NULL"),
            1
        );
    });
}

fn django_users_are_imported(backend: Backend) {
    import_from_both_databases(backend, "django", |app, report| {
        assert_eq!(report["users"]["imported"], 4);
        // The skipped user has no email address and no address as user name.
        assert_eq!(problem_names(report), ["5 invalid-address"]);
        assert_eq!(report["ids"]["kept"], 4);
        let tokens = &report["tokens"];
        assert_eq!(
            (&tokens["read"], &tokens["imported"]),
            (&json!(4), &json!(4))
        );
        let named = "users WHERE name = 'Django' AND surname = 'User'";
        assert_eq!(app.database().count(named), 3);
    });
}

fn knox_token_works_like_any_other(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let second = app.sibling().start();
    let path = sqlite_source(&scratch, "django");
    let url = format!("sqlite://{}", path.display());
    import(&app, &[&url]);
    let person = people("django").pop().unwrap();
    let token = person.token.as_str();
    let statuses = |token: &str| [&app, &second].map(|server| server.status("/users/me", token));
    assert_eq!(statuses(token), [200, 200]);
    assert_eq!(app.get("/verify").bearer(token).send().status, 200);

    // Neither knox's digest, nor ours, nor a similar token is accepted.
    let stored_here = app.database().texts(
        "SELECT access_token AS text FROM access_tokens JOIN users ON id = user_id \
         WHERE email = 'knox@example.com'",
    );
    let stored_here = stored_here.first().unwrap();
    let dump = data("django", "sqlite.sql");
    let (_, after) = dump
        .split_once(r#"INSERT INTO "knox_authtoken" VALUES('"#)
        .unwrap();
    let stored_at_source = &after[..128];
    for other in [
        stored_here,
        stored_at_source,
        &token[..63],
        &token.to_uppercase(),
    ] {
        assert_eq!(statuses(other), [401, 401], "{other}");
    }

    let form = [("token", token)];
    assert_eq!(app.post("/revoke").form(&form).send().status, 200);
    assert_eq!(statuses(token), [401, 401]);
    assert_eq!(import(&app, &[&url])["tokens"]["imported"], 0);
    assert_eq!(statuses(token), [401, 401]);
}

fn csv_and_json_lines_use_the_given_time_zone(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    // In the past in UTC, and in the future in New York, which is four or five hours behind.
    let naive = (Utc::now() - TimeDelta::hours(2)).format("%Y-%m-%d %H:%M:%S");
    let [alice, bob, carol, dave] = ["alice", "bob", "carol", "dave"].map(token);
    let csv = format!(
        "email,hashed_password,name,access_token,expiration_date,disabled,unknown\n\
         alice@example.com,sha1$salt$digest,\"Alice, the \"\"first\"\"\",{alice},{naive},,x\n\
         bob@example.com,!,Bob,{bob},{naive}Z,,x\n\
         carol@example.com,!,Carol,{carol},{naive},true,x\n\
         too,few\n"
    );
    let file = scratch.file("users.csv", &csv);
    let dry = import(&app, &[&file, "--dry-run"]);
    assert_eq!(
        (&dry["tokens"]["expired"], &dry["tokens"]["imported"]),
        (&json!(3), &json!(0))
    );
    let report = import(&app, &[&file, "--timezone", "America/New_York"]);
    assert_eq!(report["users"]["imported"], 3);
    assert_eq!(report["users"]["unreadable"], 1);
    assert_eq!(report["hashes"], json!({"unknown-hash": 3}));
    assert_eq!(report["tokens"]["expired"], 1);
    let status = |token: &str| app.get("/users/me").bearer(token).send().status;
    assert_eq!(
        [&alice, &bob, &carol].map(|token| status(token)),
        [200, 401, 401]
    );
    // The unknown hash is kept: the operator may still need it.
    assert_eq!(
        app.database()
            .count("users WHERE hashed_password = 'sha1$salt$digest'"),
        1
    );

    let lines = format!(
        "{}\n\n{}\nnot JSON\n",
        json!({"id": 7, "email": "dave@example.com", "hashed_password": "!", "name": "D\0ave",
               "access_token": dave, "expiration_date": null}),
        json!({"email": "erin@example.com", "hashed_password": "x".repeat(256), "disabled": false}),
    );
    let report = import(&app, &[&scratch.file("users.jsonl", &lines)]);
    assert_eq!(report["users"]["imported"], 2);
    assert_eq!(problem_names(&report), ["line 4 unreadable"]);
    assert_eq!(report["hashes"], json!({"too-long": 1, "unknown-hash": 1}));
    assert_eq!(status(&dave), 200);
}

fn conflicts_are_reported_and_overwrite_nothing(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    app.register("bobby");
    let tokens = ["1", "2", "3", "5"].map(token);
    let csv = format!(
        "id,email,hashed_password,access_token\n\
         1,alice@example.com,!,{}\n2,BOBBY@example.com,!,{}\n\
         3,carol@example.com,!,{}\n4,carol@example.com,!other,\n5,,!,{}\n",
        tokens[0], tokens[1], tokens[2], tokens[3],
    );
    let file = scratch.file("users.csv", &csv);
    for arguments in [vec!["--dry-run"], vec![]] {
        let report = import(&app, &[&[file.as_str()], arguments.as_slice()].concat());
        assert_eq!(
            problem_names(&report),
            [
                "1 address-taken",
                "2 spelled-otherwise",
                "4 other-id-here",
                "5 invalid-address"
            ]
        );
        assert_eq!(report["problems"][1]["held_by"], "bobby@example.com");
        // Same names as the third row: the same user, twice in the file.
        assert_eq!(report["users"]["already_there"], 1);
        assert_eq!(report["users"]["imported"], 1);
        assert_eq!(report["tokens"]["imported"], 1);
        assert_eq!(report["tokens"]["of_users_left_out"], 3);
    }
    alice.sign_in();
    assert_eq!(app.status("/users/me", &tokens[0]), 401);
    let table = app.program(&["import", &file]).output().unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(
        table.contains("  skipped: another user has the address"),
        "{table}"
    );
    assert!(
        table.contains("alice@example.com                 another user has the address\n")
            && table.contains("the address exists as bobby@example.com\n"),
        "{table}"
    );
}

fn revoked_token_is_not_imported_again(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let token = token("alice");
    let csv = format!("email,hashed_password,access_token\nalice@example.com,!,{token}\n");
    let file = scratch.file("users.csv", &csv);
    import(&app, &[&file]);
    assert_eq!(app.post("/logout").bearer(&token).send().status, 204);
    let report = import(&app, &[&file]);
    assert_eq!(report["tokens"]["of_users_left_out"], 1);
    assert_eq!(app.status("/users/me", &token), 401);
}

/// The token of this user: 32 hex digits that look random.
fn numbered_token(id: usize) -> String {
    let id = u128::try_from(id + 1).unwrap();
    format!(
        "{:032x}",
        id.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    )
}

/// A CSV of `count` users, each with a token.
fn csv_of_users(count: usize) -> String {
    let mut csv = "id,email,hashed_password,name,access_token\n".to_owned();
    for id in 1..=count {
        let token = numbered_token(id);
        csv.push_str(&format!("{id},user{id}@example.com,!,User {id},{token}\n"));
    }
    csv
}

fn interrupted_import_is_completed_by_the_next(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let file = scratch.file("users.csv", &csv_of_users(2_000));
    let lifetime = ["--token-lifetime", LIFETIME];
    let first_map = scratch.0.join("first.csv").display().to_string();
    let arguments = [
        ["import", &file, "--batch", "2"].as_slice(),
        &["--map", &first_map],
        &lifetime,
    ]
    .concat();
    let running = Running::start(&mut app.program(&arguments));
    let started = Instant::now();
    while app.database().count("users") < 20 {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "nothing is imported"
        );
    }
    drop(running);
    let first = app.database().count("users");
    assert!(
        (20..2_000).contains(&first),
        "{first} were imported before it was killed"
    );
    assert_eq!(
        app.database().count("access_tokens"),
        first,
        "users come with their tokens"
    );
    // The rest keep their ids too: they were reserved, but never given to anyone else.
    let map = scratch.0.join("second.csv");
    let report = import(&app, &[&file, "--map", &map.display().to_string()]);
    assert_eq!(report["users"]["already_there"], first);
    assert_eq!(report["users"]["imported"], 2_000 - first);
    assert_eq!(report["ids"]["kept"], 2_000 - first);
    let expected = (1..=2_000).map(|id| format!("{id},{id},user{id}@example.com\n"));
    let expected = format!("old_id,new_id,email\n{}", expected.collect::<String>());
    assert!(
        fs::read_to_string(map).unwrap() == expected,
        "the map is complete"
    );
    assert_eq!(app.database().count("access_tokens"), 2_000);
}

fn import_of_ten_thousand_users_keeps_all_signed_in(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let file = scratch.file("users.csv", &csv_of_users(10_000));
    assert_eq!(import(&app, &[&file])["tokens"]["imported"], 10_000);
    let mut connection = app.connect().unwrap();
    let mut signed_out = 0;
    for id in 1..=10_000 {
        let request = app.get("/users/me").bearer(&numbered_token(id));
        let response = connection.send(&request).unwrap();
        let email = format!("user{id}@example.com");
        signed_out += u32::from(response.status != 200 || response.json()["email"] != email);
    }
    assert_eq!(signed_out, 0);
}

fn import_errors_are_one_line(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let empty = scratch.file("empty.db", "");
    let csv = scratch.file("users.csv", "mail,hashed_password\na@example.com,!\n");
    let cases = [
        (
            "sqlite:///nowhere/to/be.db",
            "/nowhere/to/be.db: no such file",
        ),
        (&format!("sqlite://{csv}"), "not an SQLite file"),
        (&format!("sqlite://{empty}"), "has no tables"),
        (&csv, "has no column email"),
        ("mysql://host/name", "expected sqlite://FILE"),
        (&app.database().url(), "is a database of Tokenhouse"),
        ("/nowhere/users.jsonl", "no such file or folder"),
    ];
    for (source, problem) in cases {
        let output = app.program(&["import", source]).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(problem), "{source}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    assert!(!Path::new("/nowhere/to/be.db").exists());
}

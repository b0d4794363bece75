//! A dry run predicts exactly what an import does, and changes nothing.

use std::fs;
use std::path::Path;

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use super::{
    Scratch, data, import, import_after_dry_run, refused_after_dry_run, sqlite_source, token,
    without_times,
};
use crate::harness::{Backend, TestApp, TestDatabase, on_both_databases};

on_both_databases!(
    every_kind_of_problem_is_predicted,
    dry_run_changes_nothing,
    refused_import_changes_nothing,
    database_that_is_not_ready_is_left_alone,
    longest_lasting_token_of_several_rows_is_kept,
    lifetime_is_required_for_tokens_without_end,
    row_that_the_database_refuses_does_not_stop_the_others,
    unavailable_database_is_not_blamed_on_a_row,
);

fn days(number: i64) -> String {
    let time = Utc::now() + TimeDelta::days(number);
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn every_kind_of_problem_is_predicted(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    app.register("alice");
    app.register("bobby");
    let earlier = format!(
        "id,email,hashed_password,access_token,expiration_date\n\
         3,old@example.com,!,{},{day}\n4,gone@example.com,!,{},{day}\n",
        token("old"),
        token("gone"),
        day = days(3),
    );
    import(&app, &[&scratch.file("earlier.csv", &earlier)]);
    let deleted = app
        .program(&["user", "delete", "gone@example.com"])
        .output()
        .unwrap();
    assert!(deleted.status.success(), "{deleted:?}");

    let long = "x".repeat(17 << 10);
    let mut csv =
        "id,email,hashed_password,name,disabled,access_token,expiration_date\n".to_owned();
    let mut add = |id: &str, email: &str, rest: &str| {
        csv.push_str(&format!("{id},{email},{rest}\n"));
    };
    add("1", "alice@example.com", &format!("!,,,{},", token("a")));
    add("2", "BOBBY@example.com", "!,,,,");
    add("3", "old@example.com", &format!("!,,,{},", token("b")));
    add("4", "gone@example.com", &format!("!,,,{},", token("c")));
    add(
        "10",
        "ten@example.com",
        &format!("!,,,{},{}", token("d"), days(1)),
    );
    // The same user, with a longer-lasting token, a shorter one, and the first one again.
    add(
        "10",
        "ten@example.com",
        &format!("!,,,{},{}", token("e"), days(20)),
    );
    add(
        "10",
        "ten@example.com",
        &format!("!,,,{},{}", token("f"), days(2)),
    );
    add(
        "10",
        "ten@example.com",
        &format!("!,,,{},{}", token("d"), days(1)),
    );
    add(
        "10",
        "ten@example.com",
        &format!("!,,,{},{}", token("e"), days(20)),
    );
    add("11", "Ten@example.com", "!,,,,");
    add("12", "ten@example.com", "!other,Other,,,");
    add("13", "no address", &format!("!,,,{},", token("g")));
    add("14", "long@example.com", &format!("!,{long},,,"));
    add("15", "weak@example.com", "$1$x,,true,abc,");
    add(
        "16",
        "twice@example.com",
        &format!("!,,,{},{}", token("d"), days(9)),
    );
    add(
        "17",
        "ended@example.com",
        &format!("!,,,{},{}", token("gone"), days(9)),
    );
    add(
        "18",
        "expired@example.com",
        &format!("!,,,{},{}", token("h"), days(-1)),
    );
    add(
        "19",
        "late@example.com",
        &format!("!,,,{},2200-01-01", token("i")),
    );
    add("20", "endless@example.com", &format!("!,,,{},", token("j")));
    add("0", "zero@example.com", "!,,,,");
    add("4", "again@example.com", "!,,,,");
    add("1", "taken@example.com", "!,,,,");
    add("uuid-1", "text@example.com", "!,,,,");
    add("uuid-1", "text2@example.com", "!,,,,");
    csv.push_str("too,few\n");
    let file = scratch.file("users.csv", &csv);
    for batch in ["1", "3", "1000"] {
        refused_after_dry_run(&app, &[&file, "--batch", batch]);
    }
    let predicted: Vec<Value> = ["1", "3", "1000"]
        .iter()
        .map(|batch| {
            let map = scratch.0.join("map.csv").display().to_string();
            let options = ["--dry-run", "--renumber", "--map", &map, "--batch", batch];
            let report = import(&app, &[&[file.as_str()], options.as_slice()].concat());
            sorted(without_times(report))
        })
        .collect();
    let map = scratch.0.join("map.csv").display().to_string();
    let report = import(&app, &[&file, "--renumber", "--map", &map, "--batch", "2"]);
    let report = sorted(without_times(report));
    for predicted in predicted {
        assert_eq!(predicted, report);
    }
    let users = &report["users"];
    for (count, expected) in [
        ("read", 21),
        ("imported", 12),
        ("already_there", 1),
        ("spelled_otherwise", 2),
        ("address_taken", 2),
        ("deleted_here", 1),
        ("invalid_address", 1),
        ("too_long", 1),
        ("unreadable", 1),
        ("disabled", 1),
    ] {
        assert_eq!(users[count], expected, "{count}: {users}");
    }
    assert_eq!(
        report["ids"],
        json!({"kept": 7, "renumbered": 4, "external": 1, "new": 0, "other_here": 0})
    );
    let tokens = &report["tokens"];
    for (count, expected) in [
        ("imported", 3),
        ("superseded", 4),
        ("of_another_user", 1),
        ("ended_here", 1),
        ("expired", 1),
        ("cut", 1),
    ] {
        assert_eq!(tokens[count], expected, "{count}: {tokens}");
    }
    assert_eq!(tokens["not_importable"], json!({"weak": 1}));
    let stored = app.database().count("access_tokens");
    assert_eq!(
        stored, 4,
        "those of the report, and one of the earlier import"
    );
    assert_eq!(app.status("/users/me", &token("e")), 200);
}

/// The report with the problems in the order of the lines: a batch lists users who cannot be read last.
fn sorted(mut report: Value) -> Value {
    let problems = report["problems"].as_array_mut().unwrap();
    problems.sort_by_key(|problem| problem["line"].as_u64());
    report
}

/// The URL of a database without tables, or of a file that does not exist. It exists as long as the result.
fn empty_target(backend: Backend, file: &Path) -> (Option<TestDatabase>, String) {
    match backend {
        Backend::Sqlite => (None, format!("sqlite://{}", file.display())),
        Backend::Postgres => {
            let database = TestDatabase::empty(Backend::Postgres);
            let url = database.url();
            (Some(database), url)
        }
    }
}

fn dry_run_changes_nothing(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let folder = scratch.0.join("empty");
    fs::create_dir(&folder).unwrap();
    for source in ["tutorial", "fastapi-users", "django"] {
        let source = sqlite_source(&scratch, source);
        let url = format!("sqlite://{}", source.display());
        let (_database, target) = empty_target(backend, &folder.join("new.db"));
        let map = folder.join("map.csv").display().to_string();
        let output = app
            .program(&["import", "--json", &url, "--dry-run", "--map", &map])
            .args(["--token-lifetime", "1y"])
            .env("DATABASE_URL", &target)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(
            report["users"]["imported"].as_u64().unwrap() > 3,
            "{report}"
        );
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    // Nor does it change an existing database, even one that no service uses.
    let database = TestDatabase::create(backend);
    let run = |arguments: &[&str]| {
        let mut command = app.program(arguments);
        let output = command
            .env("DATABASE_URL", database.url())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    let first = scratch.file("first.csv", "id,email,hashed_password\n5,a@example.com,!\n");
    run(&["import", &first]);
    let events = database.count("audit_events");
    let path = database.url();
    let files = || {
        let path = Path::new(path.strip_prefix("sqlite://")?);
        let folder = fs::read_dir(path.parent()?).ok()?;
        // The index of the log holds the locks of readers, and no data.
        let paths = folder.map(|entry| entry.unwrap().path());
        let paths = paths.filter(|path| !path.to_string_lossy().ends_with("-shm"));
        let mut files: Vec<_> = paths
            .map(|path| {
                let content = fs::read(&path).unwrap();
                (path, content)
            })
            .collect();
        files.sort();
        Some(files)
    };
    let before = files();
    let second = scratch.file(
        "second.csv",
        "id,email,hashed_password\n6,b@example.com,!\n",
    );
    run(&["import", &second, "--dry-run"]);
    assert!(files() == before, "a file has changed");
    assert_eq!(database.count("users"), 1);
    assert_eq!(database.count("audit_events"), events);
}

fn refused_import_changes_nothing(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let folder = scratch.0.join("empty");
    fs::create_dir(&folder).unwrap();
    let (_database, target) = empty_target(backend, &folder.join("new.db"));
    let file = scratch.file("users.csv", "id,email,hashed_password\n0,a@example.com,!\n");
    let output = app
        .program(&["import", &file])
        .env("DATABASE_URL", &target)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

fn database_that_is_not_ready_is_left_alone(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let file = scratch.file("users.csv", "id,email,hashed_password\n5,a@example.com,!\n");
    let run = |database: &TestDatabase, arguments: &[&str]| {
        let mut command = app.program(&[&["import", file.as_str()], arguments].concat());
        let output = command
            .env("DATABASE_URL", database.url())
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    // A dry run cannot predict the outcome on tables that it must not change.
    let older = TestDatabase::create(backend);
    let last = "(SELECT MAX(version) FROM __diesel_schema_migrations)";
    older.execute(&format!(
        "DELETE FROM __diesel_schema_migrations WHERE version = {last}"
    ));
    let migrations = older.count("__diesel_schema_migrations");
    let (code, problem) = run(&older, &["--dry-run"]);
    assert_eq!(code, Some(1), "{problem}");
    assert!(problem.contains("1 migration(s) are pending"), "{problem}");
    assert!(
        problem.contains("run tokenhouse migrate first"),
        "{problem}"
    );
    assert_eq!(older.count("__diesel_schema_migrations"), migrations);

    let foreign = TestDatabase::empty(backend);
    foreign.execute("CREATE TABLE users (id INTEGER, email TEXT)");
    for arguments in [["--dry-run"].as_slice(), &[]] {
        let (code, problem) = run(&foreign, arguments);
        assert_eq!(code, Some(1), "{problem}");
        assert!(problem.contains("database of another program"), "{problem}");
    }
    assert!(!foreign.accepts("SELECT * FROM __diesel_schema_migrations"));
}

fn longest_lasting_token_of_several_rows_is_kept(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let csv = format!(
        "email,hashed_password,access_token,expiration_date\n\
         ada@example.com,!,{},{}\nada@example.com,!,{},{}\nada@example.com,!,{},{}\n\
         bob@example.com,!,,\nbob@example.com,!,{},{}\n",
        token("phone"),
        days(1),
        token("laptop"),
        days(8),
        token("tablet"),
        days(3),
        token("bob"),
        days(40),
    );
    let file = scratch.file("users.csv", &csv);
    let report = import_after_dry_run(&app, &[&file]);
    assert_eq!(report["users"]["imported"], 2);
    let tokens = &report["tokens"];
    assert_eq!(
        (&tokens["imported"], &tokens["superseded"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(
        tokens["ends"],
        json!({"within_a_day": 0, "within_a_week": 0, "within_30_days": 1, "within_a_year": 1,
               "later": 0})
    );
    let statuses =
        ["phone", "laptop", "tablet", "bob"].map(|name| app.status("/users/me", &token(name)));
    assert_eq!(statuses, [401, 200, 401, 200]);
    let text = app
        .program(&["import", &file, "--dry-run"])
        .output()
        .unwrap();
    assert!(text.status.success(), "{text:?}");
}

fn lifetime_is_required_for_tokens_without_end(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let csv = format!(
        "id,email,hashed_password,access_token\n1,ada@example.com,!,{}\n2,bob@example.com,!,\n",
        token("ada")
    );
    let file = scratch.file("users.csv", &csv);
    for source in [
        file.clone(),
        format!(
            "sqlite://{}",
            sqlite_source(&scratch, "fastapi-users").display()
        ),
        format!("sqlite://{}", sqlite_source(&scratch, "django").display()),
    ] {
        for dry in [true, false] {
            let mut command = app.program(&["import", "--json", &source]);
            let output = command.args(dry.then_some("--dry-run")).output().unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{stderr}");
            assert!(
                stderr.contains("--token-lifetime how long they keep working"),
                "{stderr}"
            );
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert!(
                report["tokens"]["without_end"].as_u64().unwrap() > 0,
                "{report}"
            );
        }
    }
    assert_eq!(app.database().count("users"), 0);
    let output = app
        .program(&["import", "--json", &file, "--token-lifetime", "30d"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["token_lifetime"], 30 * 86_400);
    assert_eq!(report["tokens"]["ends"]["within_30_days"], 1);
    assert_eq!(app.status("/users/me", &token("ada")), 200);
    // Without tokens to import, nothing needs a lifetime.
    let again = app.program(&["import", &file]).output().unwrap();
    assert!(again.status.success(), "{again:?}");
    for wrong in ["0", "1.5d", "soon", "101y"] {
        let output = app
            .program(&["import", &file, "--token-lifetime", wrong])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
}

/// A rule of the database that no check of ours knows.
const RULE_ON_SQLITE: &str = "CREATE TRIGGER rule BEFORE INSERT ON users WHEN NEW.name = 'refused'
    BEGIN SELECT RAISE(ABORT, 'not accepted'); END";
const RULE_ON_POSTGRES: &str = "ALTER TABLE users ADD CONSTRAINT rule CHECK (name <> 'refused')";

fn row_that_the_database_refuses_does_not_stop_the_others(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    app.database().execute(match backend {
        Backend::Sqlite => RULE_ON_SQLITE,
        Backend::Postgres => RULE_ON_POSTGRES,
    });
    let mut csv = "id,email,hashed_password,name\n".to_owned();
    for id in 1..=50 {
        let name = if id % 17 == 0 { "refused" } else { "accepted" };
        csv.push_str(&format!("{id},user{id}@example.com,!,{name}\n"));
    }
    let file = scratch.file("users.csv", &csv);
    let report = import(&app, &[&file, "--batch", "20"]);
    assert_eq!(report["users"]["imported"], 48);
    assert_eq!(report["users"]["not_accepted"], 2);
    assert_eq!(
        report["problems"],
        json!([
            {"id": "17", "line": 18, "email": "user17@example.com", "problem": "not-accepted"},
            {"id": "34", "line": 35, "email": "user34@example.com", "problem": "not-accepted"},
        ])
    );
    assert_eq!(app.database().count("users"), 48);
    assert_eq!(app.database().count("spent_tokens"), 0);
    // Alone in its batch, too.
    let report = import(&app, &[&file, "--batch", "1"]);
    assert_eq!(report["users"]["not_accepted"], 2);
}

fn unavailable_database_is_not_blamed_on_a_row(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let file = scratch.file("users.csv", "id,email,hashed_password\n1,a@example.com,!\n");
    app.database().execute(match backend {
        Backend::Sqlite => {
            "CREATE TRIGGER full BEFORE INSERT ON users BEGIN SELECT RAISE(ABORT, 'full'); END;
             CREATE TRIGGER full2 BEFORE INSERT ON spent_tokens
             BEGIN SELECT RAISE(ABORT, 'full'); END"
        }
        Backend::Postgres => {
            "ALTER TABLE users ADD CONSTRAINT f CHECK (id < 0);
             ALTER TABLE spent_tokens ADD CONSTRAINT f CHECK (access_token = '')"
        }
    });
    let output = app.program(&["import", &file]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("run the import again to continue"),
        "{stderr}"
    );
}

#[test]
fn sources_of_both_databases_are_predicted_alike() {
    for name in ["tutorial", "fastapi-users"] {
        let scratch = Scratch::new();
        let app = TestApp::start(Backend::Sqlite);
        let sqlite = format!("sqlite://{}", sqlite_source(&scratch, name).display());
        let database = TestDatabase::create(Backend::Postgres);
        database.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
        database.execute(&data(name, "postgres.sql"));
        let predict = |source: &str| without_times(import(&app, &[source, "--dry-run"]));
        assert_eq!(predict(&sqlite), predict(&database.url()));
    }
}

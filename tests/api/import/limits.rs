//! Sources are not trusted: tokens, expiry times, sizes and row counts are limited.

use std::fs;
use std::time::{Duration, Instant};

use chrono::Utc;
use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use serde_json::json;

use super::{Scratch, import, problem_names, token};
use crate::harness::{Backend, STATIC_KEY, TestApp, TestDatabase, on_both_databases};

on_both_databases!(
    guessable_tokens_are_skipped,
    imported_tokens_expire_within_the_lifetime,
    oversized_rows_are_skipped_and_the_rest_imported,
    endless_sources_are_rejected,
);

fn guessable_tokens_are_skipped(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let weak = [
        "abc",
        "0000000000000000000000000000000000000000042",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "0123456789abcdef0123456789abcde",
    ];
    let mut csv = "email,hashed_password,access_token,expiration_date\n".to_owned();
    for (number, token) in weak.iter().enumerate() {
        csv.push_str(&format!("weak{number}@example.com,!,{token},2099-01-01\n"));
    }
    csv.push_str(&format!(
        "good@example.com,!,{},2099-01-01\n",
        token("good")
    ));
    let file = scratch.file("users.csv", &csv);
    for arguments in [vec!["--dry-run"], vec![]] {
        let report = import(&app, &[&[file.as_str()], arguments.as_slice()].concat());
        assert_eq!(report["users"]["imported"], 5);
        assert_eq!(report["tokens"]["imported"], 1);
        assert_eq!(report["tokens"]["not_importable"], json!({ "weak": 4 }));
    }
    for token in weak {
        assert_eq!(app.status("/users/me", token), 401, "{token}");
    }
    assert_eq!(app.status("/users/me", &token("good")), 200);
}

fn imported_tokens_expire_within_the_lifetime(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_TOKEN_LIFETIME", "7200")
        .start();
    let run = |name: &str, arguments: &[&str]| {
        let csv = format!(
            "email,hashed_password,access_token,expiration_date\n\
             {name}@example.com,!,{},2099-01-01\n",
            token(name),
        );
        let file = scratch.file("users.csv", &csv);
        let all = [&["import", "--json", file.as_str()], arguments].concat();
        let output = app.program(&all).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let token = token(name);
        let request = app.post("/introspect").bearer(STATIC_KEY);
        let response = request.form(&[("token", token.as_str())]).send().json();
        let left = response["exp"].as_i64().unwrap() - Utc::now().timestamp();
        (report["tokens"]["cut"].as_u64().unwrap(), left)
    };
    let (cut, left) = run("alice", &[]);
    assert!(cut == 1 && (7_100..=7_200).contains(&left), "{cut} {left}");
    let (cut, left) = run("bob", &["--token-lifetime", "600"]);
    assert!(cut == 1 && (500..=600).contains(&left), "{cut} {left}");
    let (cut, left) = run("carol", &["--token-lifetime", "3155760000"]);
    assert!(cut == 0 && left > 86_400 * 366, "{cut} {left}");
}

fn oversized_rows_are_skipped_and_the_rest_imported(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let long = "x".repeat(17 << 10);
    let huge = "y".repeat(3 << 20);
    let csv = format!(
        "id,email,hashed_password,name,surname,website\n\
         1,a@example.com,!,{long},,\n2,b@example.com,!,,{long},\n3,c@example.com,!,,,{long}\n\
         4,d@example.com,!,,,\n5,e@example.com,!,\"{huge}\n{huge}\",,\n6,f@example.com,!,,,\n\
         {huge},g@example.com,!,,,\n8,{long}@example.com,!,,,\n9,h@example.com,!,,,\n"
    );
    let report = import(&app, &[&scratch.file("users.csv", &csv)]);
    assert_eq!(report["users"]["imported"], 3);
    assert_eq!(report["users"]["too_long"], 3);
    assert_eq!(report["users"]["unreadable"], 3);
    assert_eq!(
        problem_names(&report),
        [
            "1 name-too-long",
            "2 surname-too-long",
            "3 website-too-long",
            "line 6 unreadable",
            "line 7 unreadable",
            "line 9 unreadable",
            "8 invalid-address",
        ]
    );
    let address = report["problems"][6]["email"].as_str().unwrap();
    assert_eq!(address, "x".repeat(100), "texts of the source are cut");
    let lines = [
        json!({"email": "i@example.com", "hashed_password": "!", "surname": long}).to_string(),
        json!({"email": "j@example.com", "hashed_password": "!", "other": huge}).to_string(),
        json!({"email": "k@example.com", "hashed_password": "!", "id": "z".repeat(255)})
            .to_string(),
        json!({"email": "k", "hashed_password": "!", "id": "z".repeat(500)}).to_string(),
    ];
    let report = import(&app, &[&scratch.file("users.jsonl", &lines.join("\n"))]);
    assert_eq!(report["users"]["imported"], 1);
    let long = "z".repeat(100);
    assert_eq!(
        problem_names(&report),
        [
            "line 1 surname-too-long".to_owned(),
            "line 2 unreadable".to_owned(),
            format!("{long} invalid-address"),
        ]
    );
    let imported = app
        .database()
        .texts("SELECT email AS text FROM users ORDER BY email");
    assert_eq!(
        imported,
        ["d", "f", "h", "k"].map(|name| format!("{name}@example.com"))
    );
}

/// Infinitely many users; infinitely many tokens of one user.
const ENDLESS_USERS_SQL: &str = "CREATE VIEW users AS
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
    SELECT i AS id, 'u' || i || '@example.com' AS email, '!' AS hashed_password FROM n";
const ENDLESS_TOKENS_SQL: &str =
    "CREATE TABLE users (id INTEGER, email TEXT, hashed_password TEXT);
    INSERT INTO users VALUES (1, 'a@example.com', '!');
    CREATE VIEW access_tokens AS
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
    SELECT 1 AS user_id, 'x' || i AS access_token, '2099-01-01' AS expiration_date FROM n";
/// Each table is within the limit, their sum is not.
const MANY_ROWS_SQL: &str = "CREATE TABLE users (id INTEGER, email TEXT, hashed_password TEXT);
    CREATE TABLE access_tokens (user_id INTEGER, access_token TEXT, expiration_date TEXT);
    INSERT INTO users SELECT 1, 'a@example.com', '!' FROM
        (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)
         SELECT i FROM n) AS many;
    INSERT INTO access_tokens SELECT id, 'x', '2099-01-01' FROM users";

fn endless_sources_are_rejected(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    for (number, statements) in [ENDLESS_USERS_SQL, ENDLESS_TOKENS_SQL, MANY_ROWS_SQL]
        .iter()
        .enumerate()
    {
        let path = scratch.0.join(format!("{number}.db"));
        let mut conn = SqliteConnection::establish(&path.to_string_lossy()).unwrap();
        conn.batch_execute(statements).unwrap();
        let postgres = TestDatabase::create(Backend::Postgres);
        postgres.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
        postgres.execute(statements);
        for source in [format!("sqlite://{}", path.display()), postgres.url()] {
            let started = Instant::now();
            for dry in [true, false] {
                let mut command = app.program(&["import", &source, "--max-rows", "1000"]);
                command.args(dry.then_some("--dry-run"));
                let output = command.output().unwrap();
                let stderr = String::from_utf8(output.stderr).unwrap();
                assert_eq!(output.status.code(), Some(1), "{number}: {stderr}");
                assert!(
                    stderr.contains("has more than 1000 rows"),
                    "{number}: {stderr}"
                );
            }
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "{number}: {source}"
            );
        }
    }
    for device in ["/dev/zero", "/dev/null", "/dev/stdin"] {
        let output = app
            .program(&["import", device, "--from", "csv"])
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("not a regular file"), "{stderr}");
    }
    let many = scratch.file("users.csv", &super::csv_of_users(50));
    let output = app
        .program(&["import", &many, "--max-rows", "49"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(
        import(&app, &[&many, "--max-rows", "50"])["users"]["read"],
        50
    );
    assert!(fs::metadata(&many).is_ok());
}

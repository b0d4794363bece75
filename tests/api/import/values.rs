//! What cannot be read is a problem of its own row: it is never read as the permissive value, and the
//! other rows are imported.

use chrono::Utc;
use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use serde_json::{Value, json};

use super::{Scratch, import, token};
use crate::harness::{Backend, TestApp, TestDatabase, on_both_databases};

on_both_databases!(
    values_of_disabled_are_read_or_reported,
    values_of_is_active_are_read_or_reported,
    unreadable_users_are_imported_disabled_on_request,
    times_are_read_in_every_unit_or_reported,
    other_encodings_are_problems_of_their_rows,
    rows_of_one_user_are_one_user,
    values_of_sqlite_are_read_or_reported,
    values_of_postgres_are_read_or_reported,
    values_of_postgres_without_an_encoding_are_read_or_reported,
    columns_that_are_not_read_are_named,
    binary_hashes_and_tokens_are_read,
);

/// The names of imported users, and whether they are enabled.
fn users(app: &TestApp) -> Vec<String> {
    app.database().texts(
        "SELECT email || CASE WHEN disabled_at IS NULL THEN ' on' ELSE ' off' END AS text \
         FROM users ORDER BY email",
    )
}

/// The places and names of the problems.
fn problems(report: &Value) -> Vec<String> {
    let problems = report["problems"].as_array().unwrap().iter();
    let problems = problems.map(|problem| {
        let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}", text("id"), text("problem"), text("column"))
    });
    problems.map(|problem| problem.trim().to_owned()).collect()
}

fn import_twice(app: &TestApp, arguments: &[&str]) -> Value {
    let without_times = |mut report: Value| {
        for name in ["seconds", "users_per_second", "dry_run"] {
            report.as_object_mut().unwrap().remove(name);
        }
        report
    };
    let dry = without_times(import(app, &[arguments, &["--dry-run"]].concat()));
    let report = without_times(import(app, arguments));
    assert_eq!(dry, report);
    report
}

fn values_of_disabled_are_read_or_reported(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let off = [
        "true", " true ", "T", "yes", "Y", "on", "1", "1.0", "b'1'", "\u{1}", "\\x01",
    ];
    let on = [
        "", " ", "false", "F", "no", "n", "off", "0", "0.0", "b'0'", "\\x00",
    ];
    let bad = [
        "banned",
        "-1",
        "2",
        "x",
        "disabled",
        "wahr",
        "2024-01-02T03:04:05",
        "b'2'",
        "null",
    ];
    let mut csv = "id,email,hashed_password,disabled\n".to_owned();
    for (name, values) in [("off", &off[..]), ("on", &on[..]), ("bad", &bad[..])] {
        for (number, value) in values.iter().enumerate() {
            csv.push_str(&format!(
                "{name}{number},{name}{number:02}@example.com,!,{value}\n"
            ));
        }
    }
    let report = import_twice(&app, &[&scratch.file("users.csv", &csv)]);
    let mut expected: Vec<String> = (0..off.len())
        .map(|number| format!("off{number:02}@example.com off"))
        .chain((0..on.len()).map(|number| format!("on{number:02}@example.com on")))
        .collect();
    expected.sort();
    assert_eq!(users(&app), expected);
    let expected: Vec<String> = (0..bad.len())
        .map(|number| format!("bad{number} unreadable-flag disabled"))
        .collect();
    assert_eq!(problems(&report), expected);
    assert_eq!(report["users"]["unreadable"], bad.len());
}

fn values_of_is_active_are_read_or_reported(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let lines = [
        json!({"email": "a@example.com", "is_active": true}),
        json!({"email": "b@example.com", "is_active": false}),
        json!({"email": "c@example.com", "is_active": 1}),
        json!({"email": "d@example.com", "Is_Active": 0}),
        json!({"email": "e@example.com", "is_active": null}),
        json!({"email": "f@example.com", "is_active": "maybe"}),
        json!({"email": "g@example.com", "is_active": [true]}),
        json!({"email": "h@example.com", "active": true, "banned": true}),
        json!({"email": "i@example.com", "locked_until": "2999-01-01"}),
        json!({"email": "j@example.com", "locked_until": "2001-01-01", "deleted_at": null}),
        json!({"email": "k@example.com", "deleted_at": "a while ago"}),
        json!({"email": "l@example.com"}),
        json!({"email": "m@example.com", "disabled": {}}),
    ];
    let mut text = String::new();
    for mut line in lines {
        line["hashed_password"] = json!("!");
        text.push_str(&format!("{line}\n"));
    }
    // Which of the values counts?
    text.push_str(
        "{\"email\":\"n@example.com\",\"hashed_password\":\"!\",\"disabled\":true,\"disabled\":false}\n",
    );
    let report = import_twice(&app, &[&scratch.file("users.jsonl", &text)]);
    let expected = [
        "a@example.com on",
        "b@example.com off",
        "c@example.com on",
        "d@example.com off",
        "e@example.com off",
        "h@example.com off",
        "i@example.com off",
        "j@example.com on",
        "k@example.com off",
        "l@example.com on",
    ];
    assert_eq!(users(&app), expected);
    let expected = [
        "line 6 unreadable-flag is_active",
        "line 7 unreadable-flag is_active",
        "line 13 unreadable-flag disabled",
        "line 14 unreadable",
    ];
    assert_eq!(problems(&report), expected);
    let csv = "email,hashed_password,disabled,Disabled\na@example.com,!,1,0\n";
    let output = app
        .program(&["import", &scratch.file("two.csv", csv)])
        .output()
        .unwrap();
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("has two columns disabled")
    );
}

fn unreadable_users_are_imported_disabled_on_request(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let csv = "id,email,hashed_password,disabled,created_at\n\
               1,a@example.com,!,banned,\n2,b@example.com,!,,infinity\n3,c@example.com,!,,\n";
    let file = scratch.file("users.csv", csv);
    let mut report = import_twice(&app, &[&file, "--unreadable", "disable"]);
    let expected = ["a@example.com off", "b@example.com off", "c@example.com on"];
    assert_eq!(users(&app), expected);
    assert_eq!(report["users"]["imported"], 3);
    assert_eq!(report["users"]["disabled"], 2);
    assert_eq!(problems(&report), [""; 0]);
    report["problems"] = report["cannot_sign_in"].clone();
    let reasons = problems(&report).into_iter();
    let reasons: Vec<String> = reasons.filter(|text| text.contains("unreadable")).collect();
    assert_eq!(
        reasons,
        ["1 unreadable-flag disabled", "2 unreadable-time created_at"]
    );
}

fn times_are_read_in_every_unit_or_reported(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let later = Utc::now().timestamp() + 3_600;
    let ended = [
        "1700000000",
        "1700000000000",
        "1700000000000000",
        "1700000000000000000",
        "2023-11-14T22:13:20Z",
        "2023-11-14 22:13:20 UTC",
    ];
    let live = [
        format!("{later}"),
        format!("{later}.5"),
        format!("{later}123"),
        format!("{later}123456"),
        format!("{later}123456789"),
        "9999-12-31T23:59:59Z".to_owned(),
    ];
    let bad = [
        "170000000000",
        "17000000000000000000",
        "+55840-11-08 22:13:20",
        "10000-01-01 00:00:00",
        "0000-00-00 00:00:00",
        "infinity",
        "never",
        "2030-01-01 00:00:00 BC",
        "20300101",
    ];
    let mut csv = "id,email,hashed_password,access_token,expiration_date,created_at\n".to_owned();
    let mut add = |name: &str, time: &str, created: &str| {
        let value = token(name);
        csv.push_str(&format!(
            "{name},{name}@example.com,!,{value},{time},{created}\n"
        ));
    };
    for (number, time) in ended.iter().enumerate() {
        add(&format!("ended{number}"), time, time);
    }
    for (number, time) in live.iter().enumerate() {
        add(&format!("live{number}"), time, "1700000000123");
    }
    for (number, time) in bad.iter().enumerate() {
        add(&format!("bad{number}"), time, "");
        add(&format!("created{number}"), "", time);
    }
    let report = import_twice(&app, &[&scratch.file("users.csv", &csv)]);
    assert_eq!(report["tokens"]["expired"], ended.len());
    assert_eq!(report["tokens"]["imported"], live.len());
    assert_eq!(
        report["tokens"]["not_importable"],
        json!({"unreadable-time": bad.len()})
    );
    for number in 0..live.len() {
        assert_eq!(
            app.status("/users/me", &token(&format!("live{number}"))),
            200,
            "{number}"
        );
    }
    for name in ["ended", "bad", "created"] {
        for number in 0..bad.len() {
            let name = token(&format!("{name}{number}"));
            assert_eq!(app.status("/users/me", &name), 401, "{name}");
        }
    }
    let expected: Vec<String> = (0..bad.len())
        .map(|number| format!("created{number} unreadable-time created_at"))
        .collect();
    assert_eq!(problems(&report), expected);
    assert_eq!(
        report["users"]["imported"],
        ended.len() + live.len() + bad.len()
    );
}

fn other_encodings_are_problems_of_their_rows(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let write = |name: &str, content: &[u8]| {
        let path = scratch.file(name, "");
        std::fs::write(&path, content).unwrap();
        path
    };
    let csv = b"\xef\xbb\xbfid,email,hashed_password,name\r\n1,a@example.com,!,Jos\xe9\r\n\
                2,b@example.com,!,Jos\xc3\xa9\r\n";
    let report = import_twice(&app, &[&write("latin1.csv", csv)]);
    assert_eq!(problems(&report), ["1 not-utf-8 name"]);
    let lines = b"\xef\xbb\xbf{\"email\":\"c@example.com\",\"hashed_password\":\"!\"}\n\
                  {\"email\":\"d@example.com\",\"hashed_password\":\"!\",\"name\":\"\xe9\"}\n\
                  {\"email\":\"e@example.com\",\"hashed_password\":\"!\"}\n";
    let report = import_twice(&app, &[&write("latin1.jsonl", lines)]);
    assert_eq!(problems(&report), ["line 2 unreadable"]);
    assert_eq!(
        users(&app),
        ["b", "c", "e"].map(|name| format!("{name}@example.com on"))
    );
    for (bytes, text) in [
        (&b"\xff\xfee\0m\0a\0i\0l\0"[..], "is in UTF-16"),
        (b"\xfe\xff\0e\0m\0a\0i\0l", "is in UTF-16"),
        (
            b"email;hashed_password\na@example.com;!\n",
            "separated by commas",
        ),
    ] {
        let output = app
            .program(&["import", &write("other.csv", bytes)])
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains(text), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    // A quote that is not closed costs its own line only.
    let csv = "id,email,hashed_password,name\n7,f@example.com,!,\"Fay\n8,g@example.com,!,Gil\n";
    let report = import_twice(&app, &[&scratch.file("quote.csv", csv)]);
    assert_eq!(problems(&report), ["line 2 unreadable"]);
    assert_eq!(users(&app).last().unwrap(), "g@example.com on");
}

fn rows_of_one_user_are_one_user(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let [first, second, third] = ["first", "second", "third"].map(token);
    let (soon, later) = ("2998-01-01 12:00:00", "2999-01-01 12:00:00");
    let csv = format!(
        "id,email,hashed_password,access_token,expiration_date,disabled\n\
         1,a@example.com,!a,{first},{soon},\n2,b@example.com,!b,,,\n\
         1,a@example.com,!a,{second},{later},\n1,a@example.com,!a,,,\n\
         3,c@example.com,!c,{third},{later},\n3,c@example.com,!c,,,true\n"
    );
    let report = import_twice(&app, &[&scratch.file("users.csv", &csv)]);
    assert_eq!(report["users"]["read"], 3);
    assert_eq!(report["tokens"]["read"], 3);
    let expected = ["a@example.com on", "b@example.com on", "c@example.com off"];
    assert_eq!(users(&app), expected);
    assert_eq!(app.status("/users/me", &second), 200);
    assert_eq!(app.status("/users/me", &third), 401);
}

/// Two good users, and one for each value.
fn values_of_sqlite_are_read_or_reported(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let path = scratch.0.join("values.db");
    let mut conn = SqliteConnection::establish(&path.to_string_lossy()).unwrap();
    conn.batch_execute(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, name TEXT, hashed_password TEXT,
           is_active, created_at);
         INSERT INTO users VALUES
           (1, 'a@example.com', 'Ada', '!', 1, '2026-01-02 03:04:05'),
           (2, 'b@example.com', cast(x'4a6f73e9' AS TEXT), '!', 1, NULL),
           (3, cast(x'e940782e6465' AS TEXT), 'c', '!', 1, NULL),
           (4, 'd@example.com', 'd', '!', x'00', NULL),
           (5, 'e@example.com', 'e', '!', x'01', NULL),
           (6, 'f@example.com', 'f', '!', 'f', NULL),
           (7, 'g@example.com', 'g', '!', 'perhaps', NULL),
           (8, 'h@example.com', 'h', '!', NULL, NULL),
           (9, 'i@example.com', 'i', '!', 1.0, NULL),
           (10, 'j@example.com', 'j', '!', 1, 1700000000000),
           (11, 'k@example.com', 'k', '!', 1, 'someday'),
           (12, 'l@example.com', hex(zeroblob(600000)), '!', 1, NULL),
           (13, 'm@example.com', 'm', '!', 1, NULL)",
    )
    .unwrap();
    let report = import_twice(&app, &[&format!("sqlite://{}", path.display())]);
    let expected = [
        "a@example.com on",
        "d@example.com off",
        "e@example.com on",
        "f@example.com off",
        "h@example.com off",
        "i@example.com on",
        "j@example.com on",
        "m@example.com on",
    ];
    assert_eq!(users(&app), expected);
    let expected = [
        "2 not-utf-8 name",
        "3 not-utf-8 email",
        "7 unreadable-flag is_active",
        "11 unreadable-time created_at",
        "12 unreadable name",
    ];
    assert_eq!(problems(&report), expected);
}

fn values_of_postgres_are_read_or_reported(backend: Backend) {
    let app = TestApp::start(backend);
    let source = TestDatabase::empty(Backend::Postgres);
    source.execute(
        "CREATE TABLE users (id numeric, email text, hashed_password bytea, is_active bit(1),
           locked boolean, created_at timestamptz);
         INSERT INTO users VALUES
           (1, 'a@example.com', '!', '1', NULL, '2026-01-02 03:04:05+00'),
           (2, 'b@example.com', '!', '0', false, NULL),
           (3, 'c@example.com', '!', '1', true, NULL),
           (4, 'd@example.com', '!', '1', false, 'infinity'),
           (5, 'e@example.com', '!', '1', false, '0044-03-15 BC'),
           (6, 'f@example.com', '!', '1', false, '20000-01-01'),
           ('NaN', 'g@example.com', '!', '1', false, NULL),
           (9, 'h@example.com', '!', '1', false, NULL);
         CREATE TABLE access_tokens (user_id text, access_token varchar(80),
           expiration_date double precision);
         INSERT INTO access_tokens VALUES
           ('1', '9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b', 'NaN'),
           ('2', '9944b09199c62bcf9418ad846dd0e4bbdfc6ee4c', 'infinity'),
           ('3', '9944b09199c62bcf9418ad846dd0e4bbdfc6ee4d', 1e300)",
    );
    let report = import_twice(&app, &[&source.url()]);
    let expected = [
        "a@example.com on",
        "b@example.com off",
        "c@example.com off",
        "g@example.com on",
        "h@example.com on",
    ];
    assert_eq!(users(&app), expected);
    let expected = [4, 5, 6].map(|id| format!("{id} unreadable-time created_at"));
    assert_eq!(problems(&report), expected);
    assert_eq!(
        report["tokens"]["not_importable"],
        json!({"unreadable-time": 3})
    );
}

/// Postgres neither checks nor converts the bytes of such a database.
fn values_of_postgres_without_an_encoding_are_read_or_reported(backend: Backend) {
    let app = TestApp::start(backend);
    let server = TestDatabase::empty(Backend::Postgres);
    for (encoding, number) in [("SQL_ASCII", 1), ("LATIN1", 2)] {
        let name = format!("encoding_{:016x}", rand::random::<u64>());
        server.execute(&format!(
            "CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 \
             LC_COLLATE 'C' LC_CTYPE 'C'"
        ));
        let (before, _) = server
            .url()
            .rsplit_once("empty_")
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        let rest = server
            .url()
            .split_once('?')
            .map(|(_, rest)| format!("?{rest}"))
            .unwrap_or_default();
        let url = format!("{before}{name}{rest}");
        let mut conn = diesel::PgConnection::establish(&url).unwrap();
        conn.batch_execute(&format!(
            "SET client_encoding = '{encoding}'; \
             CREATE TABLE users (id int, email text, name text, hashed_password text); \
             INSERT INTO users VALUES ({number}1, 'a{number}@example.com', 'Ada', '!'), \
             ({number}2, 'b{number}@example.com', convert_from('\\x4a6f73e9', '{encoding}'), '!'), \
             ({number}3, 'c{number}@example.com', 'Cid', '!')"
        ))
        .unwrap();
        drop(conn);
        let report = import_twice(&app, &[&url]);
        server.execute(&format!("DROP DATABASE {name}"));
        if encoding == "SQL_ASCII" {
            assert_eq!(problems(&report), ["12 not-utf-8 name"]);
        } else {
            assert_eq!(problems(&report), [""; 0]);
        }
    }
    let expected = ["a1", "a2", "b2", "c1", "c2"].map(|name| format!("{name}@example.com on"));
    assert_eq!(users(&app), expected);
    assert_eq!(app.database().count("users WHERE name = 'José'"), 1);
}

fn columns_that_are_not_read_are_named(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let csv = "email,hashed_password,shoe size,is_admin\na@example.com,!,44,yes\n";
    let file = scratch.file("users.csv", csv);
    let report = import_twice(&app, &[&file]);
    assert_eq!(report["columns_not_read"], json!(["is_admin", "shoe size"]));
    let output = app.program(&["import", &file]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("\nColumns that were not read: is_admin, shoe size\n"),
        "{text}"
    );
    let lines = "{\"email\":\"b@example.com\",\"hashed_password\":\"!\",\"password\":\"secret\"}\n";
    let report = import_twice(&app, &[&scratch.file("users.jsonl", lines)]);
    assert_eq!(report["columns_not_read"], json!(["password"]));
    assert!(!report.to_string().contains("secret"));
}

fn binary_hashes_and_tokens_are_read(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let hex = |text: &str| {
        text.bytes()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let hash = "$2b$04$2siNjVxU0D/4AFM0t.qYleiIwedw3Ocnnh9quWGUotiKorzJo9fai";
    let value = token("binary");
    let csv = format!(
        "email,hashed_password,access_token\na@example.com,\\x{},0x{}\n",
        hex(hash),
        hex(&value)
    );
    let report = import_twice(&app, &[&scratch.file("users.csv", &csv)]);
    assert_eq!(report["hashes"], json!({}));
    assert_eq!(app.status("/users/me", &value), 200);
    let source = TestDatabase::empty(Backend::Postgres);
    let value = token("bytea");
    source.execute(&format!(
        "CREATE TABLE users (id int, email text, hashed_password bytea);
         INSERT INTO users VALUES (100, 'b@example.com', '\\x{}');
         CREATE TABLE access_tokens (user_id int, access_token bytea, expiration_date timestamp);
         INSERT INTO access_tokens VALUES (100, '\\x{}', '2999-01-01')",
        hex(hash),
        hex(&value)
    ));
    let report = import_twice(&app, &[&source.url()]);
    assert_eq!(report["hashes"], json!({}));
    assert_eq!(app.status("/users/me", &value), 200);
    assert_eq!(
        app.database()
            .count(&format!("users WHERE hashed_password = '{hash}'")),
        2
    );
}

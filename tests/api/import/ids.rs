//! Imported users keep their ids: apps refer to users by them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use serde_json::{Value, json};

use super::{Scratch, import, import_after_dry_run, refused_after_dry_run, token};
use crate::harness::{Backend, OWN_SCOPES, STATIC_KEY, TestApp, on_both_databases};

on_both_databases!(
    external_id_is_part_of_every_view,
    ids_of_the_source_are_kept_and_never_given_to_others,
    taken_ids_are_refused_unless_renumbered,
    ids_of_deleted_users_are_not_given_again,
    ids_that_cannot_be_kept_are_named,
    ids_that_are_not_integers_become_external_ids,
    map_lists_users_who_are_already_there,
);

/// An id that is not an integer.
const UUID: &str = "5b0c3a0e-6f0f-4a64-9d6e-2b1f6c1e0d55";

fn external_id_is_part_of_every_view(backend: Backend) {
    let app = TestApp::start(backend);
    let second = app.sibling().start();
    let token = app.register_with("alice", OWN_SCOPES).sign_in();
    let key = app.create_key(&token, "").secret;
    let me = |server: &TestApp, credential: &str| {
        let response = server.get("/users/me").bearer(credential).send();
        assert_eq!(response.status, 200);
        response.json()["external_id"].clone()
    };
    let introspected = || {
        let request = app.post("/introspect").bearer(STATIC_KEY);
        request.form(&[("token", &token)]).send().json()
    };
    let verified = || {
        let response = app.get("/verify").bearer(&key).send();
        response.header("x-auth-external-id").unwrap()
    };
    let as_admin = || {
        let response = app.get("/admin/users/1").bearer(&token).send();
        (response.json(), response.header("etag"))
    };
    let shown = |arguments: &[&str]| {
        let output = app.program(arguments).output().unwrap();
        let user: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        user["external_id"].clone()
    };
    // Cached by both processes.
    for server in [&app, &second] {
        for credential in [&token, &key] {
            assert_eq!(me(server, credential), json!(null));
        }
    }
    let response = app.get("/users/me").bearer(&token).send();
    assert!(!response.text().contains("external_id"), "{response:?}");
    assert!(introspected().get("external_id").is_none());
    assert_eq!(verified(), "");
    let (user, version) = as_admin();
    assert_eq!(user["external_id"], json!(null));

    let change = format!("UPDATE users SET external_id = '{UUID}' WHERE id = 1");
    app.database().execute(&change);
    let started = Instant::now();
    for server in [&app, &second] {
        for credential in [&token, &key] {
            while me(server, credential) != json!(UUID) {
                let is_late = started.elapsed() > Duration::from_secs(2);
                assert!(!is_late, "a process still has the earlier principal");
            }
        }
    }
    assert_eq!(introspected()["external_id"], UUID);
    assert_eq!(verified(), UUID);
    let (user, changed) = as_admin();
    assert_eq!(user["external_id"], UUID);
    assert_ne!(version, changed);
    for arguments in [
        ["--json", "user", "list"].as_slice(),
        &["--json", "user", "show", "alice@example.com"],
    ] {
        assert_eq!(shown(arguments), UUID);
    }

    let escaped = "UPDATE users SET external_id = 'a%b\u{e9}' WHERE id = 1";
    app.database().execute(escaped);
    while verified() == UUID {
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    assert_eq!(verified(), "a%25b%C3%A9");
    // Unique: an app would mistake one user for another.
    app.register("bobby");
    let same = "UPDATE users SET external_id = (SELECT external_id FROM users WHERE id = 1)";
    assert!(!app.database().accepts(same));
}

/// The ids and addresses of all users.
fn ids(app: &TestApp) -> Vec<String> {
    let query = "SELECT CAST(id AS VARCHAR(20)) || ' ' || email AS text FROM users ORDER BY id";
    app.database().texts(query)
}

fn ids_of_the_source_are_kept_and_never_given_to_others(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let path = scratch.0.join("old.db");
    let mut conn = SqliteConnection::establish(&path.to_string_lossy()).unwrap();
    conn.batch_execute(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name, surname, email, website, hashed_password);
         INSERT INTO users VALUES (10, 'ana', '', 'ana@example.com', '', '!'),
             (25, 'bob', '', 'bob@example.com', '', '!'), (1, 'cid', '', 'cid@example.com', '', '!'),
             (60, 'dan', '', 'not an address', '', '!')",
    )
    .unwrap();
    let report = import_after_dry_run(&app, &[&format!("sqlite://{}", path.display())]);
    assert_eq!(
        report["ids"],
        json!({"kept": 3, "renumbered": 0, "external": 0, "new": 0, "other_here": 0})
    );
    assert_eq!(
        ids(&app),
        [
            "1 cid@example.com",
            "10 ana@example.com",
            "25 bob@example.com"
        ]
    );
    // Neither the id of a user who was left out, nor a gap, goes to a new user.
    assert_eq!(app.id_of(&app.register("alice").sign_in()), 61);

    // Gaps can be filled later, in any order; without an id, a new one follows.
    let csv = "id,email,hashed_password\n60,dan@example.com,!\n,eve@example.com,!\n\
               42,fay@example.com,!\n";
    let report = import_after_dry_run(&app, &[&scratch.file("users.csv", csv)]);
    assert_eq!(
        (&report["ids"]["kept"], &report["ids"]["new"]),
        (&json!(2), &json!(1))
    );
    let lines = json!({"id": 100, "email": "gus@example.com", "hashed_password": "!"}).to_string();
    let report = import_after_dry_run(&app, &[&scratch.file("users.jsonl", &lines)]);
    assert_eq!(report["ids"]["kept"], 1);
    let all = ids(&app);
    for expected in ["42 fay", "60 dan", "61 alice", "62 eve", "100 gus"] {
        let is_there = all.iter().any(|id| id.starts_with(&format!("{expected}@")));
        assert!(is_there, "{expected}: {all:?}");
    }
    assert_eq!(app.id_of(&app.register("henry").sign_in()), 101);
}

fn taken_ids_are_refused_unless_renumbered(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    app.register("alice");
    app.register("bobby");
    let csv = format!(
        "id,email,hashed_password,access_token\n2,=carol@example.com,!,{}\n3,dan@example.com,!,\n\
         9,eve@example.com,!,\n9,fay@example.com,!,\n",
        token("carol")
    );
    let file = scratch.file("users.csv", &csv);
    let (report, problem) = refused_after_dry_run(&app, &[&file]);
    assert_eq!(report["users"]["id_not_free"], 2);
    assert_eq!(
        report["problems"],
        json!([
            {"id": "2", "line": 2, "email": "=carol@example.com", "problem": "id-taken",
             "held_by": "bobby@example.com"},
            {"id": "9", "line": 5, "email": "fay@example.com", "problem": "id-taken",
             "held_by": "eve@example.com"},
        ])
    );
    assert!(
        problem.contains(
            "cannot be kept: 2 (=carol@example.com: the id of bobby@example.com), 9 (fay@"
        ) && problem.contains("--renumber --map FILE"),
        "{problem}"
    );
    assert_eq!(app.database().count("users"), 2);
    assert_eq!(
        app.database().count("audit_events WHERE action = 'import'"),
        0
    );
    // The next id is still free.
    assert_eq!(app.id_of(&app.register("jerry").sign_in()), 3);

    let without_map = app
        .program(&["import", &file, "--renumber"])
        .output()
        .unwrap();
    assert_eq!(without_map.status.code(), Some(2), "{without_map:?}");
    let map = scratch.0.join("map.csv");
    let map_text = map.display().to_string();
    refused_after_dry_run(&app, &[&file, "--map", &map_text]);
    assert!(!map.exists(), "a refused import writes no file");
    let options = [file.as_str(), "--renumber", "--map", &map_text];
    let dry = import(&app, &[options.as_slice(), &["--dry-run"]].concat());
    assert!(!map.exists(), "a dry run writes no file");
    let report = import(&app, &options);
    assert_eq!(dry["ids"], report["ids"]);
    assert_eq!(
        report["ids"],
        json!({"kept": 1, "renumbered": 3, "external": 0, "new": 0, "other_here": 0})
    );
    assert_eq!(app.id_of(&token("carol")), 10);
    let expected = "old_id,new_id,email\n2,10,'=carol@example.com\n3,11,dan@example.com\n\
                    9,9,eve@example.com\n9,12,fay@example.com\n";
    assert_eq!(fs::read_to_string(&map).unwrap(), expected);
    let mode = fs::metadata(&map).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let again = app
        .program(&["import", &file, "--map", &map_text])
        .output()
        .unwrap();
    let stderr = String::from_utf8(again.stderr).unwrap();
    assert!(
        !again.status.success() && stderr.contains("already exists"),
        "{stderr}"
    );
    assert_eq!(fs::read_to_string(&map).unwrap(), expected);
}

fn ids_of_deleted_users_are_not_given_again(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    for name in ["alice", "bobby", "carol"] {
        app.register(name);
    }
    let deleted = app
        .program(&["user", "delete", "bobby@example.com"])
        .output()
        .unwrap();
    assert!(deleted.status.success(), "{deleted:?}");
    app.database().execute("DELETE FROM users WHERE id = 3");
    let csv = "id,email,hashed_password\n2,dan@example.com,!\n3,eve@example.com,!\n\
               4,fay@example.com,!\n";
    let file = scratch.file("users.csv", csv);
    let (report, problem) = refused_after_dry_run(&app, &[&file]);
    for (index, id) in ["2", "3"].iter().enumerate() {
        assert_eq!(report["problems"][index]["id"], *id);
        assert_eq!(report["problems"][index]["problem"], "id-given-before");
    }
    assert!(
        problem.contains("given to a deleted user before"),
        "{problem}"
    );
    let map = scratch.0.join("map.csv").display().to_string();
    let report = import(&app, &[&file, "--renumber", "--map", &map]);
    assert_eq!(report["ids"]["renumbered"], 2);
    assert_eq!(
        ids(&app),
        [
            "1 alice@example.com",
            "4 fay@example.com",
            "5 dan@example.com",
            "6 eve@example.com"
        ]
    );

    // A restore loses which ids were given: none up to the mark is free.
    let restored = app.program(&["after-restore"]).output().unwrap();
    assert!(restored.status.success(), "{restored:?}");
    let csv = "id,email,hashed_password\n7,gus@example.com,!\n";
    let (report, _) = refused_after_dry_run(&app, &[&scratch.file("more.csv", csv)]);
    assert_eq!(report["problems"][0]["problem"], "id-given-before");
}

fn ids_that_cannot_be_kept_are_named(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let long = "x".repeat(256);
    let bad = [
        "0",
        "-1",
        "007",
        "7.0",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        long.as_str(),
    ];
    let mut csv = "id,email,hashed_password\n".to_owned();
    for (index, id) in bad.iter().enumerate() {
        csv.push_str(&format!("{id},user{index}@example.com,!\n"));
    }
    let file = scratch.file("users.csv", &csv);
    let (report, problem) = refused_after_dry_run(&app, &[&file]);
    let problems = report["problems"].as_array().unwrap();
    assert_eq!(problems.len(), bad.len());
    for (problem, id) in problems.iter().zip(bad) {
        let expected = if id == long {
            "id-not-storable"
        } else {
            "id-out-of-range"
        };
        assert_eq!(problem["problem"], expected, "{problem}");
    }
    assert!(
        problem.contains("the ids of 8 user(s)") && problem.contains("and 3 more"),
        "{problem}"
    );
    let map = scratch.0.join("map.csv").display().to_string();
    let report = import(&app, &[&file, "--renumber", "--map", &map]);
    assert_eq!(report["ids"]["renumbered"], 8);
    assert_eq!(app.id_of(&app.register("alice").sign_in()), 9);
    assert_eq!(
        app.database().count("users WHERE external_id IS NOT NULL"),
        0
    );

    // Half of all ids stay free for new users.
    let csv = "id,email,hashed_password\n4611686018427387903,big@example.com,!\n";
    let report = import_after_dry_run(&app, &[&scratch.file("big.csv", csv)]);
    assert_eq!(report["ids"]["kept"], 1);
    assert_eq!(
        app.id_of(&app.register("bobby").sign_in()),
        4_611_686_018_427_387_904
    );
}

fn ids_that_are_not_integers_become_external_ids(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let csv = format!(
        "id,email,hashed_password,access_token\n{UUID},ana@example.com,!,{}\n\
         \"a,b\",bob@example.com,!,\n",
        token("ana")
    );
    let file = scratch.file("users.csv", &csv);
    let map = scratch.0.join("map.csv");
    let map_text = map.display().to_string();
    let report = import(&app, &[&file, "--map", &map_text]);
    assert_eq!(report["ids"]["external"], 2);
    assert_eq!(
        fs::read_to_string(&map).unwrap(),
        format!("old_id,new_id,email\n{UUID},1,ana@example.com\n\"a,b\",2,bob@example.com\n")
    );
    let me = app.get("/users/me").bearer(&token("ana")).send().json();
    assert_eq!(me["external_id"], UUID);
    assert_eq!(
        import_after_dry_run(&app, &[&file])["users"]["already_there"],
        2
    );

    let csv = format!("id,email,hashed_password\n{UUID},eve@example.com,!\n");
    let (report, _) = refused_after_dry_run(&app, &[&scratch.file("other.csv", &csv)]);
    assert_eq!(
        report["problems"],
        json!([{"id": UUID, "line": 2, "email": "eve@example.com", "problem": "id-taken",
                "held_by": "ana@example.com"}])
    );
}

fn map_lists_users_who_are_already_there(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    app.register("zoe01");
    let csv = "id,email,hashed_password\n1,ana@example.com,!\n2,bob@example.com,!\n";
    let file = scratch.file("users.csv", csv);
    let maps = ["first.csv", "second.csv"].map(|name| scratch.0.join(name).display().to_string());
    import(&app, &[&file, "--renumber", "--map", &maps[0]]);
    let more = scratch.file(
        "more.csv",
        &format!("{csv}7,cid@example.com,!\n8,nowhere,!\n"),
    );
    // Users who exist are not renumbered again, and prevent nothing.
    let report: Value = import(&app, &[&more, "--map", &maps[1]]);
    assert_eq!(report["users"]["already_there"], 2);
    assert_eq!(report["ids"]["other_here"], 1);
    assert_eq!(
        fs::read_to_string(&maps[1]).unwrap(),
        "old_id,new_id,email\n1,3,ana@example.com\n2,2,bob@example.com\n7,7,cid@example.com\n"
    );
}

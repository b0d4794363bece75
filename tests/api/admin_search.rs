//! `/admin/users`: search and pagination.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Backend, Client, TestApp, on_both_databases, text};

on_both_databases!(
    search_matches_addresses_and_names_in_any_spelling,
    pagination_lists_every_user_once_under_concurrent_changes,
    search_follows_changes_of_any_program,
    search_finds_rare_and_frequent_texts_among_many_users,
);

/// The users of a page, and the link to the next one.
fn page(client: &Client, path: &str, credential: &str) -> (Vec<Value>, Option<String>) {
    let response = client.get(path).bearer(credential).send();
    assert_eq!(response.status, 200, "{path} {response:?}");
    let page = response.json();
    let next = page["next"].as_str().map(str::to_owned);
    (page["users"].as_array().unwrap().clone(), next)
}

fn search(text: &str) -> String {
    form_urlencoded::Serializer::new("/admin/users?".to_owned())
        .append_pair("search", text)
        .finish()
}

fn search_matches_addresses_and_names_in_any_spelling(backend: Backend) {
    let app = TestApp::start(backend);
    let admin = app.register_with("admin", "users:read").sign_in();
    for (email, name, surname) in [
        ("Anna@Example.com", "Some User", ""),
        ("ANNABEL@example.com", "Some User", ""),
        ("an_na@example.com", "100% O'Neil", ""),
        ("a%b@example.com", "back\\slash", ""),
        ("stra\u{df}e@example.com", "J\u{fc}rgen", "M\u{dc}LLER"),
        ("zo\u{eb}@b\u{fc}cher.example", "Some User", "LOVELACE"),
    ] {
        let user = json!({
            "name": name, "surname": surname, "email": email, "website": "",
            "password": "mulberry-Tram-71",
        });
        assert_eq!(
            app.post("/register").json(&user).send().status,
            201,
            "{email}"
        );
    }
    let every = [
        "admin@example.com",
        "Anna@example.com",
        "ANNABEL@example.com",
        "an_na@example.com",
        "a%b@example.com",
    ];
    for (part, found) in [
        ("ann", vec!["Anna@example.com", "ANNABEL@example.com"]),
        ("ANN", vec!["Anna@example.com", "ANNABEL@example.com"]),
        (
            "\u{ff41}\u{ff4e}\u{ff4e}",
            vec!["Anna@example.com", "ANNABEL@example.com"],
        ),
        ("anna@", vec!["Anna@example.com"]),
        ("Anna@EXAMPLE.com", vec!["Anna@example.com"]),
        ("an_", vec!["an_na@example.com"]),
        ("a%", vec!["a%b@example.com"]),
        ("strasse", vec!["stra\u{df}e@example.com"]),
        ("ZO\u{cb}", vec!["zo\u{eb}@b\u{fc}cher.example"]),
        ("nna", vec!["Anna@example.com", "ANNABEL@example.com"]),
        ("%", vec!["an_na@example.com", "a%b@example.com"]),
        ("_", vec!["an_na@example.com"]),
        ("\\", vec!["a%b@example.com"]),
        ("'", vec!["an_na@example.com"]),
        ("m\u{fc}ller", vec!["stra\u{df}e@example.com"]),
        ("M\u{dc}LL", vec!["stra\u{df}e@example.com"]),
        ("lovelace", vec!["zo\u{eb}@b\u{fc}cher.example"]),
        (
            "e user",
            vec![
                "Anna@example.com",
                "ANNABEL@example.com",
                "zo\u{eb}@b\u{fc}cher.example",
            ],
        ),
        (
            "EXAMPLE.C",
            [&every[..], &["stra\u{df}e@example.com"]].concat(),
        ),
        ("   ", vec![]),
        ("' OR 1=1 --", vec![]),
        ("\u{10ffff}", vec![]),
    ] {
        let (users, next) = page(&app, &search(part), &admin);
        let emails: Vec<_> = users.iter().map(|user| text(&user["email"])).collect();
        assert_eq!(
            (emails, next),
            (found.iter().map(|s| (*s).to_owned()).collect(), None),
            "{part}"
        );
    }
    let (users, _) = page(&app, "/admin/users?search=", &admin);
    assert_eq!(users.len(), 7, "an empty search lists all users");
    let members: Vec<_> = users[0].as_object().unwrap().keys().cloned().collect();
    let expected = [
        "id",
        "name",
        "surname",
        "email",
        "website",
        "scopes",
        "created_at",
        "disabled_at",
        "external_id",
    ];
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(members.len(), expected.len(), "{members:?}");
    assert!(
        expected.iter().all(|name| users[0].get(name).is_some()),
        "{members:?}"
    );

    for (query, kind) in [
        ("limit=0", "value_error"),
        ("limit=501", "value_error"),
        ("limit=x", "int_parsing"),
        ("limit=", "int_parsing"),
        ("limit=1.5", "int_parsing"),
        ("search=%00", "value_error"),
        (&format!("search={}", "x".repeat(501)), "value_error"),
        ("search=a%00&limit=0", "value_error"),
        ("search=a&after=%00", "value_error"),
    ] {
        let response = app
            .get(&format!("/admin/users?{query}"))
            .bearer(&admin)
            .send();
        let error = &response.json()["detail"][0];
        assert_eq!(
            (response.status, &error["type"]),
            (422, &json!(kind)),
            "{query}"
        );
        assert_eq!(error["loc"][0], json!("query"));
    }
    // Invalid UTF-8 is searched for as replacement characters.
    assert_eq!(
        page(&app, "/admin/users?search=%ff", &admin).0,
        Vec::<Value>::new()
    );
}

/// Follows the links to the end, and calls `between` after every page.
fn follow(app: &Client, first: &str, admin: &str, mut between: impl FnMut(usize)) -> Vec<i64> {
    let (mut seen, mut pages) = (Vec::new(), 0);
    let mut path = Some(first.to_owned());
    while let Some(this) = path {
        assert!(this.starts_with("/admin/users?"), "{this}");
        let (users, next) = page(app, &this, admin);
        assert!(users.len() == 7 || next.is_none(), "{users:?}");
        seen.extend(users.iter().map(|user| user["id"].as_i64().unwrap()));
        pages += 1;
        between(pages);
        path = next;
    }
    seen
}

fn pagination_lists_every_user_once_under_concurrent_changes(backend: Backend) {
    let app = TestApp::start(backend);
    let admin = app.register_with("admin", "users:read").sign_in();
    let insert = |from: usize, to: usize| {
        app.database().execute(&format!(
            "INSERT INTO users (name, surname, email, email_key, website, hashed_password, created_at)
             WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i < {to})
             SELECT 'many', '', 'e', 'many' || (i * 7919 % 1000) || '@example.com', '', '!', '2026-01-01 00:00:00'
             FROM n"
        ));
    };
    for first in ["/admin/users?limit=7", "/admin/users?limit=7&search=MANY"] {
        app.database()
            .execute("DELETE FROM users WHERE name = 'many'");
        insert(1, 100);
        let (all, _) = page(&app, "/admin/users?limit=500&search=many", &admin);
        let all: Vec<i64> = all
            .iter()
            .map(|user| user["id"].as_i64().unwrap())
            .collect();
        assert_eq!(all.len(), 100);
        let deleted: Vec<i64> = all.iter().copied().filter(|id| id % 3 == 0).collect();
        let mut to_delete = deleted.iter();
        let seen = follow(&app, first, &admin, |pages| {
            if pages <= 8 {
                insert(100 + pages * 10, 105 + pages * 10);
                for id in to_delete.by_ref().take(4) {
                    app.database()
                        .execute(&format!("DELETE FROM users WHERE id = {id}"));
                }
            }
        });
        let mut once = seen.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), seen.len(), "a user is listed twice");
        for id in all.iter().filter(|id| !deleted.contains(id)) {
            assert!(seen.contains(id), "{id} existed throughout: {first}");
        }
    }
    // A cursor that the client has changed starts at the nearest position.
    let (users, _) = page(&app, "/admin/users?limit=1&after=x", &admin);
    assert_eq!(users[0]["id"], json!(1));
    assert_eq!(
        page(&app, "/admin/users?after=999999", &admin),
        (vec![], None)
    );
}

/// The ids that a search finds, page by page, and the number of pages.
fn find_all(client: &Client, text: &str, credential: &str) -> (Vec<i64>, usize) {
    let (mut ids, mut pages, mut path) = (Vec::new(), 0, Some(search(text)));
    while let Some(this) = path {
        let (users, next) = page(client, &this, credential);
        ids.extend(users.iter().map(|user| user["id"].as_i64().unwrap()));
        pages += 1;
        path = next;
    }
    (ids, pages)
}

/// Stores users without the service, as a shell does: their addresses are `many1@example.org` and so on.
fn insert_many(app: &TestApp, from: i64, to: i64, name: &str) {
    app.database().execute(&format!(
        "INSERT INTO users (id, name, surname, email, email_key, website, hashed_password, created_at)
         WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i < {to})
         SELECT i, '{name}', '', 'many' || i || '@example.org', 'many' || i || '@example.org', '', '!',
             '2026-01-01 00:00:00'
         FROM n"
    ));
}

fn search_follows_changes_of_any_program(backend: Backend) {
    let app = TestApp::start(backend);
    let database = app.database();
    let admin = app
        .register_with("admin", "users:read users:write")
        .sign_in();
    let found = |text: &str| find_all(&app, text, &admin).0;
    let folded = "users WHERE folded_names IS NOT NULL";

    let body = json!({
        "name": "J\u{fc}rgen", "surname": "STRA\u{df}E", "email": "someone@example.com", "website": "",
        "password": "mulberry-Tram-71",
    });
    let user = app.post("/register").json(&body).send().json();
    let id = user["id"].as_i64().unwrap();
    assert_eq!(database.count(folded), 1);
    assert_eq!(found("j\u{dc}rgen"), [id]);
    assert_eq!(found("strasse"), [id]);
    let patch = |body: Value| {
        let request = app
            .request("PATCH", format!("/admin/users/{id}"))
            .bearer(&admin);
        assert_eq!(request.json(&body).send().status, 200, "{body}");
    };
    patch(json!({ "name": "Ren\u{e9}e" }));
    assert_eq!(found("REN\u{c9}E"), [id]);
    assert_eq!(found("strasse"), [id]);
    assert!(found("j\u{fc}rgen").is_empty());
    patch(json!({ "surname": "Plain", "name": "Plain" }));
    let update = [
        "user",
        "update",
        "someone@example.com",
        "--email",
        "other@example.com",
    ];
    assert_eq!(app.run(&update).0, Some(0));
    for gone in ["ren\u{e9}e", "strasse", "someone@"] {
        assert!(found(gone).is_empty(), "{gone}");
    }
    assert_eq!(found("other@"), [id]);
    assert_eq!(found("lain"), [id]);

    // By hand: the names are found before the service has folded them, and while they were others.
    insert_many(&app, 500, 502, "ZO\u{cb}");
    assert_eq!(found("zo\u{eb}"), [500, 501, 502]);
    database.execute("UPDATE users SET name = 'M\u{dc}LLER' WHERE id IN (501, 502)");
    assert_eq!(found("m\u{fc}ller"), [501, 502]);
    assert_eq!(found("zo\u{eb}"), [500]);
    let _another = app.spawn_server();
    let start = Instant::now();
    while database.count(folded) < 4 {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "nothing is folded"
        );
        sleep(Duration::from_millis(100));
    }
    assert_eq!(found("m\u{fc}ller"), [501, 502]);
    assert_eq!(found("zo\u{eb}"), [500]);
    database.execute("UPDATE users SET surname = 'Zo\u{eb}' WHERE id = 502");
    assert_eq!(found("zo\u{eb}"), [500, 502]);
    database.execute("DELETE FROM users WHERE id = 501");
    assert_eq!(found("m\u{fc}ller"), [502]);
    assert_eq!(found("many5"), [500, 502]);
    if backend == Backend::Sqlite {
        database.execute("INSERT INTO user_search (user_search) VALUES ('integrity-check')");
        // It is an entry less for each user less.
        database.execute("DELETE FROM users WHERE id >= 500");
        assert_eq!(
            database.count("user_search WHERE user_search MATCH '\"any\"'"),
            0
        );
    }
}

fn search_finds_rare_and_frequent_texts_among_many_users(backend: Backend) {
    let app = TestApp::start(backend);
    let admin = app.register_with("admin", "users:read").sign_in();
    let found = |text: &str| find_all(&app, text, &admin);
    insert_many(&app, 1_001, 15_000, "Frequent");
    insert_many(&app, 15_001, 15_300, "Late");
    insert_many(&app, 15_301, 15_301, "X_Y \"Q\"");
    let late: Vec<i64> = (15_001..=15_300).collect();
    assert_eq!(found("late").0, late);
    assert_eq!(found("many15301@").0, [15_301]);
    assert_eq!(found("\"q\"").0, [15_301]);
    assert_eq!(found("late frequent").0, Vec::<i64>::new());
    // Without the index few users are read for a page, so some are empty.
    let (ids, pages) = found("_");
    assert_eq!(ids, [15_301]);
    assert!((2..6).contains(&pages), "{pages}");
    let (users, next) = page(&app, &search("frequent"), &admin);
    assert_eq!((users.len(), users[0]["id"].as_i64()), (50, Some(1_001)));
    assert!(next.is_some());
    let after = format!("{}&after=14990", search("FREQUENT"));
    assert_eq!(page(&app, &after, &admin).0.len(), 10);
}

#[test]
fn missing_index_is_reported_and_made_by_migrate() {
    let app = TestApp::start(Backend::Postgres);
    let admin = app.register_with("admin", "users:read").sign_in();
    let run = |arguments: &[&str]| {
        let output = app.program(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(!run(&["doctor"]).contains("\tsearch\t"));
    app.database().execute("DROP INDEX users_search");
    let report = run(&["doctor"]);
    assert!(report.contains("warning\tsearch\t"), "{report}");
    assert!(report.contains("ok\ttables\t"), "{report}");
    assert_eq!(find_all(&app, "ADMIN", &admin).0, [1]);
    run(&["migrate"]);
    assert!(!run(&["doctor"]).contains("\tsearch\t"));
    // An index with this name that does something else.
    app.database()
        .execute("DROP INDEX users_search; CREATE INDEX users_search ON users (name)");
    let report = app.program(&["doctor"]).output().unwrap();
    let report = String::from_utf8(report.stdout).unwrap();
    assert!(
        report.contains("problem\ttables\tindex users_search was changed"),
        "{report}"
    );
}

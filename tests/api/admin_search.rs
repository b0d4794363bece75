//! `/admin/users`: search and pagination.

use serde_json::{Value, json};

use crate::harness::{Backend, Client, TestApp, on_both_databases, text};

on_both_databases!(
    search_matches_addresses_and_names_in_any_spelling,
    pagination_lists_every_user_once_under_concurrent_changes,
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
        "a%b@example.com",
        "admin@example.com",
        "an_na@example.com",
        "Anna@example.com",
        "ANNABEL@example.com",
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
        ("%", vec!["a%b@example.com", "an_na@example.com"]),
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
    // Address order differs from id order.
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

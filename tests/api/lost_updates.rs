//! Concurrent changes of one user by several administrators: none overwrites another.
//!
//! `TOKENHOUSE_TEST_LOST_UPDATE_ROUNDS` is the number of rounds per database; the default is 25.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokenhouse::Auth;
use tokenhouse::auth::{Administrator, UserPatch};

use crate::harness::{
    Backend, Client, Response, TestApp, concurrently, on_both_databases, runtime, size, text,
};

on_both_databases!(
    concurrent_grants_and_revocations_are_all_kept,
    concurrent_cli_and_http_changes_are_all_kept,
    replacing_all_scopes_requires_a_current_etag,
    every_change_gives_the_user_a_new_etag,
);

/// How long the database may be busy.
const BUSY_LIMIT: Duration = Duration::from_secs(30);

fn patch(client: &Client, admin: &str, tag: Option<&str>, body: &Value) -> Response {
    let request = client.request("PATCH", "/admin/users/2").bearer(admin);
    let request = match tag {
        Some(tag) => request.header("If-Match", tag),
        None => request,
    };
    request.json(body).send()
}

/// Adds and removes scopes. Sends the request again if the database was busy, which changes nothing that was
/// changed: on a machine with much other work, one of two processes may wait for SQLite's lock in vain.
fn change_scopes(client: &Client, admin: &str, body: &Value) -> u16 {
    let begun = Instant::now();
    loop {
        match patch(client, admin, None, body).status {
            503 if begun.elapsed() < BUSY_LIMIT => {}
            status => return status,
        }
    }
}

fn scopes_of(response: &Response) -> Vec<String> {
    let scopes = text(&response.json()["scopes"]);
    let mut names: Vec<_> = scopes.split(' ').map(str::to_owned).collect();
    names.sort();
    names
}

fn read(client: &Client, admin: &str) -> Response {
    client.get("/admin/users/2").bearer(admin).send()
}

fn start(backend: Backend) -> (TestApp, String) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_GRANTABLE_SCOPES", "t:*")
        .start();
    let admin = app
        .register_with("admin", "users:read users:write")
        .sign_in();
    app.register_with("alice", "t:taken t:kept");
    (app, admin)
}

/// In each round, one scope is revoked and four others are granted at the same time.
fn concurrent_grants_and_revocations_are_all_kept(backend: Backend) {
    const GRANTS: usize = 4;
    let (app, admin) = start(backend);
    let (_process, second) = app.spawn_server();
    let servers = [*app, second];
    for round in 0..size("TOKENHOUSE_TEST_LOST_UPDATE_ROUNDS", 25) {
        let statuses = concurrently(GRANTS + 1, GRANTS + 1, |number| {
            let body = match number {
                0 => json!({ "scopes_remove": "t:taken" }),
                number => json!({ "scopes_add": format!("t:{number}") }),
            };
            change_scopes(&servers[number % 2], &admin, &body)
        });
        assert_eq!(statuses, [200; GRANTS + 1], "{round}");
        let expected = ["t:1", "t:2", "t:3", "t:4", "t:kept"];
        assert_eq!(scopes_of(&read(&app, &admin)), expected, "{round}");
        let reset = json!({ "scopes_add": "t:taken", "scopes_remove": "t:1 t:2 t:3 t:4" });
        assert_eq!(
            scopes_of(&patch(&app, &admin, None, &reset)),
            ["t:kept", "t:taken"]
        );
    }
}

/// Calls what `user grant` calls, without a process for each.
fn concurrent_cli_and_http_changes_are_all_kept(backend: Backend) {
    let (app, admin) = start(backend);
    let auth = Auth::open(&app.config()).unwrap();
    let change = |patch: UserPatch| {
        let runtime = runtime();
        let operator = Administrator::operator();
        runtime
            .block_on(auth.update_user(&operator, 2, patch))
            .unwrap();
    };
    for round in 0..size("TOKENHOUSE_TEST_LOST_UPDATE_ROUNDS", 25) {
        thread::scope(|scope| {
            scope.spawn(|| {
                change(UserPatch {
                    scopes_remove: Ok(Some("t:taken".to_owned())),
                    ..UserPatch::none()
                });
            });
            let granted = patch(&app, &admin, None, &json!({ "scopes_add": "t:1" }));
            assert_eq!(granted.status, 200);
        });
        assert_eq!(scopes_of(&read(&app, &admin)), ["t:1", "t:kept"], "{round}");
        thread::scope(|scope| {
            scope.spawn(|| {
                change(UserPatch {
                    scopes_add: Ok(Some("t:taken".to_owned())),
                    ..UserPatch::none()
                });
            });
            let revoked = patch(&app, &admin, None, &json!({ "scopes_remove": "t:1" }));
            assert_eq!(revoked.status, 200);
        });
        assert_eq!(
            scopes_of(&read(&app, &admin)),
            ["t:kept", "t:taken"],
            "{round}"
        );
    }
    // And the program.
    for round in 0..3 {
        let mut running: Vec<_> = ["t:1", "t:2"]
            .map(|name| {
                let grant = ["user", "grant", "alice@example.com", name];
                app.program(&grant).spawn().unwrap()
            })
            .into_iter()
            .collect();
        let revoked = patch(&app, &admin, None, &json!({ "scopes_remove": "t:taken" }));
        assert_eq!(revoked.status, 200);
        for command in &mut running {
            assert!(command.wait().unwrap().success());
        }
        assert_eq!(
            scopes_of(&read(&app, &admin)),
            ["t:1", "t:2", "t:kept"],
            "{round}"
        );
        let reset = json!({ "scopes_add": "t:taken", "scopes_remove": "t:1 t:2" });
        assert_eq!(patch(&app, &admin, None, &reset).status, 200);
    }
}

fn replacing_all_scopes_requires_a_current_etag(backend: Backend) {
    let (app, admin) = start(backend);
    let all = |scopes: &str| json!({ "scopes": scopes });
    let without = patch(&app, &admin, None, &all("t:1"));
    assert_eq!(without.status, 428, "{without:?}");
    assert!(without.text().contains("If-Match"), "{without:?}");

    let stale = read(&app, &admin).header("etag").unwrap();
    assert_eq!(
        patch(&app, &admin, None, &json!({ "scopes_remove": "t:taken" })).status,
        200
    );
    for body in [
        all("t:taken t:kept t:1"),
        json!({ "surname": "Other" }),
        json!({ "disabled": true }),
        json!({ "scopes_add": "t:1" }),
    ] {
        let response = patch(&app, &admin, Some(&stale), &body);
        assert_eq!(
            (response.status, response.json()),
            (412, json!({ "detail": "The user was changed meanwhile" })),
            "{body}"
        );
    }
    let delete = app.request("DELETE", "/admin/users/2").bearer(&admin);
    assert_eq!(delete.header("If-Match", &stale).send().status, 412);
    let current = read(&app, &admin);
    assert_eq!(scopes_of(&current), ["t:kept"]);
    let tag = current.header("etag").unwrap();
    // Weak tags match nothing, and neither do malformed ones.
    let bare = tag.trim_matches('"').to_owned();
    for other in [
        format!("W/{tag}"),
        bare,
        format!("{tag}x"),
        "\"\"".to_owned(),
        String::new(),
    ] {
        assert_eq!(
            patch(&app, &admin, Some(&other), &all("t:1")).status,
            412,
            "{other:?}"
        );
    }
    let listed = format!("{stale}, {tag}");
    assert_eq!(
        scopes_of(&patch(&app, &admin, Some(&listed), &all("t:2"))),
        ["t:2"]
    );
    assert_eq!(patch(&app, &admin, Some(&tag), &all("t:3")).status, 412);
    assert_eq!(
        scopes_of(&patch(&app, &admin, Some("*"), &all("t:4"))),
        ["t:4"]
    );
    for mixed in [
        json!({ "scopes": "", "scopes_add": "t:1" }),
        json!({ "scopes": "", "scopes_remove": "t:1" }),
        json!({ "scopes_add": "t:1 t:2", "scopes_remove": "t:2" }),
    ] {
        assert_eq!(
            patch(&app, &admin, Some("*"), &mixed).status,
            422,
            "{mixed}"
        );
    }
    for (tag, status) in [("*", 404), (tag.as_str(), 404)] {
        let unknown = app.request("PATCH", "/admin/users/99").bearer(&admin);
        let response = unknown.header("If-Match", tag).json(&all("")).send();
        assert_eq!(response.status, status);
    }

    // Of several concurrent replacements of the same view, one succeeds.
    for round in 0..size("TOKENHOUSE_TEST_LOST_UPDATE_ROUNDS", 25) {
        let tag = read(&app, &admin).header("etag").unwrap();
        let mut statuses = concurrently(4, 4, |number| {
            let scopes = format!("t:{round}:{number}");
            patch(&app, &admin, Some(&tag), &all(&scopes)).status
        });
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412, 412, 412], "{round}");
    }
}

fn every_change_gives_the_user_a_new_etag(backend: Backend) {
    let (app, admin) = start(backend);
    let alice = app.post("/token").form(&[
        ("username", "alice@example.com"),
        ("password", "the password of alice"),
    ]);
    let alice = text(&alice.send().json()["access_token"]);
    let tag = || read(&app, &admin).header("etag").unwrap();
    let mut seen_tags = vec![tag()];
    assert_eq!(tag(), seen_tags[0], "reading changes nothing");
    let is_strong = |tag: &str| tag.starts_with('"') && tag.ends_with('"') && tag.len() > 20;
    assert!(is_strong(&seen_tags[0]), "{seen_tags:?}");
    for body in [
        json!({ "name": "Alice B" }),
        json!({ "surname": "C" }),
        json!({ "website": "w" }),
        json!({ "scopes_add": "t:new" }),
        json!({ "scopes_remove": "t:kept" }),
        json!({ "disabled": true }),
        json!({ "disabled": false, "surname": "D" }),
    ] {
        let last = seen_tags.last().cloned();
        let response = patch(&app, &admin, last.as_deref(), &body);
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(response.header("etag"), Some(tag()), "{body}");
        assert!(!seen_tags.contains(&tag()), "{body}");
        seen_tags.push(tag());
    }
    assert_eq!(app.status("/users/me", &alice), 401);
    let alice = app.post("/token").form(&[
        ("username", "alice@example.com"),
        ("password", "the password of alice"),
    ]);
    let alice = text(&alice.send().json()["access_token"]);
    let own_change = app.request("PATCH", "/users/me").bearer(&alice);
    assert_eq!(
        own_change.json(&json!({ "surname": "E" })).send().status,
        200
    );
    assert!(!seen_tags.contains(&tag()));
    // Moving text from one field to the next is a change too.
    let shifted = [
        json!({ "surname": "ab", "website": "c" }),
        json!({ "surname": "a", "website": "bc" }),
    ];
    let tags = shifted.map(|body| patch(&app, &admin, None, &body).header("etag"));
    assert_ne!(tags[0], tags[1]);
}

//! What administrators may do to other administrators, and which scopes they may grant.
//!
//! `TOKENHOUSE_TEST_LAST_ADMINISTRATOR_ROUNDS` is the number of rounds of the race; the default is 10.

use serde_json::{Value, json};

use crate::harness::{
    Backend, Client, OWN_SCOPES, Response, TestApp, concurrently, on_both_databases, size,
};

on_both_databases!(
    scopes_are_granted_by_holders_or_as_configured,
    administrators_cannot_change_users_with_more_scopes,
    api_keys_cannot_create_or_delete_users_or_change_scopes,
    last_administrator_cannot_be_removed,
    concurrent_mutual_removals_leave_one_administrator,
);

fn send(client: &Client, method: &str, path: &str, credential: &str, body: &Value) -> Response {
    let request = client.request(method, path).bearer(credential);
    request.header("If-Match", "*").json(body).send()
}

/// All subsets of these names, separated by spaces.
fn subsets(names: &[&str]) -> Vec<String> {
    let subset = |bits: usize| {
        let chosen = names.iter().enumerate();
        let chosen = chosen.filter(|(bit, _)| bits >> bit & 1 == 1);
        chosen.map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
    };
    (0..1 << names.len()).map(subset).collect()
}

fn difference(first: &str, second: &str) -> String {
    let is_unmatched = |name: &&str| !second.split(' ').any(|other| other == *name);
    first
        .split_whitespace()
        .filter(is_unmatched)
        .collect::<Vec<_>>()
        .join(" ")
}

/// All combinations of caller, user and change with one scope of each kind: one built into the
/// service, one that the caller may hold, and one that the settings make grantable.
fn scopes_are_granted_by_holders_or_as_configured(backend: Backend) {
    const FREE: &str = "reports:monthly";
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_GRANTABLE_SCOPES", "reports:*, other")
        .start();
    let user = app.register("user");
    let everything = "users:write introspect orders:read";
    let narrow = app.register_with("narrow", everything);
    let states = subsets(&["introspect", "orders:read", FREE]);
    let mut refused = 0;
    for held in subsets(&["introspect", "orders:read"]) {
        let held = format!("users:write {held}");
        // Held by the user but not by the credential, and the other way around.
        let former = app.register_with(&format!("former{}", held.len()), everything);
        let former_token = former.sign_in();
        app.set_scopes(&former, &held);
        let callers = [(narrow.sign_in_for(&held), true), (former_token, false)];
        for (credential, replaces) in &callers {
            for (before, after) in states
                .iter()
                .flat_map(|before| states.iter().map(move |after| (before, after)))
            {
                app.set_scopes(&user, before);
                let granted = difference(after, before);
                let change = match replaces {
                    true => json!({ "scopes": after }),
                    false => json!({
                        "scopes_add": granted, "scopes_remove": difference(before, after),
                    }),
                };
                let may_act = !before.contains("introspect") || held.contains("introspect");
                let may_grant = difference(&difference(&granted, &held), FREE).is_empty();
                let expected = if may_act && may_grant { 200 } else { 403 };
                let response = send(&app, "PATCH", "/admin/users/1", credential, &change);
                let case = format!("{held:?}, {replaces}: {before:?} -> {after:?}");
                assert_eq!(response.status, expected, "{case}: {response:?}");
                let (expected_scopes, other_scopes) = if expected == 200 {
                    (after, before)
                } else {
                    refused += 1;
                    (before, after)
                };
                let shown: Vec<String> = app
                    .database()
                    .texts("SELECT scopes AS text FROM users WHERE id = 1");
                assert_eq!(
                    (
                        difference(&shown[0], expected_scopes),
                        difference(expected_scopes, &shown[0])
                    ),
                    (String::new(), String::new()),
                    "{case}, not {other_scopes:?}"
                );
            }
            // The same for a user being created.
            for scopes in &states {
                let body = json!({
                    "name": "Newcomer", "surname": "", "email": "new@example.com", "website": "",
                    "password": "mulberry-Tram-71", "scopes": scopes,
                });
                let allowed = difference(&difference(scopes, &held), FREE).is_empty();
                let response = send(&app, "POST", "/admin/users", credential, &body);
                let expected = if allowed { 201 } else { 403 };
                assert_eq!(response.status, expected, "{held:?} makes {scopes:?}");
                app.database()
                    .execute("DELETE FROM users WHERE email = 'new@example.com'");
            }
        }
    }
    assert!(refused > 100, "{refused}");
    let denials =
        "audit_events WHERE action = 'scope.refused' AND level IN ('introspect', 'orders:read')";
    assert!(app.database().count(denials) > 0);
}

fn administrators_cannot_change_users_with_more_scopes(backend: Backend) {
    let app = TestApp::start(backend);
    let low = app.register_with("low", "users:write users:read");
    let high = app.register_with("high", OWN_SCOPES);
    let narrow = high.sign_in_for("users:write users:read");
    let credentials = [
        low.sign_in(),
        app.create_key(&low.sign_in(), "users:write").secret,
    ];
    let low_token = low.sign_in();
    let high_key = app.create_key(&narrow, "users:write").secret;
    assert_eq!(app.status("/users/me", &credentials[0]), 401);
    for credential in [&low_token, &credentials[1], &narrow, &high_key] {
        for (method, path, body) in [
            ("PATCH", "/admin/users/2", json!({ "disabled": true })),
            ("PATCH", "/admin/users/2", json!({ "disabled": false })),
            ("PATCH", "/admin/users/2", json!({ "name": "Renamed" })),
            (
                "PATCH",
                "/admin/users/2",
                json!({ "scopes_remove": "users:read" }),
            ),
            ("PATCH", "/admin/users/2", json!({})),
            ("DELETE", "/admin/users/2/tokens", Value::Null),
            ("DELETE", "/admin/users/2", Value::Null),
        ] {
            let response = send(&app, method, path, credential, &body);
            assert_eq!(response.status, 403, "{method} {body} {response:?}");
        }
        assert_eq!(app.status("/users/me", &narrow), 200);
    }
    let unchanged = format!(
        "users WHERE id = 2 AND disabled_at IS NULL AND scopes = '{OWN_SCOPES}'
         AND name = 'high Example'"
    );
    assert_eq!(app.database().count(&unchanged), 1);
    // Administrators with the same scopes may act, also on themselves.
    let full = high.sign_in();
    for body in [
        json!({ "name": "Renamed" }),
        json!({ "scopes_remove": "introspect" }),
    ] {
        assert_eq!(
            send(&app, "PATCH", "/admin/users/2", &full, &body).status,
            200
        );
    }
    let response = send(
        &app,
        "PATCH",
        "/admin/users/1",
        &full,
        &json!({ "disabled": true }),
    );
    assert_eq!(response.status, 200);
}

fn api_keys_cannot_create_or_delete_users_or_change_scopes(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_GRANTABLE_SCOPES", "*")
        .start();
    let admin = app.register_with("admin", OWN_SCOPES).sign_in();
    let key = app.create_key(&admin, OWN_SCOPES).secret;
    let alice = app.register("alice");
    let token = alice.sign_in();
    let made = json!({
        "name": "Made by a key", "surname": "", "email": "bd@example.com", "website": "",
        "password": "mulberry-Tram-71", "scopes": "",
    });
    for (method, path, body) in [
        ("POST", "/admin/users", made),
        ("DELETE", "/admin/users/2", Value::Null),
        ("PATCH", "/admin/users/2", json!({ "scopes": "" })),
        (
            "PATCH",
            "/admin/users/2",
            json!({ "scopes_add": "payments:refund" }),
        ),
        (
            "PATCH",
            "/admin/users/2",
            json!({ "scopes_remove": "x", "disabled": true }),
        ),
        ("PATCH", "/admin/users/2", json!({ "name": "X-Auth-Name" })),
        (
            "PATCH",
            "/admin/users/1",
            json!({ "scopes_add": "payments:refund" }),
        ),
    ] {
        let response = send(&app, method, path, &key, &body);
        assert_eq!(
            (response.status, response.json()),
            (403, json!({ "detail": "Only a login token allows this" })),
            "{method} {path} {body}"
        );
    }
    assert_eq!(app.database().count("users"), 2);
    assert_eq!(
        app.database().count("users WHERE scopes LIKE '%payments%'"),
        0
    );
    // Keys can still read users, disable and enable them, and revoke credentials.
    assert_eq!(app.status("/admin/users/2", &key), 200);
    assert_eq!(app.status("/users/me", &token), 200);
    for disabled in [true, false] {
        let body = json!({ "disabled": disabled });
        assert_eq!(
            send(&app, "PATCH", "/admin/users/2", &key, &body).status,
            200
        );
        assert_eq!(app.status("/users/me", &token), 401);
    }
    let token = alice.sign_in();
    let out = send(&app, "DELETE", "/admin/users/2/tokens", &key, &Value::Null);
    assert_eq!((out.status, app.status("/users/me", &token)), (204, 401));
}

const LAST_ADMINISTRATOR: &str =
    r#"{"detail":"The last administrator who can sign in cannot be removed"}"#;

fn last_administrator_cannot_be_removed(backend: Backend) {
    let app = TestApp::start(backend);
    let admin = app.register_with("admin", "users:read users:write");
    let token = admin.sign_in();
    let other = app.register_with("other", "users:write");
    // These are not administrators: one is disabled, the others hold scopes that merely look similar.
    app.database()
        .execute("UPDATE users SET disabled_at = created_at WHERE id = 2");
    app.register_with("alike1", "USERS:WRITE xusers:write");
    app.register_with("alike2", "users:writer users:write:x users");
    let deletion = json!({ "current_password": admin.password });
    let removals = [
        ("PATCH", "/admin/users/1", json!({ "disabled": true })),
        (
            "PATCH",
            "/admin/users/1",
            json!({ "scopes_remove": "users:write" }),
        ),
        ("PATCH", "/admin/users/1", json!({ "scopes": "users:read" })),
        ("DELETE", "/admin/users/1", Value::Null),
        ("DELETE", "/users/me", deletion),
    ];
    for (method, path, body) in &removals {
        let response = send(&app, method, path, &token, body);
        assert_eq!(
            (response.status, response.text()),
            (409, LAST_ADMINISTRATOR),
            "{method} {body}"
        );
        assert_eq!(app.status("/admin/users/1", &token), 200);
    }
    // Changes that keep the administrator are allowed.
    for body in [
        json!({ "scopes_remove": "x" }),
        json!({ "scopes": "users:write users:read" }),
    ] {
        assert_eq!(
            send(&app, "PATCH", "/admin/users/1", &token, &body).status,
            200
        );
    }
    // So is disabling one who cannot sign in anyway.
    let disabled = send(
        &app,
        "PATCH",
        "/admin/users/2",
        &token,
        &json!({ "disabled": true }),
    );
    assert_eq!(disabled.status, 200);
    // With a second administrator, all of it is allowed.
    let enabled = send(
        &app,
        "PATCH",
        "/admin/users/2",
        &token,
        &json!({ "disabled": false }),
    );
    assert_eq!(enabled.status, 200);
    for (number, (method, path, body)) in removals.iter().enumerate() {
        let next = app.register_with(&format!("next{number}"), "users:read users:write");
        let token = next.sign_in();
        let path = path.replace('1', &app.id_of(&token).to_string());
        let body = match path.as_str() {
            "/users/me" => json!({ "current_password": next.password }),
            _ => body.clone(),
        };
        let response = send(&app, method, &path, &token, &body);
        assert!(
            [200, 204].contains(&response.status),
            "{method} {path} {response:?}"
        );
    }
    // The operator can delete the last one and create another.
    for name in ["admin", "other"] {
        let delete = ["user", "delete", &format!("{name}@example.com")];
        let output = app.program(&delete).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(other.try_sign_in(&other.password, "").status, 401);
}

/// Each removes another administrator or themselves, in every possible way.
fn concurrent_mutual_removals_leave_one_administrator(backend: Backend) {
    const ADMINISTRATORS: usize = 3;
    let app = TestApp::start(backend);
    let (_process, second) = app.spawn_server();
    let servers = [*app, second];
    let remaining = "users WHERE disabled_at IS NULL AND scopes LIKE '%users:write%'";
    for round in 0..size("TOKENHOUSE_TEST_LAST_ADMINISTRATOR_ROUNDS", 10) {
        app.database().execute("DELETE FROM users");
        let people: Vec<_> = (0..ADMINISTRATORS)
            .map(|number| {
                let name = format!("admin{round}x{number}");
                let person = app.register_with(&name, "users:read users:write");
                let token = person.sign_in();
                let id = app.id_of(&token);
                (person, token, id)
            })
            .collect();
        let statuses = concurrently(ADMINISTRATORS, ADMINISTRATORS, |number| {
            let (person, token, own_id) = &people[number];
            // Odd rounds: each removes themselves; even rounds: each removes the next.
            let next = people[(number + 1) % ADMINISTRATORS].2;
            let id = if round % 2 == 0 { next } else { *own_id };
            let path = format!("/admin/users/{id}");
            let (method, path, body) = match (round / 2 + number) % 4 {
                0 => ("PATCH", path, json!({ "disabled": true })),
                1 => ("PATCH", path, json!({ "scopes_remove": "users:write" })),
                2 => ("DELETE", path, Value::Null),
                _ => {
                    let confirmation = json!({ "current_password": person.password });
                    ("DELETE", "/users/me".to_owned(), confirmation)
                }
            };
            send(&servers[number % 2], method, &path, token, &body).status
        });
        let expected = [200, 204, 401, 403, 404, 409];
        assert!(
            statuses.iter().all(|status| expected.contains(status)),
            "{statuses:?}"
        );
        assert!(
            app.database().count(remaining) >= 1,
            "{round}: {statuses:?}"
        );
        if round % 2 == 1 {
            let refused = statuses.iter().filter(|status| **status == 409).count();
            assert_eq!(
                (refused, app.database().count(remaining)),
                (1, 1),
                "{statuses:?}"
            );
        }
    }
}

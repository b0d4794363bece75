//! `/admin/users`: administrators read and change other accounts.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Backend, Client, Response, TestApp, on_both_databases, send, text};

on_both_databases!(
    disabled_user_is_rejected_everywhere_until_enabled,
    enabling_a_user_disabled_in_sql_revokes_old_credentials,
    admin_creates_and_deletes_users,
    admin_sign_out_revokes_token_and_all_keys,
    unknown_user_ids_are_not_found,
    scope_revoked_while_a_change_waits_is_enforced,
    user_disabled_while_key_creation_waits_gets_no_key,
);

fn set_disabled(server: &Client, admin: &str, disabled: bool) -> Value {
    let body = json!({ "disabled": disabled });
    let response = send(server, "PATCH", "/admin/users/2", admin, &body);
    assert_eq!(response.status, 200, "{response:?}");
    response.json()["disabled_at"].clone()
}

fn disabled_user_is_rejected_everywhere_until_enabled(backend: Backend) {
    let app = TestApp::start(backend);
    let (_process, second) = app.spawn_server();
    let servers = [*app, second];
    let admin = app
        .register_with("admin", "users:write users:read")
        .sign_in();
    let alice = app.register("alice");
    let statuses = |credential: &str| servers.map(|server| server.status("/users/me", credential));
    let mut old = Vec::new();
    for round in 0..5 {
        let token = alice.sign_in();
        let keys = [(); 2].map(|()| app.create_key(&token, "").secret);
        let credentials = [&token, &keys[0], &keys[1]];
        assert_eq!(
            credentials.map(|credential| statuses(credential)),
            [[200, 200]; 3]
        );
        let since = set_disabled(&servers[round % 2], &admin, true);
        assert!(since.is_string());
        assert_eq!(
            credentials.map(|credential| statuses(credential)),
            [[401, 401]; 3]
        );
        assert_eq!(alice.try_sign_in(&alice.password, "").status, 401);
        let repeated = set_disabled(&servers[(round + 1) % 2], &admin, true);
        assert_eq!(repeated, since, "the time does not change");
        assert_eq!(
            set_disabled(&servers[round % 2], &admin, false),
            Value::Null
        );
        // Credentials from before stay revoked.
        old.extend([token, keys[0].clone(), keys[1].clone()]);
        for credential in &old {
            assert_eq!(statuses(credential), [401, 401], "{round}");
        }
    }
    assert_eq!(app.database().count("access_tokens WHERE user_id = 2"), 0);
    assert_eq!(app.database().count("api_keys WHERE revoked_at IS NULL"), 0);
    let token = alice.sign_in();
    assert_eq!(
        app.get("/users/me/keys").bearer(&token).send().json()["keys"],
        json!([])
    );
    for (action, detail) in [
        ("user.disable", r#"{"keys":2,"token":true}"#),
        ("user.enable", r#"{"keys":0,"token":false}"#),
    ] {
        let recorded = format!(
            "audit_events WHERE action = '{action}' AND actor = 'user:1' AND target = 'user:2'
             AND level = 'users:write' AND result = 'ok' AND detail = '{detail}'"
        );
        assert_eq!(app.database().count(&recorded), 5, "{action}");
    }
}

/// Also a user disabled by an earlier version, which kept the credentials.
fn enabling_a_user_disabled_in_sql_revokes_old_credentials(backend: Backend) {
    let app = TestApp::start(backend);
    let admin = app
        .register_with("admin", "users:write users:read")
        .sign_in();
    let alice = app.register("alice");
    for disabled_again in [false, true] {
        let token = alice.sign_in();
        let key = app.create_key(&token, "").secret;
        app.database()
            .execute("UPDATE users SET disabled_at = created_at WHERE id = 2");
        if disabled_again {
            set_disabled(&app, &admin, true);
            assert_eq!(app.database().count("access_tokens WHERE user_id = 2"), 0);
        }
        set_disabled(&app, &admin, false);
        for credential in [&token, &key] {
            assert_eq!(app.status("/users/me", credential), 401);
        }
    }
}

fn admin_creates_and_deletes_users(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_REGISTRATION", "closed")
        .start();
    let open = app
        .sibling()
        .setting("TOKENHOUSE_REGISTRATION", "open")
        .start();
    let admin = open
        .register_with("admin", "users:read users:write orders:read b")
        .sign_in();
    let user = json!({
        "name": "New User", "surname": "S", "email": "New@EXAMPLE.com", "website": "w",
        "password": "mulberry-Tram-71", "scopes": " orders:read  orders:read b ",
    });
    assert_eq!(app.post("/register").json(&user).send().status, 403);
    let response = send(&app, "POST", "/admin/users", &admin, &user);
    assert_eq!(response.status, 201, "{response:?}");
    let created = response.json();
    assert!(created["created_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(
        created,
        json!({
            "id": 2, "name": "New User", "surname": "S", "email": "New@example.com", "website": "w",
            "scopes": "orders:read b", "created_at": created["created_at"], "disabled_at": null,
            "external_id": null,
        })
    );
    let form = [
        ("username", "new@example.com"),
        ("password", "mulberry-Tram-71"),
    ];
    let token = app.post("/token").form(&form).send().json();
    assert_eq!(token["scope"], json!("orders:read b"));
    let token = text(&token["access_token"]);

    let taken = send(&app, "POST", "/admin/users", &admin, &user);
    assert_eq!(
        (taken.status, taken.json()),
        (409, json!({ "detail": "User email already exist" }))
    );
    let wrong = json!({
        "name": "", "surname": 1, "email": "x", "website": 2, "password": "short", "scopes": "\"",
    });
    let response = send(&app, "POST", "/admin/users", &admin, &wrong);
    let errors = response.json()["detail"].as_array().unwrap().clone();
    let fields: Vec<_> = errors.iter().map(|error| text(&error["loc"][1])).collect();
    assert_eq!(
        fields,
        ["name", "surname", "email", "website", "password", "scopes"]
    );
    let response = send(
        &app,
        "PATCH",
        "/admin/users/2",
        &admin,
        &json!({
            "name": "", "disabled": "yes", "scopes": "\"", "scopes_add": "\"",
        }),
    );
    assert_eq!(
        response.json()["detail"].as_array().unwrap().len(),
        4,
        "{response:?}"
    );

    let seen = app.get("/admin/users/2").bearer(&admin).send();
    assert_eq!((seen.status, seen.json()), (200, created));
    assert_eq!(app.status("/users/me", &token), 200);
    let response = send(&app, "DELETE", "/admin/users/2", &admin, &Value::Null);
    assert_eq!((response.status, response.body.len()), (204, 0));
    for server in [*app, *open] {
        assert_eq!(server.status("/users/me", &token), 401);
        assert_eq!(server.status("/admin/users/2", &admin), 404);
    }
    let trail = "audit_events WHERE target = 'user:2' AND actor = 'user:1'
                 AND action IN ('user.create', 'user.read', 'user.delete')";
    assert_eq!(app.database().count(trail), 3);
}

fn admin_sign_out_revokes_token_and_all_keys(backend: Backend) {
    let app = TestApp::start(backend);
    let (_process, second) = app.spawn_server();
    let admin = app.register_with("admin", "users:write").sign_in();
    let alice = app.register("alice");
    let token = alice.sign_in();
    let keys = [
        app.create_key(&token, "").secret,
        app.create_key(&token, "").secret,
    ];
    let bob_token = app.register("bobby").sign_in();
    let statuses = |credential: &str| [*app, second].map(|s| s.status("/users/me", credential));
    for credential in [&token, &keys[0], &keys[1], &bob_token] {
        assert_eq!(statuses(credential), [200, 200]);
    }
    for _ in 0..2 {
        let response = send(
            &app,
            "DELETE",
            "/admin/users/2/tokens",
            &admin,
            &Value::Null,
        );
        assert_eq!((response.status, response.body.len()), (204, 0));
        for credential in [&token, &keys[0], &keys[1]] {
            assert_eq!(statuses(credential), [401, 401]);
        }
    }
    assert_eq!(statuses(&bob_token), [200, 200]);
    assert_eq!(statuses(&alice.sign_in()), [200, 200]);
}

fn unknown_user_ids_are_not_found(backend: Backend) {
    let app = TestApp::start(backend);
    let admin = app
        .register_with("admin", "users:read users:write")
        .sign_in();
    for id in ["0", "2", "-1", "x", "1x", "99999999999999999999", "%31%00"] {
        for (method, path) in [
            ("GET", format!("/admin/users/{id}")),
            ("PATCH", format!("/admin/users/{id}")),
            ("DELETE", format!("/admin/users/{id}")),
            ("DELETE", format!("/admin/users/{id}/tokens")),
        ] {
            let response = send(&app, method, &path, &admin, &json!({}));
            assert_eq!(
                (response.status, response.text()),
                (404, r#"{"detail":"Not Found"}"#),
                "{method} {path}"
            );
        }
    }
    assert_eq!(app.status("/admin/users/1", &admin), 200);
}

/// Sends a request while its transaction waits for the one that holds the lock.
fn send_meanwhile(
    app: &TestApp,
    held: &str,
    send: impl FnOnce() -> Response + Send + 'static,
) -> Response {
    let waiting = app.database().hold(held, || {
        let waiting = thread::spawn(send);
        thread::sleep(Duration::from_millis(300));
        assert!(!waiting.is_finished(), "the request did not wait");
        waiting
    });
    waiting.join().unwrap()
}

fn scope_revoked_while_a_change_waits_is_enforced(backend: Backend) {
    let app = TestApp::start(backend);
    let admin = app
        .register_with("admin", "users:read users:write")
        .sign_in();
    app.register("alice");
    assert_eq!(app.status("/admin/users/2", &admin), 200);
    for (method, path, body) in [
        ("PATCH", "/admin/users/2", json!({ "disabled": true })),
        ("DELETE", "/admin/users/2/tokens", Value::Null),
        ("DELETE", "/admin/users/2", Value::Null),
    ] {
        let (client, credential) = (*app, admin.clone());
        let taken = "UPDATE users SET scopes = 'users:read' WHERE id = 1";
        let response = send_meanwhile(&app, taken, move || {
            send(&client, method, path, &credential, &body)
        });
        assert_eq!(response.status, 403, "{method} {path} {response:?}");
        app.database()
            .execute("UPDATE users SET scopes = 'users:read users:write' WHERE id = 1");
    }
    assert_eq!(app.database().count("users WHERE disabled_at IS NULL"), 2);
}

fn user_disabled_while_key_creation_waits_gets_no_key(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    assert_eq!(app.status("/users/me", &token), 200);
    let (client, credential) = (*app, token.clone());
    let disabled = "UPDATE users SET disabled_at = created_at WHERE id = 1";
    let response = send_meanwhile(&app, disabled, move || {
        send(
            &client,
            "POST",
            "/users/me/keys",
            &credential,
            &json!({ "name": "k" }),
        )
    });
    assert_eq!(response.status, 401, "{response:?}");
    assert_eq!(app.database().count("api_keys"), 0);
}

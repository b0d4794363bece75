//! Users manage their own accounts.

use serde_json::{Value, json};

use crate::harness::{Backend, Client, Person, Response, TestApp, on_both_databases, send};

on_both_databases!(
    profile_update_is_partial_and_visible_on_every_process,
    password_change_revokes_all_keys_except_kept_ones,
    api_key_cannot_change_its_owner,
    wrong_current_password_changes_nothing_and_is_audited,
    new_password_follows_the_registration_policy,
    account_deletion_removes_everything_except_the_audit_trail,
);

const NEW_PASSWORD: &str = "mulberry-Tram-71";

fn profile_update_is_partial_and_visible_on_every_process(backend: Backend) {
    let app = TestApp::start(backend);
    let (_process, second) = app.spawn_server();
    let token = app.register("alice").sign_in();
    let mut expected = json!({
        "id": 1, "name": "alice Example", "surname": "Example", "email": "alice@example.com",
        "website": "https://example.com",
    });
    for change in [
        json!({}),
        json!({ "name": "Al\u{ed}cia" }),
        json!({ "surname": "" }),
        json!({ "website": "https://alice.example", "surname": "\u{1f980}" }),
        json!({ "name": "alice again", "surname": "Example", "website": "" }),
    ] {
        assert_eq!(app.status("/users/me", &token), 200);
        for (name, value) in change.as_object().unwrap() {
            expected[name] = value.clone();
        }
        let response = send(&app, "PATCH", "/users/me", &token, &change);
        assert_eq!((response.status, response.json()), (200, expected.clone()));
        for server in [*app, second] {
            let seen = server.get("/users/me").bearer(&token).send().json();
            assert_eq!(seen, expected);
        }
    }
    for (change, kind) in [
        (json!({ "name": "four" }), "string_too_short"),
        (json!({ "name": null }), "string_type"),
        (json!({ "surname": "nul \0" }), "value_error"),
        (json!({ "website": 1 }), "string_type"),
        (json!({ "email": "b@example.com" }), "extra_forbidden"),
        (json!({ "scopes": "users:write" }), "extra_forbidden"),
        (json!({ "id": 7 }), "extra_forbidden"),
    ] {
        let response = send(&app, "PATCH", "/users/me", &token, &change);
        let error = &response.json()["detail"][0];
        assert_eq!(
            (response.status, &error["type"]),
            (422, &json!(kind)),
            "{change}"
        );
    }
    let wrong = json!({ "name": "", "surname": 1, "website": 2 });
    let response = send(&app, "PATCH", "/users/me", &token, &wrong);
    assert_eq!(response.json()["detail"].as_array().unwrap().len(), 3);
    assert_eq!(app.get("/users/me").bearer(&token).send().json(), expected);
    let recorded = "audit_events WHERE action = 'user.update' AND actor = 'user:1'";
    assert_eq!(app.database().count(recorded), 4);
}

/// Including the name passed to upstream apps, and with any scopes on the key.
fn api_key_cannot_change_its_owner(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app
        .register_with("alice", "users:read users:write")
        .sign_in();
    let shown = || app.get("/users/me").bearer(&token).send().json();
    let before = shown();
    for scopes in ["", "users:read users:write"] {
        let key = app.create_key(&token, scopes).secret;
        let name = json!({ "name": "someone else" });
        let own = send(&app, "PATCH", "/users/me", &key, &name);
        assert_eq!(
            (own.status, own.json()),
            (403, json!({ "detail": "Only a login token allows this" }))
        );
        let administered = send(&app, "PATCH", "/admin/users/1", &key, &name);
        assert_eq!(administered.status, 403, "{administered:?}");
        let verified = app.get("/verify").bearer(&key).send();
        let name = verified.header("x-auth-name");
        assert_eq!(
            (verified.status, name.as_deref()),
            (200, Some("alice Example"))
        );
        // A key without scopes does not reveal the owner's addresses either.
        let events = app.get("/users/me/events").bearer(&key).send();
        assert_eq!(events.status, if scopes.is_empty() { 403 } else { 200 });
        assert_eq!(app.status("/users/me", &key), 200);
    }
    assert_eq!(shown(), before);
    let recorded = "audit_events WHERE action = 'user.update'";
    assert_eq!(app.database().count(recorded), 0);
}

fn change_password(app: &Client, token: &str, person: &Person, kept: Option<Value>) -> Response {
    let mut body = json!({ "current_password": person.password, "new_password": NEW_PASSWORD });
    if let Some(kept) = kept {
        body["keep_keys"] = kept;
    }
    send(app, "POST", "/users/me/password", token, &body)
}

fn password_change_revokes_all_keys_except_kept_ones(backend: Backend) {
    let app = TestApp::start(backend);
    let (_process, second) = app.spawn_server();
    let bob = app.register("bobby");
    let bob_token = bob.sign_in();
    let bob_key = app.create_key(&bob_token, "");
    let statuses = |credential: &str| [*app, second].map(|s| s.status("/users/me", credential));
    let (works, ended) = ([200, 200], [401, 401]);
    /// The value of `keep_keys`, given the ids of the three keys.
    type Keep = fn(&[i64]) -> Option<Value>;
    let cases: [(&str, Keep, [bool; 3]); 6] = [
        ("erin1", |_| None, [false; 3]),
        ("erin2", |_| Some(json!(false)), [false; 3]),
        ("erin3", |_| Some(json!([])), [false; 3]),
        ("erin4", |_| Some(json!(true)), [true; 3]),
        ("erin5", |ids| Some(json!([ids[1]])), [false, true, false]),
        // A duplicate, a key of another user, and an unknown id.
        (
            "erin6",
            |ids| Some(json!([ids[2], ids[2], ids[0] - 3, 4_711])),
            [false, false, true],
        ),
    ];
    for (name, keep, kept) in cases {
        let erin = app.register(name);
        let token = erin.sign_in();
        let keys: Vec<_> = (0..3).map(|_| app.create_key(&token, "")).collect();
        let ids: Vec<i64> = keys.iter().map(|key| key.id).collect();
        for credential in [&token, &keys[0].secret, &keys[1].secret, &keys[2].secret] {
            assert_eq!(statuses(credential), works, "{name}");
        }
        let response = change_password(&app, &token, &erin, keep(&ids));
        assert_eq!(
            (response.status, response.body.len()),
            (204, 0),
            "{response:?}"
        );
        for (key, is_kept) in keys.iter().zip(kept) {
            let expected = if is_kept { works } else { ended };
            assert_eq!(statuses(&key.secret), expected, "{name}");
        }
        // The token that made the request stays valid; the user has no other.
        assert_eq!(statuses(&token), works, "{name}");
        assert_eq!(erin.try_sign_in(&erin.password, "").status, 401);
        assert_eq!(erin.try_sign_in(NEW_PASSWORD, "").status, 200);
        assert_eq!(statuses(&token), ended, "{name}");
        // The audit event names the keys that were revoked.
        let ended = ids.iter().zip(kept).filter(|(_, is_kept)| !is_kept);
        let ended: Vec<i64> = ended.map(|(id, _)| *id).collect();
        let recorded = format!(
            "audit_events WHERE action = 'password.change' AND result = 'ok'
             AND actor = target AND detail LIKE '%\"keys\":{}%'",
            json!(ended)
        );
        assert!(app.database().count(&recorded) > 0, "{name}");
    }
    for credential in [&bob_token, &bob_key.secret] {
        assert_eq!(statuses(credential), works);
    }
    assert_eq!(bob.try_sign_in(&bob.password, "").status, 200);
}

fn wrong_current_password_changes_nothing_and_is_audited(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    let token = alice.sign_in();
    let key = app.create_key(&token, "");
    let long = "x".repeat(5_000);
    let wrong = ["wrong", "", &long, "nul \0", "THE PASSWORD OF ALICE"];
    for current in wrong {
        let change = json!({
            "current_password": current, "new_password": NEW_PASSWORD, "keep_keys": [],
        });
        let deletion = json!({ "current_password": current });
        for (method, path, body) in [
            ("POST", "/users/me/password", change),
            ("DELETE", "/users/me", deletion),
        ] {
            let response = send(&app, method, path, &token, &body);
            assert_eq!(
                (response.status, response.text()),
                (403, r#"{"detail":"Incorrect password"}"#),
                "{method} {current:?}"
            );
            assert_eq!(response.header("www-authenticate"), None);
        }
    }
    assert_eq!(app.status("/users/me", &token), 200);
    assert_eq!(app.status("/users/me", &key.secret), 200);
    assert_eq!(alice.try_sign_in(&alice.password, "").status, 200);
    for action in ["password.change", "user.delete"] {
        let recorded = format!(
            "audit_events WHERE action = '{action}' AND result = 'refused' AND actor = 'user:1'
             AND detail LIKE '%wrong-password%'"
        );
        assert_eq!(
            app.database().count(&recorded),
            wrong.len() as i64,
            "{action}"
        );
    }
}

fn new_password_follows_the_registration_policy(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    let token = alice.sign_in();
    let current = alice.password.as_str();
    let long = "\u{e4}".repeat(37);
    for (body, field) in [
        (
            json!({ "current_password": current, "new_password": "short" }),
            "new_password",
        ),
        (
            json!({ "current_password": current, "new_password": long }),
            "new_password",
        ),
        (
            json!({ "current_password": current, "new_password": "password123" }),
            "new_password",
        ),
        (
            json!({ "current_password": current, "new_password": "alice@example.com" }),
            "new_password",
        ),
        (
            json!({ "current_password": current, "new_password": "nul \0 in the middle" }),
            "new_password",
        ),
        (
            json!({ "current_password": current, "new_password": 12_345_678 }),
            "new_password",
        ),
        (json!({ "current_password": current }), "new_password"),
        (json!({ "new_password": NEW_PASSWORD }), "current_password"),
        (
            json!({ "current_password": current, "new_password": NEW_PASSWORD, "keep_keys": 1 }),
            "keep_keys",
        ),
        (
            json!({ "current_password": current, "new_password": NEW_PASSWORD, "keep_keys": ["1"] }),
            "keep_keys",
        ),
        (
            json!({ "current_password": current, "new_password": NEW_PASSWORD, "keep_keys": null }),
            "keep_keys",
        ),
    ] {
        let response = send(&app, "POST", "/users/me/password", &token, &body);
        assert_eq!(response.status, 422, "{body} {response:?}");
        let error = &response.json()["detail"][0];
        assert_eq!(error["loc"], json!(["body", field]), "{body}");
        assert!(!response.text().contains(current), "{body}");
        assert!(field == "keep_keys" || error["input"].is_null(), "{body}");
    }
    let old = json!({ "current_password": current, "new_password": NEW_PASSWORD, "keys": [1] });
    assert_eq!(
        send(&app, "POST", "/users/me/password", &token, &old).status,
        422
    );
    let many: Vec<i64> = (0..2_000).collect();
    let changed = change_password(&app, &token, &alice, Some(json!(many)));
    assert_eq!(changed.status, 204);
}

fn account_deletion_removes_everything_except_the_audit_trail(backend: Backend) {
    let app = TestApp::start(backend);
    let (_process, second) = app.spawn_server();
    let alice = app.register("alice");
    let token = alice.sign_in();
    let key = app.create_key(&token, "").secret;
    let statuses = |credential: &str| [*app, second].map(|s| s.status("/users/me", credential));
    assert_eq!((statuses(&token), statuses(&key)), ([200, 200], [200, 200]));
    let alice_events = "audit_events WHERE actor = 'user:1' OR target = 'user:1'";
    let before = app.database().count(alice_events);
    assert!(before >= 2, "{before}");

    let deletion = json!({ "current_password": alice.password });
    let response = send(&app, "DELETE", "/users/me", &token, &deletion);
    assert_eq!(
        (response.status, response.body.len()),
        (204, 0),
        "{response:?}"
    );
    assert_eq!((statuses(&token), statuses(&key)), ([401, 401], [401, 401]));
    assert_eq!(alice.try_sign_in(&alice.password, "").status, 401);
    for table in ["users", "sessions", "access_tokens", "api_keys"] {
        assert_eq!(app.database().count(table), 0, "{table}");
    }
    assert_eq!(app.database().count(alice_events), before + 1);
    let output = app.program(&["audit", "verify"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");

    // The address is free again, and the id is not reused.
    let token = app.register("alice").sign_in();
    assert_eq!(app.id_of(&token), 2);
    let events = app.get("/users/me/events").bearer(&token).send().json();
    assert_eq!(events["events"].as_array().unwrap().len(), 2, "{events}");
}

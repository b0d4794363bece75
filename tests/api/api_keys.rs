//! Personal API keys: creation, listing, expiry and revocation.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};
use tokenhouse::Clock;
use tokenhouse::credential::token::TokenDigest;

use crate::harness::{Backend, Client, Response, TestApp, on_both_databases, text};

on_both_databases!(
    key_is_shown_once_and_listed_without_its_secret,
    key_scopes_are_limited_to_the_owners_scopes,
    key_scopes_are_limited_to_the_creating_tokens_scopes,
    key_creation_requires_password_or_recent_sign_in,
    token_issued_without_password_cannot_create_keys_without_one,
    key_expires_after_its_requested_lifetime,
    key_names_and_lifetimes_are_validated,
    user_has_at_most_one_hundred_keys,
    api_key_cannot_manage_the_account,
    revoked_key_is_rejected_by_every_process,
);

/// Start time of the manual clock.
const START: &str = "2026-05-06T07:08:09.123456Z";

fn clock() -> Clock {
    Clock::manual(DateTime::parse_from_rfc3339(START).unwrap().to_utc())
}

fn create(app: &Client, token: &str, form: &Value) -> Response {
    app.post("/users/me/keys").bearer(token).json(form).send()
}

fn list(app: &Client, token: &str) -> Vec<Value> {
    let response = app.get("/users/me/keys").bearer(token).send();
    assert_eq!(response.status, 200, "{response:?}");
    response.json()["keys"].as_array().unwrap().clone()
}

fn key_is_shown_once_and_listed_without_its_secret(backend: Backend) {
    let app = TestApp::builder(backend).clock(clock()).start();
    let token = app.register_with("alice", "orders:read").sign_in();
    let response = create(
        &app,
        &token,
        &json!({ "name": "backup", "scopes": "orders:read" }),
    );
    assert_eq!(response.status, 201, "{response:?}");
    let mut created = response.json();
    let key = text(&created["key"].take());
    assert!(key.len() == 53 && key.starts_with("tkh_"), "{key}");
    let shown = json!({
        "id": created["id"], "name": "backup", "hint": &key[..8], "scopes": "orders:read",
        "created_at": START, "expires_at": "2026-08-04T07:08:09.123456Z", "last_used_at": null,
    });
    let mut expected = shown.clone();
    expected["key"] = Value::Null;
    assert_eq!(created, expected);

    let second = app.create_key(&token, "").secret;
    assert_ne!(key, second);
    let listed = list(&app, &token);
    assert_eq!((listed.len(), &listed[0]), (2, &shown));
    let response = app.get("/users/me/keys").bearer(&token).send();
    assert!(!response.text().contains(&key[12..]));
    let digest = TokenDigest::new(key.as_bytes()).to_hex();
    let stored = |what: &str| {
        app.database()
            .count(&format!("api_keys WHERE key_digest = '{what}'"))
    };
    assert_eq!((stored(&digest), stored(&key)), (1, 0));
    assert_eq!(app.status("/users/me", &digest), 401);
    assert_eq!(app.status("/users/me", &key), 200);

    let bob = app.register("bobby").sign_in();
    assert_eq!(list(&app, &bob), Vec::<Value>::new());
    let recorded = "audit_events WHERE action = 'key.create' AND target = 'key:1' \
                    AND actor = 'user:1' AND credential = 'login' AND result = 'ok'";
    assert_eq!(app.database().count(recorded), 1);
}

fn key_scopes_are_limited_to_the_owners_scopes(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register_with("alice", "orders:read users:read");
    let token = alice.sign_in();
    for scopes in ["orders:write", "orders:read users:write", "Orders:read"] {
        let response = create(&app, &token, &json!({ "name": "k", "scopes": scopes }));
        assert_eq!(response.status, 422, "{response:?}");
        let missing = scopes.split(' ').next_back().unwrap();
        let error = &response.json()["detail"][0];
        assert_eq!(error["loc"], json!(["body", "scopes"]));
        assert_eq!(
            error["msg"],
            json!(format!("Value error, you do not hold the scope {missing}"))
        );
    }
    assert_eq!(app.database().count("api_keys"), 0);
    // No scopes by default.
    let key = create(&app, &token, &json!({ "name": "k" })).json();
    assert_eq!(key["scopes"], json!(""));
    assert_eq!(app.status("/admin/users", &text(&key["key"])), 403);
    let key = app.create_key(&token, "users:read").secret;
    assert_eq!(app.status("/admin/users", &key), 200);
    app.set_scopes(&alice, "orders:read");
    let lost = Instant::now();
    // The scopes were changed in SQL, which a Postgres process notices with a delay.
    while app.status("/admin/users", &key) == 200 {
        assert!(lost.elapsed() < Duration::from_secs(1));
    }
    assert_eq!(app.status("/admin/users", &key), 403);
}

fn key_scopes_are_limited_to_the_creating_tokens_scopes(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register_with("alice", "orders:read users:read");
    let token = alice.sign_in_for("orders:read");
    let response = create(
        &app,
        &token,
        &json!({ "name": "k", "scopes": "users:read" }),
    );
    assert_eq!(response.status, 422, "{response:?}");
    assert_eq!(app.database().count("api_keys"), 0);
    app.create_key(&token, "orders:read");
    app.create_key(&alice.sign_in(), "users:read");
}

const STALE: &str =
    r#"{"detail":"Send the current password, or sign in again: the last sign-in is too long ago"}"#;

fn key_creation_requires_password_or_recent_sign_in(backend: Backend) {
    let clock = clock();
    let app = TestApp::builder(backend)
        .clock(clock.clone())
        .setting("TOKENHOUSE_LIMITS", "on")
        .start();
    let alice = app.register("alice");
    let token = alice.sign_in();
    let without = || create(&app, &token, &json!({ "name": "k" }));
    let with = |password: &Value| {
        let form = json!({ "name": "k", "current_password": password });
        create(&app, &token, &form)
    };
    clock.advance(TimeDelta::minutes(15));
    assert_eq!(without().status, 201);
    clock.advance(TimeDelta::microseconds(1));
    let stale = without();
    assert_eq!((stale.status, stale.text()), (403, STALE));
    let right = json!(alice.password);
    assert_eq!(with(&right).status, 201);
    // The password authorizes this one key, not the next.
    assert_eq!(without().status, 403);
    for invalid in [Value::Null, json!(1), json!([alice.password])] {
        let response = with(&invalid);
        assert_eq!(response.status, 422, "{response:?}");
        assert!(!response.text().contains(&alice.password));
    }
    assert_eq!(app.database().count("api_keys"), 2);
    // A wrong password is refused after a recent sign-in too, and counts as a failed sign-in.
    let recent = alice.sign_in();
    for attempt in 0..11 {
        let form = json!({ "name": "k", "current_password": "wrong" });
        let response = create(&app, &recent, &form);
        assert_eq!(
            (response.status, response.text()),
            (403, r#"{"detail":"Incorrect password"}"#),
            "{attempt}"
        );
    }
    let form = json!({ "name": "k", "current_password": right });
    assert_eq!(
        create(&app, &recent, &form).status,
        403,
        "the user is throttled"
    );
    let refusals = "audit_events WHERE action = 'key.create' AND result = 'refused'
                 AND actor = 'user:1' AND detail LIKE '%wrong-password%'";
    assert_eq!(app.database().count(refusals), 10);
    assert_eq!(app.database().count("api_keys"), 2);
}

fn token_issued_without_password_cannot_create_keys_without_one(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    let issued = app.program(&["token", "issue", &alice.email]).output();
    let issued = String::from_utf8(issued.unwrap().stdout).unwrap();
    let issued = issued.trim();
    assert_eq!(app.status("/users/me", issued), 200);
    let response = create(&app, issued, &json!({ "name": "k" }));
    assert_eq!((response.status, response.text()), (403, STALE));
    let form = json!({ "name": "k", "current_password": alice.password });
    assert_eq!(create(&app, issued, &form).status, 201);

    // The same for a token from before sign-in times were stored, or an imported one.
    let token = alice.sign_in();
    assert_eq!(create(&app, &token, &json!({ "name": "k" })).status, 201);
    let token = alice.sign_in();
    app.database()
        .execute("UPDATE access_tokens SET authenticated_at = NULL");
    assert_eq!(create(&app, &token, &json!({ "name": "k" })).status, 403);
    // A time in the future does not count as recent.
    app.database()
        .execute("UPDATE access_tokens SET authenticated_at = '2999-01-01 00:00:00'");
    assert_eq!(create(&app, &token, &json!({ "name": "k" })).status, 403);
    assert_eq!(app.database().count("api_keys"), 2);
}

fn key_expires_after_its_requested_lifetime(backend: Backend) {
    let clock = clock();
    let app = TestApp::builder(backend).clock(clock.clone()).start();
    let alice = app.register("alice");
    let token = alice.sign_in();
    let create_for_days = |days: Value| {
        let response = create(
            &app,
            &token,
            &json!({ "name": "k", "expires_in_days": days }),
        );
        assert_eq!(response.status, 201, "{response:?}");
        (
            text(&response.json()["key"]),
            text(&response.json()["expires_at"]),
        )
    };
    let (one, first) = create_for_days(json!(1));
    let (longest, last) = create_for_days(json!(366));
    let default = app.create_key(&token, "").secret;
    assert_eq!(first, "2026-05-07T07:08:09.123456Z");
    assert_eq!(last, "2027-05-07T07:08:09.123456Z");
    let moment = TimeDelta::microseconds(1);
    let mut passed = TimeDelta::zero();
    for (key, days) in [(one, 1), (default, 90), (longest, 366)] {
        clock.advance(TimeDelta::days(days) - moment - passed);
        assert_eq!(app.status("/users/me", &key), 200, "{days}");
        clock.advance(moment);
        let response = app.get("/users/me").bearer(&key).send();
        assert_eq!(
            (response.status, response.json()["detail"].as_str()),
            (401, Some("Could not validate credentials"))
        );
        passed = TimeDelta::days(days);
    }
    // The owner still sees expired keys.
    assert_eq!(list(&app, &alice.sign_in()).len(), 3);
}

fn key_names_and_lifetimes_are_validated(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let many = "\u{e4}".repeat(100);
    for (form, status, kind) in [
        (json!({ "name": "x" }), 201, ""),
        (json!({ "name": many }), 201, ""),
        (json!({ "name": "a\u{1}b\u{202e}" }), 201, ""),
        (
            json!({ "name": format!("{many}x") }),
            422,
            "string_too_long",
        ),
        (json!({ "name": "" }), 422, "string_too_short"),
        (json!({ "name": "nul \0" }), 422, "value_error"),
        (json!({ "name": null }), 422, "string_type"),
        (json!({ "name": 7 }), 422, "string_type"),
        (json!({}), 422, "missing"),
        (json!({ "name": "x", "scopes": ["a"] }), 422, "string_type"),
        (json!({ "name": "x", "scopes": null }), 422, "string_type"),
        (json!({ "name": "x", "scopes": "a\tb" }), 422, "value_error"),
        (
            json!({ "name": "x", "expires_in_days": 0 }),
            422,
            "greater_than_equal",
        ),
        (
            json!({ "name": "x", "expires_in_days": -1 }),
            422,
            "greater_than_equal",
        ),
        (
            json!({ "name": "x", "expires_in_days": 367 }),
            422,
            "less_than_equal",
        ),
        (
            json!({ "name": "x", "expires_in_days": i64::MAX }),
            422,
            "less_than_equal",
        ),
        (
            json!({ "name": "x", "expires_in_days": u64::MAX }),
            422,
            "int_type",
        ),
        (
            json!({ "name": "x", "expires_in_days": 1.5 }),
            422,
            "int_type",
        ),
        (
            json!({ "name": "x", "expires_in_days": "9" }),
            422,
            "int_type",
        ),
        (
            json!({ "name": "x", "expires_in_days": true }),
            422,
            "int_type",
        ),
        (
            json!({ "name": "x", "expires_in_days": null }),
            422,
            "int_type",
        ),
        (
            json!({ "name": "x", "expires_at": "2030-01-01" }),
            422,
            "extra_forbidden",
        ),
    ] {
        let response = create(&app, &token, &form);
        assert_eq!(response.status, status, "{form} {response:?}");
        if status == 422 {
            assert_eq!(response.json()["detail"][0]["type"], json!(kind), "{form}");
        }
    }
    let all = create(
        &app,
        &token,
        &json!({ "name": "", "scopes": 1, "expires_in_days": 0 }),
    );
    assert_eq!(all.json()["detail"].as_array().unwrap().len(), 3);
    assert_eq!(app.database().count("api_keys"), 3);
}

fn user_has_at_most_one_hundred_keys(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let first = app.create_key(&token, "").id;
    app.database().execute(
        "INSERT INTO api_keys (user_id, name, hint, key_digest, created_at, expires_at)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99)
         SELECT 1, 'k', 'tkh_0000', 'digest ' || i, '2026-01-01', '2099-01-01' FROM n",
    );
    let full = create(&app, &token, &json!({ "name": "key 101" }));
    assert_eq!(
        (full.status, full.json()),
        (
            409,
            json!({ "detail": "The maximum number of API keys is reached" })
        )
    );
    // The limit is per user, and a revoked key makes room.
    app.create_key(&app.register("bobby").sign_in(), "");
    let revoke = app.request("DELETE", format!("/users/me/keys/{first}"));
    assert_eq!(revoke.bearer(&token).send().status, 204);
    app.create_key(&token, "");
    assert_eq!(create(&app, &token, &json!({ "name": "x" })).status, 409);
}

fn api_key_cannot_manage_the_account(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register_with("alice", "users:read users:write");
    let token = alice.sign_in();
    let key = app.create_key(&token, "users:read users:write");
    let change = json!({ "current_password": alice.password, "new_password": "mulberry-Tram-71" });
    let key_path = format!("/users/me/keys/{}", key.id);
    for (method, path, body) in [
        ("POST", "/users/me/keys", json!({ "name": "another" })),
        ("GET", "/users/me/keys", Value::Null),
        ("DELETE", &key_path, Value::Null),
        ("POST", "/logout", Value::Null),
        ("PATCH", "/users/me", json!({ "name": "someone else" })),
        ("POST", "/users/me/password", change),
        (
            "DELETE",
            "/users/me",
            json!({ "current_password": alice.password }),
        ),
    ] {
        let response = app
            .request(method, path)
            .bearer(&key.secret)
            .json(&body)
            .send();
        assert_eq!(
            (response.status, response.json()),
            (403, json!({ "detail": "Only a login token allows this" })),
            "{method} {path}"
        );
        assert_eq!(
            response.header("www-authenticate").as_deref(),
            Some(r#"Bearer realm="tokenhouse", error="insufficient_scope""#)
        );
    }
    assert_eq!(app.status("/users/me", &token), 200);
    assert_eq!(app.status("/users/me", &key.secret), 200);
    assert_eq!(app.database().count("api_keys"), 1);
    // A key outlives the sign-in that created it.
    assert_eq!(app.post("/logout").bearer(&token).send().status, 204);
    assert_eq!(app.status("/users/me", &key.secret), 200);
}

fn revoked_key_is_rejected_by_every_process(backend: Backend) {
    let app = TestApp::start(backend);
    let (_process, second) = app.spawn_server();
    let servers = [*app, second];
    let token = app.register("alice").sign_in();
    let bob_token = app.register("bobby").sign_in();
    for round in 0..10 {
        let key = app.create_key(&token, "");
        let statuses = || servers.map(|server| server.status("/users/me", &key.secret));
        assert_eq!(statuses(), [200, 200]);
        let server = servers[round % 2];
        let revoke = |token: &str| {
            let request = server.request("DELETE", format!("/users/me/keys/{}", key.id));
            request.bearer(token).send().status
        };
        assert_eq!(revoke(&bob_token), 404);
        assert_eq!(statuses(), [200, 200]);
        assert_eq!(revoke(&token), 204);
        assert_eq!(statuses(), [401, 401]);
        assert_eq!(revoke(&token), 404);
    }
    assert_eq!(list(&app, &token), Vec::<Value>::new());
    for unknown in ["0", "-1", "x", "1.0", "99999999999999999999", "%31x"] {
        let request = app.request("DELETE", format!("/users/me/keys/{unknown}"));
        let response = request.bearer(&token).send();
        assert_eq!(
            (response.status, response.text()),
            (404, r#"{"detail":"Not Found"}"#)
        );
    }
}

//! Imported users keep their ids: apps refer to users by them.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Backend, OWN_SCOPES, STATIC_KEY, TestApp, on_both_databases};

on_both_databases!(external_id_is_part_of_every_view,);

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

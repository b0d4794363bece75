//! Scopes of users and of their credentials, and how they are requested.

use serde_json::json;

use crate::harness::{Backend, Client, TestApp, on_both_databases};

on_both_databases!(
    sign_in_can_request_fewer_scopes_but_never_more,
    revoked_scope_is_removed_from_live_credentials_on_every_process,
    custom_scope_names_work_like_built_in_ones,
);

const HELD: &str = "orders:read orders:write users:read";

fn sign_in_can_request_fewer_scopes_but_never_more(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register_with("alice", HELD);
    let mut token = String::new();
    for (requested, granted) in [
        ("", HELD),
        ("  ", HELD),
        ("orders:read", "orders:read"),
        (
            " users:read  orders:read users:read ",
            "users:read orders:read",
        ),
        (HELD, HELD),
    ] {
        let response = alice.try_sign_in(&alice.password, requested);
        assert_eq!(
            (response.status, &response.json()["scope"]),
            (200, &json!(granted)),
            "{requested:?}"
        );
        token = response.json()["access_token"].as_str().unwrap().to_owned();
    }
    let strict = app
        .sibling()
        .setting("TOKENHOUSE_OAUTH_STRICT_STATUS", "true");
    let strict = strict.start();
    let description = "The user does not hold every scope that was asked for";
    let refused = json!({
        "detail": description, "error": "invalid_scope", "error_description": description,
    });
    let bad = [
        "orders:delete",
        "orders:read users:write",
        "Orders:read",
        "orders",
        "orders:read,users:read",
        "orders:read\tusers:read",
        "orders:read\n",
        "\"orders:read\"",
        "orders:read\\",
        "orders:re\u{e4}d",
        "\0",
    ];
    for requested in bad {
        for server in [*app, *strict] {
            let form = [
                ("username", alice.email.as_str()),
                ("password", &alice.password),
                ("scope", requested),
            ];
            let response = server.post("/token").form(&form).send();
            assert_eq!(
                (response.status, response.json()),
                (400, refused.clone()),
                "{requested:?}"
            );
        }
    }
    // Without the right password this error is not given, and the user's token stays valid.
    assert_eq!(alice.try_sign_in("wrong", "orders:delete").status, 401);
    assert_eq!(app.status("/users/me", &token), 200);
    let denials = "audit_events WHERE action = 'login' AND result = 'refused' \
                 AND detail LIKE '%\"scope\"%'";
    assert_eq!(app.database().count(denials), 2 * bad.len() as i64);
}

/// The status of both order scopes at each server, as `/verify` answers.
fn rights(servers: &[Client], credential: &str) -> Vec<[u16; 2]> {
    let check =
        |server: &Client, scope| server.status(&format!("/verify?scope={scope}"), credential);
    servers
        .iter()
        .map(|server| ["orders:read", "orders:write"].map(|scope| check(server, scope)))
        .collect()
}

fn revoked_scope_is_removed_from_live_credentials_on_every_process(backend: Backend) {
    let app = TestApp::start(backend);
    let (_process, second) = app.spawn_server();
    let servers = [*app, second];
    let admin = app
        .register_with("admin", "users:write orders:read orders:write more")
        .sign_in();
    let alice = app.register_with("alice", "orders:read orders:write");
    let token = alice.sign_in();
    let key = app.create_key(&token, "orders:write orders:read").secret;
    let reader = app.create_key(&token, "orders:read").secret;
    let id = app.id_of(&token);
    let set = |server: &Client, scopes: &str| {
        let path = format!("/admin/users/{id}");
        let patch = server.request("PATCH", path).bearer(&admin);
        let patch = patch.header("If-Match", "*");
        let response = patch.json(&json!({ "scopes": scopes })).send();
        assert_eq!(response.json()["scopes"], json!(scopes));
    };
    for round in 0..10 {
        for credential in [&token, &key] {
            assert_eq!(rights(&servers, credential), [[200, 200]; 2], "{round}");
        }
        assert_eq!(rights(&servers, &reader), [[200, 403]; 2]);
        set(&servers[round % 2], "orders:read");
        for credential in [&token, &key, &reader] {
            assert_eq!(rights(&servers, credential), [[200, 403]; 2], "{round}");
        }
        set(&servers[(round + 1) % 2], "");
        for credential in [&token, &key, &reader] {
            assert_eq!(rights(&servers, credential), [[403, 403]; 2], "{round}");
        }
        set(&servers[round % 2], "orders:read orders:write more");
    }
    // Scopes granted later do not reach earlier credentials.
    assert_eq!(app.status("/verify?scope=more", &token), 403);
    assert_eq!(app.status("/verify?scope=more", &alice.sign_in()), 200);
}

fn custom_scope_names_work_like_built_in_ones(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_GRANTABLE_SCOPES", "*")
        .start();
    let admin = app.register_with("admin", "users:write").sign_in();
    let alice = app.register("alice");
    let names = [
        "https://example.com/a?b=c&d#e",
        "!#$%'()*+,-./:;<=>?@[]^_`{|}~",
        "A",
    ];
    let scopes = names.join(" ");
    let id = app.id_of(&alice.sign_in());
    let patch = app
        .request("PATCH", format!("/admin/users/{id}"))
        .bearer(&admin);
    let patch = patch.json(&json!({ "scopes_add": scopes })).send();
    assert_eq!(
        (patch.status, &patch.json()["scopes"]),
        (200, &json!(scopes))
    );

    let token = alice.sign_in();
    for name in names {
        let key = app.create_key(&token, name).secret;
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("scope", name)
            .finish();
        let response = app.get(&format!("/verify?{query}")).bearer(&key).send();
        assert_eq!(response.status, 200, "{name}");
        let shown = response.header("x-auth-scopes").unwrap();
        assert_eq!(shown, name.replace('%', "%25"));
        assert_eq!(app.status(&format!("/verify?{query}"), &token), 200);
    }
    // Names are case-sensitive and compared as a whole.
    for other in ["a", "https://example.com/a"] {
        assert_eq!(app.status(&format!("/verify?scope={other}"), &token), 403);
    }
    for bad in [
        "say\"so",
        "back\\slash",
        "t\tab",
        "caf\u{e9}",
        "line\nbreak",
    ] {
        let patch = app
            .request("PATCH", format!("/admin/users/{id}"))
            .bearer(&admin);
        let response = patch.json(&json!({ "scopes_add": bad })).send();
        assert_eq!(response.status, 422, "{bad:?}");
        let loc = &response.json()["detail"][0]["loc"];
        assert_eq!(*loc, json!(["body", "scopes_add"]));
    }
    let too_long = "a".repeat(2_001);
    let patch = app
        .request("PATCH", format!("/admin/users/{id}"))
        .bearer(&admin);
    assert_eq!(
        patch.json(&json!({ "scopes_add": too_long })).send().status,
        422
    );
    // The limit applies to all scopes of the user together.
    let patch = app
        .request("PATCH", format!("/admin/users/{id}"))
        .bearer(&admin);
    let almost = "a".repeat(1_990);
    assert_eq!(
        patch.json(&json!({ "scopes_add": almost })).send().status,
        422
    );
}

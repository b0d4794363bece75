//! Credentials: the scopes of users and of their credentials, how scopes are requested, and revocation
//! with `/revoke` (RFC 7009).

use std::thread;

use serde_json::json;

use crate::harness::{Backend, Client, Response, TestApp, on_both_databases};

on_both_databases!(
    sign_in_can_request_fewer_scopes_but_never_more,
    revoked_scope_is_removed_from_live_credentials_on_every_process,
    custom_scope_names_work_like_built_in_ones,
    possession_of_a_credential_allows_revoking_it,
    authenticated_caller_can_only_revoke_own_credentials,
    unknown_tokens_get_the_same_response,
    invalid_request_revokes_nothing,
    concurrent_revocations_write_one_event,
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
    let description = "The user does not hold all requested scopes";
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

fn revoke(client: &Client, token: &str) -> Response {
    client.post("/revoke").form(&[("token", token)]).send()
}

fn assert_revoked(response: &Response) {
    assert_eq!(
        (response.status, response.body.len()),
        (200, 0),
        "{response:?}"
    );
}

fn possession_of_a_credential_allows_revoking_it(backend: Backend) {
    let app = TestApp::start(backend);
    let (_process, second) = app.spawn_server();
    let servers = [*app, second];
    let alice = app.register("alice");
    let statuses = |credential: &str| servers.map(|server| server.status("/users/me", credential));
    for round in 0..10 {
        let server = servers[round % 2];
        let token = alice.sign_in();
        let (key, other) = (
            app.create_key(&token, "").secret,
            app.create_key(&token, "").secret,
        );
        assert_eq!((statuses(&token), statuses(&key)), ([200, 200], [200, 200]));
        assert_revoked(&revoke(&server, &key));
        assert_eq!((statuses(&token), statuses(&key)), ([200, 200], [401, 401]));
        assert_revoked(&revoke(&server, &token));
        assert_eq!(
            (statuses(&token), statuses(&other)),
            ([401, 401], [200, 200])
        );
        assert_revoked(&revoke(&server, &token));
    }
    let recorded = "audit_events WHERE action = 'token.revoke' AND level = 'possession' \
                 AND actor = 'user:1' AND result = 'ok'";
    assert_eq!(app.database().count(recorded), 20);
}

fn authenticated_caller_can_only_revoke_own_credentials(backend: Backend) {
    let app = TestApp::start(backend);
    let (alice, bob) = (
        app.register("alice"),
        app.register_with("bobby", "users:write"),
    );
    let token = alice.sign_in();
    let keys = [
        app.create_key(&token, "").secret,
        app.create_key(&token, "").secret,
    ];
    let bob_token = bob.sign_in();
    let bob_key = app.create_key(&bob_token, "users:write").secret;
    let revoke_as = |credential: &str, token: &str| {
        let request = app.post("/revoke").bearer(credential);
        assert_revoked(&request.form(&[("token", token)]).send());
    };
    for stranger in [&bob_token, &bob_key] {
        for target in [&token, &keys[0]] {
            revoke_as(stranger, target);
            assert_eq!(app.status("/users/me", target), 200);
        }
    }
    // A user's credentials can revoke each other and themselves.
    revoke_as(&token, &keys[0]);
    assert_eq!(app.status("/users/me", &keys[0]), 401);
    revoke_as(&keys[1], &token);
    assert_eq!(app.status("/users/me", &token), 401);
    revoke_as(&keys[1], &keys[1]);
    assert_eq!(app.status("/users/me", &keys[1]), 401);
    let recorded = "audit_events WHERE action = 'token.revoke' AND level = 'account'";
    assert_eq!(app.database().count(recorded), 3);
    assert_eq!(app.status("/users/me", &bob_token), 200);
}

fn unknown_tokens_get_the_same_response(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    let token = alice.sign_in();
    let key = app.create_key(&token, "").secret;
    let digest = tokenhouse::credential::token::TokenDigest::new(token.as_bytes()).to_hex();
    let unknown = [
        "unknown",
        &digest,
        &key[..52],
        &token[..42],
        &format!("{token} "),
        "\0",
        "\u{1f980}",
        crate::harness::STATIC_KEY,
    ];
    for token in unknown {
        assert_revoked(&revoke(&app, token));
    }
    assert_eq!(app.status("/users/me", &token), 200);
    assert_eq!(app.status("/users/me", &key), 200);
    // Wrong hints and unknown parameters are ignored.
    let form = [
        ("token", key.as_str()),
        ("token_type_hint", "refresh_token"),
        ("x", "1"),
        ("x", "2"),
    ];
    assert_revoked(&app.post("/revoke").form(&form).send());
    assert_eq!(app.status("/users/me", &key), 401);
    // Expired tokens are not an error either.
    app.database()
        .execute("UPDATE access_tokens SET expiration_date = '2020-01-01 00:00:00'");
    assert_revoked(&revoke(&app, &token));
}

fn invalid_request_revokes_nothing(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let urlencoded = "application/x-www-form-urlencoded";
    let missing = "The parameter token is missing";
    let repeated = "A parameter is repeated";
    for (content_type, body, detail) in [
        (urlencoded, String::new(), missing),
        (urlencoded, "token=".to_owned(), missing),
        (urlencoded, format!("Token={token}"), missing),
        (urlencoded, format!("token={token}&token={token}"), repeated),
        (
            urlencoded,
            format!("token={token}&token_type_hint=a&token_type_hint=b"),
            repeated,
        ),
        (
            "application/json",
            json!({ "token": token }).to_string(),
            missing,
        ),
        ("text/plain", format!("token={token}"), missing),
    ] {
        let request = app.post("/revoke").header("Content-Type", content_type);
        let response = request.body(body.clone()).send();
        let expected = json!({
            "detail": detail, "error": "invalid_request", "error_description": detail,
        });
        assert_eq!(
            (response.status, response.json()),
            (400, expected),
            "{body}"
        );
    }
    let in_url = app.post(&format!("/revoke?token={token}")).send();
    assert_eq!(in_url.status, 400);
    for bad in ["unknown", "tkh_mistyped"] {
        let request = app.post("/revoke").bearer(bad);
        let response = request.form(&[("token", &token)]).send();
        assert_eq!(response.status, 401, "{bad}");
    }
    assert_eq!(app.status("/users/me", &token), 200);
}

fn concurrent_revocations_write_one_event(backend: Backend) {
    let app = TestApp::start(backend);
    let second = app.sibling().start();
    let alice = app.register("alice");
    for _ in 0..5 {
        let token = alice.sign_in();
        let key = app.create_key(&token, "").secret;
        let before = app
            .database()
            .count("audit_events WHERE action = 'token.revoke'");
        thread::scope(|scope| {
            for number in 0..16 {
                let server: Client = if number % 2 == 0 { *app } else { *second };
                let credential = if number % 4 < 2 { &token } else { &key };
                scope.spawn(move || {
                    assert_revoked(&revoke(&server, credential));
                    assert_eq!(server.status("/users/me", credential), 401);
                });
            }
        });
        let after = app
            .database()
            .count("audit_events WHERE action = 'token.revoke'");
        assert_eq!(after - before, 2);
    }
}

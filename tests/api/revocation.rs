//! `/revoke` (RFC 7009).

use std::thread;

use serde_json::json;

use crate::harness::{Backend, Client, Response, TestApp, on_both_databases};

on_both_databases!(
    possession_of_a_credential_allows_revoking_it,
    authenticated_caller_can_only_revoke_own_credentials,
    unknown_tokens_get_the_same_response,
    invalid_request_revokes_nothing,
    concurrent_revocations_write_one_event,
);

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

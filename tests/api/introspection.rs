//! `/introspect` (RFC 7662).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta};
use serde_json::json;
use tokenhouse::Clock;

use crate::harness::{Backend, Request, Response, STATIC_KEY, TestApp, on_both_databases};

on_both_databases!(
    active_credential_is_described_in_full,
    inactive_credentials_get_identical_responses,
    callers_need_the_introspect_scope,
    clients_authenticate_with_the_static_key,
);

/// The headers, without those that differ between responses.
fn stable_headers(response: &Response) -> Vec<(String, String)> {
    let mut headers = response.headers.clone();
    headers.retain(|(name, _)| !["date", "x-request-id"].contains(&name.to_lowercase().as_str()));
    headers.sort();
    headers
}

fn by_static_key(app: &TestApp, token: &str) -> Response {
    let request = app.post("/introspect").bearer(STATIC_KEY);
    request.form(&[("token", token)]).send()
}

fn active_credential_is_described_in_full(backend: Backend) {
    let start = DateTime::from_timestamp_micros(1_800_000_000_999_999).unwrap();
    let clock = Clock::manual(start);
    let app = TestApp::builder(backend).clock(clock.clone()).start();
    let alice = app.register_with("alice", "orders:read orders:write users:read");
    let key = app
        .create_key(&alice.sign_in(), "orders:read users:read")
        .secret;
    clock.advance(TimeDelta::seconds(10));
    let token = alice.sign_in_for("users:read orders:write");
    let expected_body = |scope: &str, iat: i64, exp: i64| {
        json!({
            "active": true, "scope": scope, "username": "alice@example.com",
            "token_type": "Bearer", "exp": exp, "iat": iat, "sub": "1", "name": "alice Example",
        })
    };
    let created_at = 1_800_000_000;
    let (expires_at, signed_in) = (created_at + 90 * 86_400, created_at + 10);
    let response = by_static_key(&app, &token);
    let mut expected = expected_body("users:read orders:write", signed_in, signed_in + 86_400);
    // Of the session, which is the second one of this database.
    expected["sid"] = json!("2");
    expected["auth_time"] = json!(signed_in);
    expected["amr"] = json!(["pwd"]);
    assert_eq!((response.status, response.json()), (200, expected));
    let response = by_static_key(&app, &key);
    assert_eq!(
        (response.status, response.json()),
        (
            200,
            expected_body("orders:read users:read", created_at, expires_at)
        )
    );
    assert_eq!(
        response.header("cache-control").as_deref(),
        Some("no-store")
    );
    // Never more than the user's current scopes.
    let admin = app
        .register_with("admin", "users:write users:read")
        .sign_in();
    let patch = app.request("PATCH", "/admin/users/1").bearer(&admin);
    assert_eq!(
        patch
            .json(&json!({ "scopes_remove": "orders:read users:read" }))
            .send()
            .status,
        200
    );
    let scope = |credential: &str| by_static_key(&app, credential).json()["scope"].clone();
    assert_eq!(
        (scope(&token), scope(&key)),
        (json!("orders:write"), json!(""))
    );
}

fn inactive_credentials_get_identical_responses(backend: Backend) {
    let app = TestApp::start(backend);
    let user_with_credentials = |name: &str| {
        let person = app.register(name);
        let token = person.sign_in();
        let key = app.create_key(&token, "").secret;
        (person, token, key)
    };
    let (alice, replaced, _) = user_with_credentials("alice");
    let live = alice.sign_in();
    let (_, expired, expired_key) = user_with_credentials("bobby");
    let (_, disabled, disabled_key) = user_with_credentials("carol");
    let (_, deleted, deleted_key) = user_with_credentials("david");
    let (_, revoked, revoked_key) = user_with_credentials("erica");
    app.database().execute(
        "UPDATE access_tokens SET expiration_date = '2020-01-01 00:00:00' WHERE user_id = 2;
         UPDATE api_keys SET expires_at = '2020-01-01 00:00:00' WHERE user_id = 2;
         UPDATE users SET disabled_at = created_at WHERE id = 3;
         DELETE FROM users WHERE id = 4",
    );
    for credential in [&revoked, &revoked_key] {
        let form = [("token", credential.as_str())];
        assert_eq!(app.post("/revoke").form(&form).send().status, 200);
    }
    let digest = tokenhouse::credential::token::TokenDigest::new(live.as_bytes()).to_hex();
    let unknown = tokenhouse::generate_token().unwrap();
    let mistyped = format!("{}x", &disabled_key[..52]);
    let first = by_static_key(&app, "garbage");
    assert_eq!((first.status, first.text()), (200, r#"{"active":false}"#));
    for inactive in [
        replaced.as_str(),
        &expired,
        &expired_key,
        &disabled,
        &disabled_key,
        &deleted,
        &deleted_key,
        &revoked,
        &revoked_key,
        &digest,
        unknown.expose(),
        &mistyped,
        STATIC_KEY,
        &alice.password,
        "\0",
        "\u{1f980}",
        &"x".repeat(8_000),
    ] {
        let response = by_static_key(&app, inactive);
        assert_eq!(
            (response.status, response.text()),
            (200, r#"{"active":false}"#),
            "{inactive}"
        );
        assert_eq!(
            stable_headers(&response),
            stable_headers(&first),
            "{inactive}"
        );
    }
    assert_eq!(by_static_key(&app, &live).json()["active"], json!(true));
}

fn callers_need_the_introspect_scope(backend: Backend) {
    let app = TestApp::start(backend);
    let client = app.register_with("client", "introspect users:read");
    let token = client.sign_in();
    let (key, other) = (
        app.create_key(&token, "introspect").secret,
        app.create_key(&token, "users:read").secret,
    );
    let alice = app.register("alice").sign_in();
    let introspect = |request: Request| request.form(&[("token", &alice)]).send();
    let introspect_as = |credential: &str| introspect(app.post("/introspect").bearer(credential));
    for good in [&token, &key] {
        assert_eq!(
            introspect_as(good).json()["username"],
            json!("alice@example.com")
        );
        let by_header = introspect(app.post("/introspect").header("Token", good));
        assert_eq!(by_header.json()["active"], json!(true));
    }
    let insufficient =
        r#"Bearer realm="tokenhouse", error="insufficient_scope", scope="introspect""#;
    let invalid = r#"Bearer realm="tokenhouse", error="invalid_token""#;
    let no_credential = r#"Bearer realm="tokenhouse""#;
    for (response, status, challenge) in [
        // Not even about their own token.
        (introspect_as(&alice), 403, insufficient),
        (introspect_as(&other), 403, insufficient),
        (introspect_as("unknown"), 401, invalid),
        (introspect_as(&STATIC_KEY.to_uppercase()), 401, invalid),
        (introspect(app.post("/introspect")), 401, no_credential),
        // The header of the tutorial routes is not accepted from introspection clients.
        (
            introspect(app.post("/introspect").header("Token", STATIC_KEY)),
            401,
            invalid,
        ),
    ] {
        let got = response.header("www-authenticate");
        assert_eq!((response.status, got.as_deref()), (status, Some(challenge)));
    }
    let without = app.post("/introspect").bearer(&token);
    let expected = json!({
        "detail": "The parameter token is missing", "error": "invalid_request",
        "error_description": "The parameter token is missing",
    });
    let response = without.form(&[("token_type_hint", "access_token")]).send();
    assert_eq!((response.status, response.json()), (400, expected));
    let in_url = app
        .post(&format!("/introspect?token={alice}"))
        .bearer(&token);
    assert_eq!(in_url.send().status, 400);
    let by_get = app
        .get(&format!("/introspect?token={alice}"))
        .bearer(&token);
    assert_eq!(by_get.send().status, 405);
}

fn clients_authenticate_with_the_static_key(backend: Backend) {
    let static_key = "k\u{e9}y: with 100% +/=& of many";
    let app = TestApp::builder(backend)
        .setting("API_KEY_TOKEN", static_key)
        .setting("API_KEY_TOKEN_PREVIOUS", STATIC_KEY)
        .start();
    let alice = app.register("alice").sign_in();
    let form = [("token", alice.as_str())];
    let introspect = |authorization: &str| {
        let request = app
            .post("/introspect")
            .header("Authorization", authorization);
        request.form(&form).send()
    };
    let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
    // RFC 6749 section 2.3.1 requires form encoding of both parts, which many clients omit.
    let encoded: String = form_urlencoded::byte_serialize(static_key.as_bytes()).collect();
    for good in [
        basic(&format!("client:{static_key}")),
        basic(&format!("client:{encoded}")),
        basic(&format!("any%20one:{encoded}")),
        basic(&format!(":{static_key}")),
        basic(&format!("client:{STATIC_KEY}")),
        basic(&format!("client:{STATIC_KEY}")).replace("Basic", "bAsIc"),
        format!("Bearer {STATIC_KEY}"),
        format!("Bearer {static_key}"),
    ] {
        let response = introspect(&good);
        assert_eq!(response.status, 200, "{good} {response:?}");
        assert_eq!(response.json()["active"], json!(true), "{good}");
    }
    let refused = json!({
        "detail": "Client authentication failed", "error": "invalid_client",
        "error_description": "Client authentication failed",
    });
    let login = format!("client:{alice}");
    for wrong in [
        basic("client:wrong"),
        basic("client:"),
        basic(":"),
        basic(""),
        basic(static_key),
        basic(&format!("{STATIC_KEY}:client")),
        basic(&format!("client:{STATIC_KEY}x")),
        basic(&format!("client:{}", &STATIC_KEY[1..])),
        basic(&login),
        basic("alice@example.com:the password of alice"),
        "Basic !!!".to_owned(),
        "Basic ".to_owned() + &STANDARD.encode(b"client:\xff"),
    ] {
        let response = introspect(&wrong);
        assert_eq!(
            (response.status, response.json()),
            (401, refused.clone()),
            "{wrong}"
        );
        let challenge = response.header("www-authenticate");
        assert_eq!(
            challenge.as_deref(),
            Some(r#"Basic realm="tokenhouse""#),
            "{wrong}"
        );
    }
    // Two credentials are rejected.
    let both = app
        .post("/introspect")
        .bearer(&alice)
        .header("Token", STATIC_KEY);
    let twice = app
        .post("/introspect")
        .header("Authorization", basic("client:x"))
        .bearer(&alice);
    let both_headers = app.post("/introspect").header("Token", &alice);
    let both_headers = both_headers.header("Authorization", basic(&format!("client:{STATIC_KEY}")));
    for request in [both, twice, both_headers] {
        let response = request.form(&form).send();
        assert_eq!(
            (response.status, &response.json()["error"]),
            (400, &json!("invalid_request"))
        );
    }
}

const KEY: &str = "a+b/c=d e%41.-_~&f:g;h?i'j(k)*!";

#[test]
fn basic_secret_is_accepted_raw_or_form_encoded() {
    let app = TestApp::builder(Backend::Sqlite)
        .setting("API_KEY_TOKEN", KEY)
        .start();
    let encoded: String = form_urlencoded::byte_serialize(KEY.as_bytes()).collect();
    // As npm's oauth4webapi does it: all characters are percent-encoded.
    let all_encoded: String = KEY.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for (secret, status) in [
        (KEY.to_owned(), 200),
        (encoded.clone(), 200),
        (all_encoded, 200),
        (format!("{encoded}&more"), 401),
        (format!("{encoded}&"), 401),
        (format!("{KEY}&more"), 401),
        (format!("&{KEY}"), 401),
        (KEY.replace('+', " "), 401),
        (KEY.replace("%41", "A"), 401),
        (encoded.replace('%', "%25"), 401),
        (String::new(), 401),
    ] {
        let basic = STANDARD.encode(format!("any-app:{secret}"));
        let request = app
            .post("/introspect")
            .header("Authorization", format!("Basic {basic}"));
        let response = request.form(&[("token", "never-issued")]).send();
        assert_eq!(response.status, status, "{secret}");
        if status == 200 {
            assert_eq!(response.json(), json!({"active": false}));
        } else {
            assert_eq!(response.json()["error"], json!("invalid_client"));
        }
    }
}

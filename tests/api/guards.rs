//! Uses of credentials: where the static key and user credentials are accepted, and where not, also
//! in an embedding app, `examples/guarded_app.rs`; lookup of API keys, and recording of their last use.

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokenhouse::Clock;

use crate::factors::app::{enrol, with_settings};
use crate::harness::{
    Backend, Client, Running, STATIC_KEY, TestApp, on_both_databases, wait_for_cache_expiry,
};

on_both_databases!(
    single_credential_is_accepted_in_any_header,
    mutated_tokens_are_rejected,
    example_app_accepts_the_credentials_of_the_service,
    example_app_requires_a_second_factor_and_a_recent_sign_in,
    mistyped_key_is_rejected_without_the_database,
    key_use_is_recorded_once_per_minute,
    request_does_not_wait_for_use_recording,
);

fn single_credential_is_accepted_in_any_header(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let other = app.register("bob").sign_in();
    let bearer = format!("bEaReR {token}");
    let token_scheme = format!("token {token}");
    let other_bearer = format!("Bearer {other}");
    for (headers, status) in [
        (vec![("Token", token.as_str())], 200),
        (vec![("Authorization", &bearer)], 200),
        (vec![("Authorization", &token_scheme)], 200),
        (vec![("Token", &token), ("Authorization", &bearer)], 200),
        (vec![("Token", ""), ("Authorization", &bearer)], 200),
        (
            vec![("Authorization", "Basic dTpw"), ("Token", &token)],
            200,
        ),
        (
            vec![("Token", &token), ("Authorization", &other_bearer)],
            400,
        ),
        (
            vec![("Authorization", &other_bearer), ("Token", &token)],
            400,
        ),
        (vec![("Token", &token), ("Token", &other)], 400),
        (
            vec![("Authorization", &bearer), ("Authorization", &other_bearer)],
            400,
        ),
        (vec![("Authorization", &token)], 401),
        (vec![("Cookie", &token)], 401),
        (vec![], 401),
    ] {
        let request = headers
            .iter()
            .fold(app.get("/users/me"), |request, (name, value)| {
                request.header(name, value)
            });
        let response = request.send();
        assert_eq!(response.status, status, "{headers:?}");
        if status == 400 {
            assert_eq!(response.json()["error"], json!("invalid_request"));
        }
    }
}

fn mutated_tokens_are_rejected(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let mut connection = app.connect().expect("the server listens");
    let mut mutated = vec![
        token.to_lowercase(),
        token.to_uppercase(),
        token[..42].to_owned(),
        format!("{token}="),
        format!("{token}A"),
        format!("\"{token}\""),
        token.repeat(50),
    ];
    for position in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[position] = if bytes[position] == b'x' { b'y' } else { b'x' };
        mutated.push(String::from_utf8(bytes).expect("ASCII"));
    }
    for other in mutated.into_iter().filter(|other| *other != token) {
        let response = connection
            .send(&app.get("/users/me").bearer(&other))
            .expect("a response");
        assert_eq!(response.status, 401, "{other}");
        let challenge = response.header("www-authenticate");
        let expected = r#"Bearer realm="tokenhouse", error="invalid_token""#;
        assert_eq!(challenge.as_deref(), Some(expected));
    }
}

/// Whichever of the two is valid, in any order.
#[test]
fn two_different_credentials_are_rejected_at_static_key_routes() {
    let app = TestApp::start(Backend::Sqlite);
    let token = app.register("alice").sign_in();
    let (bearer, key_bearer) = (format!("Bearer {token}"), format!("Bearer {STATIC_KEY}"));
    let basic = |secret: &str| format!("Basic {}", STANDARD.encode(format!("app:{secret}")));
    let (key_basic, other_basic) = (basic(STATIC_KEY), basic("other"));
    let (token_header, authorization) = ("Token", "Authorization");
    let pairs = [
        vec![(token_header, STATIC_KEY), (token_header, "another")],
        vec![(token_header, "another"), (token_header, STATIC_KEY)],
        vec![(token_header, STATIC_KEY), (authorization, &bearer)],
        vec![(authorization, &bearer), (token_header, STATIC_KEY)],
        vec![
            (token_header, STATIC_KEY),
            (token_header, "another"),
            (authorization, &bearer),
        ],
        vec![(token_header, &token), (authorization, &key_bearer)],
    ];
    let with_basic = [
        vec![
            (authorization, &*key_basic),
            (token_header, "a"),
            (token_header, "b"),
        ],
        vec![(authorization, &*key_basic), (token_header, STATIC_KEY)],
        vec![(authorization, &*key_basic), (authorization, &bearer)],
        vec![(authorization, &*bearer), (authorization, &key_basic)],
        vec![(authorization, &*key_basic), (authorization, &other_basic)],
        vec![(authorization, &*other_basic), (authorization, &key_basic)],
    ];
    let status = |method: &str, path: &str, headers: &[(&str, &str)]| {
        let request = app.request(method, path);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        });
        request.form(&[("token", "x")]).send().status
    };
    for pair in &pairs {
        for path in ["/page", "/protected", "/metrics", "/users/me"] {
            assert_eq!(status("GET", path, pair), 400, "{path} {pair:?}");
        }
        assert_eq!(status("POST", "/introspect", pair), 400, "{pair:?}");
    }
    for pair in &with_basic {
        assert_eq!(status("POST", "/introspect", pair), 400, "{pair:?}");
    }
    // Repeating the same credential counts as one.
    for same in [
        vec![(token_header, STATIC_KEY), (token_header, STATIC_KEY)],
        vec![(token_header, STATIC_KEY), (authorization, &key_bearer)],
    ] {
        assert_eq!(status("GET", "/page", &same), 200, "{same:?}");
    }
    let same = [(authorization, &*key_basic), (authorization, &*key_basic)];
    assert_eq!(status("POST", "/introspect", &same), 200);
}

#[test]
fn unset_static_key_matches_nothing() {
    let app = TestApp::builder(Backend::Sqlite)
        .unset("API_KEY_TOKEN")
        .start();
    for (key, detail) in [(STATIC_KEY, "Forbidden"), ("", "Not authenticated")] {
        let response = app.get("/protected").header("Token", key).send();
        assert_eq!(
            (response.status, response.json()),
            (403, json!({"detail": detail}))
        );
    }
}

#[test]
fn previous_static_key_is_accepted_during_rotation() {
    let app = TestApp::builder(Backend::Sqlite)
        .setting("API_KEY_TOKEN", "the new key, long enough")
        .setting("API_KEY_TOKEN_PREVIOUS", "the old key, long enough")
        .start();
    for (key, status) in [
        ("the new key, long enough", 200),
        ("the old key, long enough", 200),
        ("the new key, long enougH", 403),
        (STATIC_KEY, 403),
    ] {
        assert_eq!(
            app.get("/page").header("Token", key).send().status,
            status,
            "{key}"
        );
    }
}

/// Starts the example on the database of the service.
pub fn start_example(database_url: &str) -> (Running, Client) {
    // `cargo test` builds it; `cargo test --test api` alone does not: cargo build --examples.
    let folder = Path::new(env!("CARGO_BIN_EXE_tokenhouse"))
        .parent()
        .unwrap();
    let mut example = Running::start(
        Command::new(folder.join("examples/guarded_app"))
            .arg("127.0.0.1:0")
            .env("DATABASE_URL", database_url)
            .env("API_KEY_TOKEN", STATIC_KEY),
    );
    let line = example.line();
    let address = line.strip_prefix("http://").unwrap().parse().unwrap();
    (example, Client::new(address))
}

fn example_app_accepts_the_credentials_of_the_service(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    let without_scope = alice.sign_in();
    let grant = ["user", "grant", &alice.email, "orders:read"];
    let granted = app.program(&grant).output().unwrap();
    assert!(granted.status.success(), "{granted:?}");
    let (_example, client) = start_example(&app.database().url());
    let get = |path: &str, token: &str| {
        let response = client.get(path).header("Token", token).send();
        (response.status, response.text().to_owned())
    };
    let refused = r#"{"detail":"Could not validate credentials"}"#;
    // The token keeps the scopes of its sign-in, whatever the user holds now.
    let missing = client.get("/orders").bearer(&without_scope).send();
    assert_eq!(missing.status, 403);
    assert_eq!(missing.text(), r#"{"detail":"Not enough permissions"}"#);
    assert_eq!(
        missing.header("WWW-Authenticate").unwrap(),
        r#"Bearer realm="tokenhouse", error="insufficient_scope", scope="orders:read""#
    );
    let token = alice.sign_in();
    assert_eq!(
        get("/orders", &token),
        (200, "The orders of alice@example.com\n".to_owned())
    );
    assert_eq!(get("/orders", "").0, 401);
    assert_eq!(
        get("/notes", &token),
        (200, "The notes of alice@example.com\n".to_owned())
    );
    assert_eq!(
        get("/", &token),
        (200, "Welcome back, alice Example!\n".to_owned())
    );
    assert_eq!(get("/", ""), (200, "Welcome!\n".to_owned()));
    assert_eq!(get("/", "wrong"), (401, refused.to_owned()));
    assert_eq!(
        get("/report", STATIC_KEY),
        (200, "All is well\n".to_owned())
    );
    assert_eq!(get("/report", &token).0, 403);

    app.database().make_unavailable();
    wait_for_cache_expiry(|| get("/notes", &token).0);
    assert_eq!((get("/notes", &token).0, get("/", &token).0), (503, 503));
    app.database().make_available();

    assert_eq!(app.post("/logout").bearer(&token).send().status, 204);
    assert_eq!(get("/notes", &token), (401, refused.to_owned()));
}

fn example_app_requires_a_second_factor_and_a_recent_sign_in(backend: Backend) {
    let minutes = TimeDelta::minutes(10);
    let clock = Clock::manual(Utc::now() - minutes);
    let app = with_settings(TestApp::builder(backend))
        .clock(clock.clone())
        .start();
    let bob = app.register("bob");
    let early = bob.sign_in();
    let ada = enrol(&app, &clock, "ada");
    let (_example, client) = start_example(&app.database().url());
    let post = |path: &str, token: &str| {
        let response = client.post(path).bearer(token).send();
        let challenge = response.header("WWW-Authenticate").unwrap_or_default();
        (response.status, challenge)
    };
    let challenge = |required: &str| {
        let error = "insufficient_user_authentication";
        let challenge = format!(r#"Bearer realm="tokenhouse", error="{error}", {required}"#);
        (401, challenge)
    };
    let accepted = (200, String::new());
    assert_eq!(post("/refunds", &early), challenge(r#"acr_values="mfa""#));
    assert_eq!(post("/refunds", &ada.token), accepted);
    // The example goes by the time of the machine.
    for token in [&early, &ada.token] {
        assert_eq!(post("/account", token), challenge(r#"max_age="300""#));
    }
    clock.set(Utc::now(), false);
    let late = bob.sign_in();
    assert_eq!(post("/account", &late), accepted);
    assert_eq!(post("/refunds", &late), challenge(r#"acr_values="mfa""#));
    // A key says nothing about a sign-in.
    let key = app.create_key(&late, "").secret;
    assert_eq!(post("/account", &key).0, 403);
    for path in ["/account", "/refunds"] {
        assert_eq!(client.post(path).send().status, 401);
    }
}

/// Start time of the manual clock.
const START: &str = "2026-05-06T07:08:09.123456Z";

fn clock() -> Clock {
    Clock::manual(DateTime::parse_from_rfc3339(START).unwrap().to_utc())
}

fn list(app: &Client, token: &str) -> Vec<Value> {
    let response = app.get("/users/me/keys").bearer(token).send();
    assert_eq!(response.status, 200, "{response:?}");
    response.json()["keys"].as_array().unwrap().clone()
}

fn mistyped_key_is_rejected_without_the_database(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let key = app.create_key(&token, "").secret;
    app.database().make_unavailable();
    if backend == Backend::Sqlite {
        app.database()
            .execute("ALTER TABLE api_keys RENAME TO keys_taken_away");
    }
    wait_for_cache_expiry(|| app.status("/users/me", &key));
    for position in 4..key.len() {
        let mut mistyped = key.clone().into_bytes();
        mistyped[position] = if mistyped[position] == b'x' {
            b'y'
        } else {
            b'x'
        };
        let mistyped = String::from_utf8(mistyped).unwrap();
        assert_eq!(app.status("/users/me", &mistyped), 401, "{position}");
    }
    for cut in ["tkh_", &key[..10], &key[..52], &format!("{key}0")] {
        assert_eq!(app.status("/users/me", cut), 401, "{cut}");
        let by_scheme = app
            .get("/users/me")
            .header("Authorization", format!("Token {cut}"));
        let response = by_scheme.send();
        assert_eq!(
            response.json()["detail"],
            json!("Could not validate credentials")
        );
    }
    // A well-formed key must be looked up.
    assert_eq!(app.status("/users/me", &key), 503);
    let unknown = tokenhouse::credential::api_key::generate_api_key().unwrap();
    assert_eq!(app.status("/users/me", unknown.expose()), 503);
}

/// Waits until the key list shows this last use.
fn wait_for_last_use(app: &Client, token: &str, at: &str) {
    let started = Instant::now();
    while list(app, token)[0]["last_used_at"] != json!(at) {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{:?}",
            list(app, token)
        );
        sleep(Duration::from_millis(50));
    }
}

fn key_use_is_recorded_once_per_minute(backend: Backend) {
    let clock = clock();
    let app = TestApp::builder(backend).clock(clock.clone()).start();
    let token = app.register("alice").sign_in();
    let key = app.create_key(&token, "").secret;
    let other = app.create_key(&token, "").secret;
    let use_it = |key: &str| assert_eq!(app.status("/users/me", key), 200);
    clock.advance(TimeDelta::seconds(1));
    use_it(&key);
    wait_for_last_use(&app, &token, "2026-05-06T07:08:10.123456Z");
    assert_eq!(list(&app, &token)[1]["last_used_at"], Value::Null);
    // Within the minute nothing is recorded. The use of another key is: once it is visible, earlier
    // ones would be too.
    clock.advance(TimeDelta::seconds(60) - TimeDelta::microseconds(1));
    for _ in 0..100 {
        use_it(&key);
    }
    use_it(&other);
    let started = Instant::now();
    while list(&app, &token)[1]["last_used_at"] == Value::Null {
        assert!(started.elapsed() < Duration::from_secs(10));
    }
    let last = &list(&app, &token)[0]["last_used_at"];
    assert_eq!(*last, json!("2026-05-06T07:08:10.123456Z"));
    clock.advance(TimeDelta::microseconds(1));
    use_it(&key);
    wait_for_last_use(&app, &token, "2026-05-06T07:09:10.123456Z");
    let first_uses = "audit_events WHERE action = 'key.first-use' AND target = 'key:1'";
    assert_eq!(app.database().count(first_uses), 1);
}

fn request_does_not_wait_for_use_recording(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let key = app.create_key(&token, "").secret;
    let slowest = app
        .database()
        .hold("UPDATE api_keys SET last_used_at = NULL", || {
            let request = || {
                let started = Instant::now();
                assert_eq!(app.status("/users/me", &key), 200);
                started.elapsed()
            };
            (0..10).map(|_| request()).max().unwrap()
        });
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    let started = Instant::now();
    while list(&app, &token)[0]["last_used_at"] == Value::Null {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "the use is recorded later"
        );
    }
}

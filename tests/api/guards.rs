//! The static key, and the credential of a user: where they count, and where they do not.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::harness::{Backend, STATIC_KEY, TestApp, on_both_databases};

on_both_databases!(
    a_credential_counts_wherever_it_stands_but_only_one,
    altered_tokens_are_refused,
);

fn a_credential_counts_wherever_it_stands_but_only_one(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let other = app.register("bob").sign_in();
    let bearer = format!("bEaReR {token}");
    let of_token = format!("token {token}");
    let other_bearer = format!("Bearer {other}");
    for (headers, status) in [
        (vec![("Token", token.as_str())], 200),
        (vec![("Authorization", &bearer)], 200),
        (vec![("Authorization", &of_token)], 200),
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
        let answer = request.send();
        assert_eq!(answer.status, status, "{headers:?}");
        if status == 400 {
            assert_eq!(answer.json()["error"], json!("invalid_request"));
        }
    }
}

fn altered_tokens_are_refused(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let mut connection = app.connect().expect("the server listens");
    let mut altered = vec![
        token.to_lowercase(),
        token.to_uppercase(),
        token[..42].to_owned(),
        format!("{token}="),
        format!("{token}A"),
        format!("\"{token}\""),
        token.repeat(50),
    ];
    for place in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[place] = if bytes[place] == b'x' { b'y' } else { b'x' };
        altered.push(String::from_utf8(bytes).expect("ASCII"));
    }
    for other in altered.into_iter().filter(|other| *other != token) {
        let answer = connection
            .send(&app.get("/users/me").bearer(&other))
            .expect("an answer");
        assert_eq!(answer.status, 401, "{other}");
        let challenge = answer.header("www-authenticate");
        let expected = r#"Bearer realm="tokenhouse", error="invalid_token""#;
        assert_eq!(challenge.as_deref(), Some(expected));
    }
}

/// Whichever of them is good, and wherever they stand.
#[test]
fn two_different_credentials_are_refused_where_the_static_key_is_wanted_too() {
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
    // The same twice is one.
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
fn without_a_static_key_nobody_has_it() {
    let app = TestApp::builder(Backend::Sqlite)
        .unset("API_KEY_TOKEN")
        .start();
    for (key, detail) in [(STATIC_KEY, "Forbidden"), ("", "Not authenticated")] {
        let answer = app.get("/protected").header("Token", key).send();
        assert_eq!(
            (answer.status, answer.json()),
            (403, json!({"detail": detail}))
        );
    }
}

#[test]
fn two_static_keys_hold_during_a_rotation() {
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

//! `/register`: registration, and the errors of rejected forms.

use std::thread;

use serde_json::{Value, json};

use crate::harness::{Backend, Client, Response, TestApp, on_both_databases, size};

on_both_databases!(
    registration_returns_no_secrets_and_ignores_extra_fields,
    spellings_of_an_address_are_one_account,
    concurrent_registrations_create_one_user,
    password_policy_violations_are_explained,
    registration_can_be_closed_or_limited_to_domains,
);

fn register(app: &Client, email: &str, password: &str) -> Response {
    app.post("/register")
        .json(&json!({
            "name": "Alice Example", "surname": "Example", "email": email,
            "website": "https://example.com", "password": password,
        }))
        .send()
}

fn registration_returns_no_secrets_and_ignores_extra_fields(backend: Backend) {
    let app = TestApp::start(backend);
    let response = app
        .post("/register")
        .json(&json!({
            "name": "Alice Example", "surname": "", "email": "Alice@EXAMPLE.com", "website": "w",
            "password": "correct-horse-9!", "id": 77, "scopes": "admin", "is_admin": true,
            "hashed_password": "x", "disabled_at": null, "created_at": "2000-01-01",
        }))
        .send();
    assert_eq!(response.status, 201);
    let user = json!({
        "id": 1, "name": "Alice Example", "surname": "", "email": "Alice@example.com", "website": "w",
    });
    assert_eq!(response.json(), user);
    assert_eq!(
        app.database().count("users WHERE scopes = '' AND id = 1"),
        1
    );
    assert_eq!(
        app.database()
            .count("users WHERE created_at > '2020-01-01'"),
        1
    );
}

fn spellings_of_an_address_are_one_account(backend: Backend) {
    let app = TestApp::start(backend);
    assert_eq!(
        register(&app, "strasse.josé@example.com", "correct-horse-9!").status,
        201
    );
    for email in [
        "STRASSE.JOSÉ@Example.COM",
        "straße.josé@example.com",
        "strasse.jose\u{301}@example.com",
        "Jo <strasse.josé@example.com>",
    ] {
        let response = register(&app, email, "correct-horse-9!");
        assert_eq!(response.status, 409, "{email}");
        assert_eq!(
            response.json(),
            json!({"detail": "User email already exist"})
        );
    }
}

/// `TOKENHOUSE_TEST_REGISTRATIONS` is the number of rounds; the default is 10.
fn concurrent_registrations_create_one_user(backend: Backend) {
    const CLIENTS: usize = 64;
    let app = TestApp::start(backend);
    let second = app.sibling().start();
    for round in 0..size("TOKENHOUSE_TEST_REGISTRATIONS", 10) {
        let spellings = [
            format!("user{round}@example.com"),
            format!("USER{round}@EXAMPLE.com"),
            format!("\u{ff55}ser{round}@example.com"),
            format!("Some User <User{round}@example.com>"),
        ];
        let mut statuses: Vec<u16> = thread::scope(|scope| {
            let threads: Vec<_> = (0..CLIENTS)
                .map(|number| {
                    let server: Client = if number % 2 == 0 { *app } else { *second };
                    let email = &spellings[number / 2 % spellings.len()];
                    scope.spawn(move || register(&server, email, "correct-horse-9!").status)
                })
                .collect();
            let threads = threads.into_iter();
            threads.map(|thread| thread.join().unwrap()).collect()
        });
        statuses.sort_unstable();
        let mut expected = vec![409; CLIENTS];
        expected[0] = 201;
        assert_eq!(statuses, expected, "round {round}");
        let users = app.database().count("users");
        assert_eq!(usize::try_from(users), Ok(round + 1));
    }
}

fn password_policy_violations_are_explained(backend: Backend) {
    let app = TestApp::start(backend);
    let long = "é".repeat(37);
    for (password, kind, hint) in [
        ("short", "string_too_short", "at least 8 characters"),
        ("password123", "value_error", "common"),
        ("alice@example.com", "value_error", "common"),
        (&long, "bytes_too_long", "72 bytes"),
        ("with a \0 in it", "value_error", "NUL"),
    ] {
        let response = register(&app, "alice@example.com", password);
        assert_eq!(response.status, 422, "{password:?} {response:?}");
        let error = &response.json()["detail"][0];
        let message = error["msg"].as_str().unwrap();
        assert!(
            message.to_lowercase().contains(&hint.to_lowercase()),
            "{password:?}: {message}"
        );
        assert_eq!(
            (&error["type"], &error["loc"], &error["input"]),
            (&json!(kind), &json!(["body", "password"]), &Value::Null),
            "{password:?}"
        );
    }
    let just_fits = "violet kettles sing off-key, and seven wet dogs applaud: héhé! 4711 xq";
    assert_eq!(just_fits.len(), 72);
    let response = register(&app, "alice@example.com", just_fits);
    assert_eq!(response.status, 201, "{response:?}");
}

fn registration_can_be_closed_or_limited_to_domains(backend: Backend) {
    let closed = TestApp::builder(backend)
        .setting("TOKENHOUSE_REGISTRATION", "closed")
        .start();
    assert_eq!(
        register(&closed, "alice@example.com", "correct-horse-9!").status,
        403
    );
    let limited = closed
        .sibling()
        .setting("TOKENHOUSE_REGISTRATION", "domains")
        .setting("TOKENHOUSE_REGISTRATION_DOMAINS", "example.org")
        .start();
    assert_eq!(
        register(&limited, "alice@example.com", "correct-horse-9!").status,
        403
    );
    assert_eq!(
        register(&limited, "alice@EXAMPLE.org", "correct-horse-9!").status,
        201
    );
}

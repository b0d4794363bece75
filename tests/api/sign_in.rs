//! `/register`, `/token`, `/users/me` and `/logout`: registration, signing in and signing out.

use std::collections::HashSet;
use std::thread;

use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};
use tokenhouse::Clock;

use crate::harness::{Backend, Client, Response, TestApp, on_both_databases, size};

on_both_databases!(
    registration_returns_no_secrets_and_ignores_extra_fields,
    spellings_of_an_address_are_one_account,
    concurrent_registrations_create_one_user,
    password_policy_violations_are_explained,
    registration_can_be_closed_or_limited_to_domains,
    token_response_follows_rfc_6749,
    all_refusals_are_identical,
    concurrent_sign_ins_leave_one_token,
    token_is_rejected_from_the_moment_it_expires,
    logout_revokes_the_token_on_every_process,
    deleted_and_disabled_users_are_rejected,
    stored_token_digest_is_not_a_credential,
    sign_in_rehashes_other_costs_and_rejects_costs_above_the_maximum,
    strict_status_follows_rfc_6749,
    overloaded_hasher_rejects_immediately,
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

fn me(app: &Client, token: &str) -> u16 {
    app.get("/users/me").bearer(token).send().status
}

fn sign_in(app: &Client, username: &str, password: &str) -> Response {
    app.post("/token")
        .form(&[("username", username), ("password", password)])
        .send()
}

fn token_response_follows_rfc_6749(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    let response = sign_in(&app, "ALICE@Example.COM", &alice.password);
    assert_eq!(response.status, 200, "{response:?}");
    let mut body = response.json();
    let token = body["access_token"].take();
    assert_eq!(token.as_str().map(str::len), Some(43));
    let rest =
        json!({"access_token": null, "token_type": "bearer", "expires_in": 86400, "scope": ""});
    assert_eq!(body, rest);
    assert_eq!(
        response.header("cache-control").as_deref(),
        Some("no-store")
    );
    assert_eq!(response.header("pragma").as_deref(), Some("no-cache"));
}

fn all_refusals_are_identical(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    let bob = app.register("bob");
    app.register("carol");
    app.database().execute(
        "UPDATE users SET disabled_at = created_at WHERE email = 'bob@example.com'; \
         UPDATE users SET hashed_password = '!' WHERE email = 'carol@example.com'",
    );
    let long = "x".repeat(5_000);
    let refusals = [
        (alice.email.as_str(), "wrong password"),
        (alice.email.as_str(), &long),
        (alice.email.as_str(), "nul \0"),
        (bob.email.as_str(), bob.password.as_str()),
        ("carol@example.com", "the password of carol"),
        ("nobody@example.com", "wrong password"),
        ("nobody@example.com", &long),
        ("no address", "wrong password"),
        ("nul \0", "wrong password"),
    ];
    for (username, password) in refusals {
        let response = sign_in(&app, username, password);
        assert_eq!(response.status, 401, "{username:?} {response:?}");
        assert_eq!(
            response.text(),
            r#"{"detail":"Unauthorized","error":"invalid_grant","error_description":"Incorrect username or password"}"#
        );
        let challenge = response.header("www-authenticate");
        assert_eq!(challenge.as_deref(), Some(r#"Bearer realm="tokenhouse""#));
    }
    assert_eq!(sign_in(&app, &alice.email, &alice.password).status, 200);
}

fn concurrent_sign_ins_leave_one_token(backend: Backend) {
    let app = TestApp::start(backend);
    let second = app.sibling().start();
    let alice = app.register("alice");
    let tokens: Vec<String> = thread::scope(|scope| {
        let signing_in: Vec<_> = (0..64)
            .map(|number| {
                let client: Client = if number % 2 == 0 { *app } else { *second };
                let alice = &alice;
                scope.spawn(move || {
                    let response = sign_in(&client, &alice.email, &alice.password);
                    assert_eq!(response.status, 200, "{response:?}");
                    response.json()["access_token"].as_str().unwrap().to_owned()
                })
            })
            .collect();
        signing_in
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(tokens.iter().collect::<HashSet<_>>().len(), 64);
    assert_eq!(app.database().count("access_tokens"), 1);
    for server in [&app, &second] {
        let accepted = tokens
            .iter()
            .filter(|token| me(server, token) == 200)
            .count();
        assert_eq!(accepted, 1);
    }
}

fn token_is_rejected_from_the_moment_it_expires(backend: Backend) {
    let clock = Clock::manual(DateTime::UNIX_EPOCH + TimeDelta::days(20_000));
    let app = TestApp::builder(backend).clock(clock.clone()).start();
    let token = app.register("alice").sign_in();
    clock.advance(TimeDelta::seconds(86_400) - TimeDelta::microseconds(1));
    assert_eq!(me(&app, &token), 200);
    clock.advance(TimeDelta::microseconds(1));
    let response = app.get("/users/me").bearer(&token).send();
    assert_eq!(response.status, 401);
    assert_eq!(
        response.json(),
        json!({"detail": "Could not validate credentials"})
    );
}

fn logout_revokes_the_token_on_every_process(backend: Backend) {
    let app = TestApp::start(backend);
    let second = app.sibling().start();
    let alice = app.register("alice");
    for round in 0..50 {
        let token = alice.sign_in();
        assert_eq!((me(&app, &token), me(&second, &token)), (200, 200));
        let (one, other) = if round % 2 == 0 {
            (&app, &second)
        } else {
            (&second, &app)
        };
        let response = one.post("/logout").bearer(&token).send();
        assert_eq!((response.status, response.body.len()), (204, 0));
        assert_eq!((me(other, &token), me(one, &token)), (401, 401));
        assert_eq!(one.post("/logout").bearer(&token).send().status, 401);
    }
}

fn deleted_and_disabled_users_are_rejected(backend: Backend) {
    let app = TestApp::start(backend);
    let (alice, bob) = (
        app.register("alice").sign_in(),
        app.register("bob").sign_in(),
    );
    app.database().execute(
        "UPDATE users SET disabled_at = created_at WHERE email = 'alice@example.com'; \
         DELETE FROM users WHERE email = 'bob@example.com'",
    );
    assert_eq!((me(&app, &alice), me(&app, &bob)), (401, 401));
}

fn stored_token_digest_is_not_a_credential(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let digest = tokenhouse::credential::token::TokenDigest::new(token.as_bytes()).to_hex();
    let stored = |text: &str| {
        app.database()
            .count(&format!("access_tokens WHERE access_token = '{text}'"))
    };
    assert_eq!((stored(&digest), stored(&token)), (1, 0));
    assert_eq!(me(&app, &digest), 401);
}

fn sign_in_rehashes_other_costs_and_rejects_costs_above_the_maximum(backend: Backend) {
    let cheap = TestApp::start(backend);
    let alice = cheap.register("alice");
    let count_with_cost = |cost: &str| {
        let database = cheap.database();
        database.count(&format!("users WHERE hashed_password LIKE '$2b${cost}$%'"))
    };
    assert_eq!((count_with_cost("04"), count_with_cost("05")), (1, 0));
    let app = cheap
        .sibling()
        .setting("TOKENHOUSE_BCRYPT_COST", "5")
        .start();
    for (server, expected) in [(&app, (0, 1)), (&cheap, (1, 0)), (&app, (0, 1))] {
        for _ in 0..2 {
            assert_eq!(sign_in(server, &alice.email, &alice.password).status, 200);
            assert_eq!((count_with_cost("04"), count_with_cost("05")), expected);
        }
    }
    app.database()
        .execute("UPDATE users SET hashed_password = replace(hashed_password, '$05$', '$31$')");
    assert_eq!(sign_in(&app, &alice.email, &alice.password).status, 401);
}

fn strict_status_follows_rfc_6749(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_OAUTH_STRICT_STATUS", "true")
        .start();
    let refused = sign_in(&app, "nobody@example.com", "wrong password");
    assert_eq!(
        (refused.status, refused.json()["error"].as_str()),
        (400, Some("invalid_grant"))
    );
    let incomplete = app.post("/token").form(&[("username", "alice")]).send();
    assert_eq!(
        (incomplete.status, incomplete.json()["error"].as_str()),
        (400, Some("invalid_request"))
    );
}

fn overloaded_hasher_rejects_immediately(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_BCRYPT_COST", "12")
        .setting("TOKENHOUSE_HASH_QUEUE_MS", "1")
        .start();
    let responses: Vec<Response> = thread::scope(|scope| {
        let client: Client = *app;
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(move || sign_in(&client, "nobody@example.com", "wrong password")))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let refused: Vec<&Response> = responses
        .iter()
        .filter(|response| response.status == 503)
        .collect();
    assert!(refused.len() >= 4, "{responses:?}");
    for response in refused {
        assert_eq!(response.header("retry-after").as_deref(), Some("1"));
        assert_eq!(
            response.json(),
            json!({"detail": "Too many sign-ins at the moment"})
        );
    }
}

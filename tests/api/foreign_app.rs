//! The guards in somebody else's actix-web app: `examples/guarded_app.rs`, run as it stands.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::{Backend, Client, Running, STATIC_KEY, TestApp, on_both_databases};

on_both_databases!(the_example_lets_in_whom_the_service_lets_in);

/// The example on the database of the service.
pub fn start_example(database_url: &str) -> (Running, Client) {
    // Built by `cargo test`, though not by `cargo test --test api` alone: cargo build --examples.
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

fn the_example_lets_in_whom_the_service_lets_in(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    let without_scope = alice.sign_in();
    let grant = ["user", "grant", &alice.email, "orders:read"];
    let granted = app.program(&grant).output().unwrap();
    assert!(granted.status.success(), "{granted:?}");
    let (_example, client) = start_example(&app.database().url());
    let get = |path: &str, token: &str| {
        let answer = client.get(path).header("Token", token).send();
        (answer.status, answer.text().to_owned())
    };
    let refused = r#"{"detail":"Could not validate credentials"}"#;
    // The token has the scopes of its sign-in, whatever the user holds since.
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
    // What is in memory is good for at most a second after the last word from Postgres.
    let taken_away = Instant::now();
    while get("/notes", &token).0 == 200 && taken_away.elapsed() < Duration::from_secs(1) {}
    assert_eq!((get("/notes", &token).0, get("/", &token).0), (503, 503));
    app.database().make_available();

    assert_eq!(app.post("/logout").bearer(&token).send().status, 204);
    assert_eq!(get("/notes", &token), (401, refused.to_owned()));
}

//! The guards in somebody else's actix-web app: `examples/guarded_app.rs`, run as it stands.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::harness::{Backend, Client, STATIC_KEY, TestApp, on_both_databases};

on_both_databases!(the_example_lets_in_whom_the_service_lets_in);

/// The example, ended with the test.
struct Example {
    process: Child,
    client: Client,
}

impl Example {
    fn start(database_url: &str) -> Self {
        // Built by `cargo test`, though not by `cargo test --test api` alone.
        let folder = Path::new(env!("CARGO_BIN_EXE_tokenhouse"))
            .parent()
            .unwrap();
        let mut process = Command::new(folder.join("examples/guarded_app"))
            .arg("127.0.0.1:0")
            .env("DATABASE_URL", database_url)
            .env("API_KEY_TOKEN", STATIC_KEY)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example is built: cargo build --examples");
        let output = process.stdout.take().expect("piped");
        let line = BufReader::new(output).lines().next().unwrap().unwrap();
        let address = line.strip_prefix("http://").unwrap().parse().unwrap();
        Self {
            process,
            client: Client::of(address),
        }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn the_example_lets_in_whom_the_service_lets_in(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let example = Example::start(&app.database().url());
    let get = |path: &str, token: &str| {
        let answer = example.client.get(path).header("Token", token).send();
        (answer.status, answer.text().to_owned())
    };
    let refused = r#"{"detail":"Could not validate credentials"}"#;
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

    app.database().take_away();
    assert_eq!((get("/notes", &token).0, get("/", &token).0), (503, 503));
    app.database().give_back();

    assert_eq!(app.post("/logout").bearer(&token).send().status, 204);
    assert_eq!(get("/notes", &token), (401, refused.to_owned()));
}

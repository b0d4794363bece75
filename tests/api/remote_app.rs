//! The guards in an app that has no access to the database: `examples/remote_app.rs`, run as it
//! stands.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use crate::foreign_app;
use crate::harness::{
    Backend, Client, Request, Running, STATIC_KEY, ScratchDir, TestApp, on_both_databases,
};

on_both_databases!(
    the_app_answers_as_one_with_the_database_does,
    what_is_taken_away_is_refused_at_the_next_use,
    with_a_staleness_a_revoked_token_counts_for_so_long_and_no_longer,
    an_app_that_the_server_refuses_lets_nobody_in,
    a_server_that_is_away_lets_nobody_in,
);

/// How the app shows the server that it may ask: a name in its environment, and the secret.
type ClientCredential<'a> = (&'a str, &'a str);

/// Headers, and the status for `/notes` and for `/orders`.
type Case<'a> = (Vec<(&'a str, &'a [u8])>, [u16; 2]);

const BY_STATIC_KEY: ClientCredential = ("TOKENHOUSE_STATIC_KEY", STATIC_KEY);

fn start_app(
    server: SocketAddr,
    credential: ClientCredential,
    staleness: &str,
) -> (Running, Client) {
    start_app_with(&[
        ("TOKENHOUSE_URL", &format!("http://{server}")),
        credential,
        ("TOKENHOUSE_STALENESS_MS", staleness),
    ])
}

fn start_app_with(environment: &[(&str, &str)]) -> (Running, Client) {
    // Built by `cargo test`, though not by `cargo test --test api` alone: cargo build --examples.
    let folder = Path::new(env!("CARGO_BIN_EXE_tokenhouse"))
        .parent()
        .unwrap();
    let mut app = Running::start(
        Command::new(folder.join("examples/remote_app"))
            .arg("127.0.0.1:0")
            .env_clear()
            .env("RUST_LOG", "off")
            .envs(environment.iter().copied()),
    );
    let line = app.line();
    let address = line.strip_prefix("http://").unwrap().parse().unwrap();
    (app, Client::new(address))
}

fn grant(app: &TestApp, arguments: &[&str]) {
    let arguments = [&["user", "grant"], arguments].concat();
    let granted = app.program(&arguments).output().unwrap();
    assert!(granted.status.success(), "{granted:?}");
}

fn create_key(app: &TestApp, token: &str, scopes: &str) -> String {
    let form = json!({"name": "a key", "scopes": scopes});
    let answer = app.post("/users/me/keys").bearer(token).json(&form).send();
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["key"].as_str().unwrap().to_owned()
}

fn get(client: &Client, path: &str, token: &str) -> (u16, String) {
    let answer = client.get(path).header("Token", token).send();
    (answer.status, answer.text().to_owned())
}

/// The status for `/notes`, and that an unanswered question says when to come back.
fn notes(client: &Client, token: &str) -> u16 {
    let answer = client.get("/notes").bearer(token).send();
    if answer.status == 503 {
        assert_eq!(answer.header("Retry-After").as_deref(), Some("1"));
        assert_eq!(answer.text(), r#"{"detail":"Service Unavailable"}"#);
    }
    answer.status
}

fn the_app_answers_as_one_with_the_database_does(backend: Backend) {
    let app = TestApp::start(backend);
    let (alice, bob) = (app.register("alice"), app.register("bob"));
    grant(&app, &["alice@example.com", "orders:read", "introspect"]);
    let (alice, bob) = (alice.sign_in(), bob.sign_in());
    let asking = create_key(&app, &alice, "introspect");
    let reading = create_key(&app, &alice, "orders:read");
    let (_app, client) = start_app(app.address(), ("TOKENHOUSE_CLIENT_KEY", &asking), "0");
    let (_embedded, embedded) = foreign_app::start_example(&app.database().url());

    let alice_by_scheme = format!("tOkEn {alice}");
    let (bearer_alice, bearer_bob) = (format!("bearer {alice}"), format!("Bearer {bob}"));
    let mistyped = format!("{}x", &reading[..reading.len() - 1]);
    let longest = "x".repeat(20_000);
    let cases: Vec<Case> = vec![
        (vec![("Authorization", bearer_alice.as_bytes())], [200, 200]),
        (
            vec![("Authorization", alice_by_scheme.as_bytes())],
            [200, 200],
        ),
        (vec![("Token", alice.as_bytes())], [200, 200]),
        (vec![("Token", reading.as_bytes())], [200, 200]),
        (vec![("Token", asking.as_bytes())], [200, 403]),
        (vec![("Token", bob.as_bytes())], [200, 403]),
        (
            vec![
                ("Token", alice.as_bytes()),
                ("Authorization", bearer_bob.as_bytes()),
            ],
            [400, 400],
        ),
        (vec![("Token", b"wrong")], [401, 401]),
        (vec![("Token", STATIC_KEY.as_bytes())], [401, 401]),
        (vec![("Token", mistyped.as_bytes())], [401, 401]),
        (vec![("Token", b"\xff\xfe")], [401, 401]),
        (vec![("Token", b"a&active=true")], [401, 401]),
        (vec![("Token", longest.as_bytes())], [401, 401]),
        (vec![("Authorization", b"Basic dTpw")], [401, 401]),
        (vec![("Cookie", alice.as_bytes())], [401, 401]),
        (vec![], [401, 401]),
    ];
    for (headers, statuses) in &cases {
        for (path, status) in ["/notes", "/orders"].into_iter().zip(statuses) {
            let send = |client: &Client| {
                let with =
                    |request: Request, header: &(&str, &[u8])| request.header(header.0, header.1);
                let answer = headers.iter().fold(client.get(path), with).send();
                let challenge = answer.header("WWW-Authenticate");
                (answer.status, challenge, answer.text().to_owned())
            };
            let answer = send(&client);
            assert_eq!(answer.0, *status, "{path} {headers:?}: {answer:?}");
            assert_eq!(answer, send(&embedded), "{path} {headers:?}");
        }
    }
}

fn what_is_taken_away_is_refused_at_the_next_use(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    let (_app, client) = start_app(app.address(), BY_STATIC_KEY, "0");

    grant(&app, &["alice@example.com", "orders:read"]);
    let token = alice.sign_in();
    assert_eq!(get(&client, "/orders", &token).0, 200);
    grant(&app, &["--take", "alice@example.com", "orders:read"]);
    assert_eq!(get(&client, "/orders", &token).0, 403);

    for _ in 0..20 {
        let token = alice.sign_in();
        assert_eq!(notes(&client, &token), 200);
        assert_eq!(app.post("/logout").bearer(&token).send().status, 204);
        assert_eq!(notes(&client, &token), 401);
    }

    let token = alice.sign_in();
    assert_eq!(notes(&client, &token), 200);
    app.database().make_unavailable();
    // What is in the server's memory is good for at most a second after the last word of Postgres.
    let taken_away = Instant::now();
    while notes(&client, &token) == 200 && taken_away.elapsed() < Duration::from_secs(1) {}
    assert_eq!(notes(&client, &token), 503);
    app.database().make_available();
}

fn with_a_staleness_a_revoked_token_counts_for_so_long_and_no_longer(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    let (_hour, within_an_hour) = start_app(app.address(), BY_STATIC_KEY, "3600000");
    let (_second, within_a_second) = start_app(app.address(), BY_STATIC_KEY, "1000");

    let token = alice.sign_in();
    assert_eq!(notes(&within_an_hour, &token), 200);
    assert_eq!(notes(&within_a_second, &token), 200);
    assert_eq!(app.post("/logout").bearer(&token).send().status, 204);
    let revoked = Instant::now();
    // The number is no more than what it says: within it, an answer does count.
    assert_eq!(notes(&within_an_hour, &token), 200);
    loop {
        let asked = revoked.elapsed();
        if notes(&within_a_second, &token) == 401 {
            break;
        }
        assert!(asked < Duration::from_secs(1), "accepted after {asked:?}");
        thread::sleep(Duration::from_millis(20));
    }
    // Refusals are not remembered, nor is another credential mistaken for one that was.
    assert_eq!(notes(&within_an_hour, "wrong"), 401);
    assert_eq!(notes(&within_an_hour, &alice.sign_in()), 200);
}

fn an_app_that_the_server_refuses_lets_nobody_in(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    grant(&app, &["alice@example.com", "introspect", "orders:read"]);
    let token = alice.sign_in();
    let revoked = create_key(&app, &token, "introspect");
    let without_scope = create_key(&app, &token, "orders:read");
    let form = [("token", revoked.as_str())];
    assert_eq!(app.post("/revoke").form(&form).send().status, 200);
    for credential in [
        ("TOKENHOUSE_CLIENT_KEY", revoked.as_str()),
        ("TOKENHOUSE_CLIENT_KEY", &without_scope),
        ("TOKENHOUSE_CLIENT_KEY", "wrong"),
        ("TOKENHOUSE_STATIC_KEY", "wrong"),
    ] {
        let (_app, client) = start_app(app.address(), credential, "0");
        assert_eq!(notes(&client, &token), 503, "{credential:?}");
        assert_eq!(notes(&client, "wrong"), 503, "{credential:?}");
        // What needs no question is answered still.
        assert_eq!(client.get("/notes").send().status, 401, "{credential:?}");
    }
    let (_app, client) = start_app(app.address(), BY_STATIC_KEY, "0");
    assert_eq!(notes(&client, &token), 200);
}

fn a_server_that_is_away_lets_nobody_in(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let (server, address_of) = app.spawn_server();
    let (_app, client) = start_app(address_of.address(), BY_STATIC_KEY, "0");
    assert_eq!(notes(&client, &token), 200);
    server.signal("STOP");
    assert_eq!(notes(&client, &token), 503);
    server.signal("CONT");
    assert_eq!(notes(&client, &token), 200);
    drop(server);
    assert_eq!(notes(&client, &token), 503);
}

const GOOD: &str = r#"{"active":true,"scope":"orders:read","username":"alice@example.com","exp":9999999999,"iat":1,"sub":"1","name":"Alice"}"#;

fn answer(status: &str, header: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{header}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// Takes every question and gives the same answer to each.
fn server_that_answers(answer: String) -> SocketAddr {
    server_of(move |stream| answer_with(stream, &answer))
}

fn server_of(mut serve: impl FnMut(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            serve(stream.unwrap());
        }
    });
    address
}

/// A client that has read enough, or does not trust us, may go at any moment.
fn answer_with(stream: impl Read + Write, answer: &str) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        if !matches!(stream.read_line(&mut line), Ok(1..)) {
            return;
        }
    }
    _ = stream.get_mut().write_all(answer.as_bytes());
    _ = stream.get_mut().flush();
}

#[test]
fn no_other_answer_lets_anybody_in() {
    let elsewhere = server_that_answers(answer("200 OK", "", GOOD));
    let location = format!("Location: http://{elsewhere}/introspect\r\n");
    let too_long = format!("{GOOD}{}", " ".repeat(70_000));
    for (given, expected) in [
        // The answers below differ from this one, each in what makes it none.
        (answer("200 OK", "", GOOD), 200),
        (answer("200 OK", "", r#"{"active":false}"#), 401),
        (answer("307 Temporary Redirect", &location, GOOD), 503),
        (answer("302 Found", &location, GOOD), 503),
        (answer("201 Created", "", GOOD), 503),
        (answer("400 Bad Request", "", GOOD), 503),
        (answer("401 Unauthorized", "", r#"{"active":false}"#), 503),
        (answer("403 Forbidden", "", r#"{"active":false}"#), 503),
        (answer("404 Not Found", "", r#"{"active":false}"#), 503),
        (
            answer("500 Internal Server Error", "", r#"{"active":false}"#),
            503,
        ),
        (
            answer("503 Service Unavailable", "", r#"{"active":false}"#),
            503,
        ),
        (answer("200 OK", "", "<html>Welcome to nginx!</html>"), 503),
        (answer("200 OK", "", r#"{"active":true}"#), 503),
        (answer("200 OK", "", r#"{"active":"false"}"#), 503),
        (answer("200 OK", "", &too_long), 503),
        (
            answer("200 OK", "", GOOD).replace("Content-Length: 1", "Content-Length: 9"),
            503,
        ),
        ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), 503),
        (String::new(), 503),
    ] {
        let server = server_that_answers(given.clone());
        let (_app, client) = start_app(server, BY_STATIC_KEY, "0");
        assert_eq!(notes(&client, "a-credential"), expected, "{given}");
    }
}

#[test]
fn https_wants_a_certificate_that_the_system_trusts() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = ScratchDir::new("certificate");
    let file = folder.join("certificate.pem");
    fs::write(&file, certified.cert.pem()).unwrap();
    let trusted = ("SSL_CERT_FILE", file.to_str().unwrap());

    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key);
    let config = Arc::new(config.unwrap());
    let server = server_of(move |stream| {
        let session = ServerConnection::new(Arc::clone(&config)).unwrap();
        answer_with(
            StreamOwned::new(session, stream),
            &answer("200 OK", "", GOOD),
        );
    });
    let by_name = format!("https://localhost:{}", server.port());
    for (environment, expected) in [
        (vec![("TOKENHOUSE_URL", by_name.as_str()), trusted], 200),
        (vec![("TOKENHOUSE_URL", &by_name)], 503),
        // The certificate is for another name.
        (
            vec![("TOKENHOUSE_URL", &format!("https://{server}")), trusted],
            503,
        ),
        (
            vec![("TOKENHOUSE_URL", &format!("http://{server}")), trusted],
            503,
        ),
    ] {
        let environment = [environment, vec![BY_STATIC_KEY]].concat();
        let (_app, client) = start_app_with(&environment);
        assert_eq!(notes(&client, "a-credential"), expected, "{environment:?}");
    }
}

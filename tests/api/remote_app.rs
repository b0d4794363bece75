//! The guards in an app without database access: `examples/remote_app.rs`.

use std::collections::BTreeMap;
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
use serde::Deserialize;

use crate::guards;
use crate::harness::{
    Backend, Client, Request, Running, STATIC_KEY, ScratchDir, TestApp, on_both_databases,
    wait_for_cache_expiry,
};

on_both_databases!(
    remote_app_responds_like_an_app_with_the_database,
    headers_are_read_like_the_server_reads_them,
    revocations_take_effect_at_the_next_request,
    app_is_admitted_only_where_a_scope_is_required,
    staleness_bounds_how_long_a_revoked_token_is_accepted,
    app_rejected_by_the_server_accepts_no_credential,
    unreachable_server_accepts_no_credential,
);

/// How the app authenticates to the server: the environment variable, and the secret.
type ClientCredential<'a> = (&'a str, &'a str);

/// Headers, and the expected status of `/notes` and of `/orders`.
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
    // `cargo test` builds it; `cargo test --test api` alone does not: cargo build --examples.
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

fn app_is_admitted_only_where_a_scope_is_required(backend: Backend) {
    let app = TestApp::start(backend);
    let client = app.create_app("guard", "introspect");
    let (_process, remote) = start_app(app.address(), ("TOKENHOUSE_CLIENT_KEY", &client), "0");
    let caller = app.create_app("caller", "orders:read");
    let statuses = ["/notes", "/orders"].map(|path| get(&remote, path, &caller).0);
    assert_eq!(statuses, [403, 200]);
    assert_eq!(get(&remote, "/orders", &client).0, 403);
}

fn grant(app: &TestApp, arguments: &[&str]) {
    let arguments = [&["user", "grant"], arguments].concat();
    let granted = app.program(&arguments).output().unwrap();
    assert!(granted.status.success(), "{granted:?}");
}

fn get(client: &Client, path: &str, token: &str) -> (u16, String) {
    let response = client.get(path).header("Token", token).send();
    (response.status, response.text().to_owned())
}

/// The status of `/notes`. A 503 must name the time to retry.
fn notes(client: &Client, token: &str) -> u16 {
    let response = client.get("/notes").bearer(token).send();
    if response.status == 503 {
        assert_eq!(response.header("Retry-After").as_deref(), Some("1"));
        assert_eq!(response.text(), r#"{"detail":"Service Unavailable"}"#);
    }
    response.status
}

fn remote_app_responds_like_an_app_with_the_database(backend: Backend) {
    let app = TestApp::start(backend);
    let (alice, bob) = (app.register("alice"), app.register("bob"));
    grant(&app, &["alice@example.com", "orders:read", "introspect"]);
    let (alice, bob) = (alice.sign_in(), bob.sign_in());
    let introspect_key = app.create_key(&alice, "introspect").secret;
    let orders_key = app.create_key(&alice, "orders:read").secret;
    let (_app, client) = start_app(
        app.address(),
        ("TOKENHOUSE_CLIENT_KEY", &introspect_key),
        "0",
    );
    let (_embedded, embedded) = guards::start_example(&app.database().url());

    let alice_by_scheme = format!("tOkEn {alice}");
    let (bearer_alice, bearer_bob) = (format!("bearer {alice}"), format!("Bearer {bob}"));
    let (rest, last) = orders_key.split_at(orders_key.len() - 1);
    let mistyped = format!("{rest}{}", if last == "x" { "y" } else { "x" });
    let longest = "x".repeat(20_000);
    let cases: Vec<Case> = vec![
        (vec![("Authorization", bearer_alice.as_bytes())], [200, 200]),
        (
            vec![("Authorization", alice_by_scheme.as_bytes())],
            [200, 200],
        ),
        (vec![("Token", alice.as_bytes())], [200, 200]),
        (vec![("Token", orders_key.as_bytes())], [200, 200]),
        (vec![("Token", introspect_key.as_bytes())], [200, 403]),
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
                let response = headers.iter().fold(client.get(path), with).send();
                let challenge = response.header("WWW-Authenticate");
                (response.status, challenge, response.text().to_owned())
            };
            let response = send(&client);
            assert_eq!(response.0, *status, "{path} {headers:?}: {response:?}");
            assert_eq!(response, send(&embedded), "{path} {headers:?}");
        }
    }
}

/// The rule for headers: tokens, and the outcome for headers with them. `scripts/python-client.py` tests
/// the client in Python with the same cases.
#[derive(Deserialize)]
struct HeaderCases {
    tokens: BTreeMap<String, String>,
    cases: Vec<HeaderCase>,
}

#[derive(Deserialize)]
struct HeaderCase {
    headers: BTreeMap<String, String>,
    outcome: String,
}

fn headers_are_read_like_the_server_reads_them(backend: Backend) {
    let app = TestApp::start(backend);
    let HeaderCases { mut tokens, cases } =
        serde_json::from_str(include_str!("../data/credential_headers.json")).unwrap();
    let scratch = ScratchDir::new("headers");
    let mut csv = "email,hashed_password,access_token\n".to_owned();
    for (name, token) in &tokens {
        csv.push_str(&format!("{name}@example.com,!,{token}\n"));
    }
    let file = scratch.join("tokens.csv");
    fs::write(&file, csv).unwrap();
    let file = file.display().to_string();
    let arguments = ["import", &file, "--token-lifetime", "86400"];
    let imported = app.program(&arguments).output().unwrap();
    assert!(imported.status.success(), "{imported:?}");
    let alice = app.register("alice").sign_in();
    tokens.insert("key".to_owned(), app.create_key(&alice, "").secret);

    let (_app, client) = start_app(app.address(), BY_STATIC_KEY, "0");
    for HeaderCase { headers, outcome } in &cases {
        let (status, challenge) = match outcome.as_str() {
            "accepted" => (200, None),
            "two credentials" => (400, None),
            "no credential" => (401, Some(r#"Bearer realm="tokenhouse""#.to_owned())),
            _ => {
                let error = r#"Bearer realm="tokenhouse", error="invalid_token""#;
                (401, Some(error.to_owned()))
            }
        };
        for request in [app.get("/users/me"), client.get("/notes")] {
            let request = headers.iter().fold(request, |request, (name, value)| {
                let value = tokens.iter().fold(value.clone(), |value, (name, token)| {
                    value.replace(&format!("{{{name}}}"), token)
                });
                request.header(name, value)
            });
            let response = request.send();
            let found = (response.status, response.header("WWW-Authenticate"));
            assert_eq!(found.0, status, "{headers:?}: {}", response.text());
            if status == 401 {
                assert_eq!(found.1, challenge, "{headers:?}");
            }
        }
    }
}

fn revocations_take_effect_at_the_next_request(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    let (_app, client) = start_app(app.address(), BY_STATIC_KEY, "0");

    grant(&app, &["alice@example.com", "orders:read"]);
    let token = alice.sign_in();
    assert_eq!(get(&client, "/orders", &token).0, 200);
    grant(&app, &["--revoke", "alice@example.com", "orders:read"]);
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
    wait_for_cache_expiry(|| notes(&client, &token));
    assert_eq!(notes(&client, &token), 503);
    app.database().make_available();
}

fn staleness_bounds_how_long_a_revoked_token_is_accepted(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    let (_app, within_an_hour) = start_app(app.address(), BY_STATIC_KEY, "3600000");
    let (_other_app, within_a_second) = start_app(app.address(), BY_STATIC_KEY, "1000");

    let token = alice.sign_in();
    assert_eq!(notes(&within_an_hour, &token), 200);
    assert_eq!(notes(&within_a_second, &token), 200);
    assert_eq!(app.post("/logout").bearer(&token).send().status, 204);
    let revoked = Instant::now();
    // Within the configured staleness a cached response is still used.
    assert_eq!(notes(&within_an_hour, &token), 200);
    loop {
        let elapsed = revoked.elapsed();
        if notes(&within_a_second, &token) == 401 {
            break;
        }
        assert!(
            elapsed < Duration::from_secs(1),
            "accepted after {elapsed:?}"
        );
        thread::sleep(Duration::from_millis(20));
    }
    // Refusals are not cached, and other credentials do not match cached ones.
    assert_eq!(notes(&within_an_hour, "wrong"), 401);
    assert_eq!(notes(&within_an_hour, &alice.sign_in()), 200);
}

fn app_rejected_by_the_server_accepts_no_credential(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    grant(&app, &["alice@example.com", "introspect", "orders:read"]);
    let token = alice.sign_in();
    let revoked = app.create_key(&token, "introspect").secret;
    let without_scope = app.create_key(&token, "orders:read").secret;
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
        // Requests without a credential need no introspection.
        assert_eq!(client.get("/notes").send().status, 401, "{credential:?}");
    }
    let (_app, client) = start_app(app.address(), BY_STATIC_KEY, "0");
    assert_eq!(notes(&client, &token), 200);
}

fn unreachable_server_accepts_no_credential(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let (server, server_client) = app.spawn_server();
    let (_app, client) = start_app(server_client.address(), BY_STATIC_KEY, "0");
    assert_eq!(notes(&client, &token), 200);
    server.signal("STOP");
    assert_eq!(notes(&client, &token), 503);
    server.signal("CONT");
    assert_eq!(notes(&client, &token), 200);
    drop(server);
    assert_eq!(notes(&client, &token), 503);
}

const ACTIVE: &str = r#"{"active":true,"scope":"orders:read","username":"alice@example.com","exp":9999999999,"iat":1,"sub":"1","name":"Alice"}"#;

fn response(status: &str, header: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{header}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// A server that sends this response to every request.
fn server_with_response(response: String) -> SocketAddr {
    serve_connections(move |stream| respond(stream, &response))
}

fn serve_connections(mut serve: impl FnMut(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            serve(stream.unwrap());
        }
    });
    address
}

/// Reads a request head and responds. A client that has read enough, or does not trust the
/// certificate, may disconnect at any time.
fn respond(stream: impl Read + Write, response: &str) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        if !matches!(stream.read_line(&mut line), Ok(1..)) {
            return;
        }
    }
    _ = stream.get_mut().write_all(response.as_bytes());
    _ = stream.get_mut().flush();
}

#[test]
fn unexpected_responses_accept_no_credential() {
    let elsewhere = server_with_response(response("200 OK", "", ACTIVE));
    let location = format!("Location: http://{elsewhere}/introspect\r\n");
    let too_long = format!("{ACTIVE}{}", " ".repeat(70_000));
    for (given, expected) in [
        // Every other response differs from this one in the part that makes it invalid.
        (response("200 OK", "", ACTIVE), 200),
        (response("200 OK", "", r#"{"active":false}"#), 401),
        (response("307 Temporary Redirect", &location, ACTIVE), 503),
        (response("302 Found", &location, ACTIVE), 503),
        (response("201 Created", "", ACTIVE), 503),
        (response("400 Bad Request", "", ACTIVE), 503),
        (response("401 Unauthorized", "", r#"{"active":false}"#), 503),
        (response("403 Forbidden", "", r#"{"active":false}"#), 503),
        (response("404 Not Found", "", r#"{"active":false}"#), 503),
        (
            response("500 Internal Server Error", "", r#"{"active":false}"#),
            503,
        ),
        (
            response("503 Service Unavailable", "", r#"{"active":false}"#),
            503,
        ),
        (
            response("200 OK", "", "<html>Welcome to nginx!</html>"),
            503,
        ),
        (response("200 OK", "", r#"{"active":true}"#), 503),
        (response("200 OK", "", r#"{"active":"false"}"#), 503),
        (response("200 OK", "", &too_long), 503),
        (
            response("200 OK", "", ACTIVE).replace("Content-Length: 1", "Content-Length: 9"),
            503,
        ),
        ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), 503),
        (String::new(), 503),
    ] {
        let server = server_with_response(given.clone());
        let (_app, client) = start_app(server, BY_STATIC_KEY, "0");
        assert_eq!(notes(&client, "a-credential"), expected, "{given}");
    }
}

#[test]
fn https_requires_a_certificate_trusted_by_the_system() {
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
    let server = serve_connections(move |stream| {
        let session = ServerConnection::new(Arc::clone(&config)).unwrap();
        respond(
            StreamOwned::new(session, stream),
            &response("200 OK", "", ACTIVE),
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

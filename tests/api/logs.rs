//! The log: lines about the start and the stop, the ids of requests, and one format per stream.

use std::process::Stdio;

use serde_json::Value;
use test_support::server::announced_address;
use tokenhouse::generate_token;

use crate::harness::{Backend, Client, Log, Running, STATIC_KEY, TestApp};

/// What a server logs, and the first line on its standard output.
fn log_of(
    app: &TestApp,
    settings: &[(&str, &str)],
    requests: impl FnOnce(&Client),
) -> (String, String) {
    let mut log = Log::new();
    let mut command = app.program(&["serve"]);
    command.envs(settings.iter().copied()).stderr(log.writer());
    let mut process = Running::start(&mut command);
    let announced = process.line();
    let client = Client::new(announced_address(&announced).unwrap());
    // From its first response on, it handles signals.
    assert_eq!(client.get("/livez").send().status, 200);
    requests(&client);
    process.signal("TERM");
    process.wait();
    (String::from_utf8(log.bytes()).unwrap(), announced)
}

/// Sends requests that fail in several ways. Returns the ids in the responses.
fn fail(app: &TestApp, client: &Client) -> Vec<String> {
    let form = [
        ("username", "nobody@example.com"),
        ("password", "a-wrong-one"),
    ];
    let refused = client.post("/token").form(&form).send();
    let wrong_key = client.get("/protected").header("Token", "a-guess-of-mine");
    let wrong_key = wrong_key
        .header("X-Request-Id", "chosen-by.the_client-1")
        .send();
    assert_eq!((refused.status, wrong_key.status), (401, 403));
    app.database().make_unavailable();
    let unknown = generate_token().unwrap();
    let failed = client.get("/users/me").bearer(unknown.expose()).send();
    app.database().make_available();
    assert_eq!(failed.status, 503);
    let id = |response: crate::harness::Response| response.header("x-request-id").unwrap();
    [refused, wrong_key, failed].map(id).to_vec()
}

#[test]
fn request_id_of_a_response_finds_its_lines() {
    let app = TestApp::start(Backend::Sqlite);
    for format in ["text", "json"] {
        let mut ids = Vec::new();
        let settings = [("TOKENHOUSE_LOG_FORMAT", format)];
        let (log, _) = log_of(&app, &settings, |client| ids = fail(&app, client));
        let expected = [
            "refused sign-in from 127.0.0.1",
            "refused static key from 127.0.0.1",
            "GET /users/me -> 503",
        ];
        for (id, text) in ids.iter().zip(expected) {
            let has_both = |line: &str| line.contains(id.as_str()) && line.contains(text);
            assert!(log.lines().any(has_both), "{format} {id} {text}: {log}");
        }
        let causes = log.lines().filter(|line| line.contains(&ids[2])).count();
        assert!(causes >= 2, "the cause of a 503 has its id: {log}");
    }
}

#[test]
fn log_has_lines_about_start_and_stop() {
    let app = TestApp::start(Backend::Sqlite);
    for format in ["text", "json"] {
        let settings = [("TOKENHOUSE_LOG_FORMAT", format)];
        let (log, announced) = log_of(&app, &settings, |_| ());
        let lines: Vec<&str> = log.lines().collect();
        let position = |text: &str| {
            let found = lines.iter().position(|line| line.contains(text));
            found.unwrap_or_else(|| panic!("{text}: {log}"))
        };
        let version = format!("version {} (", env!("CARGO_PKG_VERSION"));
        let listening = position("listening on http://127.0.0.1:");
        assert!(lines[listening].contains(&version) && lines[listening].contains("sqlite://"));
        let (stopping, stopped) = (position("stopping: SIGTERM"), position("stopped after "));
        assert!(listening < stopping && stopping < stopped, "{log}");
        if format == "json" {
            let announced: Value = serde_json::from_str(&announced).unwrap();
            assert!(
                announced["url"]
                    .as_str()
                    .unwrap()
                    .starts_with("http://127.0.0.1:")
            );
            for line in lines {
                assert!(
                    serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()),
                    "{line}"
                );
            }
        }
    }
}

#[test]
fn requests_are_logged_only_with_the_access_log() {
    let app = TestApp::start(Backend::Sqlite);
    let token = app.register("alice").sign_in();
    let requests = |client: &Client| {
        client.get("/users/me").bearer(&token).send();
        client.get("/no/such/path").send();
        client.get("/protected").header("Token", STATIC_KEY).send();
    };
    let (log, _) = log_of(&app, &[], requests);
    assert!(!log.contains("/users/me"), "{log}");
    let (log, _) = log_of(&app, &[("TOKENHOUSE_ACCESS_LOG", "true")], requests);
    for text in [
        "GET /users/me -> 200 in ",
        "GET - -> 404 in ",
        "GET /protected -> 200 in ",
    ] {
        let is_line = |line: &str| {
            line.contains("tokenhouse::access] ")
                && line.contains(text)
                && line.ends_with(" ms from 127.0.0.1")
        };
        assert_eq!(
            log.lines().filter(|line| is_line(line)).count(),
            1,
            "{text}: {log}"
        );
    }
    assert!(
        !log.contains("/no/such/path") && !log.contains(&token),
        "{log}"
    );
}

#[test]
fn version_names_commit_and_features() {
    let app = TestApp::start(Backend::Sqlite);
    let output = app
        .program(&["--version"])
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let version = String::from_utf8(output.stdout).unwrap();
    let start = format!("tokenhouse {} (", env!("CARGO_PKG_VERSION"));
    let rest = version
        .strip_prefix(&start)
        .unwrap_or_else(|| panic!("{version}"));
    let tls = if cfg!(feature = "postgres-tls") {
        "with"
    } else {
        "without"
    };
    let features = format!(", sqlite, postgres, {tls} TLS to Postgres)\n");
    let commit = rest
        .strip_suffix(&features)
        .unwrap_or_else(|| panic!("{version}"));
    // `cargo test` builds for debugging, which names no commit.
    assert!(!commit.is_empty(), "{version}");
}

//! The line in the log by which fail2ban locks addresses out, and its filter in `deploy/`.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use regex::Regex;

use crate::harness::{Backend, Client, Person, Running, ScratchDir, TestApp};

/// The expressions of the filter, with an address in the place of its tag.
fn filter() -> Vec<Regex> {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/fail2ban/filter.d/tokenhouse.conf");
    let filter = fs::read_to_string(file).unwrap();
    let (_, rest) = filter.split_once("failregex = ").unwrap();
    let expressions = rest.split("\n\n").next().unwrap().lines();
    let expressions =
        expressions.map(|line| line.trim().replace("<ADDR>", "(?<address>[0-9a-f.:]+)"));
    expressions.map(|line| Regex::new(&line).unwrap()).collect()
}

/// The addresses that the filter finds in a log.
fn found_in(log: &str) -> Vec<String> {
    let filter = filter();
    let find = |line: &str| {
        let found = filter
            .iter()
            .find_map(|expression| expression.captures(line))?;
        Some(found["address"].to_owned())
    };
    log.lines().filter_map(find).collect()
}

/// What a server logs while somebody does something with it.
fn log_of(format: &str, act: impl FnOnce(&Client, &Person)) -> String {
    let app = TestApp::start(Backend::Sqlite);
    let alice = app.register("alice");
    let folder = ScratchDir::new("log");
    let path = folder.join("log");
    let mut command = app.program(&["serve"]);
    command
        .env("TOKENHOUSE_LOG_FORMAT", format)
        .env("TOKENHOUSE_TRUSTED_PROXIES", "127.0.0.1")
        .env("TOKENHOUSE_DRAIN_MS", "0")
        .stderr(Stdio::from(fs::File::create(&path).unwrap()));
    let (server, client) = Running::serve(&mut command);
    act(&client, &alice);
    server.signal("TERM");
    server.wait();
    fs::read_to_string(&path).unwrap()
}

fn guess(client: &Client, email: &str, from: &str) {
    let form = [("username", email), ("password", "a-guess-of-mine")];
    let request = client
        .post("/token")
        .form(&form)
        .header("X-Forwarded-For", from);
    assert_eq!(request.send().status, 401);
}

fn refused_guesses_are_found(format: &str) {
    let log = log_of(format, |client, alice| {
        let wrong_key = client.get("/protected").header("Token", "a-guess-of-mine");
        let wrong_key = wrong_key.header("X-Forwarded-For", "192.0.2.5");
        assert_eq!(wrong_key.send().status, 403);
        guess(client, &alice.email, "192.0.2.1");
        guess(client, "nobody@example.com", "2001:db8::7");
        guess(client, "refused sign-in from 192.0.2.9", "192.0.2.3");
        let form = [
            ("username", alice.email.as_str()),
            ("password", &alice.password),
        ];
        let good = client
            .post("/token")
            .form(&form)
            .header("X-Forwarded-For", "192.0.2.4");
        assert_eq!(good.send().status, 200);
    });
    assert_eq!(
        found_in(&log),
        ["192.0.2.5", "192.0.2.1", "2001:db8::7", "192.0.2.3"],
        "{log}"
    );
    for secret in ["alice", "nobody", "192.0.2.9", "a-guess-of-mine"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[test]
fn refused_sign_ins_are_found_in_the_log_for_people() {
    refused_guesses_are_found("text");
}

#[test]
fn refused_sign_ins_are_found_in_the_log_of_json() {
    refused_guesses_are_found("json");
}

#[test]
fn a_flood_does_not_fill_the_log() {
    let log = log_of("text", |client, _| {
        for _ in 0..150 {
            guess(client, "nobody@example.com", "192.0.2.1");
        }
    });
    // A hundred a minute, and a minute may end in between.
    let found = found_in(&log).len();
    assert!((100..150).contains(&found), "{found}");
}

#[test]
fn other_lines_are_not_taken_for_one() {
    for line in [
        "[2026-01-01T00:00:00.000Z WARN  tokenhouse::http::middleware] refused sign-in from 192.0.2.1",
        "[2026-01-01T00:00:00.000Z INFO  tokenhouse::sign_in] refused sign-in from 192.0.2.1 and more",
        "{\"level\":\"INFO\",\"message\":\"x refused sign-in from 192.0.2.1\",\"target\":\"tokenhouse::sign_in\"}",
    ] {
        assert!(found_in(line).is_empty(), "{line}");
    }
}

//! Log lines for fail2ban, and output free of control characters.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

use regex::Regex;
use serde_json::{Value, json};

use crate::harness::{Backend, Client, Log, Person, Running, ScratchDir, TestApp};

/// The expressions of the fail2ban filter in `deploy/`, with the address tag replaced by a pattern.
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

/// The addresses that the filter finds in this log.
fn addresses_in(log: &str) -> Vec<String> {
    let filter = filter();
    let find = |line: &str| {
        let found = filter
            .iter()
            .find_map(|expression| expression.captures(line))?;
        Some(found["address"].to_owned())
    };
    log.lines().filter_map(find).collect()
}

/// What a server logs while `act` runs.
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

fn assert_refused_guesses_match(format: &str) {
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
        addresses_in(&log),
        ["192.0.2.5", "192.0.2.1", "2001:db8::7", "192.0.2.3"],
        "{log}"
    );
    for secret in ["alice", "nobody", "192.0.2.9", "a-guess-of-mine"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[test]
fn filter_matches_refused_sign_ins_in_text_logs() {
    assert_refused_guesses_match("text");
}

#[test]
fn filter_matches_refused_sign_ins_in_json_logs() {
    assert_refused_guesses_match("json");
}

#[test]
fn flood_of_sign_ins_does_not_fill_the_log() {
    let log = log_of("text", |client, _| {
        for _ in 0..150 {
            guess(client, "nobody@example.com", "192.0.2.1");
        }
    });
    // At most a hundred per minute, and a new minute may begin in between.
    let found = addresses_in(&log).len();
    assert!((100..150).contains(&found), "{found}");
}

#[test]
fn filter_ignores_other_lines() {
    for line in [
        "[2026-01-01T00:00:00.000Z WARN  tokenhouse::http::middleware] refused sign-in from 192.0.2.1",
        "[2026-01-01T00:00:00.000Z INFO  tokenhouse::sign_in] refused sign-in from 192.0.2.1 and more",
        "{\"level\":\"INFO\",\"message\":\"x refused sign-in from 192.0.2.1\",\"target\":\"tokenhouse::sign_in\"}",
    ] {
        assert!(addresses_in(line).is_empty(), "{line}");
    }
}

/// A colour by CSI in one character and in two, a title, direction overrides, separators, a soft
/// hyphen, a tag and a zero-width space.
const HOSTILE: &str = "ok\u{9b}31m\u{1b}[1m\u{1b}]0;t\u{7}\u{7f}\u{85}\u{202e}\u{2066}\u{61c}\
    \u{2028}\u{2029}\u{ad}\u{e0041}\u{200b}\u{feff}\r\nforged: line\u{8}";

/// The characters of Cc, Cf, Zl and Zp in this text.
fn control_characters(text: &str) -> String {
    let is_layout = |c: char| c == '\n' || c == '\t';
    let others = "\u{202e}\u{2066}\u{61c}\u{2028}\u{2029}\u{ad}\u{e0041}\u{200b}\u{feff}";
    let is_control = |c: &char| (c.is_control() && !is_layout(*c)) || others.contains(*c);
    text.chars().filter(is_control).collect()
}

fn texts(output: Output) -> (String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

/// Neither control characters from untrusted input, nor characters that hide or reorder text.
#[test]
fn commands_print_no_control_characters() {
    let app = TestApp::start(Backend::Sqlite);
    let alice = app.register("alice");
    let token = alice.sign_in();
    let names = json!({ "name": HOSTILE, "surname": HOSTILE, "website": HOSTILE });
    let patch = app.request("PATCH", "/users/me").bearer(&token);
    let patch = patch.header("User-Agent", "ok\u{9b}31m\u{202e}x");
    assert_eq!(patch.json(&names).send().status, 200);
    let key = json!({ "name": HOSTILE, "current_password": alice.password });
    app.post("/users/me/keys").bearer(&token).json(&key).send();
    // Set in SQL: the API accepts no such address or scope.
    app.database().execute(
        "UPDATE users SET email = 'alice@example.com' || char(155) || char(8238), \
         scopes = 'a' || char(155) || char(8238)",
    );
    let folder = ScratchDir::new("terminal");
    let source = folder.join("source.jsonl");
    let bad = json!({ "id": HOSTILE, "email": HOSTILE, "hashed_password": "x" });
    fs::write(&source, bad.to_string()).unwrap();
    let source = source.to_str().unwrap();
    let hostile_file = format!("{}/{}", folder.display(), HOSTILE);

    let mut all_output = String::new();
    for arguments in [
        &["user", "show", alice.email.as_str()][..],
        &["user", "list"],
        &["user", "export", &alice.email],
        &["user", "show", HOSTILE],
        &["user", "grant", &alice.email, HOSTILE],
        &["key", "list", &alice.email],
        &["token", "list"],
        &["session", "list", &alice.email],
        &["audit", "tail"],
        &["audit", "export"],
        &["audit", "verify", "--contains", HOSTILE],
        &["import", source, "--dry-run"],
        &["import", &hostile_file],
        &["backup", &hostile_file],
        &["config", "check"],
        &["doctor"],
        &["openapi"],
        &["verify", HOSTILE],
        &[HOSTILE],
        &["user", "show", "--", HOSTILE, HOSTILE],
    ] {
        for json in [true, false] {
            let mut command = app.program(arguments);
            if json {
                command.arg("--json");
            }
            let output = command.stdin(std::process::Stdio::null()).output().unwrap();
            let (stdout, stderr) = texts(output);
            assert_eq!(control_characters(&stdout), "", "{arguments:?}: {stdout:?}");
            assert_eq!(control_characters(&stderr), "", "{arguments:?}: {stderr:?}");
            let is_json = json && stdout.starts_with(['{', '[']);
            assert!(!is_json || stdout.is_ascii(), "{arguments:?}: {stdout}");
            all_output.push_str(&stdout);
            all_output.push_str(&stderr);
        }
    }
    assert!(
        all_output.contains("31m") && all_output.contains("\\u202e"),
        "{all_output}"
    );
}

#[test]
fn json_output_keeps_the_original_text() {
    let app = TestApp::start(Backend::Sqlite);
    let alice = app.register("alice");
    let token = alice.sign_in();
    let patch = app.request("PATCH", "/users/me").bearer(&token);
    assert_eq!(patch.json(&json!({ "name": HOSTILE })).send().status, 200);
    for arguments in [["user", "show"], ["user", "export"]] {
        let mut command = app.program(&arguments);
        let output = command.args([&alice.email, "--json"]).output().unwrap();
        let (stdout, _) = texts(output);
        let read: Value = serde_json::from_str(&stdout).unwrap();
        let user = read.get("user").unwrap_or(&read);
        assert_eq!(user["name"], HOSTILE);
    }
    let output = app.program(&["user", "show", &alice.email]).output();
    let (stdout, _) = texts(output.unwrap());
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    assert!(stdout.contains("forged: line"), "{stdout}");
}

/// Also in the text log: whatever a client sends, each entry is one line.
#[test]
fn text_log_contains_no_control_characters() {
    let app = TestApp::start(Backend::Sqlite);
    let mut log = Log::new();
    let mut command = app.program(&["serve"]);
    command.env("RUST_LOG", "trace").stderr(log.writer());
    let (process, client) = Running::serve(&mut command);
    let token = app.register("alice").sign_in();
    for text in [HOSTILE, "a\nERROR forged", "\u{202e}"] {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        client.get(&format!("/{encoded}?{encoded}")).send();
        client
            .get(&format!("/verify?{encoded}"))
            .bearer(&token)
            .send();
        client.request(text.as_bytes(), "/page").send();
        for name in [
            "User-Agent",
            "X-Request-Id",
            "Host",
            "Token",
            "Content-Type",
        ] {
            client.get("/page").header(name, text).send();
        }
        let form = [("username", text), ("password", text)];
        client.post("/token").form(&form).send();
    }
    drop(process);
    let log = String::from_utf8(log.bytes()).unwrap();
    assert!(log.lines().count() > 30, "{log}");
    assert_eq!(control_characters(&log), "", "{log}");
    for line in log.lines() {
        assert!(
            line.starts_with("[20") && !line.starts_with("forged"),
            "{line}"
        );
    }
}

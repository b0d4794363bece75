//! What the command line prints of what strangers typed: nothing that a terminal obeys, and nothing
//! that hides or reorders what is around it.

use std::fs;
use std::process::Output;

use serde_json::{Value, json};

use crate::harness::{Backend, Log, Running, ScratchDir, TestApp};

/// A colour by CSI in one character and in two, a title, overrides of direction, separators, a soft
/// hyphen, a tag and a zero-width space.
const HOSTILE: &str = "ok\u{9b}31m\u{1b}[1m\u{1b}]0;t\u{7}\u{7f}\u{85}\u{202e}\u{2066}\u{61c}\
    \u{2028}\u{2029}\u{ad}\u{e0041}\u{200b}\u{feff}\r\nforged: line\u{8}";

/// What of Cc, Cf, Zl and Zp is in it.
fn obeyed(text: &str) -> String {
    let is_layout = |c: char| c == '\n' || c == '\t';
    let others = "\u{202e}\u{2066}\u{61c}\u{2028}\u{2029}\u{ad}\u{e0041}\u{200b}\u{feff}";
    let is_obeyed = |c: &char| (c.is_control() && !is_layout(*c)) || others.contains(*c);
    text.chars().filter(is_obeyed).collect()
}

fn printed(output: Output) -> (String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

#[test]
fn no_command_prints_what_a_terminal_obeys() {
    let app = TestApp::start(Backend::Sqlite);
    let alice = app.register("alice");
    let token = alice.sign_in();
    let names = json!({ "name": HOSTILE, "surname": HOSTILE, "website": HOSTILE });
    let patch = app.request("PATCH", "/users/me").bearer(&token);
    let patch = patch.header("User-Agent", "ok\u{9b}31m\u{202e}x");
    assert_eq!(patch.json(&names).send().status, 200);
    let key = json!({ "name": HOSTILE, "current_password": alice.password });
    app.post("/users/me/keys").bearer(&token).json(&key).send();
    // As by hand: no way in takes such an address or scope.
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

    let mut said = String::new();
    for words in [
        &["user", "show", alice.email.as_str()][..],
        &["user", "list"],
        &["user", "export", &alice.email],
        &["user", "show", HOSTILE],
        &["user", "grant", &alice.email, HOSTILE],
        &["key", "list", &alice.email],
        &["token", "list"],
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
            let mut command = app.program(words);
            if json {
                command.arg("--json");
            }
            let output = command.stdin(std::process::Stdio::null()).output().unwrap();
            let (stdout, stderr) = printed(output);
            assert_eq!(obeyed(&stdout), "", "{words:?}: {stdout:?}");
            assert_eq!(obeyed(&stderr), "", "{words:?}: {stderr:?}");
            let is_json = json && stdout.starts_with(['{', '[']);
            assert!(!is_json || stdout.is_ascii(), "{words:?}: {stdout}");
            said.push_str(&stdout);
            said.push_str(&stderr);
        }
    }
    assert!(said.contains("31m") && said.contains("\\u202e"), "{said}");
}

#[test]
fn the_json_of_a_command_says_what_was_typed() {
    let app = TestApp::start(Backend::Sqlite);
    let alice = app.register("alice");
    let token = alice.sign_in();
    let patch = app.request("PATCH", "/users/me").bearer(&token);
    assert_eq!(patch.json(&json!({ "name": HOSTILE })).send().status, 200);
    for words in [["user", "show"], ["user", "export"]] {
        let mut command = app.program(&words);
        let output = command.args([&alice.email, "--json"]).output().unwrap();
        let (stdout, _) = printed(output);
        let read: Value = serde_json::from_str(&stdout).unwrap();
        let user = read.get("user").unwrap_or(&read);
        assert_eq!(user["name"], HOSTILE);
    }
    let output = app.program(&["user", "show", &alice.email]).output();
    let (stdout, _) = printed(output.unwrap());
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    assert!(stdout.contains("forged: line"), "{stdout}");
}

/// The log for people, as well: whatever a client sends, a line is a line.
#[test]
fn the_log_for_people_has_nothing_that_a_terminal_obeys() {
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
    assert_eq!(obeyed(&log), "", "{log}");
    for line in log.lines() {
        assert!(
            line.starts_with("[20") && !line.starts_with("forged"),
            "{line}"
        );
    }
}

//! Import of seed files: users with passwords and scopes, as an operator writes them down.

use serde_json::{Value, json};

use super::Scratch;
use crate::harness::{Backend, TestApp, on_both_databases};

on_both_databases!(
    seed_file_creates_users_once,
    deleted_users_of_a_seed_file_return_only_on_request,
    seed_file_with_a_wrong_user_changes_nothing,
);

const TOML: &str = r#"
[[users]]
email = "ada@example.com"
name = "Ada Lovelace"
password = "a-Password-of-Ada-9"
scopes = ["orders:read", "orders:write"]

[[users]]
email = "bob@example.com"
name = "Bob Example"
password = "a-Password-of-Bob-9"
disabled = true
"#;

const JSON: &str = r#"{"users": [
    {"email": "ADA@example.com", "name": "Eve Example", "password": "another-Password-9"},
    {"email": "cid@example.com", "name": "Cid Campeador", "password": "a-Password-of-Cid-9", "scopes": "a b"}
]}"#;

fn import(app: &TestApp, arguments: &[&str]) -> Value {
    let (code, report) = app.run(&[&["import", "--json"], arguments].concat());
    assert_eq!(code, Some(0), "{report}");
    serde_json::from_str(&report).unwrap()
}

fn sign_in(app: &TestApp, email: &str, password: &str) -> (u16, Value) {
    let form = [("username", email), ("password", password)];
    let response = app.post("/token").form(&form).send();
    let scope = response.member("scope").unwrap_or_default();
    (response.status, scope)
}

fn seed_file_creates_users_once(backend: Backend) {
    let scratch = Scratch::new();
    let (toml, json) = (scratch.file("a.toml", TOML), scratch.file("b.json", JSON));
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_BCRYPT_COST", "5")
        .start();
    let counts = |read, imported, already_there| {
        json!({ "read": read, "imported": imported, "already_there": already_there,
                "deleted_here": 0 })
    };
    assert_eq!(
        import(&app, &[&toml, "--dry-run"])["users"],
        counts(2, 2, 0)
    );
    assert_eq!(app.database().count("users"), 0);
    assert_eq!(import(&app, &[&toml])["users"], counts(2, 2, 0));
    assert_eq!(import(&app, &[&json])["users"], counts(2, 1, 1));
    let cost = "users WHERE hashed_password LIKE '$2b$05$%'";
    assert_eq!(app.database().count(cost), 3);
    assert_eq!(
        sign_in(&app, "ada@example.com", "a-Password-of-Ada-9"),
        (200, json!("orders:read orders:write"))
    );
    assert_eq!(
        sign_in(&app, "ada@example.com", "another-Password-9").0,
        401
    );
    assert_eq!(
        sign_in(&app, "bob@example.com", "a-Password-of-Bob-9").0,
        401
    );
    assert_eq!(
        sign_in(&app, "cid@example.com", "a-Password-of-Cid-9"),
        (200, json!("a b"))
    );
    let created = "audit_events WHERE action = 'user.create'";
    assert_eq!(app.database().count(created), 3);
}

fn deleted_users_of_a_seed_file_return_only_on_request(backend: Backend) {
    let scratch = Scratch::new();
    let file = scratch.file("users.json", JSON);
    let app = TestApp::start(backend);
    import(&app, &[&file]);
    let (code, _) = app.run(&["user", "delete", "cid@example.com", "--yes"]);
    assert_eq!(code, Some(0));
    let again = import(&app, &[&file]);
    assert_eq!(again["users"]["deleted_here"], 1);
    assert_eq!(
        sign_in(&app, "cid@example.com", "a-Password-of-Cid-9").0,
        401
    );
    assert_eq!(import(&app, &[&file, "--again"])["users"]["imported"], 1);
    assert_eq!(
        sign_in(&app, "cid@example.com", "a-Password-of-Cid-9").0,
        200
    );
}

fn seed_file_with_a_wrong_user_changes_nothing(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let good =
        r#"{"email":"ada@example.com","name":"Ada Lovelace","password":"a-Password-of-Ada-9"}"#;
    for (name, content, problem) in [
        // `tokenhouse dev` would give a known password.
        (
            "a.json",
            format!(r#"{{"users":[{good},{{"email":"bob@example.com","name":"Bob Example"}}]}}"#),
            "a.json: users[1] (bob@example.com): password: is required",
        ),
        (
            "b.toml",
            format!("{TOML}\n[[users]]\nemail = \"cid@example.com\"\ntotp_secret = \"x\"\n"),
            "totp_secret",
        ),
        (
            "c.toml",
            format!("{TOML}\n[[users]]\nemail = 7\n"),
            "c.toml: invalid type: integer `7`, expected a string for key `users.email` at line 15",
        ),
        (
            "d.json",
            format!("{{\"users\":[{good},\n{{\"email\":\"b@example.com\",\"scopes\":7}}]}}"),
            "at line 2",
        ),
        (
            "e.json",
            format!(r#"{{"users":[{good},{}]}}"#, good.replace("ada", "ADA")),
            "users[1] (ADA@example.com): occurs twice",
        ),
        ("f.json", "[]".to_owned(), "expected a JSON object"),
    ] {
        let file = scratch.file(name, &content);
        let (code, error) = app.run(&["import", &file]);
        assert_eq!(code, Some(2), "{name}: {error}");
        assert!(error.contains(problem), "{name}: {error}");
        assert!(!error.contains("a-Password"), "{name}: {error}");
    }
    let file = scratch.file("users.json", JSON);
    for option in [
        ["--token-lifetime", "1h"],
        ["--usernames", "example.com"],
        ["--batch", "1000"],
        ["--max-rows", "10000000"],
    ] {
        let (code, error) = app.run(&["import", &file, option[0], option[1]]);
        assert_eq!(code, Some(2), "{error}");
    }
    assert_eq!(app.database().count("users"), 0);
}

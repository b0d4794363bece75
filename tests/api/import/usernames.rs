//! Users who sign in with a user name at the source do so here, if the operator wants that.

use super::{Scratch, import, sign_in};
use crate::harness::{Backend, TestApp, on_both_databases, run_with_input};

on_both_databases!(
    user_names_sign_in_on_request,
    attempts_with_user_name_count_with_the_address,
    user_name_ends_with_its_user,
);

const PASSWORD: &str = "mulberry-Tram-71";

fn hash(app: &TestApp) -> String {
    let output = run_with_input(&mut app.program(&["hash", "--cost", "4"]), PASSWORD);
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A file of users with these addresses and user names.
fn file(scratch: &Scratch, app: &TestApp, users: &[(&str, &str)]) -> String {
    let hash = hash(app);
    let mut csv = "id,email,username,hashed_password\n".to_owned();
    for (number, (email, username)) in users.iter().enumerate() {
        csv.push_str(&format!("{},{email},{username},{hash}\n", number + 1));
    }
    scratch.file("users.csv", &csv)
}

fn user_names_sign_in_on_request(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let users = [
        ("ada@example.com", "Ada"),
        ("", "bob"),
        ("", "BOB"),
        ("cid@example.com", "bob"),
        ("dan@example.com", "eve@example.com"),
        ("", "not a name"),
    ];
    let file = file(&scratch, &app, &users);
    let without = import(&app, &[&file, "--dry-run"]);
    assert_eq!(without["users"]["imported"], 3);
    assert_eq!(without["users"]["invalid_address"], 3);

    let arguments = [&file, "--usernames", "users.example.com"];
    let dry = import(&app, &[&arguments[..], &["--dry-run"]].concat());
    let report = import(&app, &arguments);
    assert_eq!(dry["problems"], report["problems"]);
    assert_eq!(dry["users"], report["users"]);
    let found = report["problems"].as_array().unwrap().iter();
    let found: Vec<&str> = found
        .map(|found| found["problem"].as_str().unwrap())
        .collect();
    assert_eq!(
        found,
        ["spelled-otherwise", "username-taken", "invalid-address"]
    );
    for (name, expected) in [
        ("ada", 200),
        ("ADA", 200),
        ("Ada@example.com", 200),
        (" bob ", 200),
        ("bob@users.example.com", 200),
        ("cid@example.com", 200),
        ("cid", 401),
        ("dan@example.com", 200),
        ("eve@example.com", 401),
        ("dan", 401),
    ] {
        assert_eq!(sign_in(&app, name, PASSWORD), expected, "{name}");
        assert_eq!(sign_in(&app, name, "wrong-Tram-71"), 401, "{name}");
    }
    let form = |name: &str| {
        let fields = [("username", name), ("password", "wrong-Tram-71")];
        let response = app.post("/token").form(&fields).send();
        (response.status, response.text().to_owned())
    };
    assert_eq!(form("ada"), form("nobody-has-this-name"));
    assert_eq!(form("bob\0").0, 401);
}

fn attempts_with_user_name_count_with_the_address(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_LIMITS", "on")
        .setting("TOKENHOUSE_LIMIT_ACCOUNT", "6")
        .start();
    let file = file(&scratch, &app, &[("ada@example.com", "ada")]);
    import(&app, &[&file, "--usernames", "users.example.com"]);
    let stranger = app.from([127, 5, 5, 5]);
    let guess = |name: &str, password: &str| {
        let fields = [("username", name), ("password", password)];
        stranger.post("/token").form(&fields).send().status
    };
    for _ in 0..5 {
        for name in ["ada", "ADA", "ada@example.com"] {
            assert_eq!(guess(name, "wrong-Tram-71"), 401);
        }
    }
    let accounts = "login_failures WHERE account = subject";
    assert_eq!(app.database().count(accounts), 1);
    for name in ["ada", "ada@example.com"] {
        assert_eq!(guess(name, PASSWORD), 401, "{name} waits");
    }
    let unlocked = app
        .program(&["user", "unlock", "ada@example.com"])
        .output()
        .unwrap();
    assert!(unlocked.status.success(), "{unlocked:?}");
    assert_eq!(guess("ada", PASSWORD), 200);
}

fn user_name_ends_with_its_user(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let file = file(&scratch, &app, &[("ada@example.com", "ada")]);
    import(&app, &[&file, "--usernames", "users.example.com"]);
    assert_eq!(sign_in(&app, "ada", PASSWORD), 200);
    let deleted = app
        .program(&["user", "delete", "ada@example.com"])
        .output()
        .unwrap();
    assert!(deleted.status.success(), "{deleted:?}");
    assert_eq!(sign_in(&app, "ada", PASSWORD), 401);
    assert_eq!(app.database().count("usernames"), 0);
}

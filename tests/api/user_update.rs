//! `tokenhouse user update`: an operator changes a profile or an address.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Backend, Client, ScratchDir, TestApp, on_both_databases};

on_both_databases!(
    new_address_takes_effect_everywhere_and_frees_the_old_one,
    invalid_or_taken_values_change_nothing,
    wait_of_the_account_follows_the_address,
    import_does_not_bring_the_old_address_back,
);

fn sign_in_status(client: &Client, address: &str, password: &str) -> u16 {
    let form = [("username", address), ("password", password)];
    client.post("/token").form(&form).send().status
}

fn new_address_takes_effect_everywhere_and_frees_the_old_one(backend: Backend) {
    let app = TestApp::start(backend);
    let (_process, second) = app.spawn_server();
    let alice = app.register("alice");
    let token = alice.sign_in();
    let key = app.create_key(&token, "").secret;
    let servers = [*app, second];
    for server in servers {
        assert_eq!(server.status("/users/me", &token), 200);
    }
    let update = [
        "user",
        "update",
        "ALICE@example.com",
        "--email",
        "Lovelace@EXAMPLE.org",
        "--surname",
        "King",
        "--name",
        "Ada Lovelace",
        "--website",
        "https://example.org",
        "--json",
    ];
    let (code, printed) = app.run(&update);
    assert_eq!(code, Some(0), "{printed}");
    let updated: Value = serde_json::from_str(&printed).unwrap();
    let expected = json!({
        "id": 1, "name": "Ada Lovelace", "surname": "King", "email": "Lovelace@example.org",
        "website": "https://example.org",
    });
    for server in servers {
        for credential in [&token, &key] {
            let read = server.get("/users/me").bearer(credential).send().json();
            assert_eq!(read, expected);
        }
        assert_eq!(
            sign_in_status(&server, "alice@example.com", &alice.password),
            401
        );
    }
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(updated[name], *value);
    }
    assert_eq!(
        sign_in_status(&second, "lovelace@example.org", &alice.password),
        200
    );
    let details = app.database().texts(
        "SELECT detail AS text FROM audit_events WHERE action = 'user.update' AND target = 'user:1'",
    );
    let detail: Value = serde_json::from_str(&details[0]).unwrap();
    assert_eq!(detail["old_email"], "alice@example.com");
    assert_eq!(detail["new_email"], "Lovelace@example.org");
    assert_eq!(
        detail["fields"],
        json!(["name", "surname", "email", "website"])
    );
    // The old address is free, and the id names the user as well.
    app.register("alice");
    let (code, printed) = app.run(&["user", "update", "1", "--surname", "X"]);
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("Lovelace@example.org"), "{printed}");
}

fn invalid_or_taken_values_change_nothing(backend: Backend) {
    let app = TestApp::start(backend);
    app.register("alice");
    app.register("bobby");
    let users = || {
        app.database()
            .texts("SELECT email || name || surname AS text FROM users ORDER BY id")
    };
    let before = users();
    for (change, problem) in [
        (&["--email", "BOBBY@example.com"][..], "address is taken"),
        (&["--email", "no address"], "email"),
        (&["--email", "new@example.com", "--name", ""], "name"),
        (&["--surname", "a\0b"], ""),
    ] {
        if change.iter().any(|text| text.contains('\0')) {
            continue;
        }
        let (code, printed) = app.run(&[&["user", "update", "alice@example.com"], change].concat());
        assert!(
            code != Some(0) && printed.contains(problem),
            "{change:?}: {printed}"
        );
        assert_eq!(users(), before, "{change:?}");
    }
    assert_eq!(app.run(&["user", "update", "alice@example.com"]).0, Some(2));
    for unknown in ["99", "nobody@example.com", "-1"] {
        let (code, printed) = app.run(&["user", "update", "--surname", "X", "--", unknown]);
        assert_eq!(code, Some(1), "{unknown}: {printed}");
    }
    // Another spelling of the own address is no other user's.
    let (code, printed) = app.run(&[
        "user",
        "update",
        "alice@example.com",
        "--email",
        "Alice@example.com",
    ]);
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!(app.database().count("deleted_users"), 0);
}

fn wait_of_the_account_follows_the_address(backend: Backend) {
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_LIMITS", "on")
        .setting("TOKENHOUSE_LIMIT_ACCOUNT", "3")
        .start();
    let alice = app.register("alice");
    let stranger = app.from([127, 5, 5, 5]);
    for _ in 0..6 {
        assert_eq!(sign_in_status(&stranger, &alice.email, "a-wrong-one"), 401);
    }
    let new = "lovelace@example.org";
    let (code, printed) = app.run(&["user", "update", &alice.email, "--email", new]);
    assert_eq!(code, Some(0), "{printed}");
    assert_eq!(
        sign_in_status(&stranger, new, &alice.password),
        401,
        "it waits"
    );
    assert_eq!(app.run(&["user", "unlock", new]).0, Some(0));
    assert_eq!(sign_in_status(&stranger, new, &alice.password), 200);
}

fn import_does_not_bring_the_old_address_back(backend: Backend) {
    let app = TestApp::start(backend);
    let folder = ScratchDir::new("renamed");
    let file = folder.join("users.csv");
    let hash = tokenhouse::hash_password(b"correct-horse-9!", 4.try_into().unwrap()).unwrap();
    fs::write(
        &file,
        format!("email,hashed_password\nold@example.com,{hash}\n"),
    )
    .unwrap();
    let import = ["import", file.to_str().unwrap()];
    assert_eq!(app.run(&import).0, Some(0));
    let (code, printed) = app.run(&[
        "user",
        "update",
        "old@example.com",
        "--email",
        "new@example.com",
    ]);
    assert_eq!(code, Some(0), "{printed}");
    let (_, report) = app.run(&import);
    assert_eq!(app.database().count("users"), 1, "{report}");
}

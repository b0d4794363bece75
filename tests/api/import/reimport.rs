//! Deleted users and revoked tokens stay so, however often a source is imported.

use serde_json::json;

use super::{Scratch, import, import_after_dry_run, problem_names, sign_in, token};
use crate::harness::{Backend, OWN_SCOPES, Person, TestApp, on_both_databases, run_with_input};

on_both_databases!(
    deleted_users_and_their_tokens_are_not_imported,
    revoked_token_is_not_imported_for_another_user,
    deleted_user_can_register_again,
    duplicate_token_is_imported_for_one_user,
    revoked_tokens_are_pruned_after_expiry_unless_imported,
);

const PASSWORD: &str = "mulberry-Tram-71";

/// Runs a command that must succeed.
fn run(app: &TestApp, arguments: &[&str]) {
    let output = app.program(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A hash of [`PASSWORD`].
fn hash(app: &TestApp) -> String {
    let output = run_with_input(&mut app.program(&["hash", "--cost", "4"]), PASSWORD);
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn deleted_users_and_their_tokens_are_not_imported(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let root = app.register_with("root", OWN_SCOPES).sign_in();
    let names = ["alice", "bobby", "carol", "david"];
    let hash = hash(&app);
    let mut csv = "id,email,hashed_password,name,access_token\n".to_owned();
    for name in names {
        csv.push_str(&format!(
            "{name},{name}@example.com,{hash},{name},{}\n",
            token(name)
        ));
    }
    let file = scratch.file("users.csv", &csv);
    let statuses = || names.map(|name| app.status("/users/me", &token(name)));
    let sign_ins = || names.map(|name| sign_in(&app, &format!("{name}@example.com"), PASSWORD));
    assert_eq!(import(&app, &[&file])["tokens"]["imported"], 4);
    assert_eq!(statuses(), [200; 4]);

    // Deleted by the user, an administrator and the operator; the last one after a sign-out.
    let form = json!({ "current_password": PASSWORD });
    let deleted = app.request("DELETE", "/users/me").bearer(&token("alice"));
    assert_eq!(deleted.json(&form).send().status, 204);
    let path = format!("/admin/users/{}", app.id_of(&token("bobby")));
    assert_eq!(
        app.request("DELETE", &path).bearer(&root).send().status,
        204
    );
    run(&app, &["user", "delete", "carol@example.com"]);
    assert_eq!(
        app.post("/logout").bearer(&token("david")).send().status,
        204
    );
    run(&app, &["user", "delete", "David@EXAMPLE.com"]);

    for _ in 0..2 {
        let report = import_after_dry_run(&app, &[&file]);
        assert_eq!(report["users"]["deleted_here"], 4);
        assert_eq!(report["users"]["imported"], 0);
        assert_eq!(report["tokens"]["imported"], 0);
        let problems = names.map(|name| format!("{name} deleted-here"));
        assert_eq!(problem_names(&report), problems);
        assert_eq!((statuses(), sign_ins()), ([401; 4], [401; 4]));
    }
    assert_eq!(app.database().count("users"), 1);
    let table = app.program(&["import", &file]).output().unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("  skipped: deleted here"), "{table}");

    // The operator can import the users again, but never the tokens.
    let report = import_after_dry_run(&app, &[&file, "--again"]);
    assert_eq!(report["users"]["imported"], 4);
    assert_eq!(report["tokens"]["ended_here"], 4);
    assert_eq!(report["tokens"]["imported"], 0);
    assert_eq!(statuses(), [401; 4]);
    assert_eq!(sign_ins(), [200; 4]);
    assert_eq!(statuses(), [401; 4]);
    let recorded = "audit_events WHERE action = 'import' AND detail LIKE '%\"again\":true%'";
    assert_eq!(app.database().count(recorded), 1);
    let report = import_after_dry_run(&app, &[&file]);
    assert_eq!(report["users"]["already_there"], 4);
}

fn revoked_token_is_not_imported_for_another_user(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let hash = hash(&app);
    // Imported tokens are revoked, and tokens of later sign-ins.
    let methods = [
        "logout", "revoke", "signin", "signout", "disable", "delete", "tokens",
    ];
    let mut imported = "email,hashed_password,access_token\n".to_owned();
    for method in methods {
        imported.push_str(&format!("{method}@example.com,{hash},{}\n", token(method)));
    }
    import(&app, &[&scratch.file("users.csv", &imported)]);
    let revoke_by = |method: &str, token: &str| {
        let email = format!("{method}@example.com");
        match method {
            "logout" => assert_eq!(app.post("/logout").bearer(token).send().status, 204),
            "revoke" => {
                let revoke = app.post("/revoke").form(&[("token", token)]);
                assert_eq!(revoke.send().status, 200);
            }
            "signin" => assert_eq!(sign_in(&app, &email, PASSWORD), 200),
            "signout" => run(&app, &["user", "sign-out", &email]),
            "disable" => {
                run(&app, &["user", "disable", &email]);
                run(&app, &["user", "enable", &email]);
            }
            "tokens" => run(&app, &["token", "revoke", &email]),
            _ => run(&app, &["user", "delete", &email]),
        }
        assert_eq!(app.status("/users/me", token), 401, "{method}");
    };
    let mut revoked = Vec::new();
    for method in methods {
        revoke_by(method, &token(method));
        revoked.push(token(method));
        if method != "delete" {
            let issued = Person {
                client: *app,
                email: format!("{method}@example.com"),
                password: PASSWORD.to_owned(),
            };
            let issued = issued.sign_in();
            revoke_by(method, &issued);
            revoked.push(issued);
        }
    }
    let mut reassigned = "email,hashed_password,access_token\n".to_owned();
    for (number, token) in revoked.iter().enumerate() {
        reassigned.push_str(&format!("reassigned{number}@example.com,!,{token}\n"));
    }
    let file = scratch.file("reassigned.csv", &reassigned);
    let report = import_after_dry_run(&app, &[&file]);
    assert_eq!(report["users"]["imported"], revoked.len());
    assert_eq!(report["tokens"]["ended_here"], revoked.len());
    for token in &revoked {
        assert_eq!(app.status("/users/me", token), 401);
    }
}

fn deleted_user_can_register_again(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    let id = app.id_of(&alice.sign_in());
    run(&app, &["user", "delete", &alice.email]);
    let stored = app
        .database()
        .texts("SELECT address_digest AS text FROM deleted_users");
    let [digest] = stored.as_slice() else {
        panic!("{stored:?}");
    };
    assert!(digest.len() == 64 && !digest.contains('@'), "{digest}");

    let alice = app.register("alice");
    assert!(app.id_of(&alice.sign_in()) > id);
    let csv = format!(
        "email,hashed_password,access_token\nalice@example.com,!,{}\n",
        token("a")
    );
    let report = import_after_dry_run(&app, &[&scratch.file("users.csv", &csv)]);
    assert_eq!(report["users"]["deleted_here"], 0);
    assert_eq!(report["users"]["address_taken"], 1);
    run(&app, &["user", "delete", &alice.email]);
    assert_eq!(app.database().count("deleted_users"), 1);
}

fn duplicate_token_is_imported_for_one_user(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let carol = app.register("carol").sign_in();
    let csv = format!(
        "email,hashed_password,access_token\n\
         alice@example.com,!,{0}\nbob@example.com,!,{0}\ndan@example.com,!,{carol}\n",
        token("a")
    );
    let file = scratch.file("users.csv", &csv);
    // In one batch, and in several.
    for arguments in [vec!["--dry-run", "--batch", "1"], vec![]] {
        let report = import(&app, &[&[file.as_str()], arguments.as_slice()].concat());
        assert_eq!(report["users"]["imported"], 3);
        assert_eq!(report["tokens"]["imported"], 1);
        assert_eq!(report["tokens"]["of_another_user"], 2);
    }
    let owner = app.get("/users/me").bearer(&token("a")).send().json();
    assert_eq!(owner["email"], "alice@example.com");
    let owner = app.get("/users/me").bearer(&carol).send().json();
    assert_eq!(owner["email"], "carol@example.com");
}

fn revoked_tokens_are_pruned_after_expiry_unless_imported(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let csv = format!(
        "email,hashed_password,access_token\nalice@example.com,!,{}\n",
        token("a")
    );
    import(&app, &[&scratch.file("users.csv", &csv)]);
    for _ in 0..3 {
        app.register(&format!("user{}", rand::random::<u64>()))
            .sign_in();
    }
    run(&app, &["user", "sign-out", "alice@example.com"]);
    let spent = |condition: &str| app.database().count(&format!("spent_tokens{condition}"));
    assert_eq!((spent(""), spent(" WHERE expiration_date IS NULL")), (1, 1));
    app.database()
        .execute("UPDATE access_tokens SET expiration_date = '2020-01-01 00:00:00'");
    app.database()
        .execute("DELETE FROM access_tokens WHERE user_id = 2");
    assert_eq!(spent(""), 2);
    run(&app, &["token", "prune"]);
    assert_eq!((spent(""), spent(" WHERE expiration_date IS NULL")), (1, 1));
}

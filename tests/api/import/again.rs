//! What was deleted or ended here stays so, however often a source is imported.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use super::{Scratch, import, sign_in, token};
use crate::harness::{Backend, OWN_SCOPES, Person, TestApp, on_both_databases};

on_both_databases!(
    deleted_users_and_their_tokens_stay_out,
    a_token_that_has_ended_is_imported_for_no_other_user,
    who_was_deleted_may_register_again,
    a_token_goes_to_one_user_only,
    ended_tokens_are_forgotten_when_they_would_have_expired_unless_they_were_imported,
);

const PASSWORD: &str = "mulberry-Tram-71";

/// Runs a command that is to succeed.
fn operate(app: &TestApp, arguments: &[&str]) {
    let output = app.program(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A hash of [`PASSWORD`].
fn hash(app: &TestApp) -> String {
    let mut command = app.program(&["hash", "--cost", "4"]);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = command.spawn().unwrap();
    let mut stdin = running.stdin.take().unwrap();
    stdin.write_all(PASSWORD.as_bytes()).unwrap();
    drop(stdin);
    let output = running.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What an import says it did, without what differs from a dry run.
fn counts(mut report: Value) -> Value {
    for name in ["seconds", "users_per_second", "dry_run"] {
        report.as_object_mut().unwrap().remove(name);
    }
    report
}

/// Imports, after a dry run that has to say the same.
fn rehearse_and_import(app: &TestApp, arguments: &[&str]) -> Value {
    let dry = counts(import(app, &[arguments, &["--dry-run"]].concat()));
    let report = counts(import(app, arguments));
    assert_eq!(dry, report);
    report
}

fn deleted_users_and_their_tokens_stay_out(backend: Backend) {
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

    // By the user, by an administrator, by the operator, and after a sign-out.
    let form = json!({ "current_password": PASSWORD });
    let deleted = app.request("DELETE", "/users/me").bearer(&token("alice"));
    assert_eq!(deleted.json(&form).send().status, 204);
    let path = format!("/admin/users/{}", app.id_of(&token("bobby")));
    assert_eq!(
        app.request("DELETE", &path).bearer(&root).send().status,
        204
    );
    operate(&app, &["user", "delete", "carol@example.com"]);
    assert_eq!(
        app.post("/logout").bearer(&token("david")).send().status,
        204
    );
    operate(&app, &["user", "delete", "David@EXAMPLE.com"]);

    for _ in 0..2 {
        let report = rehearse_and_import(&app, &[&file]);
        assert_eq!(report["users"]["deleted_here"], 4);
        assert_eq!(report["users"]["imported"], 0);
        assert_eq!(report["tokens"]["imported"], 0);
        let problems: Vec<_> = names
            .map(|name| json!({"id": name, "problem": "deleted-here"}))
            .into();
        assert_eq!(report["problems"], json!(problems));
        assert_eq!((statuses(), sign_ins()), ([401; 4], [401; 4]));
    }
    assert_eq!(app.database().count("users"), 1);
    let table = app.program(&["import", &file]).output().unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("  left out: deleted here"), "{table}");

    // The operator may bring the users back, and nothing brings the tokens back.
    let report = rehearse_and_import(&app, &[&file, "--again"]);
    assert_eq!(report["users"]["imported"], 4);
    assert_eq!(report["tokens"]["ended_here"], 4);
    assert_eq!(report["tokens"]["imported"], 0);
    assert_eq!(statuses(), [401; 4]);
    assert_eq!(sign_ins(), [200; 4]);
    assert_eq!(statuses(), [401; 4]);
    let on_record = "audit_events WHERE action = 'import' AND detail LIKE '%\"again\":true%'";
    assert_eq!(app.database().count(on_record), 1);
    let report = rehearse_and_import(&app, &[&file]);
    assert_eq!(report["users"]["already_there"], 4);
}

fn a_token_that_has_ended_is_imported_for_no_other_user(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let hash = hash(&app);
    // Those of the import end by themselves, those of a sign-in as well.
    let ways = [
        "logout", "revoke", "signin", "signout", "disable", "delete", "tokens",
    ];
    let mut imported = "email,hashed_password,access_token\n".to_owned();
    for way in ways {
        imported.push_str(&format!("{way}@example.com,{hash},{}\n", token(way)));
    }
    import(&app, &[&scratch.file("users.csv", &imported)]);
    let end = |way: &str, token: &str| {
        let email = format!("{way}@example.com");
        match way {
            "logout" => assert_eq!(app.post("/logout").bearer(token).send().status, 204),
            "revoke" => {
                let revoke = app.post("/revoke").form(&[("token", token)]);
                assert_eq!(revoke.send().status, 200);
            }
            "signin" => assert_eq!(sign_in(&app, &email, PASSWORD), 200),
            "signout" => operate(&app, &["user", "sign-out", &email]),
            "disable" => {
                operate(&app, &["user", "disable", &email]);
                operate(&app, &["user", "enable", &email]);
            }
            "tokens" => operate(&app, &["token", "revoke", &email]),
            _ => operate(&app, &["user", "delete", &email]),
        }
        assert_eq!(app.status("/users/me", token), 401, "{way}");
    };
    let mut ended = Vec::new();
    for way in ways {
        end(way, &token(way));
        ended.push(token(way));
        if way != "delete" {
            let issued = Person {
                client: *app,
                email: format!("{way}@example.com"),
                password: PASSWORD.to_owned(),
            };
            let issued = issued.sign_in();
            end(way, &issued);
            ended.push(issued);
        }
    }
    let mut moved = "email,hashed_password,access_token\n".to_owned();
    for (number, token) in ended.iter().enumerate() {
        moved.push_str(&format!("moved{number}@example.com,!,{token}\n"));
    }
    let file = scratch.file("moved.csv", &moved);
    let report = rehearse_and_import(&app, &[&file]);
    assert_eq!(report["users"]["imported"], ended.len());
    assert_eq!(report["tokens"]["ended_here"], ended.len());
    for token in &ended {
        assert_eq!(app.status("/users/me", token), 401);
    }
}

fn who_was_deleted_may_register_again(backend: Backend) {
    let scratch = Scratch::new();
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    let id = app.id_of(&alice.sign_in());
    operate(&app, &["user", "delete", &alice.email]);
    let kept = app
        .database()
        .texts("SELECT address_digest AS text FROM deleted_users");
    let [digest] = kept.as_slice() else {
        panic!("{kept:?}");
    };
    assert!(digest.len() == 64 && !digest.contains('@'), "{digest}");

    let alice = app.register("alice");
    assert!(app.id_of(&alice.sign_in()) > id);
    let csv = format!(
        "email,hashed_password,access_token\nalice@example.com,!,{}\n",
        token("a")
    );
    let report = rehearse_and_import(&app, &[&scratch.file("users.csv", &csv)]);
    assert_eq!(report["users"]["deleted_here"], 0);
    assert_eq!(report["users"]["address_taken"], 1);
    operate(&app, &["user", "delete", &alice.email]);
    assert_eq!(app.database().count("deleted_users"), 1);
}

fn a_token_goes_to_one_user_only(backend: Backend) {
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

fn ended_tokens_are_forgotten_when_they_would_have_expired_unless_they_were_imported(
    backend: Backend,
) {
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
    operate(&app, &["user", "sign-out", "alice@example.com"]);
    let spent = |of: &str| app.database().count(&format!("spent_tokens{of}"));
    assert_eq!((spent(""), spent(" WHERE expiration_date IS NULL")), (1, 1));
    app.database()
        .execute("UPDATE access_tokens SET expiration_date = '2020-01-01 00:00:00'");
    app.database()
        .execute("DELETE FROM access_tokens WHERE user_id = 2");
    assert_eq!(spent(""), 2);
    operate(&app, &["token", "prune"]);
    assert_eq!((spent(""), spent(" WHERE expiration_date IS NULL")), (1, 1));
}

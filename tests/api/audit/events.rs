//! Each operation writes one audit row with all its details; failed operations write none.

use serde_json::{Value, json};

use super::{administrator, program, sign_in};
use crate::harness::{Backend, Request, Response, TestApp, on_both_databases};

on_both_databases!(
    every_user_operation_writes_one_event,
    every_admin_operation_writes_one_event,
    every_command_writes_one_event,
    every_refusal_writes_one_event,
    failed_operation_leaves_no_change_and_no_event,
    trail_contains_no_secrets,
);

/// The user agent of every request.
const USER_AGENT: &str = "probe/1";

/// Actor, credential, level, action, target, result and detail.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Value,
);

/// Reads the audit rows that were added since the last call.
struct EventWatcher<'a> {
    app: &'a TestApp,
    seen: usize,
}

impl<'a> EventWatcher<'a> {
    fn new(app: &'a TestApp) -> Self {
        let mut watcher = Self { app, seen: 0 };
        watcher.new_rows();
        watcher
    }

    fn new_rows(&mut self) -> Vec<Vec<String>> {
        let columns = [
            "actor",
            "credential",
            "level",
            "action",
            "target",
            "result",
            "detail",
            "ip",
            "user_agent",
            "client_request_id",
            "request_id",
        ];
        let query = format!(
            "SELECT {} AS text FROM audit_events WHERE id > {} ORDER BY id",
            columns.join(" || '|' || "),
            self.seen
        );
        let rows = self.app.database().texts(&query);
        self.seen += rows.len();
        let split = |row: &String| row.split('|').map(str::to_owned).collect();
        rows.iter().map(split).collect()
    }

    /// Sends a request and checks its status and the exact rows that it adds.
    fn expect(&mut self, request: Request, status: u16, expected: &[Row]) -> Response {
        let id = format!("request-{:08}", self.seen);
        let request = request.header("X-Request-Id", &id);
        let response = request.header("User-Agent", USER_AGENT).send();
        assert_eq!(response.status, status, "{response:?}");
        let rows = self.check(expected);
        for row in rows {
            assert_eq!(
                row[7..10],
                ["127.0.0.1", USER_AGENT, id.as_str()],
                "{row:?}"
            );
            let is_generated =
                row[10].len() == 32 && row[10].bytes().all(|b| b.is_ascii_hexdigit());
            assert!(is_generated, "{row:?}");
        }
        response
    }

    /// Runs an operator command; its events have no address, user agent or request id.
    fn expect_command(&mut self, arguments: &[&str], expected: &[Row]) {
        let output = program(self.app, arguments, "the password of carol");
        assert!(output.status.success(), "{output:?}");
        for row in self.check(expected) {
            assert_eq!(row[7..], ["", "", "", ""], "{row:?}");
        }
    }

    fn check(&mut self, expected: &[Row]) -> Vec<Vec<String>> {
        let rows = self.new_rows();
        assert_eq!(rows.len(), expected.len(), "{rows:?}");
        for (row, (actor, credential, level, action, target, result, detail)) in
            rows.iter().zip(expected)
        {
            let mut row = row.clone();
            // `commands.rs` checks the operator's uid.
            if let Some(kind) = row[0].strip_prefix("operator:") {
                assert!(
                    kind.starts_with(|first: char| first.is_ascii_digit()),
                    "{row:?}"
                );
                row[0] = "operator".to_owned();
            }
            let texts = [*actor, credential, level, action, target, result];
            assert_eq!(row[..6], texts, "{row:?}");
            let written: Value = serde_json::from_str(&row[6]).unwrap_or_default();
            assert_eq!(written, *detail, "{row:?}");
        }
        rows
    }
}

fn form(app: &TestApp, email: &str, password: &str) -> Request {
    let fields = [("username", email), ("password", password)];
    app.post("/token").form(&fields)
}

const ALICE: &str = "alice@example.com";
const PASSWORD: &str = "the password of alice";

fn registration(name: &str) -> Value {
    json!({
        "name": format!("{name} Example"),
        "surname": "Example",
        "email": format!("{name}@example.com"),
        "website": "",
        "password": format!("the password of {name}"),
    })
}

fn every_user_operation_writes_one_event(backend: Backend) {
    let app = TestApp::start(backend);
    let mut watcher = EventWatcher::new(&app);
    let (ok, me, none) = ("ok", "user:1", Value::Null);
    let register = app.post("/register").json(&registration("alice"));
    watcher.expect(
        register,
        201,
        &[("anonymous", "", "", "register", me, ok, none.clone())],
    );
    let login = |scopes: &str| {
        let detail = json!({"scopes": scopes});
        [(me, "password", "account", "login", me, ok, detail)]
    };
    let response = watcher.expect(form(&app, ALICE, PASSWORD), 200, &login(""));
    let token = response.json()["access_token"].as_str().unwrap().to_owned();

    let account = |action, target, detail| [(me, "login", "account", action, target, ok, detail)];
    let patch = app.request("PATCH", "/users/me").bearer(&token);
    let patch = patch.json(&json!({"surname": "Liddell", "website": "x"}));
    let fields = json!({"fields": ["surname", "website"]});
    watcher.expect(patch, 200, &account("user.update", me, fields));
    let patch = app.request("PATCH", "/users/me").bearer(&token);
    watcher.expect(patch.json(&json!({})), 200, &[]);

    let new_key = || {
        app.post("/users/me/keys")
            .bearer(&token)
            .json(&json!({"name": "k"}))
    };
    let created = |target| account("key.create", target, json!({"scopes": ""}));
    watcher.expect(new_key(), 201, &created("key:1"));
    watcher.expect(new_key(), 201, &created("key:2"));
    let third = watcher.expect(new_key(), 201, &created("key:3"));
    let third = third.json()["key"].as_str().unwrap().to_owned();
    let revoke = app.request("DELETE", "/users/me/keys/1").bearer(&token);
    watcher.expect(revoke, 204, &account("key.revoke", "key:1", none.clone()));
    let revoke = || app.post("/revoke").form(&[("token", third.as_str())]);
    let by_key = [(
        me,
        "key:3",
        "possession",
        "token.revoke",
        "key:3",
        ok,
        none.clone(),
    )];
    watcher.expect(revoke(), 200, &by_key);
    watcher.expect(revoke(), 200, &[]);
    watcher.expect(app.get("/users/me/events").bearer(&token), 200, &[]);
    watcher.expect(new_key(), 201, &created("key:4"));

    let change = json!({
        "current_password": PASSWORD,
        "new_password": "another password of alice",
        "keep_keys": [4, 77],
    });
    let change = app.post("/users/me/password").bearer(&token).json(&change);
    watcher.expect(
        change,
        204,
        &account("password.change", me, json!({"keys": [2]})),
    );
    let sign_in = || form(&app, ALICE, "another password of alice");
    let response = watcher.expect(sign_in(), 200, &login(""));
    let token = response.json()["access_token"].as_str().unwrap().to_owned();
    let logout = app.post("/logout").bearer(&token);
    watcher.expect(logout, 204, &account("logout", me, none.clone()));
    let response = watcher.expect(sign_in(), 200, &login(""));
    let token = response.json()["access_token"].as_str().unwrap().to_owned();
    let revoke = app.post("/revoke").form(&[("token", token.as_str())]);
    let by_token = [(
        me,
        "login",
        "possession",
        "token.revoke",
        me,
        ok,
        none.clone(),
    )];
    watcher.expect(revoke, 200, &by_token);
    let response = watcher.expect(sign_in(), 200, &login(""));
    let token = response.json()["access_token"].as_str().unwrap().to_owned();
    let delete = app.request("DELETE", "/users/me").bearer(&token);
    let delete = delete.json(&json!({"current_password": "another password of alice"}));
    let before = app.database().count("audit_events");
    watcher.expect(delete, 204, &account("user.delete", me, none));
    assert_eq!(app.database().count("users"), 0);
    assert_eq!(
        app.database().count("audit_events"),
        before + 1,
        "the events stay"
    );
}

fn every_admin_operation_writes_one_event(backend: Backend) {
    let app = TestApp::start(backend);
    let admin = administrator(&app);
    app.register("alice");
    let mut watcher = EventWatcher::new(&app);
    let by =
        |level, action, target, detail| ("user:1", "login", level, action, target, "ok", detail);
    let write = |action, target, detail| by("users:write", action, target, detail);
    let read = |target, detail| by("users:read", "user.read", target, detail);
    let none = Value::Null;
    let ended = |token: bool, keys: usize| json!({"token": token, "keys": keys});

    let list = app.get("/admin/users?limit=7").bearer(&admin);
    watcher.expect(list, 200, &[read("", json!({"limit": 7}))]);
    watcher.expect(
        app.get("/admin/users/2").bearer(&admin),
        200,
        &[read("user:2", none.clone())],
    );
    watcher.expect(app.get("/admin/users/77").bearer(&admin), 404, &[]);
    let events = app.get("/admin/events").bearer(&admin);
    watcher.expect(
        events,
        200,
        &[by("events:read", "event.read", "", none.clone())],
    );

    let mut bob = registration("bobby");
    bob["scopes"] = json!("orders:read users:read");
    let create = app.post("/admin/users").bearer(&admin).json(&bob);
    let scopes = json!({"scopes": "orders:read users:read"});
    watcher.expect(create, 201, &[write("user.create", "user:3", scopes)]);
    let patch = |body: Value| {
        app.request("PATCH", "/admin/users/3")
            .bearer(&admin)
            .json(&body)
    };
    let scopes = json!({"before": "orders:read users:read", "after": "users:read"});
    watcher.expect(
        patch(json!({"scopes_remove": "orders:read"})),
        200,
        &[write("user.scopes", "user:3", scopes)],
    );
    watcher.expect(patch(json!({"scopes_remove": "orders:read"})), 200, &[]);
    let fields = json!({"fields": ["name"]});
    watcher.expect(
        patch(json!({"name": "Robert"})),
        200,
        &[write("user.update", "user:3", fields)],
    );
    watcher.expect(
        patch(json!({"disabled": true})),
        200,
        &[write("user.disable", "user:3", ended(false, 0))],
    );
    watcher.expect(patch(json!({"disabled": true})), 200, &[]);
    watcher.expect(
        patch(json!({"disabled": false})),
        200,
        &[write("user.enable", "user:3", ended(false, 0))],
    );
    let bob = sign_in(&app, "bobby@example.com", "the password of bobby");
    app.create_key(&bob, "");
    watcher.new_rows();
    let out = app
        .request("DELETE", "/admin/users/3/tokens")
        .bearer(&admin);
    watcher.expect(
        out,
        204,
        &[write("user.sign-out", "user:3", ended(true, 1))],
    );
    let delete = || app.request("DELETE", "/admin/users/3").bearer(&admin);
    watcher.expect(delete(), 204, &[write("user.delete", "user:3", none)]);
    watcher.expect(delete(), 404, &[]);
}

fn every_command_writes_one_event(backend: Backend) {
    let app = TestApp::start(backend);
    let mut watcher = EventWatcher::new(&app);
    let by = |action, target, detail| {
        (
            "operator", "shell", "operator", action, target, "ok", detail,
        )
    };
    let (user, none) = ("user:1", Value::Null);
    let ended = json!({"token": false, "keys": 0});
    let address = "carol@example.com";
    let create = [
        "user",
        "create",
        address,
        "--name",
        "Carol",
        "--scope",
        "users:read",
    ];
    watcher.expect_command(
        &create,
        &[by("user.create", user, json!({"scopes": "users:read"}))],
    );
    watcher.expect_command(
        &["user", "list"],
        &[by("user.read", "", json!({"limit": 100}))],
    );
    watcher.expect_command(
        &["user", "disable", address],
        &[by("user.disable", user, ended.clone())],
    );
    watcher.expect_command(&["user", "disable", address], &[]);
    watcher.expect_command(
        &["user", "enable", address],
        &[by("user.enable", user, ended.clone())],
    );
    let scopes = json!({"before": "users:read", "after": "users:read orders:read"});
    watcher.expect_command(
        &["user", "grant", address, "orders:read"],
        &[by("user.scopes", user, scopes)],
    );
    sign_in(&app, address, "the password of carol");
    watcher.new_rows();
    watcher.expect_command(
        &["token", "revoke", address],
        &[by("token.revoke", user, none.clone())],
    );
    watcher.expect_command(&["token", "revoke", address], &[]);
    watcher.expect_command(
        &["user", "sign-out", address],
        &[by("user.sign-out", user, ended)],
    );
    watcher.expect_command(
        &["user", "delete", address],
        &[by("user.delete", user, none)],
    );
    let shown = json!({"limit": 10, "follow": false});
    watcher.expect_command(&["audit", "tail"], &[by("event.read", "", shown)]);
    watcher.expect_command(&["audit", "verify"], &[]);
}

fn every_refusal_writes_one_event(backend: Backend) {
    let app = TestApp::start(backend);
    let admin = administrator(&app);
    app.register("alice");
    let token = sign_in(&app, ALICE, PASSWORD);
    let mut watcher = EventWatcher::new(&app);
    let anonymous = |target, reason: &str| {
        let detail = json!({"reason": reason});
        [("anonymous", "", "", "login", target, "refused", detail)]
    };
    let alice = "user:2";
    watcher.expect(
        form(&app, "nobody@example.com", "x"),
        401,
        &anonymous("", "unknown-user"),
    );
    watcher.expect(
        form(&app, "no address", "x"),
        401,
        &anonymous("", "unknown-user"),
    );
    watcher.expect(
        form(&app, ALICE, "wrong"),
        401,
        &anonymous(alice, "wrong-password"),
    );
    let by_alice = |credential, action, target, detail| {
        [(
            alice, credential, "account", action, target, "refused", detail,
        )]
    };
    let fields = [
        ("username", ALICE),
        ("password", PASSWORD),
        ("scope", "users:write"),
    ];
    let scope = by_alice("password", "login", alice, json!({"reason": "scope"}));
    watcher.expect(app.post("/token").form(&fields), 400, &scope);

    let wrong = json!({"current_password": "wrong", "new_password": "a much longer passphrase"});
    let reason = json!({"reason": "wrong-password"});
    let change = app.post("/users/me/password").bearer(&token).json(&wrong);
    watcher.expect(
        change,
        403,
        &by_alice("login", "password.change", alice, reason.clone()),
    );
    let delete = app.request("DELETE", "/users/me").bearer(&token);
    let delete = delete.json(&json!({"current_password": "wrong"}));
    watcher.expect(
        delete,
        403,
        &by_alice("login", "user.delete", alice, reason),
    );

    let refused = |scope| {
        [(
            alice,
            "login",
            scope,
            "scope.refused",
            "",
            "refused",
            Value::Null,
        )]
    };
    watcher.expect(
        app.get("/admin/users").bearer(&token),
        403,
        &refused("users:read"),
    );
    watcher.expect(
        app.get("/admin/events").bearer(&token),
        403,
        &refused("events:read"),
    );
    watcher.expect(
        app.get("/verify?scope=a+b").bearer(&token),
        403,
        &refused("a"),
    );

    let disable = app.request("PATCH", "/admin/users/2").bearer(&admin);
    assert_eq!(disable.json(&json!({"disabled": true})).send().status, 200);
    watcher.new_rows();
    watcher.expect(
        form(&app, ALICE, PASSWORD),
        401,
        &anonymous(alice, "disabled"),
    );
}

fn failed_operation_leaves_no_change_and_no_event(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let rows = app.database().count("audit_events");
    let counted = || app.database().count("audit_events");
    let taken = app.post("/register").json(&registration("alice")).send();
    assert_eq!((taken.status, counted()), (409, rows), "{taken:?}");
    let missing_scope = json!({"name": "k", "scopes": "users:write"});
    let key = app
        .post("/users/me/keys")
        .bearer(&token)
        .json(&missing_scope)
        .send();
    assert_eq!((key.status, counted()), (422, rows), "{key:?}");

    // When the trail cannot be written, the operation fails.
    app.database()
        .execute("ALTER TABLE audit_head RENAME TO taken_away");
    let created = app
        .post("/users/me/keys")
        .bearer(&token)
        .json(&json!({"name": "k"}));
    assert_eq!(created.send().status, 503);
    let register = app.post("/register").json(&registration("bobby"));
    assert_eq!(register.send().status, 503);
    assert_eq!(app.post("/logout").bearer(&token).send().status, 503);
    app.database()
        .execute("ALTER TABLE taken_away RENAME TO audit_head");
    assert_eq!(counted(), rows);
    assert_eq!(
        (
            app.database().count("api_keys"),
            app.database().count("users")
        ),
        (0, 1)
    );
    assert_eq!(app.get("/users/me").bearer(&token).send().status, 200);
}

fn trail_contains_no_secrets(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = super::create_history(&app);
    let token = alice.sign_in();
    let key = app.create_key(&token, "").secret;
    // A password typed into the user name field, as happens.
    form(&app, "the secret of alice", "wrong").send();
    let wrong =
        json!({"current_password": "a wrong secret", "new_password": "a much longer secret"});
    app.post("/users/me/password")
        .bearer(&token)
        .json(&wrong)
        .send();
    app.get("/users/me").bearer(&key).send();
    let columns = [
        "actor",
        "credential",
        "level",
        "action",
        "target",
        "result",
        "ip",
        "user_agent",
        "request_id",
        "client_request_id",
        "detail",
    ];
    let digests = app.database().texts(
        "SELECT key_digest AS text FROM api_keys UNION ALL SELECT access_token FROM access_tokens
         UNION ALL SELECT hashed_password FROM users UNION ALL SELECT secret FROM instance_secrets",
    );
    let typed = [
        "secret",
        "password of",
        "wrong 0",
        "alice@",
        "Liddell",
        &token,
        &key,
    ];
    for column in columns {
        for text in app
            .database()
            .texts(&format!("SELECT {column} AS text FROM audit_events"))
        {
            let secrets = digests.iter().map(String::as_str).chain(typed);
            for secret in secrets {
                assert!(!text.contains(secret), "{column}: {text}");
            }
        }
    }
}

//! The audit trail: its contents, who may read it, and that tampering is detected.

mod access;
mod clock;
mod commands;
mod events;
mod key;
mod limits;
mod tampering;

use std::process::Output;

use serde_json::{Value, json};
use tokenhouse::audit::Verification;
use tokenhouse::{Auth, Config};

use crate::harness::{Person, TestApp, run_with_input, runtime};

/// Runs the program on the database of an app, with this standard input.
fn program(app: &TestApp, arguments: &[&str], input: &str) -> Output {
    run_with_input(&mut app.program(arguments), input)
}

/// Creates an administrator and returns a login token for them.
fn administrator(app: &TestApp) -> String {
    let scopes = ["users:read", "users:write", "events:read", "orders:read"];
    let mut arguments = vec!["user", "create", "admin@example.com", "--name", "Admin"];
    arguments.extend(scopes.iter().flat_map(|scope| ["--scope", scope]));
    let output = program(app, &arguments, "the password of admin");
    assert!(output.status.success(), "{output:?}");
    sign_in(app, "admin@example.com", "the password of admin")
}

fn sign_in(app: &TestApp, email: &str, password: &str) -> String {
    let fields = [("username", email), ("password", password)];
    let response = app.post("/token").form(&fields).send();
    assert_eq!(response.status, 200, "{response:?}");
    response.json()["access_token"].as_str().unwrap().to_owned()
}

/// A page of events, and the link to the next page.
fn page(app: &TestApp, token: &str, path: &str) -> (Vec<Value>, Option<String>) {
    let response = app.get(path).bearer(token).send();
    assert_eq!(response.status, 200, "{path}: {response:?}");
    let body = response.json();
    let next = body["next"].as_str().map(str::to_owned);
    (body["events"].as_array().unwrap().clone(), next)
}

/// The service without a server, used to verify the trail, with this chain key or the one in the
/// database.
pub struct Auditor {
    auth: Auth,
    runtime: tokio::runtime::Runtime,
}

impl Auditor {
    pub fn new(app: &TestApp, key: Option<&str>) -> Self {
        let mut settings = vec![
            ("DATABASE_URL".to_owned(), app.database().url()),
            ("TOKENHOUSE_DATABASE_POOL_SIZE".to_owned(), "1".to_owned()),
        ];
        settings.extend(key.map(|key| ("TOKENHOUSE_AUDIT_KEY".to_owned(), key.to_owned())));
        Self {
            auth: Auth::open(&Config::from_vars(settings).unwrap()).unwrap(),
            runtime: runtime(),
        }
    }

    fn verify(&self) -> Verification {
        self.runtime.block_on(self.auth.audit().verify()).unwrap()
    }

    /// The problems, as they are printed.
    pub fn problems(&self) -> Vec<String> {
        let problems = self.verify().problems;
        problems.iter().map(ToString::to_string).collect()
    }
}

/// Drops the triggers that block manual changes, as the owner of the tables can.
fn drop_triggers(app: &TestApp) {
    let on = match app.database().url().starts_with("postgres") {
        true => " ON audit_events",
        false => "",
    };
    let mut triggers = vec!["changed", "deleted"];
    if !on.is_empty() {
        triggers.push("emptied");
    }
    for trigger in triggers {
        let drop = format!("DROP TRIGGER audit_events_are_not_{trigger}{on}");
        app.database().execute(&drop);
    }
}

/// Creates two users and runs most operations a user has.
fn create_history(app: &TestApp) -> Person {
    let admin = administrator(app);
    let alice = app.register("alice");
    let token = alice.sign_in();
    let key = app.create_key(&token, "");
    assert_eq!(app.get("/users/me").bearer(&key.secret).send().status, 200);
    // Written asynchronously, within seconds; later it would disturb the tests.
    let started = std::time::Instant::now();
    while app
        .database()
        .count("audit_events WHERE action = 'key.first-use'")
        == 0
    {
        assert!(
            started.elapsed().as_secs() < 20,
            "the first use was not recorded"
        );
    }
    app.request("PATCH", "/users/me")
        .bearer(&token)
        .json(&json!({"surname": "Liddell"}))
        .send();
    let delete = app.request("DELETE", format!("/users/me/keys/{}", key.id));
    assert_eq!(delete.bearer(&token).send().status, 204);
    for change in [
        json!({"scopes_add": "orders:read"}),
        json!({"disabled": true}),
        json!({"disabled": false}),
    ] {
        let patch = app.request("PATCH", "/admin/users/2").bearer(&admin);
        assert_eq!(patch.json(&change).send().status, 200);
    }
    for wrong in 0..5 {
        let password = format!("wrong {wrong}");
        let fields = [("username", alice.email.as_str()), ("password", &password)];
        assert_eq!(app.post("/token").form(&fields).send().status, 401);
    }
    for _ in 0..8 {
        alice.sign_in();
    }
    alice
}

//! The audit trail: its contents, who may read it, and that tampering is detected. This file has the
//! tests of reading: permissions, pagination, `audit tail`, and retention.

mod clock;
mod commands;
mod events;
mod key;
mod limits;
mod tampering;

use std::process::Output;

use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};
use tokenhouse::audit::Verification;
use tokenhouse::{Auth, Clock, Config};

use crate::harness::{Backend, Person, TestApp, on_both_databases, run_with_input, runtime};

on_both_databases!(
    users_see_own_events_without_addresses_of_others,
    client_request_id_is_recorded_separately,
    pagination_lists_every_event_once,
    filters_select_matching_events,
    audit_tail_follows_new_events,
    pruning_deletes_old_events_and_keeps_the_rest_verifiable,
);

/// Runs the program on the database of an app, with this standard input.
fn program(app: &TestApp, arguments: &[&str], input: &str) -> Output {
    run_with_input(&mut app.program(arguments), input)
}

/// Runs a command; returns its exit code and output.
fn run(app: &TestApp, arguments: &[&str]) -> (Option<i32>, String) {
    let output = program(app, arguments, "");
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(printed).unwrap())
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
/// Removes what protects the events, so that a test can change them.
pub fn drop_triggers(app: &TestApp) {
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

fn users_see_own_events_without_addresses_of_others(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = create_history(&app);
    let bob = app.register("bobby");
    let (bob_events, _) = page(&app, &bob.sign_in(), "/users/me/events");
    let actions = |events: &[Value]| -> Vec<Value> {
        events.iter().map(|event| event["action"].clone()).collect()
    };
    assert_eq!(actions(&bob_events), ["login", "register"]);

    let token = alice.sign_in();
    let (events, _) = page(&app, &token, "/users/me/events");
    let of_alice = app
        .database()
        .count("audit_events WHERE actor = 'user:2' OR target = 'user:2'");
    assert_eq!(events.len() as i64, of_alice);
    let mut by_others = 0;
    for event in &events {
        assert!(
            event["actor"] == "user:2" || event["target"] == "user:2",
            "{event}"
        );
        let is_by_admin = event["actor"] == "user:1";
        by_others += usize::from(is_by_admin);
        let hidden = ["ip", "user_agent", "request_id"];
        let is_hidden = hidden.iter().all(|name| event[name] == "");
        // The first use of a key is recorded asynchronously, without an address.
        let has_none = is_by_admin || event["action"] == "key.first-use";
        assert_eq!(is_hidden, has_none, "{event}");
    }
    assert_eq!(by_others, 3);
    assert_eq!(app.get("/admin/events").bearer(&token).send().status, 403);
}

/// So a client cannot write the id of another client's request into the trail.
fn client_request_id_is_recorded_separately(backend: Backend) {
    let app = TestApp::start(backend);
    let admin = administrator(&app);
    let alice = app.register("alice");
    let token = alice.sign_in();
    let patch = |client_id: &str, by: &str, path: &str, name: &str| {
        let body = match path {
            "/users/me" => json!({ "name": name }),
            _ => json!({ "scopes_add": name }),
        };
        let request = app.request("PATCH", path).bearer(by).json(&body);
        let response = request.header("X-Request-Id", client_id).send();
        assert_eq!(response.status, 200, "{response:?}");
        response.header("x-request-id").unwrap()
    };
    assert_eq!(
        patch("id-of-another-client", &token, "/users/me", "Alice A"),
        "id-of-another-client"
    );
    assert_eq!(
        patch("id-of-another-client", &token, "/users/me", "Alice B"),
        "id-of-another-client"
    );
    let generated = patch("not fit for a log", &token, "/users/me", "Alice C");
    assert_eq!(
        patch("of-the-admin", &admin, "/admin/users/2", "orders:read"),
        "of-the-admin"
    );

    let (events, _) = page(&app, &admin, "/admin/events?target=user:2&limit=4");
    let ids = |name: &str| -> Vec<&str> {
        events
            .iter()
            .map(|event| event[name].as_str().unwrap())
            .collect()
    };
    let client_id = [
        "of-the-admin",
        "",
        "id-of-another-client",
        "id-of-another-client",
    ];
    assert_eq!(ids("client_request_id"), client_id);
    assert_eq!(ids("request_id")[1], generated);
    let mut generated_ids = ids("request_id");
    generated_ids.sort_unstable();
    generated_ids.dedup();
    assert_eq!(generated_ids.len(), 4, "{generated_ids:?}");
    for id in generated_ids {
        assert!(
            id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{id}"
        );
    }
    // Alice sees her generated ids, and none of the administrator's.
    let (of_alice, _) = page(&app, &token, "/users/me/events?limit=2");
    let both =
        |event: &Value| [&event["request_id"], &event["client_request_id"]].map(Value::clone);
    assert_eq!(both(&of_alice[0]), ["", ""]);
    assert_eq!(both(&of_alice[1]), [generated.as_str(), ""]);
    assert_eq!(Auditor::new(&app, None).problems(), [""; 0]);
}

fn pagination_lists_every_event_once(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = create_history(&app);
    let admin = sign_in(&app, "admin@example.com", "the password of admin");
    let token = alice.sign_in();
    for (token, first) in [
        (&admin, "/admin/events?actor=user:2&limit=3"),
        (&token, "/users/me/events?limit=3"),
    ] {
        let (all, none) = page(&app, token, &first.replace("limit=3", "limit=500"));
        assert_eq!(none, None);
        assert!(all.len() > 6);
        let mut seen = Vec::new();
        let mut next = Some(first.to_owned());
        while let Some(path) = next {
            let (events, after) = page(&app, token, &path);
            assert!(!events.is_empty() && events.len() <= 3);
            seen.extend(events);
            next = after;
        }
        assert_eq!(seen, all);
        let ids: Vec<i64> = seen
            .iter()
            .map(|event| event["id"].as_i64().unwrap())
            .collect();
        assert!(ids.is_sorted_by(|one, two| one > two), "{ids:?}");
    }
}

fn filters_select_matching_events(backend: Backend) {
    let clock = Clock::manual(DateTime::UNIX_EPOCH + TimeDelta::days(20_000));
    let app = TestApp::builder(backend).clock(clock.clone()).start();
    let alice = app.register("alice");
    clock.advance(TimeDelta::hours(1));
    let noon = "2024-10-04T01:00:00Z";
    alice.sign_in();
    alice.sign_in();
    clock.advance(TimeDelta::days(-1));
    // The program uses the system clock, years later.
    let output = program(
        &app,
        &[
            "user",
            "create",
            "a@example.com",
            "--name",
            "Admin",
            "--scope",
            "events:read",
        ],
        "the password of admin",
    );
    assert!(output.status.success(), "{output:?}");
    let admin = sign_in(&app, "a@example.com", "the password of admin");
    let count = |query: &str| {
        let (events, _) = page(&app, &admin, &format!("/admin/events?{query}"));
        events.len()
    };
    assert_eq!(count("action=login"), 3);
    assert_eq!(count("action=login&actor=user:1"), 2);
    assert_eq!(count("target=user:1"), 3);
    assert_eq!(count("actor=operator"), 1);
    assert_eq!(count(&format!("actor=user:1&since={noon}")), 2);
    assert_eq!(count(&format!("actor=user:1&until={noon}")), 0);
    assert_eq!(count(&format!("target=user:1&until={noon}")), 1);
    assert_eq!(count("actor=user:1&before=3"), 1);
    assert_eq!(count("actor=nobody"), 0);
    for wrong in ["since=yesterday", "before=x", "limit=0", "limit=501"] {
        let response = app
            .get(&format!("/admin/events?{wrong}"))
            .bearer(&admin)
            .send();
        assert_eq!(response.status, 422, "{wrong}");
    }
}

fn audit_tail_follows_new_events(backend: Backend) {
    let app = TestApp::start(backend);
    create_history(&app);
    let rows = app.database().count("audit_events");
    let printed = |arguments: &[&str]| {
        let output = program(&app, &[&["audit", "tail"], arguments].concat(), "");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let lines = printed(&[]);
    assert_eq!(lines.lines().count(), 10);
    let last = lines.lines().last().unwrap();
    let columns: Vec<&str> = last.split('\t').collect();
    assert_eq!(columns[0], rows.to_string());
    assert_eq!(columns[2..6], ["user:2", "login", "user:2", "ok"], "{last}");
    assert_eq!(printed(&["-n", "3"]).lines().count(), 3);
    // Both earlier reads are in the trail; this one is recorded after the rows are read.
    assert_eq!(printed(&["-n", "500"]).lines().count(), rows as usize + 2);
    assert_eq!(printed(&["-n", "0"]), "");

    let mut follower =
        crate::harness::Running::start(&mut app.program(&["audit", "tail", "-n", "1", "-f"]));
    assert!(follower.line().ends_with("{\"follow\":false,\"limit\":0}"));
    assert!(follower.line().ends_with("{\"follow\":true,\"limit\":1}"));
    app.register("carol");
    assert!(
        follower
            .line()
            .contains("\tanonymous\tregister\tuser:3\tok\t")
    );
}

fn pruning_deletes_old_events_and_keeps_the_rest_verifiable(backend: Backend) {
    let clock = Clock::manual(DateTime::UNIX_EPOCH + TimeDelta::days(20_000));
    let app = TestApp::builder(backend).clock(clock.clone()).start();
    let alice = app.register("alice");
    for _ in 0..1_200 {
        // More than one transaction deletes.
        alice.sign_in();
    }
    let old = app.database().count("audit_events");
    clock.advance(TimeDelta::days(30));
    let admin = administrator(&app);
    alice.sign_in();
    let config = app.config_with(&[("TOKENHOUSE_AUDIT_RETENTION_DAYS", "30")]);
    let store = tokenhouse::store::Store::open(&config.database).unwrap();
    let auth = Auth::new(store, config.auth, clock.clone()).unwrap();
    let auditor = Auditor::new(&app, None);
    // The clock has jumped, so the operator must confirm it.
    auditor.runtime.block_on(auth.confirm_clock()).unwrap();
    let rows = app.database().count("audit_events");
    let prune = || auditor.runtime.block_on(auth.audit().prune()).unwrap();
    assert_eq!(prune(), 0, "one microsecond too recent");
    clock.advance(TimeDelta::microseconds(1));
    let verified = std::thread::scope(|scope| {
        // Verification succeeds during pruning too.
        let other = scope.spawn(|| {
            let auditor = Auditor::new(&app, None);
            (0..20).flat_map(|_| auditor.problems()).collect::<Vec<_>>()
        });
        assert_eq!(prune() as i64, old);
        other.join().unwrap()
    });
    assert_eq!(verified, [""; 0]);
    assert_eq!(prune(), 0);
    assert_eq!(app.database().count("audit_events"), rows - old + 1);
    let verification = auditor.verify();
    assert_eq!(verification.problems, []);
    assert_eq!(verification.events as i64, rows - old + 1);
    let (events, _) = page(&app, &admin, "/admin/events?action=audit.prune");
    assert_eq!(events[0]["detail"], json!({"count": old}));
    assert_eq!(events[0]["actor"], "service");
    // The remaining rows are still protected.
    let first = format!("DELETE FROM audit_events WHERE id = {}", old + 1);
    assert!(!app.database().accepts(&first));
}

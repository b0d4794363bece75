//! The database schema: `doctor` detects foreign changes, and every query finds its rows by an index.

use std::collections::BTreeSet;
use std::sync::{Mutex, Once, PoisonError};

use chrono::{DateTime, TimeDelta};
use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};
use serde_json::{Value, json};
use tokenhouse::auth::{Administrator, SignIn, UserPatch};
use tokenhouse::store::EventMatch;
use tokenhouse::{AuditContext, Auth};

use crate::harness::{
    Backend, Person, TEST_QUERY, TestApp, TestDatabase, on_both_databases, runtime,
};

on_both_databases!(migrated_schema_passes, every_query_uses_an_index,);

/// Statements, and the object that `doctor` must name.
const ON_SQLITE: &[(&str, &str)] = &[
    (
        "CREATE TRIGGER gift AFTER INSERT ON users BEGIN \
         UPDATE users SET scopes = 'users:write' WHERE id = NEW.id; END",
        "trigger gift",
    ),
    (
        "DROP TRIGGER session_ends_with_its_token",
        "trigger session_ends_with_its_token",
    ),
    (
        "CREATE VIEW user_copy AS SELECT * FROM users",
        "view user_copy",
    ),
    ("DROP INDEX api_keys_user_id", "index api_keys_user_id"),
];

/// The same for Postgres.
const ON_POSTGRES: &[(&str, &str)] = &[
    (
        "CREATE FUNCTION gift() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         NEW.scopes := 'users:write'; RETURN NEW; END $$; \
         CREATE TRIGGER gift BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION gift()",
        "trigger users.gift",
    ),
    (
        "CREATE OR REPLACE FUNCTION tokenhouse_audit_refuses() RETURNS trigger \
         LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
        "function tokenhouse_audit_refuses()",
    ),
    (
        "CREATE RULE gift AS ON DELETE TO api_keys DO INSTEAD NOTHING",
        "rule api_keys.gift",
    ),
    (
        "CREATE VIEW user_copy AS SELECT * FROM users",
        "view user_copy",
    ),
    (
        "ALTER TABLE users ALTER COLUMN scopes SET DEFAULT 'users:write'",
        "column users.scopes",
    ),
    (
        "ALTER TABLE audit_events DISABLE TRIGGER audit_events_are_not_changed",
        "trigger audit_events.audit_events_are_not_changed",
    ),
    (
        "ALTER TABLE api_keys DISABLE TRIGGER ALL",
        "foreign keys of api_keys",
    ),
    ("ALTER TABLE users ENABLE ROW LEVEL SECURITY", "table users"),
    (
        "CREATE FUNCTION equal(VARCHAR, VARCHAR) RETURNS BOOLEAN LANGUAGE sql AS 'SELECT true'; \
         CREATE OPERATOR = (LEFTARG = VARCHAR, RIGHTARG = VARCHAR, FUNCTION = equal)",
        "operator =(character varying,character varying)",
    ),
];

/// The `tables` lines of doctor's report, and its exit code.
fn doctor(app: &TestApp, database: &TestDatabase) -> (String, Option<i32>) {
    let mut command = app.program(&["doctor"]);
    let output = command
        .env("DATABASE_URL", database.url())
        .output()
        .unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    let lines = report.lines().filter(|line| line.contains("\ttables\t"));
    (lines.collect::<Vec<_>>().join("\n"), output.status.code())
}

fn migrated_schema_passes(backend: Backend) {
    let app = TestApp::start(backend);
    app.register("alice").sign_in();
    let (report, status) = doctor(&app, app.database());
    assert_eq!(report, "ok\ttables\tas the migrations create them");
    assert_eq!(status, Some(0));
    // Repeating the check gives the same result, and it leaves nothing behind.
    assert_eq!(doctor(&app, app.database()).0, report);
    assert_eq!(app.get("/readyz").send().status, 200);
}

fn assert_each_is_detected(backend: Backend, all: &[(&str, &str)]) {
    let app = TestApp::start(backend);
    for (statements, named) in all {
        let database = TestDatabase::create(backend);
        database.execute(statements);
        let (report, status) = doctor(&app, &database);
        assert!(
            report.contains(&format!("problem\ttables\t{named}")),
            "{named}: {report}"
        );
        assert_eq!(status, Some(1), "{named}");
    }
}

#[test]
fn schema_changes_on_sqlite_are_detected() {
    assert_each_is_detected(Backend::Sqlite, ON_SQLITE);
}

#[test]
fn schema_changes_on_postgres_are_detected() {
    assert_each_is_detected(Backend::Postgres, ON_POSTGRES);
}

#[test]
fn after_restore_rejects_a_foreign_trigger() {
    let app = TestApp::start(Backend::Postgres);
    app.database().execute(ON_POSTGRES[0].0);
    let rejected = app.program(&["after-restore"]).output().unwrap();
    let stderr = String::from_utf8(rejected.stderr).unwrap();
    assert_eq!(rejected.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("trigger users.gift"), "{stderr}");
}

/// A role that may not create a schema cannot compare, and doctor reports that.
#[test]
fn missing_privilege_to_compare_the_schema_is_reported() {
    let app = TestApp::start(Backend::Postgres);
    app.database().execute(
        "CREATE ROLE limited LOGIN; GRANT USAGE, CREATE ON SCHEMA public TO limited; \
         GRANT ALL ON ALL TABLES IN SCHEMA public TO limited",
    );
    let url = app.database().url().replace("tokenhouse@", "limited@");
    let run = |arguments: &[&str]| {
        let mut command = app.program(arguments);
        command.env("DATABASE_URL", &url).output().unwrap()
    };
    let report = String::from_utf8(run(&["doctor"]).stdout).unwrap();
    assert!(report.contains("warning\ttables\tnot compared"), "{report}");
    let rejected = run(&["after-restore"]);
    assert_eq!(rejected.status.code(), Some(1), "{rejected:?}");
    app.database()
        .execute("DROP OWNED BY limited; DROP ROLE limited");
}

/// Tables that always have few rows, and are read completely.
const SMALL_TABLES: [&str; 4] = [
    "session_calls",
    "session_leases",
    "__diesel_schema_migrations",
    "sqlite_schema",
];

/// The statements sent to any database in this process, except those of the tests themselves.
static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn record() -> Option<Box<dyn Instrumentation>> {
    Some(Box::new(|event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            let text = query.to_string();
            let statement = text.split(" -- binds: ").next().unwrap_or_default().trim();
            let recorded = || SEEN.lock().unwrap_or_else(PoisonError::into_inner);
            let is_planned = ["SELECT", "UPDATE", "DELETE"]
                .iter()
                .any(|verb| statement.starts_with(verb));
            if is_planned && !statement.starts_with(TEST_QUERY) {
                recorded().insert(statement.to_owned());
            }
        }
    }))
}

fn every_query_uses_an_index(backend: Backend) {
    static RECORDING: Once = Once::new();
    RECORDING.call_once(|| set_default_instrumentation(record).unwrap());

    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_LIMITS", "on")
        .start();
    run_all_operations(&app);
    let marker = match backend {
        Backend::Sqlite => '`',
        Backend::Postgres => '"',
    };
    let recorded = SEEN.lock().unwrap().clone();
    let queries: Vec<_> = recorded
        .iter()
        .filter(|query| query.contains(marker))
        .collect();
    assert!(queries.len() > 10, "{queries:#?}");
    let mut scans = Vec::new();
    for query in queries {
        let plan = app.database().plan(query);
        assert!(!plan.is_empty(), "{query}");
        let is_scan = |line: &&String| {
            (line.starts_with("SCAN") || line.contains("Seq Scan"))
                && !SMALL_TABLES.iter().any(|table| line.contains(table))
        };
        if let Some(scan) = plan.iter().find(is_scan) {
            scans.push(format!("{scan}: {query}"));
        }
    }
    assert!(scans.is_empty(), "{scans:#?}");
}

/// Runs every operation, so that every query is executed.
fn run_all_operations(app: &TestApp) {
    let alice = app.register("alice");
    for _ in 0..2 {
        let token = alice.sign_in();
        for _ in 0..2 {
            assert_eq!(app.get("/users/me").bearer(&token).send().status, 200);
        }
    }
    let token = alice.sign_in();
    assert_eq!(app.post("/logout").bearer(&token).send().status, 204);
    assert_eq!(app.get("/readyz").send().status, 200);

    // Above the cost of the hash, so that the sign-in rehashes.
    let config = app.config_with(&[("TOKENHOUSE_BCRYPT_COST", "5")]);
    let auth = Auth::open(&config).unwrap();
    let runtime = runtime();
    let (operator, shell) = (Administrator::operator(), AuditContext::operator());
    runtime.block_on(async {
        let request = SignIn::new(&alice.email, alice.password.clone().into());
        auth.sign_in(&shell, request).await.unwrap();
        app.database()
            .execute("UPDATE access_tokens SET expiration_date = '2020-01-01 00:00:00'");
        assert_eq!(auth.prune_tokens().await.unwrap(), 1);
        let id = auth.find_user_id(&alice.email).await.unwrap();
        assert!(auth.audit().verify().await.unwrap().problems.is_empty());
        assert_eq!(auth.audit().prune().await.unwrap(), 0);
        auth.throttle().prune().await.unwrap();
        assert!(!auth.unlock_user(&operator, id).await.unwrap());
        for (search, after) in [(None, None), (None, Some("0")), (Some("ALI"), None)] {
            let page = auth.list_users(&operator, search, after, 10).await.unwrap();
            assert_eq!(page.users.len(), 1);
        }
        assert_eq!(auth.count_users().await.unwrap(), 1);
        assert_eq!(auth.count_keys().await.unwrap(), 0);
        assert!(
            auth.list_all_keys(&operator, 0, 10)
                .await
                .unwrap()
                .0
                .is_empty()
        );
        assert!(
            auth.list_tokens(&operator, 0, 10)
                .await
                .unwrap()
                .0
                .is_empty()
        );
        let criteria = EventMatch {
            participants: Some(auth.names_in_trail(id).await.unwrap()),
            action: Some("login".to_owned()),
            request_id: Some(String::new()),
            since: Some(DateTime::UNIX_EPOCH.naive_utc()),
            until: Some((DateTime::UNIX_EPOCH + TimeDelta::days(50_000)).naive_utc()),
        };
        let audit = auth.audit();
        for criteria in [criteria, EventMatch::default()] {
            let last = audit.last_id().await.unwrap();
            let events = audit.list_last_matching(&criteria, last, 10).await.unwrap();
            assert!(!events.is_empty(), "{criteria:?}");
            let addresses = auth.find_addresses(&events).await.unwrap();
            assert_eq!(addresses.of("user:1"), Some(&*alice.email));
            assert_eq!(addresses.of("key:1"), None);
            audit.follow_matching(&criteria, 0, 10).await.unwrap();
        }
        for disabled in [true, false] {
            let patch = UserPatch {
                disabled: Ok(Some(disabled)),
                scopes_add: Ok(Some(
                    "users:read users:write events:read introspect".to_owned(),
                )),
                ..UserPatch::none()
            };
            auth.update_user(&operator, id, patch).await.unwrap();
        }
    });
    call_all_routes(app, &alice);
    runtime.block_on(async {
        auth.flush().await.unwrap();
        app.database()
            .execute("UPDATE api_keys SET revoked_at = '2020-01-01 00:00:00'");
        assert_eq!(auth.prune_keys().await.unwrap(), 1);
    });
}

/// Calls every route with queries that [`run_all_operations`] does not run.
fn call_all_routes(app: &TestApp, alice: &Person) {
    let token = alice.sign_in();
    let key = app
        .post("/users/me/keys")
        .bearer(&token)
        .json(&json!({ "name": "key" }));
    let key = key.send().json()["key"].as_str().unwrap().to_owned();
    let send = |method: &str, path: &str, body: Value| {
        let request = app.request(method, path).bearer(&token);
        request.json(&body).send().status
    };
    for credential in [&token, &key] {
        assert_eq!(app.get("/verify").bearer(credential).send().status, 200);
        let form = app.post("/introspect").bearer(&token);
        assert_eq!(form.form(&[("token", credential)]).send().status, 200);
    }
    for path in [
        "/users/me/keys",
        "/users/me/events",
        "/users/me/events?before=9",
        "/admin/users/1",
        "/admin/events",
        "/admin/events?actor=user:1",
        "/admin/events?target=user:1",
        "/admin/events?action=login&before=9",
    ] {
        assert_eq!(app.get(path).bearer(&token).send().status, 200, "{path}");
    }
    assert_eq!(send("PATCH", "/users/me", json!({ "surname": "X" })), 200);
    let bob = app.register("bobby");
    bob.sign_in();
    assert_eq!(send("DELETE", "/admin/users/2/tokens", Value::Null), 204);
    let last = send("PATCH", "/admin/users/1", json!({ "disabled": true }));
    assert_eq!(last, 409);
    assert_eq!(send("DELETE", "/admin/users/2", Value::Null), 204);
    assert_eq!(send("DELETE", "/users/me/keys/1", Value::Null), 204);
    let revoke = app.post("/revoke").form(&[("token", key.as_str())]);
    assert_eq!(revoke.send().status, 200);
    let change = json!({
        "current_password": alice.password,
        "new_password": "another password of alice",
        "keep_keys": [1],
    });
    assert_eq!(send("POST", "/users/me/password", change), 204);
}

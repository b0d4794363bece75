//! Every query of the service finds its rows by an index, however large the tables are.

use std::collections::BTreeSet;
use std::sync::{Mutex, Once, PoisonError};

use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};
use serde_json::{Value, json};
use tokenhouse::auth::{Administrator, UserPatch};
use tokenhouse::{Auth, Config, Origin};

use crate::harness::{Backend, Person, TEST_QUERY, TestApp, on_both_databases};

on_both_databases!(every_query_uses_an_index);

/// Tables that have a few rows whatever happens, and are read whole.
const SMALL: [&str; 4] = [
    "session_calls",
    "session_leases",
    "__diesel_schema_migrations",
    "sqlite_schema",
];

/// What was asked of any database in this process, apart from what the tests ask for themselves.
static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn record() -> Option<Box<dyn Instrumentation>> {
    Some(Box::new(|event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            let text = query.to_string();
            let statement = text.split(" -- binds: ").next().unwrap_or_default().trim();
            let seen = || SEEN.lock().unwrap_or_else(PoisonError::into_inner);
            let is_planned = ["SELECT", "UPDATE", "DELETE"]
                .iter()
                .any(|verb| statement.starts_with(verb));
            if is_planned && !statement.starts_with(TEST_QUERY) {
                seen().insert(statement.to_owned());
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
    do_everything(&app);
    let marker = match backend {
        Backend::Sqlite => '`',
        Backend::Postgres => '"',
    };
    let seen = SEEN.lock().unwrap().clone();
    let queries: Vec<_> = seen.iter().filter(|query| query.contains(marker)).collect();
    assert!(queries.len() > 10, "{queries:#?}");
    let mut wrong = Vec::new();
    for query in queries {
        let plan = app.database().plan(query);
        assert!(!plan.is_empty(), "{query}");
        let is_scan = |line: &&String| {
            (line.starts_with("SCAN") || line.contains("Seq Scan"))
                && !SMALL.iter().any(|table| line.contains(table))
        };
        if let Some(scan) = plan.iter().find(is_scan) {
            wrong.push(format!("{scan}: {query}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Every operation that there is, so that every query is made.
fn do_everything(app: &TestApp) {
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

    let settings = [
        ("DATABASE_URL", app.database().url()),
        // Above the cost of the hash, so that signing in renews it.
        ("TOKENHOUSE_BCRYPT_COST", "5".to_owned()),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value));
    let auth = Auth::open(&Config::from_vars(settings).unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let (operator, shell) = (Administrator::operator(), Origin::operator());
    runtime.block_on(async {
        let password = alice.password.clone().into();
        auth.sign_in(&shell, &alice.email, password, None)
            .await
            .unwrap();
        app.database()
            .execute("UPDATE access_tokens SET expiration_date = '2020-01-01 00:00:00'");
        assert_eq!(auth.prune_tokens().await.unwrap(), 1);
        let id = auth.find_user_id(&alice.email).await.unwrap();
        assert!(auth.verify_trail().await.unwrap().problems.is_empty());
        assert_eq!(auth.prune_events().await.unwrap(), 0);
        auth.prune_failures().await.unwrap();
        assert!(!auth.unlock_user(&operator, id).await.unwrap());
        for (search, after) in [(None, None), (None, Some("0")), (Some("ALI"), None)] {
            let page = auth.list_users(&operator, search, after, 10).await.unwrap();
            assert_eq!(page.users.len(), 1);
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
    do_everything_over_http(app, &alice);
    runtime.block_on(async {
        auth.settle().await.unwrap();
        app.database()
            .execute("UPDATE api_keys SET revoked_at = '2020-01-01 00:00:00'");
        assert_eq!(auth.prune_keys().await.unwrap(), 1);
    });
}

/// Every route that reads or writes something that [`do_everything`] does not.
fn do_everything_over_http(app: &TestApp, alice: &Person) {
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

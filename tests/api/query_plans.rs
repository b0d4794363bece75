//! Every query of the service finds its rows by an index, however large the tables are.

use std::collections::BTreeSet;
use std::sync::{Mutex, Once, PoisonError};

use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};
use tokenhouse::{Auth, Config};

use crate::harness::{Backend, OF_THE_TESTS, TestApp, on_both_databases};

on_both_databases!(every_query_uses_an_index);

/// Tables that have a few rows whatever happens, and are read whole.
const SMALL: [&str; 3] = [
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
            if is_planned && !statement.starts_with(OF_THE_TESTS) {
                seen().insert(statement.to_owned());
            }
        }
    }))
}

fn every_query_uses_an_index(backend: Backend) {
    static RECORDING: Once = Once::new();
    RECORDING.call_once(|| set_default_instrumentation(record).unwrap());

    let app = TestApp::start(backend);
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
    runtime.block_on(async {
        let password = alice.password.clone().into();
        auth.sign_in(&alice.email, password, None).await.unwrap();
        app.database()
            .execute("UPDATE access_tokens SET expiration_date = '2020-01-01 00:00:00'");
        assert_eq!(auth.prune_tokens().await.unwrap(), 1);
        alice.sign_in();
        assert_eq!(auth.list_users(0, 10).await.unwrap().len(), 1);
        assert!(auth.disable_user(&alice.email).await.unwrap().is_some());
        assert!(auth.enable_user(&alice.email).await.unwrap().is_some());
        assert_eq!(
            auth.revoke_tokens_of(&alice.email).await.unwrap(),
            Some(true)
        );
    });
}

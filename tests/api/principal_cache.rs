//! Sessions in memory are what the database holds, whoever changed it and however.

use std::process::Command;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use tokenhouse::clock::Clock;
use tokenhouse::config::Config;
use tokenhouse::credential::CredentialDigest;
use tokenhouse::store::Store;

use crate::harness::{Backend, Client, TestApp, on_both_databases};

on_both_databases!(
    a_session_is_remembered_until_something_changes_it,
    changes_by_hand_count,
    what_no_trigger_has_seen_counts_after_a_minute,
);

/// How long a change by hand may take to arrive: on Postgres nobody waits for it.
const BY_HAND_WITHIN: Duration = Duration::from_secs(1);

fn status(client: &Client, token: &str) -> u16 {
    client.get("/users/me").bearer(token).send().status
}

/// Asks again until the answer is right or `longest` has passed.
fn becomes(longest: Duration, is_right: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while !is_right() {
        if begun.elapsed() > longest {
            return false;
        }
    }
    true
}

fn a_session_is_remembered_until_something_changes_it(backend: Backend) {
    let app = TestApp::start(backend);
    let (alice, bob) = (app.register("alice"), app.register("bob"));
    let tokens = [alice.sign_in(), bob.sign_in()];
    let [of_alice, of_bob] = tokens
        .each_ref()
        .map(|token| CredentialDigest::parse(token.as_bytes()).unwrap());

    let url = ("DATABASE_URL".to_owned(), app.database().url());
    let store = Store::open(&Config::from_vars([url]).unwrap().database).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let clock = Clock::system();
    let look_up = |digest| {
        runtime
            .block_on(store.find_principal(digest, clock.now()))
            .unwrap()
            .is_some()
    };
    let is_remembered = |credential: CredentialDigest| {
        store
            .recall_principal(&credential.digest, clock.now())
            .is_some()
    };

    let remembers = |digest| {
        let is_back = || look_up(digest) && is_remembered(digest);
        assert!(becomes(Duration::from_secs(5), is_back));
    };
    assert!(!is_remembered(of_alice) && !is_remembered(of_bob));
    remembers(of_alice);
    remembers(of_bob);

    // Others write what changes neither session.
    app.register("carol").sign_in();
    remembers(of_alice);
    assert!(is_remembered(of_bob));

    assert_eq!(app.post("/logout").bearer(&tokens[0]).send().status, 204);
    assert!(
        !is_remembered(of_alice),
        "acknowledged, and still in the memory of another process"
    );
    assert!(!look_up(of_alice) && !is_remembered(of_alice));
    remembers(of_bob);

    let renewed = CredentialDigest::parse(bob.sign_in().as_bytes()).unwrap();
    assert!(!is_remembered(of_bob) && !look_up(of_bob));
    remembers(renewed);
}

fn changes_by_hand_count(backend: Backend) {
    let app = TestApp::start(backend);
    let mut changes = vec![
        ("DELETE FROM access_tokens WHERE user_id = 1", 401),
        ("DELETE FROM users WHERE id = 1", 401),
        (
            "UPDATE access_tokens SET expiration_date = '2020-01-01 00:00:00' WHERE user_id = 1",
            401,
        ),
        (
            "UPDATE access_tokens SET access_token = 'another' WHERE user_id = 1",
            401,
        ),
        (
            "UPDATE users SET disabled_at = created_at WHERE id = 1",
            401,
        ),
        ("UPDATE users SET name = 'Another Name' WHERE id = 1", 200),
    ];
    changes.extend(match backend {
        Backend::Postgres => [
            ("TRUNCATE access_tokens", 401),
            (
                "SET session_replication_role = replica; \
              DELETE FROM access_tokens WHERE user_id = 1",
                401,
            ),
        ],
        Backend::Sqlite => [
            (
                "INSERT OR REPLACE INTO access_tokens (user_id, access_token, expiration_date, \
              scopes, created_at) SELECT user_id, 'another', expiration_date, \
              scopes, created_at FROM access_tokens WHERE user_id = 1",
                401,
            ),
            (
                "DROP TRIGGER session_ends_with_its_token; \
              DELETE FROM access_tokens WHERE user_id = 1",
                401,
            ),
        ],
    });
    for (change, expected) in changes {
        let app = TestApp::start(backend);
        let token = app.register("alice").sign_in();
        for _ in 0..3 {
            assert_eq!(status(&app, &token), 200);
        }
        app.database().execute(change);
        let is_seen = || {
            let answer = app.get("/users/me").bearer(&token).send();
            answer.status == expected
                && (expected == 401 || answer.json()["name"] == "Another Name")
        };
        match backend {
            Backend::Sqlite => assert!(is_seen(), "{change}"),
            Backend::Postgres => assert!(becomes(BY_HAND_WITHIN, is_seen), "{change}"),
        }
    }
    drop(app);
}

/// Ends a token so that no trigger tells of it.
fn end_unseen(backend: Backend) -> &'static str {
    match backend {
        Backend::Postgres => {
            "BEGIN; ALTER TABLE access_tokens DISABLE TRIGGER ALL; DELETE FROM access_tokens; \
             ALTER TABLE access_tokens ENABLE TRIGGER ALL; COMMIT"
        }
        // A shell in which triggers are off leaves the log as it was.
        Backend::Sqlite => {
            "BEGIN IMMEDIATE; CREATE TEMP TABLE seen AS SELECT MAX(id) AS id FROM session_changes; \
             DELETE FROM access_tokens; \
             DELETE FROM session_changes WHERE id > (SELECT id FROM seen); COMMIT"
        }
    }
}

fn what_no_trigger_has_seen_counts_after_a_minute(backend: Backend) {
    let clock = Clock::manual(chrono::Utc::now());
    let app = TestApp::builder(backend).clock(clock.clone()).start();
    let alice = app.register("alice");
    alice.sign_in();
    let token = alice.sign_in();
    let lease_is_live =
        || backend == Backend::Sqlite || app.database().count("session_leases") == 1;
    assert!(becomes(Duration::from_secs(5), || {
        status(&app, &token) == 200 && lease_is_live()
    }));
    assert_eq!(status(&app, &token), 200);
    app.database().execute(end_unseen(backend));
    assert_eq!(
        status(&app, &token),
        200,
        "it is remembered, so the test sees something"
    );
    clock.advance(TimeDelta::seconds(59));
    assert_eq!(status(&app, &token), 200);
    clock.advance(TimeDelta::seconds(1));
    assert_eq!(status(&app, &token), 401);
}

#[test]
fn postgres_runs_every_trigger_whatever_the_role_of_replication() {
    let app = TestApp::start(Backend::Postgres);
    let ours = "pg_trigger WHERE NOT tgisinternal";
    assert!(app.database().count(ours) > 10);
    assert_eq!(
        app.database()
            .count(&format!("{ours} AND tgenabled <> 'A'")),
        0
    );
}

/// How a log that was emptied looks when it has grown past the row that was read last.
#[test]
fn a_log_that_was_emptied_is_not_taken_for_the_one_that_was_read() {
    let app = TestApp::start(Backend::Sqlite);
    let (alice, bob) = (app.register("alice"), app.register("bob"));
    let tokens = [alice.sign_in(), alice.sign_in(), bob.sign_in()];
    for emptied in [
        "DELETE FROM session_changes; DELETE FROM access_tokens WHERE user_id = 1; \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) \
         INSERT INTO session_changes (access_token) SELECT '' FROM n",
        "DELETE FROM access_tokens; DELETE FROM session_changes",
    ] {
        let last = if emptied.starts_with("DELETE FROM session") {
            1
        } else {
            2
        };
        for token in &tokens[last..] {
            for _ in 0..3 {
                assert_eq!(status(&app, token), 200);
            }
        }
        app.database().execute(&format!("BEGIN; {emptied}; COMMIT"));
        assert_eq!(status(&app, &tokens[last]), 401, "{emptied}");
    }
}

/// After a recovery of SQLite's wal-index without a log its header is the same each time.
#[test]
fn states_after_two_recoveries_are_not_taken_for_one() {
    let app = TestApp::start(Backend::Sqlite);
    let token = app.register("alice").sign_in();
    let file = app.database().url().replace("sqlite://", "");
    let recover = |statement: &str| {
        let script =
            format!("PRAGMA busy_timeout = 5000; {statement}; PRAGMA wal_checkpoint(TRUNCATE)");
        app.database().execute(&script);
        // By another process: closing the file in this one would drop SQLite's locks on it.
        let shell = Command::new("dd")
            .args([
                "if=/dev/zero",
                "bs=96",
                "count=1",
                "conv=notrunc",
                "status=none",
            ])
            .arg(format!("of={file}-shm"))
            .status();
        assert!(shell.unwrap().success());
    };
    recover("SELECT 1");
    for _ in 0..3 {
        assert_eq!(status(&app, &token), 200);
    }
    recover("DELETE FROM access_tokens");
    assert_eq!(status(&app, &token), 401);
}

#[test]
fn a_process_that_does_not_answer_is_waited_out() {
    let app = TestApp::start(Backend::Postgres);
    let alice = app.register("alice");
    let (process, beside) = app.spawn_server();
    let token = alice.sign_in();
    for _ in 0..100 {
        assert_eq!(status(&beside, &token), 200);
    }
    process.signal("STOP");
    let asked = Instant::now();
    assert_eq!(app.post("/logout").bearer(&token).send().status, 204);
    assert!(
        asked.elapsed() > Duration::from_secs(1),
        "its memory was good for that long"
    );
    process.signal("CONT");
    assert_eq!(status(&beside, &token), 401);

    // It takes a new lease, and answers again.
    let token = alice.sign_in();
    assert!(becomes(Duration::from_secs(5), || {
        assert_eq!(status(&beside, &token), 200);
        app.database().count("session_leases WHERE NOT fenced") == 2
    }));
    let asked = Instant::now();
    assert_eq!(app.post("/logout").bearer(&token).send().status, 204);
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(status(&beside, &token), 401);
}

#[test]
fn a_process_that_was_killed_costs_one_wait() {
    let app = TestApp::start(Backend::Postgres);
    let alice = app.register("alice");
    let (process, beside) = app.spawn_server();
    let token = alice.sign_in();
    let has_lease = || {
        assert_eq!(status(&beside, &token), 200);
        app.database().count("session_leases") == 2
    };
    assert_eq!(status(&app, &token), 200);
    assert!(becomes(Duration::from_secs(5), has_lease));
    drop(process);
    assert_eq!(app.post("/logout").bearer(&token).send().status, 204);
    assert_eq!(app.database().count("session_leases"), 1);
    assert_eq!(status(&app, &token), 401);
}

#[test]
fn a_process_that_ends_well_leaves_no_lease() {
    let app = TestApp::start(Backend::Postgres);
    let token = app.register("alice").sign_in();
    let beside = app.sibling().start();
    let has_lease =
        || status(&beside, &token) == 200 && app.database().count("session_leases") == 1;
    assert!(becomes(Duration::from_secs(5), has_lease));
    drop(beside);
    assert_eq!(app.database().count("session_leases"), 0);
}

//! Cached principals match the database, whoever changes it and however.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use tokenhouse::clock::Clock;
use tokenhouse::credential::CredentialDigest;
use tokenhouse::store::{Credential, Ends, Principal, Store, StoreError};

use crate::harness::{Backend, Client, TestApp, on_both_databases, runtime};

on_both_databases!(
    principal_is_cached_until_it_changes,
    change_by_this_process_leaves_other_principals_cached,
    manual_changes_take_effect,
    change_without_trigger_takes_effect_within_a_minute,
);

/// How long a manual change may take to arrive: on Postgres the writer does not wait for it.
const MANUAL_CHANGE_TIMEOUT: Duration = Duration::from_secs(1);

fn status(client: &Client, token: &str) -> u16 {
    client.get("/users/me").bearer(token).send().status
}

/// Checks repeatedly until the condition holds or `longest` has passed.
fn holds_within(longest: Duration, is_right: impl Fn() -> bool) -> bool {
    let started = Instant::now();
    while !is_right() {
        if started.elapsed() > longest {
            return false;
        }
    }
    true
}

fn principal_is_cached_until_it_changes(backend: Backend) {
    let app = TestApp::start(backend);
    let (alice, bob) = (app.register("alice"), app.register("bob"));
    let tokens = [alice.sign_in(), bob.sign_in()];
    let [alice_digest, bob_digest] = tokens
        .each_ref()
        .map(|token| CredentialDigest::parse(token.as_bytes()).unwrap());

    let store = Store::open(&app.config().database).unwrap();
    let runtime = runtime();
    let clock = Clock::system();
    let look_up = |digest| {
        runtime
            .block_on(store.fetch_principal(digest, clock.now()))
            .unwrap()
            .is_some()
    };
    let is_cached = |credential: CredentialDigest| {
        store
            .cached_principal(&credential.digest, clock.now())
            .is_some()
    };

    let assert_cached = |digest| {
        let is_found_and_cached = || look_up(digest) && is_cached(digest);
        assert!(holds_within(Duration::from_secs(5), is_found_and_cached));
    };
    assert!(!is_cached(alice_digest) && !is_cached(bob_digest));
    assert_cached(alice_digest);
    assert_cached(bob_digest);

    // Writes that change neither principal.
    app.register("carol").sign_in();
    assert_cached(alice_digest);
    assert!(is_cached(bob_digest));

    assert_eq!(app.post("/logout").bearer(&tokens[0]).send().status, 204);
    assert!(
        !is_cached(alice_digest),
        "acknowledged, but still cached by another process"
    );
    assert!(!look_up(alice_digest) && !is_cached(alice_digest));
    assert_cached(bob_digest);

    let renewed = CredentialDigest::parse(bob.sign_in().as_bytes()).unwrap();
    assert!(!is_cached(bob_digest) && !look_up(bob_digest));
    assert_cached(renewed);
}

/// A process that has a cache of its own, and no server.
struct Reader {
    store: Store,
    runtime: tokio::runtime::Runtime,
}

impl Reader {
    fn new(app: &TestApp) -> Self {
        Self {
            store: Store::open(&app.config().database).unwrap(),
            runtime: runtime(),
        }
    }

    fn look_up(&self, token: &str) -> Option<Arc<Principal>> {
        let digest = CredentialDigest::parse(token.as_bytes()).unwrap();
        let found = self.store.fetch_principal(digest, Clock::system().now());
        self.runtime.block_on(found).unwrap()
    }

    fn is_cached(&self, token: &str) -> bool {
        let digest = CredentialDigest::parse(token.as_bytes()).unwrap();
        let cached = self
            .store
            .cached_principal(&digest.digest, Clock::system().now());
        cached.is_some()
    }

    /// Whether looking up this token puts it into the cache.
    fn caches(&self, token: &str) -> bool {
        self.look_up(token).is_some() && self.is_cached(token)
    }

    fn wait_until_cached(&self, tokens: &[&str]) {
        let are_cached = || {
            tokens.iter().all(|token| self.caches(token))
                && tokens.iter().all(|token| self.is_cached(token))
        };
        assert!(holds_within(Duration::from_secs(5), are_cached));
    }
}

/// The server of the app may commit at the same moment, so one of several attempts counts.
fn change_by_this_process_leaves_other_principals_cached(backend: Backend) {
    let app = TestApp::start(backend);
    let (alice, bob) = (app.register("alice"), app.register("bob"));
    let bob = bob.sign_in();
    let reader = Reader::new(&app);
    let is_left = || {
        let token = alice.sign_in();
        reader.wait_until_cached(&[&token, &bob]);
        let principal = reader.look_up(&token).unwrap();
        let Credential::LoginToken(stored) = &principal.credential else {
            panic!("not a login token");
        };
        let (stored, ends) = (stored.clone(), Ends::Users(vec![stored.user_id]));
        let revoke = reader
            .store
            .revoking(ends, move |tx| Ok::<_, StoreError>(stored.revoke(tx)?));
        assert!(reader.runtime.block_on(revoke).unwrap());
        let is_left = reader.is_cached(&bob);
        assert!(!reader.is_cached(&token), "revoked, but still cached");
        assert!(reader.look_up(&token).is_none());
        is_left
    };
    assert!((0..5).any(|_attempt| is_left()));
}

/// The changes in progress are made by hand, so that they stay in progress.
#[test]
fn change_by_another_process_suspends_only_its_users() {
    let app = TestApp::start(Backend::Postgres);
    let (alice, bob) = (app.register("alice"), app.register("bob"));
    let (alice, bob) = (alice.sign_in(), bob.sign_in());
    let reader = Reader::new(&app);
    let ids = [&alice, &bob].map(|token| reader.look_up(token).unwrap().user.id);
    let call = |number: i64, users: &str| {
        reader.wait_until_cached(&[&alice, &bob]);
        app.database().execute(&format!(
            "INSERT INTO session_calls (call, users) VALUES ({number}, {users})"
        ));
        let has_answered = || {
            let silent = format!(
                "session_leases WHERE NOT EXISTS (SELECT 1 FROM session_answers AS answer \
                 WHERE answer.lease = session_leases.lease AND {number} = ANY(calls))"
            );
            app.database().count(&silent) == 0
        };
        assert!(holds_within(Duration::from_secs(2), has_answered));
        let cached = [&alice, &bob].map(|token| reader.caches(token));
        app.database()
            .execute(&format!("DELETE FROM session_calls WHERE call = {number}"));
        cached
    };
    let [alice_id, bob_id] = ids;
    assert_eq!(call(1, &format!("'{{{alice_id}}}'")), [false, true]);
    assert_eq!(call(2, &format!("'{{{bob_id},-5}}'")), [true, false]);
    assert_eq!(
        call(3, &format!("'{{{alice_id},{bob_id}}}'")),
        [false, false]
    );
    // As by a process of an earlier version, or by one whose users cannot be read.
    let too_many = "(SELECT array_agg(-n) FROM generate_series(1, 1001) AS n)";
    for (number, users) in (4..).zip(["NULL", "'{}'", "'{NULL}'", too_many]) {
        assert_eq!(call(number, users), [false, false], "{users}");
    }
}

fn manual_changes_take_effect(backend: Backend) {
    let app = TestApp::start(backend);
    let mut changes = vec![
        ("DELETE FROM access_tokens WHERE user_id = 1", 401),
        ("DELETE FROM sessions WHERE user_id = 1", 401),
        (
            "UPDATE sessions SET expires_at = '2020-01-01 00:00:00' WHERE user_id = 1",
            401,
        ),
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
            (
                "SET session_replication_role = replica; DELETE FROM sessions WHERE user_id = 1",
                401,
            ),
            ("TRUNCATE sessions CASCADE", 401),
        ],
        Backend::Sqlite => [
            (
                "INSERT OR REPLACE INTO access_tokens (user_id, access_token, expiration_date, \
              scopes, created_at, session_id) SELECT user_id, 'another', expiration_date, \
              scopes, created_at, session_id FROM access_tokens WHERE user_id = 1",
                401,
            ),
            (
                "INSERT OR REPLACE INTO sessions (user_id, slot, kind, name, user_agent, first_ip, \
              last_ip, created_at, last_used_at, expires_at, amr, scopes) SELECT user_id, slot, \
              kind, name, user_agent, first_ip, last_ip, created_at, last_used_at, expires_at, amr, \
              scopes FROM sessions WHERE user_id = 1",
                401,
            ),
            (
                "PRAGMA foreign_keys = OFF; DELETE FROM sessions WHERE user_id = 1",
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
        let has_taken_effect = || {
            let response = app.get("/users/me").bearer(&token).send();
            response.status == expected
                && (expected == 401 || response.json()["name"] == "Another Name")
        };
        match backend {
            Backend::Sqlite => assert!(has_taken_effect(), "{change}"),
            Backend::Postgres => assert!(
                holds_within(MANUAL_CHANGE_TIMEOUT, has_taken_effect),
                "{change}"
            ),
        }
    }
    drop(app);
}

/// Deletes a token without any trigger recording it.
fn delete_without_trigger(backend: Backend) -> &'static str {
    match backend {
        Backend::Postgres => {
            "BEGIN; ALTER TABLE access_tokens DISABLE TRIGGER ALL; DELETE FROM access_tokens; \
             ALTER TABLE access_tokens ENABLE TRIGGER ALL; COMMIT"
        }
        // As in an SQL shell without triggers, the change log stays as it was.
        Backend::Sqlite => {
            "BEGIN IMMEDIATE; CREATE TEMP TABLE seen AS SELECT MAX(id) AS id FROM session_changes; \
             DELETE FROM access_tokens; \
             DELETE FROM session_changes WHERE id > (SELECT id FROM seen); COMMIT"
        }
    }
}

fn change_without_trigger_takes_effect_within_a_minute(backend: Backend) {
    let clock = Clock::manual(chrono::Utc::now());
    let app = TestApp::builder(backend).clock(clock.clone()).start();
    let alice = app.register("alice");
    alice.sign_in();
    let token = alice.sign_in();
    let lease_is_live =
        || backend == Backend::Sqlite || app.database().count("session_leases") == 1;
    assert!(holds_within(Duration::from_secs(5), || {
        status(&app, &token) == 200 && lease_is_live()
    }));
    assert_eq!(status(&app, &token), 200);
    app.database().execute(delete_without_trigger(backend));
    assert_eq!(status(&app, &token), 200, "the principal is cached");
    clock.advance(TimeDelta::seconds(59));
    assert_eq!(status(&app, &token), 200);
    clock.advance(TimeDelta::seconds(1));
    assert_eq!(status(&app, &token), 401);
}

#[test]
fn postgres_triggers_fire_for_every_replication_role() {
    let app = TestApp::start(Backend::Postgres);
    let triggers = "pg_trigger WHERE NOT tgisinternal";
    assert!(app.database().count(triggers) > 10);
    assert_eq!(
        app.database()
            .count(&format!("{triggers} AND tgenabled <> 'A'")),
        0
    );
}

/// An emptied change log that has grown past the last row that was read.
#[test]
fn emptied_change_log_is_not_mistaken_for_the_one_read() {
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

/// After SQLite recovers the wal-index of an empty log, its header is the same each time.
#[test]
fn states_after_two_wal_recoveries_are_distinguished() {
    let app = TestApp::start(Backend::Sqlite);
    let token = app.register("alice").sign_in();
    let file = app.database().url().replace("sqlite://", "");
    let recover = |statement: &str| {
        app.database().execute(statement);
        // The server compares the files every 100 ms. If it saw an empty header before and after
        // the checkpoint, but not the log in between, it would report an overwritten file and stop.
        std::thread::sleep(Duration::from_millis(500));
        app.database().execute("PRAGMA wal_checkpoint(TRUNCATE)");
        // In another process: closing the file in this one would drop SQLite's locks on it.
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
fn revocation_waits_for_an_unresponsive_process() {
    let app = TestApp::start(Backend::Postgres);
    let alice = app.register("alice");
    let (process, second) = app.spawn_server();
    let token = alice.sign_in();
    for _ in 0..100 {
        assert_eq!(status(&second, &token), 200);
    }
    process.signal("STOP");
    let started = Instant::now();
    assert_eq!(app.post("/logout").bearer(&token).send().status, 204);
    assert!(
        started.elapsed() > Duration::from_secs(1),
        "the lease lasts that long"
    );
    process.signal("CONT");
    assert_eq!(status(&second, &token), 401);

    // The process takes a new lease and answers again.
    let token = alice.sign_in();
    assert!(holds_within(Duration::from_secs(5), || {
        assert_eq!(status(&second, &token), 200);
        app.database().count("session_leases WHERE NOT fenced") == 2
    }));
    let started = Instant::now();
    assert_eq!(app.post("/logout").bearer(&token).send().status, 204);
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(status(&second, &token), 401);
}

#[test]
fn revocation_waits_once_for_a_killed_process() {
    let app = TestApp::start(Backend::Postgres);
    let alice = app.register("alice");
    let (process, second) = app.spawn_server();
    let token = alice.sign_in();
    let has_lease = || {
        assert_eq!(status(&second, &token), 200);
        app.database().count("session_leases") == 2
    };
    assert_eq!(status(&app, &token), 200);
    assert!(holds_within(Duration::from_secs(5), has_lease));
    drop(process);
    assert_eq!(app.post("/logout").bearer(&token).send().status, 204);
    assert_eq!(app.database().count("session_leases"), 1);
    assert_eq!(status(&app, &token), 401);
}

#[test]
fn clean_shutdown_leaves_no_lease() {
    let app = TestApp::start(Backend::Postgres);
    let token = app.register("alice").sign_in();
    let second = app.sibling().start();
    let has_lease =
        || status(&second, &token) == 200 && app.database().count("session_leases") == 1;
    assert!(holds_within(Duration::from_secs(5), has_lease));
    drop(second);
    assert_eq!(app.database().count("session_leases"), 0);
}

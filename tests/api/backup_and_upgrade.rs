//! Backups under load, and programs of other versions.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use diesel::sql_types::{BigInt, Text};
use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection};

use crate::harness::{
    Backend, Client, Person, ScratchDir, StopOnDrop, TestApp, TestDatabase, on_both_databases, size,
};

on_both_databases!(newer_database_is_rejected, migrations_are_atomic,);

const BACKUPS: usize = 4;
const CLIENTS: usize = 3;

/// What the service has confirmed to the clients.
#[derive(Clone, Default)]
struct Acknowledged {
    users: BTreeSet<String>,
    keys: BTreeSet<i64>,
    /// Revoked keys.
    revoked: BTreeSet<i64>,
}

#[test]
fn backups_under_load_are_consistent_and_complete() {
    let app = TestApp::start(Backend::Sqlite);
    let folder = ScratchDir::new("backup");
    let acknowledged = Mutex::new(Acknowledged::default());
    let stopped = AtomicBool::new(false);
    let mut before_each = Vec::new();
    let started = Instant::now();
    thread::scope(|scope| {
        let _stop = StopOnDrop(&stopped);
        for number in 0..CLIENTS {
            let (client, acknowledged, stopped) = (*app, &acknowledged, &stopped);
            scope.spawn(move || write_until_stopped(client, number, acknowledged, stopped));
        }
        for copy in 0..BACKUPS {
            // Each backup covers new data.
            let enough = 3 * (copy + 1);
            while acknowledged.lock().unwrap().revoked.len() < enough {
                assert!(started.elapsed() < Duration::from_secs(60), "too slow");
                thread::sleep(Duration::from_millis(10));
            }
            before_each.push(acknowledged.lock().unwrap().clone());
            let file = folder.join(format!("copy-{copy}"));
            let output = app.program(&["backup", file.to_str().unwrap()]).output();
            let output = output.unwrap();
            assert!(output.status.success(), "{output:?}");
        }
    });
    let original = events(app.database().url().trim_start_matches("sqlite://"));
    let mut compared = 0;
    for (copy, before) in before_each.iter().enumerate() {
        let restored = folder.join(format!("restored-{copy}.db"));
        let url = format!("sqlite://{}", restored.display());
        let from = folder.join(format!("copy-{copy}"));
        let from = from.to_str().unwrap();
        run_on(&app, &url, &["restore", "--keep-keys", from]);
        run_on(&app, &url, &["audit", "verify"]);
        compared += compare(&restored, before, &original);
    }
    println!("{BACKUPS} copies under load, {compared} rows compared");
    assert_serves_sign_ins(&app, &folder.join("restored-0.db"), &before_each[0]);
}

/// Registers users, who sign in, create two keys and revoke one.
fn write_until_stopped(
    client: Client,
    number: usize,
    acknowledged: &Mutex<Acknowledged>,
    stopped: &AtomicBool,
) {
    for person in 0.. {
        let person = client.register(&format!("person-{number}-{person}"));
        let recorded = |tell: &dyn Fn(&mut Acknowledged)| tell(&mut acknowledged.lock().unwrap());
        recorded(&|all| _ = all.users.insert(person.email.clone()));
        let token = person.sign_in();
        let keys = [(); 2].map(|()| client.create_key(&token, "").id);
        recorded(&|all| all.keys.extend(keys));
        let path = format!("/users/me/keys/{}", keys[0]);
        let ended_key = client.request("DELETE", &path).bearer(&token).send();
        assert_eq!(ended_key.status, 204, "{ended_key:?}");
        recorded(&|all| _ = all.revoked.insert(keys[0]));
        if stopped.load(Ordering::Relaxed) {
            return;
        }
    }
}

fn run_on(app: &TestApp, url: &str, arguments: &[&str]) {
    let output = app.program(arguments).env("DATABASE_URL", url).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

/// Compares a backup with what was acknowledged before it, and with the original, whose trail has
/// grown since. Returns the number of compared rows.
fn compare(copy: &Path, before: &Acknowledged, original: &BTreeMap<String, String>) -> usize {
    let copy = copy.to_str().unwrap();
    let rows = |query: &str| -> BTreeSet<String> { texts(copy, query).into_iter().collect() };
    let users = rows("SELECT email AS text FROM users");
    assert!(before.users.is_subset(&users), "users are missing");
    let keys = rows("SELECT CAST(id AS TEXT) AS text FROM api_keys");
    assert!(before.keys.iter().all(|id| keys.contains(&id.to_string())));
    let revoked = "SELECT CAST(id AS TEXT) AS text FROM api_keys WHERE revoked_at IS NOT NULL";
    let revoked = rows(revoked);
    assert!(
        before
            .revoked
            .iter()
            .all(|id| revoked.contains(&id.to_string()))
    );
    assert!(rows("SELECT \"table\" AS text FROM pragma_foreign_key_check").is_empty());

    // The trail matches these users and keys exactly, and is a prefix of the original's.
    let recorded = |action: &str| {
        rows(&format!(
            "SELECT target AS text FROM audit_events WHERE action = '{action}' AND result = 'ok'"
        ))
    };
    let user_ids = rows("SELECT 'user:' || id AS text FROM users");
    assert_eq!(user_ids, recorded("register"));
    let key_ids = rows("SELECT 'key:' || id AS text FROM api_keys");
    assert_eq!(key_ids, recorded("key.create"));
    assert_eq!(revoked.len(), recorded("key.revoke").len());
    // The last event records the restore.
    let mut trail = events(copy);
    let (_, last) = trail.pop_last().unwrap();
    let by_operator = last.contains("|operator:") && last.contains("|shell|restore|");
    assert!(by_operator, "{last}");
    assert!(
        !trail.is_empty() && trail.len() <= original.len(),
        "{} of {}",
        trail.len(),
        original.len()
    );
    for (number, (id, event)) in trail.iter().enumerate() {
        assert_eq!(original.get(id), Some(event));
        assert_eq!(id, &format!("{:020}", number + 1), "an event is missing");
    }
    users.len() + keys.len() + trail.len()
}

/// The events by id, each as one text.
fn events(file: &str) -> BTreeMap<String, String> {
    let query = "SELECT printf('%020d', id) || '|' || at || '|' || actor || '|' || credential || \
                 '|' || action || '|' || target || '|' || result || '|' || detail || '|' || \
                 previous_digest || '|' || digest AS text FROM audit_events ORDER BY id";
    let lines = texts(file, query);
    lines
        .iter()
        .filter_map(|line| line.split_once('|'))
        .map(|(id, rest)| (id.to_owned(), rest.to_owned()))
        .collect()
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    text: String,
}

fn texts(file: &str, query: &str) -> Vec<String> {
    let mut conn = SqliteConnection::establish(file).unwrap();
    let lines: Vec<Row> = diesel::sql_query(query).load(&mut conn).unwrap();
    lines.into_iter().map(|line| line.text).collect()
}

/// Serves a restored backup and signs in its users with their passwords.
fn assert_serves_sign_ins(app: &TestApp, restored: &Path, before: &Acknowledged) {
    let url = format!("sqlite://{}", restored.display());
    let (_process, client) = app.spawn_server_with(&[("DATABASE_URL", &url)]);
    for email in before.users.iter().take(3) {
        let name = email.trim_end_matches("@example.com");
        let person = Person {
            client,
            email: email.clone(),
            password: format!("the password of {name}"),
        };
        assert_eq!(client.status("/users/me", &person.sign_in()), 200);
    }
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn count(file: &Path, rows: &str) -> i64 {
    let mut conn = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    let query = diesel::sql_query(format!("SELECT COUNT(*) AS count FROM {rows}"));
    query.get_result::<Counted>(&mut conn).unwrap().count
}

fn run(mut command: Command) -> Output {
    command.output().unwrap()
}

/// Registers users one after the other and counts the acknowledged ones.
fn register_users(app: &TestApp, client: usize, acknowledged: &AtomicI64) {
    for number in 0..size("TOKENHOUSE_TEST_COPIED_USERS", 40) {
        app.register(&format!("user{client}.{number}"));
        acknowledged.fetch_add(1, Ordering::SeqCst);
    }
}

/// Backups are made while users register. Each must contain all users acknowledged before it
/// started, and no user without the earlier ones. `TOKENHOUSE_TEST_COPIED_USERS` is the number of
/// users that each of three clients registers.
#[test]
fn backup_under_load_is_a_consistent_snapshot() {
    let app = TestApp::start(Backend::Sqlite);
    let folder = ScratchDir::new("backup");
    let acknowledged = AtomicI64::new(0);
    let copies = thread::scope(|scope| {
        let (app, acknowledged) = (&app, &acknowledged);
        let clients =
            [0, 1, 2].map(|client| scope.spawn(move || register_users(app, client, acknowledged)));
        let mut copies = 0;
        while !clients.iter().all(|client| client.is_finished()) {
            check_copy(app, &folder, copies, acknowledged);
            copies += 1;
        }
        copies
    });
    println!("{copies} consistent copies");
    assert!(copies > 1, "only {copies} copies were made");

    let copy = folder.join("copy-0.db");
    let refused = run(app.program(&["restore", "--replace", copy.to_str().unwrap()]));
    let stderr = String::from_utf8(refused.stderr).unwrap();
    assert!(stderr.contains("a service is running"), "{stderr}");
    let (torn, new) = (folder.join("torn.db"), folder.join("new.db"));
    fs::write(&torn, &fs::read(&copy).unwrap()[..9_000]).unwrap();
    let mut restore = app.program(&["restore", torn.to_str().unwrap()]);
    restore.env("DATABASE_URL", format!("sqlite://{}", new.display()));
    assert!(!run(restore).status.success());
    assert!(!new.exists());
}

/// Makes a backup, restores it as another database, and checks that.
fn check_copy(app: &TestApp, folder: &Path, number: usize, acknowledged: &AtomicI64) {
    let copy = folder.join(format!("copy-{number}.db"));
    let before = acknowledged.load(Ordering::SeqCst);
    let output = run(app.program(&["backup", copy.to_str().unwrap()]));
    let after = acknowledged.load(Ordering::SeqCst);
    assert!(output.status.success(), "{output:?}");
    let mode = fs::metadata(&copy).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let restored = folder.join(format!("restored-{number}.db"));
    for arguments in [
        &["restore", copy.to_str().unwrap()][..],
        &["audit", "verify"],
    ] {
        let mut command = app.program(arguments);
        command.env("DATABASE_URL", format!("sqlite://{}", restored.display()));
        let output = run(command);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    let users = count(&restored, "users");
    // Each client may have registered one user that is not acknowledged yet.
    assert!(
        (before..=after + 3).contains(&users),
        "{before} <= {users} <= {after} + 3"
    );
    let first = format!("users WHERE id <= {users}");
    assert_eq!(count(&restored, &first), users, "a user is missing");
    let events = count(&restored, "audit_events WHERE action = 'register'");
    assert_eq!(events, users, "state and trail do not match");
}

fn newer_database_is_rejected(backend: Backend) {
    let app = TestApp::start(backend);
    app.database().execute(
        "INSERT INTO __diesel_schema_migrations (version, run_on)
         VALUES ('29991231000000', CURRENT_TIMESTAMP)",
    );
    for arguments in [&["migrate"][..], &["serve"], &["user", "list"]] {
        let output = run(app.program(arguments));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert!(
            stderr.contains("a newer version"),
            "{arguments:?}: {stderr}"
        );
    }
}

/// A killed migration is either complete or absent, and the next one completes it.
/// `TOKENHOUSE_TEST_KILLED_MIGRATIONS` is the number of killed processes.
fn migrations_are_atomic(backend: Backend) {
    let kills = size("TOKENHOUSE_TEST_KILLED_MIGRATIONS", 20);
    let migrate = |database: &TestDatabase| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenhouse"));
        command.arg("migrate");
        command.current_dir(std::env::temp_dir());
        command.env_clear().env("DATABASE_URL", database.url());
        command.stdout(Stdio::null());
        command
    };
    let tables = |database: &TestDatabase| match backend {
        Backend::Sqlite => database.count("sqlite_master WHERE type = 'table'"),
        Backend::Postgres => {
            database.count("information_schema.tables WHERE table_schema = 'public'")
        }
    };
    let whole = TestDatabase::empty(backend);
    let started = Instant::now();
    assert!(run(migrate(&whole)).status.success());
    let (took, all) = (started.elapsed(), tables(&whole));
    let mut complete = 0;
    for number in 0..kills {
        let database = TestDatabase::empty(backend);
        let mut migrating = migrate(&database).spawn().unwrap();
        thread::sleep(took.mul_f64(number as f64 / kills as f64));
        migrating.kill().unwrap();
        migrating.wait().unwrap();
        match tables(&database) {
            0 => {}
            present => {
                assert_eq!(
                    present, all,
                    "after {number} of {kills} of the usual duration"
                );
                complete += 1;
            }
        }
        assert!(run(migrate(&database)).status.success());
        assert_eq!(tables(&database), all);
    }
    println!("{kills} killed within {took:?}, {complete} of them complete");
}

/// Before SQLite 3.51.3, two connections could corrupt the write-ahead log.
#[test]
fn bundled_sqlite_has_the_wal_fix() {
    let app = TestApp::start(Backend::Sqlite);
    let version = app.database().texts("SELECT sqlite_version() AS text");
    let numbers: Vec<u32> = version[0].split('.').map(|n| n.parse().unwrap()).collect();
    assert!(numbers >= vec![3, 51, 3], "{version:?}");
}
